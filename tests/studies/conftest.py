from ..tiny.fixtures import bench, cache, six

__all__ = ["bench", "cache", "six"]
