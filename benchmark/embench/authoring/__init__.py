"""A contributor's package of plugins: written by `embench plugin new`, looked through by `embench plugin check`."""
