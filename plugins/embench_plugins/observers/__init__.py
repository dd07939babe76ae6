"""Observers: a run as the tools for tracking experiments show it. All of them need the extra `track`."""
