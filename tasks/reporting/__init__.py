"""Reporting: what people read of a run, on the screen, on Prefect's pages and as JSON."""
