"""Ranks of many methods: who shares one, and what the lead of the best of them is worth."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embench.errors import DataError
from embench.leaderboard import load_sections, publish_runs
from embench.records import record
from embench.records.record import Record
from embench.records.scores import Score
from embench.statistics import intervals
from embench.statistics.comparison import compare
from embench.statistics.intervals import (
    SHARED_TRAINING,
    Ranking,
    Summands,
    mean_over_subjects,
    rank_methods,
    with_add_one_interval,
)
from embench.statistics.scores import compute_scores

from ..truth.cohorts import TARGET, draw_labels, partitions, recorded
from .conftest import attest

GROUPS, SEEDS = 12, 3


def a_board(
    rng: np.random.Generator, methods: int, *, lead: float = 0.0, wander: float = 0.0, told: bool = True
) -> tuple[list[dict[str, float]], list[Summands | None]]:
    """Scores, best first, and what subjects add to them: .6, a subject's own ease that all methods meet, and chance.

    Args:
        lead: of the first method over the others. `wander`: SD of what subjects add between seeds.
        told: whether entries hold the summands.
    """
    of_subjects = 0.6 + 0.15 * rng.normal(size=GROUPS) + 0.1 * rng.normal(size=(methods, GROUPS))
    of_subjects[0] += lead
    values = np.sort(of_subjects.mean(1))[::-1]
    order = np.argsort(-of_subjects.mean(1))
    half = 2.2 * of_subjects.std(1, ddof=1)[order] / GROUPS**0.5  # t of 11 degrees of freedom
    scores = [
        Score(mean=value, low=value - h, high=value + h, subjects=GROUPS) for value, h in zip(values, half, strict=True)
    ]
    by_seed = wander * rng.normal(size=(methods, SEEDS, GROUPS)) / GROUPS
    fold = np.stack([rng.permutation(np.arange(GROUPS) % 5) for _ in range(SEEDS)])
    trained = fold[:, :, None] != fold[:, None]
    summands = [Summands("same units", of_subjects[m] / GROUPS, by_seed[m], trained) if told else None for m in order]
    return scores, summands


def all_share(ranking: Ranking) -> bool:
    return set(ranking.ranks) == {(1, len(ranking.ranks))}


def test_a_method_far_above_the_others_has_the_first_rank_alone() -> None:
    ranking = rank_methods(*a_board(np.random.default_rng(0), 6, lead=0.3))
    assert ranking.ranks[0] == (1, 1)
    assert set(ranking.ranks[1:]) == {(2, 6)}
    assert ranking.luck is not None
    assert ranking.lead > 2 * ranking.luck


def test_equal_methods_share_all_ranks_and_the_best_leads_by_what_luck_gives() -> None:
    """Over 60 boards: the lead of the first is on average what each board says of itself."""
    boards = [rank_methods(*a_board(np.random.default_rng(k), 12)) for k in range(60)]
    assert sum(not all_share(ranking) for ranking in boards) <= 8  # a binomial of 60 at .05 is above 8 in one of 200
    lead, luck = np.mean([(b.lead, b.luck) for b in boards], axis=0)
    assert luck == pytest.approx(lead, rel=0.15)
    assert lead > 0.03


def test_a_row_that_predicts_fewer_units_does_not_cost_the_others_their_paired_comparison() -> None:
    scores, summands = a_board(np.random.default_rng(0), 6, lead=0.25)
    whole, untold = rank_methods(scores, summands), rank_methods(scores, [None] * 6)
    mixed = rank_methods(
        scores, [replace(s, fits="fewer units") if s and k == 3 else s for k, s in enumerate(summands)]
    )
    assert [ranking.ranks[0] for ranking in (whole, mixed, untold)] == [(1, 1), (1, 2), (1, 4)]
    assert mixed.ranks[3][0] == 1  # of which the first can't be told apart without pairing
    assert whole.luck < mixed.luck < untold.luck  # type: ignore[operator]
    assert not mixed.paired


def test_flips_and_rows_that_are_looked_at_in_parts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    board = a_board(np.random.default_rng(0), 6, lead=0.25)
    effects = [dict(zip("abcdefgh", row, strict=True)) for row in np.random.default_rng(0).normal(0.5, 1, (9, 8))]
    whole = rank_methods(*board), intervals.count_positive(effects, 3)
    monkeypatch.setattr(intervals, "_FLIPS_AT_ONCE", 7)
    monkeypatch.setattr(intervals, "_FLIPS_AT_ONCE", 2)
    assert (rank_methods(*board), intervals.count_positive(effects, 3)) == whole


def test_what_seeds_disagree_about_keeps_methods_together() -> None:
    steady = rank_methods(*a_board(np.random.default_rng(0), 6, lead=0.3))
    shaken = rank_methods(*a_board(np.random.default_rng(0), 6, lead=0.3, wander=1.0))
    assert steady.ranks[0] == (1, 1)
    assert shaken.ranks[0][1] > 1
    assert shaken.luck > steady.luck  # type: ignore[operator]


def test_a_row_of_one_seed_is_allowed_for_as_much_variance_again() -> None:
    scores, summands = a_board(np.random.default_rng(2), 2, lead=0.12)
    known = rank_methods(scores, summands)
    alone = [replace(s, by_seed=s.by_seed[:1], trained=s.trained[:1]) for s in summands if s]
    unknown = rank_methods(scores, alone)
    assert known.ranks == ((1, 1), (2, 2))
    assert unknown.ranks == ((1, 2), (1, 2))


def test_without_summands_of_the_same_units_intervals_decide_with_more_care() -> None:
    scores, summands = a_board(np.random.default_rng(0), 6, lead=0.25)
    paired, alone = rank_methods(scores, summands), rank_methods(scores, [None] * 6)
    assert paired.paired
    assert not alone.paired
    assert paired.ranks[0] == (1, 1)
    assert all(low <= a and b <= high for (a, b), (low, high) in zip(paired.ranks, alone.ranks, strict=True))
    assert alone.luck > paired.luck  # type: ignore[operator]
    apart = [replace(s, fits=f"folds {k}") if s else s for k, s in enumerate(summands)]
    assert rank_methods(scores, apart) == alone
    far = rank_methods(*a_board(np.random.default_rng(0), 6, lead=0.9, told=False))
    assert far.ranks[0] == (1, 1)


def test_methods_near_1_are_not_told_apart_by_add_one_intervals_because_one_of_them_varies_less() -> None:
    """These intervals are centred below the score and cut at 1; t intervals tell every other pair apart here."""
    rng, told_apart = np.random.default_rng(1), np.zeros(2)
    for _ in range(40):
        pair = [mean_over_subjects(rng.beta(0.98 * k, 0.02 * k, GROUPS), np.arange(GROUPS)) for k in (50, 1)]
        for kind, estimates in enumerate((pair, [with_add_one_interval(estimate) for estimate in pair])):
            scores = [Score(mean=e.mean, low=e.low, high=e.high, subjects=GROUPS) for e in estimates]
            scores.sort(key=lambda score: -score.mean)
            told_apart[kind] += not all_share(rank_methods(scores, [None, None]))
    assert told_apart[0] > 10
    assert told_apart[1] <= 2


def test_a_row_without_an_interval_shares_its_rank_with_all() -> None:
    scores, _ = a_board(np.random.default_rng(0), 4, lead=0.9)
    scores[-1] = Score(mean=scores[-1].mean, subjects=GROUPS)
    ranking = rank_methods(scores, [None] * 4)
    assert ranking.ranks[-1] == (1, 4)
    assert ranking.ranks[0] == (1, 2)
    assert ranking.luck is None


def test_a_row_and_its_double_are_one_rank() -> None:
    scores, summands = a_board(np.random.default_rng(0), 2, lead=0.9)
    ranking = rank_methods([scores[0], *scores], [summands[0], *summands])
    assert ranking.ranks == ((1, 2), (1, 2), (3, 3))


# From runs to the board.


class Rules:
    """What scoring asks of a protocol."""

    rules = 3

    @staticmethod
    def primary_metric_for(*_: str) -> str:
        return "auroc_crossed_time"


def finished(folder: Path, of: Record) -> Path:
    """The run's folder, with its scores, as if it were on real data."""
    run = {**of.run, "dataset": {**of.run["dataset"], "synthetic": None}}
    scores = compute_scores(
        of.predictions, of.labels, targets=[TARGET], protocol=Rules(), design="fixed_order",  # type: ignore[arg-type]
        groups=of.groups, unit_length_s=10.0,
    )  # fmt: skip
    record.write_record(folder, replace(of, run=run, scores=scores))
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """(boards, name -> run's folder): methods of which `best` knows much, `good` and `alike` some, `none` nothing."""
    root = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(4)
    y, lengths = draw_labels(rng, 15), rng.normal(3300, 140, 15)
    folds, noise = partitions(rng, lengths, SEEDS), rng.normal(size=(SEEDS, *y.shape))
    own = rng.normal(size=(4, *y.shape))
    folders = {}
    for k, (name, strength) in enumerate((("best", 4.0), ("good", 1.5), ("alike", 1.5), ("none", 0.0))):
        logit = strength * (y - 0.5) + own[k] + 0.2 * noise + 0.1 * rng.normal(size=noise.shape)
        of = recorded(name, 1 / (1 + np.exp(-logit)), y, folds, "auroc_crossed_time", lengths)
        folders[name] = finished(root / name, of)
    for entry in publish_runs(folders.values(), root / "boards", key_of)[0]:
        attest(entry)
    return root / "boards", folders


