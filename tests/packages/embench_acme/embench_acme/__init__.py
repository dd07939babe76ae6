"""An outside package as its author would write it."""
