"""Tracking: each night and each of its models as runs in MLflow."""
