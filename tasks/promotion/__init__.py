"""Promotion: whether a night's model becomes the champion, and the registry that says who is."""
