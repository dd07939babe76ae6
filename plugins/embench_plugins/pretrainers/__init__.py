"""Bundled pretrainers plugins."""
