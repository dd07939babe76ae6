"""Published scores follow from an entry's own predictions and labels, interval by interval."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENTRIES = sorted((ROOT / "leaderboards" / "stress_predict").glob("*/handcrafted-svm-*"))[::2]


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_scored_anew_says_the_same(entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    from rescore import rescore

    copied = shutil.copytree(entry, tmp_path / entry.name)
    assert rescore(copied) == []
    ours, published = (json.loads((folder / "scores.json").read_text()) for folder in (copied, entry))
    assert _numbers(ours) == pytest.approx(_numbers(published), rel=1e-6, abs=1e-9)
    assert ours["not_cleared"] == published["not_cleared"]
    assert not (copied / "audit.json").exists()  # it was of the old scores


def _numbers(table: object, at: str = "") -> dict[str, float]:
    """Place -> every number of the scores."""
    inside = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    found = {place: value for key, each in inside for place, value in _numbers(each, f"{at}/{key}").items()}
    return {at: float(table)} if isinstance(table, int | float) and not isinstance(table, bool) else found
