"""Methods on generated files, through the whole pipeline as a user calls it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embench
from embench import registry
from embench.records import record
from embench.runs.run import Result

from ..sample import WHOLE

Run = Callable[..., Result]


@pytest.fixture
def data(made_once: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes generated subjects, once for all tests of the session that ask for the same; the folder to give as
    `data_root`. Prepared data lie in it as well."""

    def write(dataset: str = "amigos", **options: Any) -> Path:
        name = " ".join([dataset, *(f"{key}={value}" for key, value in options.items())])
        root = made_once(name, lambda root: registry.synthesizer(dataset)(root / dataset, **options))
        monkeypatch.setenv("EMBENCH_CACHE", str(root / "cache"))
        return root

    return write


@pytest.fixture
def run() -> Run:
    """Runs a method with one seed, in this process; runs of one data root share their stages."""

    def call(data_root: Path, **options: Any) -> Result:
        arguments = {"dataset": "amigos", "recipe": "small", "seeds": "0", "workers": 1, "device": "cpu", **options}
        return embench.run(data_root=data_root, runs=data_root / "runs", **arguments)

    return call


@pytest.fixture
def on_deap(data: Callable[..., Path], run: Run) -> Callable[..., dict[str, Any]]:
    """The score within subjects of a method for arousal on generated subjects of DEAP, whose files, gigabytes in the
    whole proof, are then removed."""

    def call(method: Mapping[str, str], **made: Any) -> dict[str, Any]:
        root = data("deap", **made)
        result = run(root, dataset="deap", target="arousal", **method)
        found: dict[str, Any] = result.scores["scores"]["arousal"]["auroc_within"]
        print(made, found, result.manifest["cost"])
        if WHOLE:
            shutil.rmtree(root)
        return found

    return call


@pytest.fixture
def p_value() -> Callable[..., float]:
    return _p_value


def _p_value(result: Result, permutations: int = 999) -> float:
    """How often labels that were shuffled inside each subject, predictions kept, score as high within subjects as the
    true ones: (1 + that) / (1 + permutations), for a run of one target and one seed. Comparisons of
    units without a prediction count as the record says, whatever their labels."""
    truth = record.read_record(result.folder).labels
    assert truth is not None
    labels = dict(zip(truth["unit"].tolist(), truth["label"].tolist(), strict=True))
    rows = result.predictions.take(np.isin(result.predictions["method"], ("model", "unpredicted")))
    owed = rows["method"] == "unpredicted"
    rng = np.random.default_rng(0)
    total, n_subjects = np.zeros(1 + permutations), 0
    for subject in np.unique(rows["subject"]):
        own = [i for i in np.flatnonzero(rows["subject"] == subject) if rows["unit"][i] in labels]
        score = rows["score"][own]
        high = np.array([labels[unit] for unit in rows["unit"][own]], bool)
        if high.all() or not high.any():
            continue
        shuffled = rng.permuted(np.tile(high, (permutations, 1)), axis=1)
        above = np.sign(score[:, None] - score) / 2 + 0.5  # (i, j): unit i against unit j
        counts = np.where(owed[own], score, 1.0)
        above = np.where(owed[own] | owed[own][:, None], np.minimum.outer(counts, counts), above)
        each = np.concatenate([high[None], shuffled])
        won = ((each @ above) * ~each).sum(1)
        total += won / (high.sum() * (~high).sum())
        n_subjects += 1
    (scores,) = result.scores["scores"].values()
    assert total[0] / n_subjects == pytest.approx(scores["auroc_within"]["mean"], abs=1e-9)
    return float((total >= total[0] - 1e-9).mean())
