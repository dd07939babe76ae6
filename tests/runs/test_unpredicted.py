"""Units that a method does not predict are lost, and ties where nothing was recorded."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embench.leaderboard.verify import recompute
from embench.records.predictions import MODEL, UNPREDICTED, Predictions
from embench.records.record import read_record
from embench.runs import external
from embench.statistics.comparison import compare_all
from embench.statistics.result import Result

from ..audits.planting import abouts, audit_run, copy_of, method, put, table
from ..sample import sample
from ..tiny.world import TIMELESS, make_subjects, plugin, write


def few_folds(root: Path) -> str:
    rules = root / "few.yaml"
    rules.write_text("extends: subject-independent-v4\nname: few\nsplit: {by: group, folds: 2}\n")
    return str(rules)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine subjects with eight recordings each; the last two have no ECG, the one before none in one recording."""
    subjects = make_subjects(9, stimuli=8, **TIMELESS)
    for row in (*subjects["p07"], *subjects["p08"], subjects["p06"][0]):
        row["modalities"] = ("eda",)
    return write(tmp_path_factory.mktemp("world"), subjects)


def scored(root: Path, name: str, protocol: str, kept: Callable[[dict, float, bool], bool]) -> Result:
    """Of noise, where `kept(about, score, label)`."""
    noise, path = np.random.default_rng(3), root / f"{name}.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["subject", "recording", "unit", "target", "score"])
        for about in abouts(root):
            score, label = float(noise.uniform()), about["ratings"]["arousal"] > 5
            if kept(about, score, label):
                unit = f"{about['id']}:0-{round(1000 * about['seconds'])}"
                lines.writerow([about["subject"], about["id"], unit, "arousal", f"{score:.6f}"])
    return external.score(path, plugin("Tiny"), protocol=protocol, data_root=root, out=root / "out" / name)


def primary_metric(result: Result) -> float:
    score = result.scores.get_score("arousal", "auroc_within")
    assert score
    return score.mean


@pytest.mark.parametrize("chosen", sample(["units", "subjects"], "units"))
def test_leaving_out_what_it_gets_wrong_gains_nothing(root: Path, chosen: str) -> None:
    def right(about: dict, score: float, label: bool) -> bool:
        return (score > 0.5) == label if chosen == "units" else about["subject"] in good

    own = read_record(scored(root, f"all-{chosen}", few_folds(root), lambda *_: True).folder)
    rows = own.predictions.take(own.predictions["method"] == MODEL)
    label = dict(zip(own.labels["unit"].tolist(), own.labels["label"].tolist(), strict=True))
    y = np.array([label[unit] for unit in rows["unit"].tolist()])
    good = [
        name
        for name in set(rows["subject"].tolist())
        for mine in [rows["subject"] == name]
        if rows["score"][mine & (y == 1)].mean() > rows["score"][mine & (y == 0)].mean()
    ]
    whole, some = (
        scored(root, f"{name}-{chosen}", few_folds(root), kept)
        for name, kept in (("whole", lambda *_: True), ("some", right))
    )
    assert primary_metric(some) < primary_metric(whole)
    coverage = some.scores.get_coverage("arousal")
    assert coverage == pytest.approx(0.55, abs=0.25)


def test_what_nothing_was_recorded_of_is_tied(root: Path) -> None:
    result = method(root, plugin("Moments"), fusion="logreg", protocol=few_folds(root))
    record = read_record(result.folder)
    owed = record.predictions.take(record.predictions["method"] == UNPREDICTED)
    assert set(owed["subject"].tolist()) == {"p06", "p07", "p08"}
    assert min(owed["recording"].tolist()) == "p06-v0"
    assert set(owed["score"].tolist()) == {0.5}
    assert result.scores.get_coverage("arousal") == pytest.approx(55 / 72)
    assert recompute(record).content == record.scores.content


@pytest.mark.slow
def test_a_fold_of_whose_subjects_nothing_was_recorded_is_tied(root: Path) -> None:
    rules = root / "each3.yaml"
    rules.write_text("extends: leave-one-subject-out-v4\nname: each\n")
    result = method(root, plugin("Moments"), fusion="logreg", protocol=str(rules))
    assert result.scores.get_coverage("arousal") == pytest.approx(55 / 72)
    score = result.scores.get_score("arousal", "auroc_within")
    assert score
    assert score.subjects == 9
    assert not [f for _, f in audit_run(result.folder, data_root=root).findings if f.severity == "severe"]


def test_a_seed_that_one_target_lacks_is_lost(root: Path) -> None:
    path, whole = root / "seeds.csv", scored(root, "one-seed", few_folds(root), lambda *_: True)
    with (root / "one-seed.csv").open() as file:
        head, *rows = csv.reader(file)
    both = [[*row, seed] for row in rows for seed in "01"] + [[*row[:3], "valence", row[4], "0"] for row in rows]
    path.write_text("\n".join(map(",".join, [[*head, "seed"], *both])) + "\n")
    some = external.score(path, plugin("Tiny"), protocol=few_folds(root), data_root=root, out=root / "out" / "seeds")
    assert primary_metric(some) == pytest.approx(primary_metric(whole))
    assert (some.scores.get_coverage("arousal"), some.scores.get_coverage("valence")) == (1.0, 0.5)
    assert not [f for _, f in audit_run(some.folder, data_root=root).findings if f.severity == "severe"]