def key_of(_: str) -> bytes:
    raise AssertionError("public labels need no key")


@pytest.mark.slow
def test_rows_are_told_apart_as_their_runs_are(published: tuple[Path, dict[str, Path]]) -> None:
    boards, _ = published
    [section] = load_sections(boards)
    ranks = {row.id: row.rank for row in section.rows if row.is_method}
    [ranking] = section.rankings.values()
    assert ranking.paired
    assert ranks["best"] == (1, 1)
    assert ranks["good"] == ranks["alike"] == (2, 3)
    assert ranks["none"] == (4, 4)
    letters = {row.id: row.letters for row in section.rows if row.is_method}
    assert letters == {"best": "a", "good": "b", "alike": "b", "none": "c"}


@pytest.mark.slow
def test_two_rows_alone_are_judged_by_the_test_that_compare_prints(published: tuple[Path, dict[str, Path]]) -> None:
    """With 15 subjects all sign flips are taken, and of two rows the greatest difference is the only one."""
    boards, folders = published
    entries = {path.parent.name: path.parent for path in boards.glob("*/*/*/run.yaml")}
    for one, other in (("good", "alike"), ("best", "none"), ("good", "none")):
        kept = [record.read_record(entries[name]).scores for name in (one, other)]
        summands = [Summands.of_json(_json(entries[name])) for name in (one, other)]
        gap = summands[0].contributions.sum() - summands[1].contributions.sum()
        found = compare(folders[one], folders[other])
        assert gap == pytest.approx(found.difference.mean, abs=1e-6)
        scores = [scores.get_scores("stress")["auroc_crossed_time"] for scores in kept]
        apart = rank_methods(scores, summands).ranks == ((1, 1), (2, 2))
        assert apart == (found.tests[SHARED_TRAINING] < 0.05)


