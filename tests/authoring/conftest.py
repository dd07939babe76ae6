from ..tiny.fixtures import bench, cache, embench, shared, six

__all__ = ["bench", "cache", "embench", "shared", "six"]
