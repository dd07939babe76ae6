"""Bundled metrics plugins."""