@pytest.mark.slow
def test_showing_a_board_with_ranks_starts_at_once(published: tuple[Path, dict[str, Path]]) -> None:
    boards, _ = published
    code = f"from embench.cli import main; main(['leaderboard', 'show', '--all', '--leaderboards', {str(boards)!r}])"
    program = f"import sys\n{code}\nprint([n for n in ('torch', 'scipy.stats', 'sklearn') if n in sys.modules])"
    for _ in range(2):  # the second time, what takes scipy is kept
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "the best of 4 equal methods would be 0." in " ".join(done.stdout.split())


@pytest.mark.slow
def test_entries_without_labels_are_compared_by_their_intervals(
    published: tuple[Path, dict[str, Path]], tmp_path: Path
) -> None:
    _, folders = published
    for name in ("good", "none"):  # which confirm each other's models without a signal
        of = record.read_record(folders[name])
        card = {**of.run["card"], "labels_public": "no"}
        record.write_record(tmp_path / name, replace(of, run={**of.run, "card": card}))
    entries, _ = publish_runs([tmp_path / "good", tmp_path / "none"], tmp_path / "boards", lambda _: b"key")
    for entry in entries:
        attest(entry)
        assert not (entry / "summands.json").exists()  # what subjects add to many scores would tell labels
    [section] = load_sections(tmp_path / "boards")
    [ranking] = section.rankings.values()
    assert not ranking.paired


@pytest.mark.slow
def test_damaged_summands_are_named(published: tuple[Path, dict[str, Path]]) -> None:
    boards, _ = published
    [path] = boards.glob("*/*/good/summands.json")
    whole = path.read_text()
    path.write_text('{"stress": {}}')
    with pytest.raises(DataError, match="damaged"):
        load_sections(boards)
    path.write_text(whole)


def _json(entry: Path) -> dict[str, object]:
    return dict(json.loads((entry / "summands.json").read_text())["stress"])
