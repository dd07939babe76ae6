"""On real subjects whose tasks come in one order: the clock alone wins every ordinary score, and not the primary
metric."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embench import registry
from embench.interfaces.metric import Undefined
from embench.protocols import label_units, load_protocol, make_units, partition, session_lengths, whole_recordings
from embench.records.predictions import ANY_SEED, Labels, Predictions
from embench.statistics.confound_only import predict_confound_only
from embench.statistics.scores import compute_scores
from embench_plugins.datasets.stress_predict.reader import LABELS

DATA = os.environ.get("EMBENCH_TEST_DATA")


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="EMBENCH_TEST_DATA names no folder with stress_predict")
def test_the_clock_beats_everything_but_a_comparison_at_one_time() -> None:
    root = Path(str(DATA)) / "stress_predict"
    reader = registry.load_plugin("dataset", "stress_predict")(root)
    protocol, [target] = load_protocol("subject-independent-v4"), reader.card.targets
    recordings = [r for s in reader.subjects() for r in reader.recordings(s) if target.label in r.labels]
    units = make_units(recordings, reader.card, "condition", protocol)
    raw, y = label_units(units, {r.id: r.labels[target.label] for r in recordings}, target.rule)
    place = {unit.id: k for k, unit in enumerate(units)}
    rows: dict[str, list[Any]] = {name: [] for name in (*Predictions.FIXED, "score", "decision")}
    sessions = session_lengths(whole_recordings(recordings))
    for fold in partition(protocol, "stress_predict", units, 0, sessions):
        train, test = (np.array([place[i] for i in ids]) for ids in (fold.train + fold.val, fold.test))
        durations = {r.id: r.duration_s for r in recordings}
        about: dict[str, Any] = {"durations": durations, "sessions": sessions, "movement": None, "seed": 0}
        made = predict_confound_only(target, units, y, train, test, **about)
        for method, name in (("model", "elapsed_time"), ("majority", "majority")):
            result = made[name]
            assert not isinstance(result, Undefined)
            for k, value, decision in zip(test, *result, strict=True):
                u = units[k]
                row = (method, target.name, fold.index, 0, u.subject, u.recording, u.stimulus, u.id, u.start_s)
                for column, field in zip(rows.values(), (*row, value, decision), strict=True):
                    column.append(field)
    n = len(units)
    labels = {"subject": [u.subject for u in units], "recording": [u.recording for u in units]}
    labels |= {"unit": [u.id for u in units], "target": [target.name] * n, "seed": [ANY_SEED] * n}
    out = compute_scores(
        Predictions({name: np.array(column) for name, column in rows.items()}),
        Labels({**{name: np.array(column) for name, column in labels.items()}, "raw": raw, "label": y}),
        targets=[target],
        protocol=protocol,
        design="fixed_order",
        sessions=sessions,
        groups={r.subject: r.group for r in recordings},
        unit_length_s=protocol.unit.condition_s,
    )
    clock = out["scores"][target.name]
    assert clock["auroc"]["mean"] > 0.9
    assert clock["f1_weighted"]["mean"] == pytest.approx(0.865, abs=0.02)
    assert out["confound_only"]["majority"][target.name]["f1_weighted"]["mean"] == pytest.approx(0.541, abs=0.01)
    assert out["primary_metrics"][target.name] == "auroc_crossed_matched"
    subjects = len(np.unique(np.loadtxt(root / LABELS, delimiter=",", skiprows=1, usecols=0)))
    crossed = clock["auroc_crossed_time"]
    assert (crossed["mean"], crossed["subjects"]) == (0.5, subjects)
    matched = clock["auroc_crossed_matched"]
    assert (matched["mean"], matched["low"], matched["high"]) == (0.5, 0.5, 0.5)
    assert matched["subjects"] >= 0.8 * subjects  # neighbours in length share a fold
    assert matched["comparisons"] > 5000
