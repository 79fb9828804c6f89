"""Contracts: tables, configs, references, errors. Imports nothing of ours."""
