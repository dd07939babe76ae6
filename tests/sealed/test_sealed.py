"""Labels that are not public can't be told from published entries: an attack that tells them from whole records gets no
more of them right from entries than who knows the prior alone. `make sealed` runs all datasets and protocols."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from embench.errors import CheckFailed, EmbenchError
from embench.leaderboard.entries import export_entry
from embench.leaderboard.withheld import FEWEST_SUBJECTS, FEWEST_UNITS
from embench.records.record import write_record
from embench.registry import synthesizer

from ..sample import WHOLE, proof
from ..tiny.fixtures import cache
from .attack import by_differences, by_draws, lll, told
from .boards import DATASETS, PROTOCOLS, Layout, board, draw_labels, entry, made_up, of_dataset, without

__all__ = ["cache"]

BOARDS, ROWS = 200 if WHOLE else 8, 1 + WHOLE
FEW = 20
MOST = 0.02 if WHOLE else 0.05
"""What the attack may gain at most, as a share of all labels: an interval over few boards is wide."""


def beyond_the_prior(layout: Layout, root: Path, boards: int, rows: int = ROWS) -> dict[str, list[float]]:
    """Part of the attack -> of each board, how many more of the labels it gets right than the commoner class. Where no
    part had anything to start from in the first `FEW`, there are no more: what is published does not hang on labels."""
    found, started = defaultdict(list), False
    for k in range(boards):
        rng = np.random.default_rng([k, len(layout.units)])
        y = draw_labels(rng, layout)
        entries = board(layout, y, rng, root / str(k), rows, "no")
        prior = max(y.mean(), 1 - y.mean())
        for part, guess in told(entries, layout).items():
            found[part].append(0.0 if guess is None else float((guess == y).mean() - prior))
            started |= guess is not None
        if k + 1 == FEW and not started:
            break
    return found


def upper_bound(gains: list[float]) -> float:
    """The end of the one-sided 95 % interval of their mean."""
    error = np.std(gains, ddof=1) / len(gains) ** 0.5
    return float(np.mean(gains) + stats.t.ppf(0.95, len(gains) - 1) * error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_subjects", "folds", "rows"),
    [pytest.param(12, 12, 1, id="methods_evaluated"), pytest.param(12, 5, 4, id="reduced", marks=proof)],
)
def test_the_attack_tells_all_labels_from_whole_records(tmp_path: Path, n_subjects: int, folds: int, rows: int) -> None:
    """From a fold of 12 units and one run, and from folds of 24 to 36 and four runs."""
    rng = np.random.default_rng(3)
    layout = made_up(rng, n_subjects, 12, folds)
    y = draw_labels(rng, layout)
    for k in range(rows):
        write_run(layout, y, rng, tmp_path, k)
    guess = told(tmp_path / "runs", layout)["equations"]
    assert guess is not None
    assert (guess == y).mean() > 0.95


def write_run(layout: Layout, y: np.ndarray, rng: np.random.Generator, root: Path, k: int) -> None:
    write_record(root / "runs" / f"run{k}", entry(layout, y, rng, f"run{k}", "no"))


@pytest.mark.slow
def test_the_accuracy_of_drawn_decisions_tells_labels_and_so_is_not_published(tmp_path: Path) -> None:
    """Three digits, no prediction and no fold: still more than the prior, in 15 records of 144 units."""
    gains = []
    for k in range(40 if WHOLE else 15):
        rng = np.random.default_rng(k)
        layout = made_up(rng, 12, 12, 4)
        y = draw_labels(rng, layout)
        write_run(layout, y, rng, tmp_path / str(k), 0)
        scores = json.loads((tmp_path / str(k) / "runs" / "run0" / "scores.json").read_text())
        accuracy = round(scores["confound_only"]["prior"]["arousal"]["accuracy"]["mean"], 3)
        known = type(
            "Known", (), {"scores": {"confound_only": {"prior": {"arousal": {"accuracy": {"mean": accuracy}}}}}}
        )
        guess = by_draws([known], layout)  # type: ignore[list-item]
        gains.append(float((guess == y).mean() - max(y.mean(), 1 - y.mean())))
    assert np.mean(gains) - stats.sem(gains) * 1.7 > 0
    assert upper_bound(gains) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_subjects", "rows"),
    [pytest.param(12, 2), *(pytest.param(n, rows, marks=proof) for n in (12, 24, 60) for rows in (2, 10))],
)
def test_entries_tell_no_more_than_the_prior(n_subjects: int, rows: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    boards = max(8, BOARDS * 24 // (n_subjects * rows))  # as many entries of subjects in each case
    found = beyond_the_prior(made_up(rng, n_subjects, 12, 5), tmp_path, boards, rows)
    assert found.keys() == {"equations", "draws", "candidates"}
    assert {part: upper_bound(gains) for part, gains in found.items() if upper_bound(gains) > MOST} == {}


@pytest.mark.slow
@pytest.mark.parametrize("n_subjects", [12, pytest.param(24, marks=proof), pytest.param(60, marks=proof)])
@pytest.mark.parametrize("more", [1, FEWEST_SUBJECTS])
def test_a_difference_of_two_entries_tells_nothing(more: int, n_subjects: int, tmp_path: Path) -> None:
    """Somebody knows the labels of all subjects but those whom only one of two entries tested."""
    gains = []
    for k in range(BOARDS):
        rng = np.random.default_rng([k, n_subjects])
        layout = made_up(rng, n_subjects, 24, 4)
        y = draw_labels(rng, layout)
        hidden = np.isin(layout.columns["subject"], sorted(layout.groups)[:more])
        fewer, rest = without(layout, hidden), y[~hidden]
        records = [entry(layout, y, rng, "whole", "no"), entry(fewer, rest, rng, "fewer", "no")]
        for record in records:
            write_record(tmp_path / str(k) / record.run["id"], record)
        exported = partial(export_entry, boards=tmp_path / str(k) / "boards", key=lambda _: b"digest")
        exported(tmp_path / str(k) / "whole")
        if more < FEWEST_SUBJECTS:
            with pytest.raises(CheckFailed, match="only one of"):
                exported(tmp_path / str(k) / "fewer")
        else:
            exported(tmp_path / str(k) / "fewer")
        guess = by_differences(records, layout, fewer, y, hidden)
        gains.append(float((guess == y[hidden]).mean() - 0.5) * hidden.mean())
    if more < FEWEST_SUBJECTS:
        assert np.mean(gains) / hidden.mean() > 0.05  # which is why it is refused
    else:
        assert upper_bound(gains) < MOST


@pytest.fixture(scope="module")
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a dataset's synthetic files."""
    n_subjects, seconds = DATASETS[request.param]
    root = tmp_path_factory.mktemp("files")
    folder = root / request.param.partition("/")[0]
    synthesizer(request.param)(folder, subjects=n_subjects, seed=0, effect=1.0, length_s=seconds)
    return root


@proof
@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "dataset", "protocol"),
    [pytest.param(d, d, p, id=f"{d}-{p}") for d, p in product(DATASETS, PROTOCOLS)],
    indirect=["files"],
)
def test_no_entry_of_any_dataset_tells_labels_under_any_protocol(
    files: Path, dataset: str, protocol: str, tmp_path: Path
) -> None:
    try:
        layout = of_dataset(dataset, protocol, files)
    except EmbenchError as error:
        pytest.skip(f"the protocol does not fit the dataset: {error}")
    try:
        found = beyond_the_prior(layout, tmp_path, BOARDS)
    except CheckFailed:  # only where a fold has few units
        assert min(len(test) for folds in layout.folds.values() for _, test in folds) < FEWEST_UNITS
    else:
        assert {part: upper_bound(gains) for part, gains in found.items() if upper_bound(gains) > MOST} == {}


def test_a_short_vector_of_a_lattice_is_found() -> None:
    reduced = lll(np.array([[1, 1, 1], [-1, 0, 2], [3, 5, 6]], dtype=object))
    assert sorted(int((row * row).sum()) for row in reduced) == [1, 2, 5]
