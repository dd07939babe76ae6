"""What people give first tells whether they have a part of their own, and which; `make personal` draws more of them."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from .personal import FALSE, WORLDS, trials

DRAWS = 4


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_the_verdict_tells_the_own_part_of_people(world: str, tmp_path: Path) -> None:
    found = list(islice(trials("free", world, tmp_path), DRAWS))
    said = Counter(each["gains_by"] for each in found)
    print(world, said)
    assert said[WORLDS[world]] >= DRAWS / 2  # where it is right in 80 %, less than that happens in 3 %
    assert sum(said[verdict] for verdict in FALSE[world]) <= 1
