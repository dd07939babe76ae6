"""A lab notebook of runs, as an observer for embench."""
