import pytest

from embench.registry import objects

from ..tiny.fixtures import bench, cache, shared, six

__all__ = ["bench", "cache", "shared", "six"]


@pytest.fixture(autouse=True)
def nothing_given():
    """Objects of one test mean nothing in another."""
    yield
    objects._GIVEN.clear()
