from ..tiny.fixtures import bench, cache, embench, six

__all__ = ["bench", "cache", "embench", "six"]
