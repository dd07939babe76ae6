"""Challenges in a folder: labels stay with their holder, and everything is exchanged as files."""
