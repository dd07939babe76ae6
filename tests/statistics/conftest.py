from ..tiny.scored import binary, make_run, make_units

__all__ = ["binary", "make_run", "make_units"]
