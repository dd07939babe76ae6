"""Observers: a run as tools for tracking experiments show it. They need the extra `track`."""
