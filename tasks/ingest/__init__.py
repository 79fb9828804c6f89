"""Raw CSV text in; typed rows, rejects and counts out."""
