"""One wording for how many methods were scored on test subjects, and whose they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from embench.records.ledger import (
    append_to_ledger,
    count_published,
    describe_authors,
    describe_evaluations,
    get_ledger_folder,
)
from embench.records.manifest import Manifest
from embench.records.record import read_manifest

BOARDS = Path(__file__).parents[2] / "leaderboards"
ROWS = sorted((BOARDS / "stress_predict" / "subject-independent-v4").glob("handcrafted-svm-*"))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """A run after three published rows, a dev look and another method of the same user."""
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path))
    of = read_manifest(ROWS[0])
    asked = {"dataset": of.dataset.name, "protocol": of.protocol.name, "target": "stress"}
    for name in [*(row.name for row in ROWS[:3]), "tuned", "first", "second"]:
        dev = {"dev": True} if name == "tuned" else {}
        last = append_to_ledger(get_ledger_folder() / "data", {**asked, "run": name, "method": name, **dev})
    return of.model_copy(
        update={"methods_evaluated": {"stress": 5}, "test_evaluations": {"stress": 5}, "ledger": last["hash"]}
    )


def test_own_methods_and_those_that_others_published_are_told_apart(own: Manifest, tmp_path: Path) -> None:
    assert describe_evaluations(own) == "5 methods, including this one, were scored on these test subjects"
    assert count_published(own, BOARDS) == 3
    mine, others = describe_authors(own, BOARDS).split("; ")
    assert mine == "all by the authors of this result, of which 3 are entries of published leaderboards"
    entries = len(list((BOARDS / "stress_predict" / own.protocol.name).glob("*/run.yaml")))
    assert others == f"not counted: {entries - 3} entries that others published on these labels"
    (tmp_path / "none").mkdir()
    assert describe_authors(own, tmp_path / "none") == "all by the authors of this result"


def test_nothing_is_said_of_boards_or_logs_that_are_not_here(own: Manifest, tmp_path: Path) -> None:
    assert describe_authors(own, tmp_path / "nowhere") == "all by the authors of this result"
    elsewhere = own.model_copy(update={"ledger": "0" * 64})
    assert describe_authors(elsewhere, BOARDS) == "counted by those who published this entry"
    assert not describe_authors(elsewhere.model_copy(update={"entry": None}), BOARDS)


@pytest.mark.parametrize(
    ("tried", "dev", "words"),
    [
        (None, False, ""),
        ({"stress": 1}, False, "no other method was scored on these test subjects before"),
        ({"stress": 1}, True, "1 method was scored on these test subjects"),
        (30, False, "30 methods, including this one, were scored on these test subjects"),
    ],
)
def test_a_run_counts_itself(own: Manifest, tried: object, dev: bool, words: str) -> None:
    assert describe_evaluations(own.model_copy(update={"methods_evaluated": tried, "dev": dev})) == words
