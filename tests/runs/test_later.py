"""Runs that are trained on a subject's first day, or first blocks: their records, and what they gain by it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from embench.planning.request import Request
from embench.records import record
from embench.records.predictions import MODEL
from embench.runs.run import run

from ..audits.planting import audit_run
from ..planning.days import write_days, write_rules
from ..tiny.world import plugin

METHODS = {"features": {"encoders": ("handcrafted",), "fusion": "logreg"}, "network": {"encoders": (plugin("Pool"),)}}


@pytest.mark.slow
@pytest.mark.parametrize(("gives", "method"), [("session", "features"), ("blocks", "network")])
def test_the_record_tells_what_a_subject_gave_and_what_is_gained_by_it(tmp_path: Path, gives: str, method: str) -> None:
    days = write_days(tmp_path / "days", days=["day2", "day10"] if gives == "session" else ["day1"], blocks=10)
    options = {"recipe": "quick", "seeds": "0", "device": "cpu", "workers": 1, **METHODS[method]}
    done = run(Request(str(days), protocol=write_rules(tmp_path, gives), runs=tmp_path / "runs", **options))
    known = record.read_record(done.folder)
    roles = defaultdict(set)
    for row in known.folds:
        roles[row["subject"], row["fold"]].add(row["role"])
    assert set(map(frozenset, roles.values())) == {
        frozenset({"train"}), frozenset({"val", "gives"}), frozenset({"test", "gives"}),
    }  # fmt: skip
    assert known.run["target_access"] == f"unlabelled+labelled_{gives}"
    audited = audit_run(done.folder, dataset=str(days))
    assert not [finding.what for _, finding in audited.findings if finding.severity == "severe"]
    table = done.predictions
    unit = {
        name: table["unit"][table["method"] == name].tolist() for name in (MODEL, "no_calibration", "calibration_only")
    }
    assert unit[MODEL] == unit["no_calibration"] == unit["calibration_only"]
    own, others = (table["score"][table["method"] == name] for name in (MODEL, "no_calibration"))
    assert not np.allclose(own, others)
    personal = done.scores.get_calibration_gain("stress")
    assert personal is not None
    compared = {"no_calibration", "calibration_only", "calibration_class_proportions"} | (
        {"time_since_calibration"} if gives == "blocks" else set()
    )
    assert set(personal.compared_with) == compared
    assert not personal.normalisation
    assert personal.source in ("labels", "not_shown")
    # Whose EDA rises in stress and whose falls, other people do not say; the subject's own first day does.
    alone = done.scores["confound_only"]["calibration_only"]["stress"]["auroc_within"]["mean"]
    assert alone > 0.95 > done.scores["confound_only"]["no_calibration"]["stress"]["auroc_within"]["mean"]
