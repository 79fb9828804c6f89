"""Retention: what is old and named by nothing goes, and what stays is whole."""
