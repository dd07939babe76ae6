"""Bundled encoders plugins."""
