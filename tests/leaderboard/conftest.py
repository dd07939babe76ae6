from ..tiny.scored import binary, make_run

__all__ = ["binary", "make_run"]
