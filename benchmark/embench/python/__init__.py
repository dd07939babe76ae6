"""Functions of `embench` for notebooks and scripts: the commands, which here also accept objects as methods."""
