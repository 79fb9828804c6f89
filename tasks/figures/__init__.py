"""Figures that people look at in MLflow: tables in, matplotlib figures out."""
