"""What people give first tells whether they have a part of their own, and which; `make personal` draws more of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from .personal import FALSE, WORLDS, trials

DRAWS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the people of all worlds lie, whose recordings are the same."""
    made = tmp_path_factory.mktemp("personal")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(made / "cache"))
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_the_verdict_tells_the_own_part_of_people(world: str, folder: Path) -> None:
    found = list(islice(trials("free", world, folder), DRAWS))
    said = Counter(each["source"] for each in found)
    print(world, said)
    assert said[WORLDS[world]] >= 2  # where it is right in 80 %, less than that happens in 10 %
    assert sum(said[verdict] for verdict in FALSE[world]) <= 1
