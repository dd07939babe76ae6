from ..tiny.fixtures import cache, embench

__all__ = ["cache", "embench"]
