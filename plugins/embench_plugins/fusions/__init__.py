"""Bundled fusions plugins."""
