"""Which seeds boards take, and rows of other seeds, which are compared in the partitions that all have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embench.leaderboard import publish_runs
from embench.leaderboard.entries import LeaderboardEntry, load_leaderboard_entry
from embench.leaderboard.pull_request import explain_unsubmittable
from embench.leaderboard.rows import rank_rows, summarise_entry
from embench.records.record import read_record
from embench.site.entry_page import JoinedEntries, pairings
from embench.statistics.comparison import compare
from embench.statistics.gains import primary_metric_summands
from embench.statistics.intervals import rank_methods

from ..truth.cohorts import TARGET, draw_labels, partitions, recorded
from .test_ranking import finished, key_of

PUBLISHED = Path(__file__).parents[2] / "leaderboards" / "stress_predict" / "subject-independent-v4"
THREE, FIVE, SIX, TEN = [0, 1, 2], list(range(5)), list(range(6)), list(range(10))
BALANCED = "0 to 5 or 0 to 4"


def entry(encoder: str, seeds: list[int]) -> LeaderboardEntry:
    """A published entry, as if it had these seeds."""
    loaded = (load_leaderboard_entry(folder) for folder in sorted(PUBLISHED.glob(f"{encoder}-*")))
    found = next(e for e in loaded if e.run.pretraining_overlap == "none")
    return replace(found, run=found.run.model_copy(update={"seeds": seeds}))


@pytest.mark.parametrize(
    ("encoder", "seeds", "wanted"),
    [
        ("handcrafted", THREE, BALANCED),
        ("handcrafted", TEN, BALANCED),
        ("handcrafted", FIVE, None),
        ("handcrafted", SIX, None),
        ("tcn", THREE, None),
        ("tcn", SIX, None),
        ("tcn", [0, 1], f"0, 1, 2 or {BALANCED}"),
    ],
)
def test_a_leaderboard_takes_all_balanced_partitions(encoder: str, seeds: list[int], wanted: str | None) -> None:
    of = entry(encoder, seeds)
    [row] = [row for row in rank_rows([summarise_entry(of)], "stress")[0] if row.is_method]
    run = of.run.model_copy(update={"entry": None})
    reasons = [reason for reason in explain_unsubmittable(run, Path("none")) if "seeds" in reason]
    if wanted is None:
        assert not [mark for mark in row.marks if mark.startswith("seeds")]
        assert not reasons
    else:
        other = f"{', '.join(map(str, seeds))} instead of {wanted}"
        assert f"seeds {other}" in row.marks
        assert reasons == [f"its seeds are {other}"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of runs in the same partitions: `ten` and, worse, `three` seeds; `first` has the first
    three of `ten`."""
    rng, root = np.random.default_rng(4), tmp_path_factory.mktemp("runs")
    y, lengths = draw_labels(rng, 15), rng.normal(3300, 140, 15)
    folds = partitions(rng, lengths, 10)
    ten, three = (1 / (1 + np.exp(-k * (y - 0.5) - rng.normal(size=(n, *y.shape)))) for k, n in ((3.0, 10), (1.5, 3)))
    found = {}
    for name, predicted in (("ten", ten), ("first", ten[:3]), ("three", three)):
        of = recorded(name, predicted, y, folds[: len(predicted)], "auroc_crossed_time", lengths)
        found[name] = finished(root / name, of)
    return found


def test_rows_of_ten_and_of_three_seeds_are_paired_in_the_partitions_of_both(runs: dict[str, Path]) -> None:
    ten, three = (read_record(runs[name]) for name in ("ten", "three"))
    of_ten, of_three = (primary_metric_summands(of, TARGET.name) for of in (ten, three))
    assert of_ten
    assert of_three
    scores = [of.scores.get_scores(TARGET.name)["auroc_crossed_time"] for of in (ten, three)]
    assert rank_methods(scores, [of_ten, of_three]).paired
    gap = compare(runs["ten"], runs["three"])
    assert gap.seeds == (0, 1, 2)
    assert of_ten.contributions.sum() - of_three.contributions.sum() == pytest.approx(gap.difference.mean)
    # Its own score is that of all its seeds.
    assert of_ten.contributions.sum() != pytest.approx(scores[0].mean, abs=1e-6)


def test_the_page_compares_rows_in_the_partitions_of_both(runs: dict[str, Path], tmp_path: Path) -> None:
    folders = [runs[name] for name in ("ten", "first", "three")]
    published, refused = publish_runs(folders, tmp_path, key_of)
    assert not refused
    pairs = {
        id_: pair
        for (id_, _), pair in pairings([load_leaderboard_entry(entry) for entry in published], JoinedEntries()).items()
    }
    assert len({pair["fits"] for pair in pairs.values()}) == 1
    assert pairs["ten"].pop("seeds") == [0, 1, 2]
    assert pairs["ten"] == pairs["first"]
    assert "seeds" not in pairs["three"]
