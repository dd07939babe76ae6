"""Which seeds boards take, and rows of other seeds, which are compared in the partitions that all have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embench.leaderboard import publish_runs
from embench.leaderboard.entries import LeaderboardEntry, load_leaderboard_entry
from embench.leaderboard.rows import ranked_rows, shown_entry
from embench.leaderboard.submit import why_not_submitted
from embench.records.record import read_record
from embench.site.joined_entries import JoinedEntries
from embench.site.pairing import pairings
from embench.statistics.comparison import compare
from embench.statistics.ranking import rank_methods
from embench.statistics.summands import headline_summands

from ..truth.cohorts import TARGET, draw_labels, partitions, recorded
from .test_ranking import finished, key_of

PUBLISHED = Path(__file__).parents[2] / "leaderboards" / "stress_predict" / "subject-independent-v2"
THREE, TEN = [0, 1, 2], list(range(10))


def entry(encoder: str, seeds: list[int], *, scoring: int | None) -> LeaderboardEntry:
    """A published entry, as if it had these seeds under a protocol of this version of scoring."""
    loaded = (load_leaderboard_entry(folder) for folder in sorted(PUBLISHED.glob(f"{encoder}-*")))
    found = next(e for e in loaded if not e.superseded and e.run.pretrain_overlap == "none" and e.run.seeds == THREE)
    rules = {**found.run.protocol.rules, **({"scoring": scoring} if scoring else {})}
    protocol = found.run.protocol.model_copy(update={"rules": rules})
    return replace(found, run=found.run.model_copy(update={"seeds": seeds, "protocol": protocol}))


@pytest.mark.parametrize(
    ("encoder", "seeds", "scoring", "wanted"),
    [
        ("handcrafted", THREE, None, None),
        ("handcrafted", TEN, None, "0, 1, 2"),
        ("handcrafted", THREE, 3, "0 to 9"),
        ("handcrafted", TEN, 3, None),
        ("tcn", THREE, 3, None),
        ("tcn", TEN, 3, None),
        ("tcn", [0, 1], 3, "0, 1, 2 or 0 to 9"),
        ("tcn", TEN, None, "0, 1, 2"),
    ],
)
def test_a_board_takes_ten_seeds_of_estimators_under_version_3(
    encoder: str, seeds: list[int], scoring: int | None, wanted: str | None
) -> None:
    of = entry(encoder, seeds, scoring=scoring)
    [row] = [row for row in ranked_rows([shown_entry(of)], "stress")[0] if row.is_method]
    run = of.run.model_copy(update={"entry": None})
    reasons = [reason for reason in why_not_submitted(run, Path("none")) if "seeds" in reason]
    if wanted is None:
        assert not [mark for mark in row.marks if mark.startswith("seeds")]
        assert not reasons
    else:
        other = f"{', '.join(map(str, seeds))} instead of {wanted}"
        assert f"seeds {other}" in row.marks
        assert reasons == [f"its seeds are {other}"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of runs under version 3 in the same partitions: `ten` and, worse, `three` seeds; `first` has the first
    three of `ten`. `before`: `ten` as under version 2."""
    rng, root = np.random.default_rng(4), tmp_path_factory.mktemp("runs")
    y, lengths = draw_labels(rng, 15), rng.normal(3300, 140, 15)
    folds = partitions(rng, lengths, 10)
    ten, three = (1 / (1 + np.exp(-k * (y - 0.5) - rng.normal(size=(n, *y.shape)))) for k, n in ((3.0, 10), (1.5, 3)))
    found = {}
    for name, predicted in (("ten", ten), ("first", ten[:3]), ("three", three), ("before", ten)):
        of = recorded(name, predicted, y, folds[: len(predicted)], "auroc_crossed_time", lengths)
        rules = {} if name == "before" else {"scoring": 3}
        protocol = {**of.run["protocol"], "rules": rules}
        found[name] = finished(root / name, replace(of, run={**of.run, "protocol": protocol}))
    return found


def test_rows_of_ten_and_of_three_seeds_are_paired_in_the_partitions_of_both(runs: dict[str, Path]) -> None:
    ten, three, before = (read_record(runs[name]) for name in ("ten", "three", "before"))
    of_ten, of_three, of_before = (headline_summands(of, TARGET.name) for of in (ten, three, before))
    assert of_ten
    assert of_three
    assert of_before
    scores = [of.scores.of(TARGET.name)["auroc_crossed_time"] for of in (ten, three)]
    assert rank_methods(scores, [of_ten, of_three]).paired
    gap = compare(runs["ten"], runs["three"])
    assert gap.seeds == (0, 1, 2)
    assert of_ten.adds.sum() - of_three.adds.sum() == pytest.approx(gap.difference.mean)
    # Its own score is that of all its seeds, and so are the summands under version 2, as they are published.
    assert of_before.adds.sum() == pytest.approx(scores[0].mean)
    assert of_ten.adds.sum() != pytest.approx(scores[0].mean, abs=1e-6)
    assert not rank_methods(scores, [of_before, of_three]).paired


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
