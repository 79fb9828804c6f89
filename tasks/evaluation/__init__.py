"""Evaluation: models and the eval set in; figures, leaderboards and comparisons out."""
