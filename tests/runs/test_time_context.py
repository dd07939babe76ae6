"""Under version 3 a record says which other units of a test session reach its predictions, and is judged by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from embench.leaderboard.verify import find_wrong_method
from embench.records.record import read_record, read_run

from ..tiny.running import Bench
from ..tiny.world import make_subjects, write


@pytest.mark.parametrize(
    ("view", "context", "decisive_level"), [("unit", "unit", "movement"), ("context", "causal", "protocol_phase")]
)
def test_a_method_that_reads_what_came_before_a_unit_is_judged_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: str, context: str, decisive_level: str
) -> None:
    monkeypatch.setattr("embench.statistics.confound_test.LARGE_STUDY", 0)  # only large studies have such levels
    rules = tmp_path / "few.yaml"
    rules.write_text("extends: subject-independent-v4\nname: few\nsplit: {by: group, folds: 2}\n")
    bench = Bench(write(tmp_path / "data", make_subjects(6, stimuli=8)), tmp_path / "runs", protocol=str(rules))
    settings = () if view == "unit" else ("encoder.view.kind=context", "encoder.view.length_s=30")
    folder = bench.run("Moments", fusion="logreg", modalities="eda", seeds="0", settings=settings).folder
    run, adjusted = read_run(folder), read_record(folder).scores.get_adjusted("arousal")
    assert run["time_context"] == context
    assert adjusted
    assert adjusted.decisive_level == decisive_level
    assert not list(find_wrong_method(run))
    [wrong] = find_wrong_method({**run, "time_context": {"unit": "causal", "causal": "unit"}[context]})
    assert wrong.startswith("run.yaml: time_context: ")
