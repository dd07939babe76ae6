"""The names of `embench` for notebooks and scripts: doors to what the commands do, and objects as methods."""
