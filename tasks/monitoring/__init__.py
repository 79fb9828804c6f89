"""Monitoring: whether a night's files, log, champion and reach are as they should be."""
