import pytest

from embench.registry import catalogue

from ..tiny.fixtures import bench, cache, shared, six
from ..tiny.running import command

__all__ = ["bench", "cache", "shared", "six"]


@pytest.fixture(autouse=True)
def no_calibration():
    """Objects of one test mean nothing in another."""
    yield
    catalogue._GIVEN.clear()


@pytest.fixture
def embench_line(capsys):
    """Runs a command line in this process."""
    return lambda *arguments: command(capsys, *arguments)
