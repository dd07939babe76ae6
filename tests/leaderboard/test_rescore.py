"""Published scores follow from an entry's own predictions and labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from embench.protocols import superseded_by
from embench.records.record import read_record

from ..sample import WHOLE

ROOT = Path(__file__).parents[2]
ENTRIES = [
    entry
    for entry in sorted((ROOT / "leaderboards" / "stress_predict").glob("*/handcrafted-svm-*"))
    if not superseded_by(entry.parent.name)
]
SAMPLE = ENTRIES[2:3]
"""The one of the first that is scored in the least time."""


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES if WHOLE else SAMPLE, ids=lambda entry: entry.name)
def test_an_entry_scored_anew_says_the_same(entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    from rescore import rescore

    copied = shutil.copytree(entry, tmp_path / "board" / "protocol" / entry.name)
    shutil.copytree(entry.parents[1] / "shared", tmp_path / "board" / "shared")
    rescore(copied)
    ours, published = (read_record(folder).scores for folder in (copied, entry))
    means = {place: mean for place, mean in _numbers(published["scores"]).items() if place.endswith("/mean")}
    assert {place: _numbers(ours["scores"])[place] for place in means} == pytest.approx(means, abs=2e-3)
    assert not (copied / "audit.json").exists()  # it was of the old scores
    assert rescore(copied) == []
    assert read_record(copied).scores == ours


def _numbers(table: object, at: str = "") -> dict[str, float]:
    """Place -> every number of the scores."""
    inside = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    found = {place: value for key, each in inside for place, value in _numbers(each, f"{at}/{key}").items()}
    return {at: float(table)} if isinstance(table, int | float) and not isinstance(table, bool) else found
