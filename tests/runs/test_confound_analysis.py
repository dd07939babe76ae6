"""The confound analysis comes after the scores: it can be left out, interrupted, and is shared by all methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from embench.audits import audit_run
from embench.leaderboard.verify import find_wrong_parts
from embench.records.record import read_record
from embench.runs.run import run
from embench.statistics.result import Result
from embench.system import EventCallback

from ..tiny.running import Bench
from ..tiny.world import few_folds, make_subjects, write

WORD = "movement"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small data of their own, for which nobody fitted anything yet."""
    return write(tmp_path_factory.mktemp("data"), make_subjects(7), seed=73)


@pytest.fixture
def bench(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Runs that are analysed as those of a large study, whose confounds are predicted by fitted models."""
    monkeypatch.setattr("embench.statistics.confound_test.LARGE_STUDY", 0)
    return Bench(world, tmp_path / "runs", protocol=few_folds(tmp_path, 2))


def run_it(bench: Bench, on_event: EventCallback | None = None, **options: Any) -> Result:
    return run(bench.request("Pool", modalities="ecg", **options), on_event)


def answer(scores_of: Result) -> str:
    return scores_of.answers["arousal"].format_answer(WORD)


@pytest.mark.slow
def test_the_scores_are_shown_and_written_before_the_analysis(bench: Bench) -> None:
    events: list[str] = []
    first: dict[str, Any] = {}

    def follow(event: Mapping[str, Any]) -> None:
        events.append(event["event"])
        if event["event"] == "scored":
            [folder] = bench.runs.glob("*/*/run.yaml")
            record = read_record(folder.parent)
            first.update(lines=event["lines"], scores=record.scores, answer=answer(Result.read(folder.parent)))

    result = run_it(bench, follow)
    assert events.index("scored") < events.index("confounds")
    score = result.scores.get_score("arousal", result.scores.primary_metrics["arousal"])
    assert score is not None
    assert any(f"{score.mean:.2f}" in line for line in first["lines"])
    assert any("time since the start" in line for line in first["lines"])
    assert first["scores"].get_score("arousal", result.scores.primary_metrics["arousal"]) == score
    assert first["answer"] == "not computed"
    assert answer(result) not in ("not computed", "—")
    assert read_record(result.folder).scores.get_adjusted("arousal") is not None


def test_another_method_on_the_same_data_does_not_fit_the_confounds_again(bench: Bench) -> None:
    run_it(bench)
    events: list[str] = []
    run(bench.request("Early", modalities="ecg"), lambda event: events.append(event["event"]))
    assert "scored" not in events
    assert "confounds" not in events


@pytest.mark.slow
def test_without_the_analysis_its_answers_are_not_computed_until_it_is_asked_for(bench: Bench) -> None:
    without = run_it(bench, confounds=False, seeds="1")
    assert answer(without) == "not computed"
    assert without.scores.get_adjusted("arousal") is None
    assert "were not adjusted for confounds" in without.summaries["arousal"].sentence
    assert any("confound analysis was not run" in fault for fault in find_wrong_parts(read_record(without.folder)))
    assert "confound_test_skipped" in str(audit_run(without.folder, trust_code=True).to_dict())
    stages = bench.stages()
    whole = run_it(bench, seeds="1")
    assert whole.folder == without.folder
    assert answer(whole) != "not computed"
    assert bench.stages() == stages
    assert answer(run_it(bench, confounds=False, seeds="1")) == answer(whole)  # what is known is not thrown away


def test_an_interrupted_analysis_leaves_the_scores_and_goes_on(bench: Bench) -> None:
    def stop(event: Mapping[str, Any]) -> None:
        if event["event"] == "confounds" and event["done"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_it(bench, stop, seeds="2")
    [folder] = bench.runs.glob("*/*/run.yaml")
    assert answer(Result.read(folder.parent)) == "not computed"
    assert answer(run_it(bench, seeds="2")) != "not computed"
