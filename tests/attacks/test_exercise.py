"""The labels of aerobic sessions come from the presses of the button, and a unit holds one of them alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.adds.exercise import AEROBIC, UNIT_S
from embench_plugins.datasets.formats import e4

SECONDS = 300


def test_no_unit_holds_both_rest_and_exercise_or_neither_in_part(tmp_path: Path) -> None:
    folder = tmp_path / "f01"
    folder.mkdir()
    for modality, name in e4.FILES.items():
        card = e4.CARDS[modality]
        start, rate, sample = (
            ",".join([text] * len(card.channels)) for text in ("2013-02-24 12:00:00", f"{card.rate:.6f}", "1")
        )
        (folder / name).write_text("\n".join([start, rate, *[sample] * int(SECONDS * card.rate)]) + "\n")
    # The first press lies inside a unit, the last on the border of two.
    presses = ["03:33", "03:40", "03:50", "04:00", "04:10", "04:20", "04:30", "04:40"]
    (folder / "tags.csv").write_text("".join(f"2013-02-24 12:{press}\n" for press in presses))
    (recording,) = AEROBIC(tmp_path).recordings("f01")
    assert recording.group == "f01+f03+f12"
    units_of = {name: label.values.reshape(-1, int(UNIT_S)) for name, label in recording.labels.items()}
    for units in units_of.values():
        np.testing.assert_array_equal(units.min(1), units.max(1))
    rest, work, neither = [0], [1], [2]
    np.testing.assert_array_equal(units_of["exercise"][:, 0], rest * 21 + neither + work * 6 + rest * 2)
    # The first 33 s alone are no warm-up, and the sixth press begins the cool-down.
    np.testing.assert_array_equal(units_of["work"][:, 0], rest * 3 + neither * 19 + work * 4 + neither * 2 + rest * 2)
