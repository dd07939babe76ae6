"""The names of `embench` for notebooks and scripts: the commands as functions, and objects as methods."""
