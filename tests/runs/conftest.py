from ..tiny.fixtures import bench, cache, embench, shared, six, striking

__all__ = ["bench", "cache", "embench", "shared", "six", "striking"]
