"""Artefacts: tables and models under one root, whole or not there, named by how they were made."""
