"""Observers, which write a run for tools that track experiments. They need the extra `track`."""