@pytest.mark.parametrize(
    ("lacks", "words"),
    [("01", "9 units have no prediction in each of 2 seeds; 9"), ("0", "in some of 2 seeds (9 predictions in all)")],
)
def test_what_a_file_lacks_is_counted_once_whatever_the_seeds(
    root: Path, tmp_path: Path, embench: Callable, lacks: str, words: str
) -> None:
    scored(root, "for-seeds", few_folds(root), lambda *_: True)
    with (root / "for-seeds.csv").open() as file:
        head, *rows = csv.reader(file)
    both = [[*row, seed] for row in rows for seed in "01" if not (row[1].endswith("-v3") and seed in lacks)]
    (tmp_path / "some.csv").write_text("\n".join(map(",".join, [[*head, "seed"], *both])) + "\n")
    line = ["--dataset", plugin("Tiny"), "--data-root", root, "--protocol", few_folds(root)]
    done = embench("score", tmp_path / "some.csv", *line, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert words in " ".join(done.out.split())
    missing = read_record(tmp_path / "out").run["submission"]["missing"]["arousal"]
    assert (missing["units"], missing["predictions"]) == (9, 9 * len(lacks))


def test_a_published_entry_keeps_what_was_not_predicted(root: Path) -> None:
    from embench.records.record import join_predictions, split_predictions

    record = read_record(scored(root, "kept", few_folds(root), lambda about, *_: about["order"] != 3).folder)
    path = Path("rows.csv.gz")
    again = join_predictions(*split_predictions(record.predictions), path)
    assert lines(again) == lines(record.predictions)


def lines(of: Predictions) -> list[tuple[str, ...]]:
    names = list(of.columns)
    return sorted(tuple(map(str, row)) for row in zip(*(of[name].tolist() for name in names), strict=True))


@pytest.fixture(scope="module")
def partial(root: Path) -> Path:
    """The record of a file without p00 and the third recordings."""
    some = scored(root, "partial", few_folds(root), lambda about, *_: about["order"] != 3 and about["subject"] != "p00")
    return some.folder


def as_it_is(rows: list[dict]) -> list[dict]:
    return rows


def without_some(rows: list[dict]) -> list[dict]:
    return [row for row in rows if not (row["method"] == UNPREDICTED and row["subject"] == "p00")]


def tied_instead(rows: list[dict]) -> list[dict]:
    return [{**row, "score": "0.5"} if row["method"] == UNPREDICTED else row for row in rows]


def elsewhere(rows: list[dict]) -> list[dict]:
    return [{**row, "fold": str((int(row["fold"]) + 1) % 3)} if row["method"] == UNPREDICTED else row for row in rows]


@pytest.mark.parametrize(
    ("forged", "found"),
    [
        (as_it_is, set()),
        (without_some, {"unpredicted", "scores"}),
        (tied_instead, {"unpredicted", "scores"}),
        (elsewhere, {"subjects", "samples", "statements", "scores"}),
    ],
)
def test_an_audit_finds_what_is_not_counted(
    root: Path, partial: Path, tmp_path: Path, forged: Callable[[list[dict]], list[dict]], found: set[str]
) -> None:
    folder = copy_of(partial, tmp_path)
    put(folder / "predictions.csv.gz", forged(table(folder / "predictions.csv.gz")))
    findings = audit_run(folder, data_root=root).findings
    assert {name for name, finding in findings if finding.severity == "severe"} == found


def test_a_comparison_shows_the_interval_of_the_record(root: Path, partial: Path) -> None:
    whole = scored(root, "whole", few_folds(root), lambda *_: True)
    [first, second] = compare_all([read_record(partial), read_record(whole.folder)])[0].standings
    for folder, standing in ((whole.folder, first), (partial, second)):
        recorded = read_record(folder).scores.get_score("arousal", "auroc_within")
        assert recorded
        assert (standing.score.low, standing.score.high) == pytest.approx((recorded.low, recorded.high), abs=1e-9)


def test_a_record_scored_again_counts_the_same(root: Path, partial: Path) -> None:
    again = external.score(
        partial / "predictions.csv.gz",
        plugin("Tiny"),
        protocol=few_folds(root),
        data_root=root,
        out=root / "out" / "re",
    )
    assert again.scores.get_scores("arousal") == read_record(partial).scores.get_scores("arousal")


def test_a_file_with_one_prediction_is_audited(root: Path) -> None:
    one = scored(root, "one", few_folds(root), lambda about, *_: about["id"] == "p03-v0")
    assert not [f for _, f in audit_run(one.folder, data_root=root).findings if f.severity == "severe"]
