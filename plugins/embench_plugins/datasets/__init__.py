"""Bundled datasets plugins."""
