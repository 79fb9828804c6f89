"""Models: what is known by the cut in, scores of every video for a user out."""
