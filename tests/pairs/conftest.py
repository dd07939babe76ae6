import sys

import pytest

from embench import registry

from ..tiny.fixtures import cache, embench
from . import made

__all__ = ["cache", "embench", "world"]


@pytest.fixture(scope="module")
def world(tmp_path_factory, installing):
    """Where the made-up datasets lie, which are installed as an outside package's."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        points = {"plugins": "embench_made"}
        installing.write(folder / "site", "embench-made", "1.0", points, made.package(folder / "embench_made"))
        patch.syspath_prepend(str(folder / "site"))
        registry.refresh()
        yield made.write(folder)
    sys.modules.pop("embench_made", None)
    registry.refresh()
