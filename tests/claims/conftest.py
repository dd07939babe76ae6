from ..tiny.fixtures import cache, embench, six

__all__ = ["cache", "embench", "six"]
