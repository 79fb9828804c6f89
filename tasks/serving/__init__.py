"""Serving: the champion's lists, for everybody or for one user with reasons."""
