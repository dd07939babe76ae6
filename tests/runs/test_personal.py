"""Networks that adapt to what test subjects give: each way to join modalities, and what a run is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embench.errors import UsageError
from embench.records.record import read_record

from ..tiny.giving import bench, giving
from ..tiny.running import Bench
from ..tiny.world import plugin

__all__ = ["bench", "giving"]
FAST = {"settings": ("encoder.epochs=1",), "modalities": "ecg,eda"}
WAYS = {
    "late": {},
    "cross_attn": {"settings": ("fusion.epochs=1",)},
    "single": {"modalities": "ecg"},
    "logreg": {},
}
"""A fusion, and what differs in its run; the estimator reads hidden layers."""


def scores(run: Any, method: str = "model") -> dict[tuple[Any, ...], float]:
    """(target, seed, unit) -> what a method predicted."""
    rows = read_record(run.folder).predictions
    rows = rows.take(rows["method"] == method)
    return dict(zip(zip(*(rows[name].tolist() for name in ("target", "seed", "unit")), strict=True),
                    rows["score"].tolist(), strict=True))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fusion", WAYS)
def test_the_comparisons_of_a_run_are_the_runs_with_less(bench: Bench, fusion: str) -> None:
    options = {**FAST, **WAYS[fusion]}
    runs = {given: bench.run("cnn_tf", fusion=fusion, given=given, **options) for given in ("2", "unlabelled:2", "0")}
    assert scores(runs["2"], "slice_normalised") == scores(runs["unlabelled:2"])
    assert scores(runs["2"], "nothing_given") == scores(runs["unlabelled:2"], "nothing_given") == scores(runs["0"])
    assert len({tuple(sorted(scores(run))) for run in runs.values()}) == 1  # the same units at each amount
    assert scores(runs["2"]) != scores(runs["unlabelled:2"]) != scores(runs["0"])
    personal = runs["2"].scores["personal"]["arousal"]
    assert set(personal["over"]) == {"nothing_given", "slice_normalised", "slice_only", "slice_share", "since_slice"}
    assert "personal" not in runs["0"].scores or not runs["0"].scores["personal"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"dev": True},
        {"drop": "eda"},
        {"label_subjects": "3"},
        {"label_fraction": "0.5"},
        {"pretrainers": ("masked_value",)},
    ],
    ids=str,
)
def test_what_is_given_goes_with_other_options(bench: Bench, options: dict[str, Any]) -> None:
    run = bench.run("Pool", fusion="late", given="2", **{**FAST, **options})
    assert all(np.isfinite(value) for value in scores(run).values())
    assert scores(run, "slice_normalised").keys() == scores(run).keys()


@pytest.mark.slow
def test_the_whole_session_normalises_as_other_protocols_do(bench: Bench) -> None:
    session = bench.run("Pool", fusion="late", given="session", **FAST)
    assert session.manifest["given"] == {"unlabelled": "session"}
    assert scores(session, "nothing_given") == scores(bench.run("Pool", fusion="late", given="0", **FAST))


def test_another_dataset_is_not_trained_on(bench: Bench) -> None:
    with pytest.raises(UsageError, match="does not train on another dataset"):
        bench.plan("Pool", given="2", train_dataset=plugin("Other"), modalities="ecg")
    with pytest.raises(UsageError, match="scores one target at a time"):
        bench.plan("Pool", given="2", targets="arousal,valence", modalities="ecg")
    with pytest.raises(UsageError, match="units of each class at most, not 11"):
        bench.plan("Pool", given="11", modalities="ecg")
