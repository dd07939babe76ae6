import tomllib
from pathlib import Path

import pytest

from embench import registry

from ..tiny.fixtures import cache, embench

__all__ = ["cache", "embench"]

FOLDERS = sorted(path.parent for path in Path(__file__).parents[2].glob("examples/*/pyproject.toml"))


@pytest.fixture
def examples(site, installing):
    """The packages of `examples/`, installed; package -> its folder in the repository."""
    found = {}
    for folder in FOLDERS:
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        points = project["entry-points"]["embench"]
        installing.write(site, project["name"], project["version"], points, folder / points["plugins"])
        found[points["plugins"]] = folder
    registry.refresh()
    return found
