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
        # Its thousands of values of an EEG take an `lda` a minute; these are six hundred.
        patch.setattr("embench_plugins.encoders.multirocket.REACH_S", 0.06)
        # Its recordings are shorter than some windows; networks are put together here, and not pretrained.
        patch.setattr("embench.engine.fits.require_windows", lambda _: None)
        yield made.write(folder)
    sys.modules.pop("embench_made", None)
    registry.refresh()
