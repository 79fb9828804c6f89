"""Training: a model's feature tables in, its files out."""
