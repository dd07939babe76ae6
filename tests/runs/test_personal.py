"""Networks that adapt to what test subjects give: each way to join modalities, and what a run is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embench.errors import UsageError
from embench.planning.plan import make
from embench.planning.tuning import Search
from embench.records.record import read_record
from embench.runs.run import run
from embench.runs.tuning import tune

from ..tiny.giving import bench, giving
from ..tiny.running import Bench
from ..tiny.world import make_subjects, plugin, write

__all__ = ["bench", "giving"]
FAST = {"settings": ("encoder.epochs=1",), "modalities": "ecg,eda"}
WAYS = {
    "late": {},
    "cross_attn": {"settings": ("fusion.epochs=1",)},
    "single": {"modalities": "ecg"},
    "logreg": {},
}
"""A fusion, and what differs in its run; the estimator reads hidden layers."""


def scores(done: Any, method: str = "model") -> dict[tuple[Any, ...], float]:
    """(target, seed, unit) -> what a method predicted."""
    rows = read_record(done.folder).predictions
    rows = rows.take(rows["method"] == method)
    return dict(zip(zip(*(rows[name].tolist() for name in ("target", "seed", "unit")), strict=True),
                    rows["score"].tolist(), strict=True))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fusion", WAYS)
def test_the_comparisons_of_a_run_are_the_runs_with_less(bench: Bench, fusion: str) -> None:
    options = {**FAST, **WAYS[fusion]}
    runs = {
        given: bench.run("cnn_tf", fusion=fusion, calibration_data=given, **options)
        for given in ("2", "unlabelled:2", "0")
    }
    assert scores(runs["2"], "calibration_normalised") == scores(runs["unlabelled:2"])
    assert scores(runs["2"], "no_calibration") == scores(runs["unlabelled:2"], "no_calibration") == scores(runs["0"])
    assert len({tuple(sorted(scores(done))) for done in runs.values()}) == 1  # the same units at each amount
    assert scores(runs["2"]) != scores(runs["unlabelled:2"]) != scores(runs["0"])
    personal = runs["2"].scores["calibration_gain"]["arousal"]
    assert set(personal["compared_with"]) == {
        "no_calibration",
        "calibration_normalised",
        "calibration_only",
        "calibration_class_proportions",
        "time_since_calibration",
    }
    assert "calibration_gain" not in runs["0"].scores or not runs["0"].scores["calibration_gain"]


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
    done = bench.run("Pool", fusion="late", calibration_data="2", **{**FAST, **options})
    assert all(np.isfinite(value) for value in scores(done).values())
    assert scores(done, "calibration_normalised").keys() == scores(done).keys()


def test_units_that_normalise_are_not_mixed_with_sessions_that_do(bench: Bench, tmp_path: Path) -> None:
    data = write(tmp_path, make_subjects(3), dataset="Other", seed=5)
    (data / "Tiny").symlink_to(bench.data / "Tiny")
    mixed, named = Bench(data, bench.runs, protocol=bench.protocol), f"masked_value:{plugin('Other')}+{plugin('Tiny')}"
    with pytest.raises(UsageError, match="a network could tell them apart"):
        mixed.plan("Pool", fusion="late", calibration_data="2", pretrainers=(named,), **FAST)


@pytest.mark.slow
def test_the_whole_session_normalises_as_other_protocols_do(bench: Bench) -> None:
    session = bench.run("Pool", fusion="late", calibration_data="session", **FAST)
    assert session.manifest["calibration_data"] == {"unlabelled": "session"}
    assert scores(session, "no_calibration") == scores(bench.run("Pool", fusion="late", calibration_data="0", **FAST))


@pytest.mark.slow
def test_settings_are_chosen_on_validation_subjects_who_give_as_much(bench: Bench) -> None:
    request = bench.request("Moments", fusion="logreg", modalities="ecg", calibration_data="2")
    tuned = tune(request, Search(space=("fusion.build.C=log:1e-4..10",), trials=2))
    assert tuned.request.calibration_data == "2"
    done = run(tuned.request)
    assert done.manifest["calibration_data"] == {"labelled": 2}
    cohort = make(request).test
    assert cohort.slices is not None
    scored = {unit.id for unit, chosen in zip(cohort.units, cohort.slices.scored, strict=True) if chosen}
    assert {unit for *_, unit in scores(done)} == scored


def test_another_dataset_is_not_trained_on(bench: Bench) -> None:
    with pytest.raises(UsageError, match="cannot train on another dataset"):
        bench.plan("Pool", calibration_data="2", train_dataset=plugin("Other"), modalities="ecg")
    with pytest.raises(UsageError, match="scores one target at a time"):
        bench.plan("Pool", calibration_data="2", targets="arousal,valence", modalities="ecg")
    with pytest.raises(UsageError, match="units of each class as calibration data, fewer than 11"):
        bench.plan("Pool", calibration_data="11", modalities="ecg")
