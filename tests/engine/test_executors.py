"""Who runs stages is a row of a table: another executor is chosen by its name, and a wrong name is told at once."""

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest

from embench.engine import executors
from embench.engine.executors import Events
from embench.engine.work import run_stage
from embench.errors import EmbenchError, OutOfMemory, PluginError, UsageError
from embench.runs.run import grid
from embench.screen import Progress, flags

from ..sample import sample
from ..tiny.world import plugin


@pytest.fixture
def toy(monkeypatch):
    """An executor `toy` in a module of its own, which runs stages in turn; the stages that it was given."""
    received = []

    def in_turn(todo, outcome, root, _, report):
        received.extend(todo)
        for done, stage in enumerate(todo, 1):
            if blocker := outcome.blocker(stage):
                outcome.held_up[stage.id] = blocker
                continue
            events = Events(stage, root, report)
            try:
                outcome.results[stage.id] = run_stage(stage, root)
            except EmbenchError as error:
                outcome.errors[stage.id] = error
            events.poll()
            events.end(outcome, done, len(todo))

    module = ModuleType("toy_executor")
    module.in_turn = in_turn
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(executors.EXECUTORS, "toy", "toy_executor:in_turn")
    return received


def test_an_executor_of_the_table_runs_a_grid_with_the_same_numbers_and_events(bench, shared, toy):
    events = []
    done = grid([bench.request("Pool", modalities="eda")], executor="toy", progress=events.append)
    done.check()
    assert {stage.id for stage in toy} == bench.stages()
    assert all(stage in bench.stages() for stage in (e["stage"]["id"] for e in events if e["event"] == "stage_started"))
    assert {"plan", "stage_started", "epoch_ended", "stage_ended"} <= {event["event"] for event in events}
    assert done.results[0].scores == shared.run("Pool", modalities="eda").scores


def test_the_rows_of_a_baseline_set_are_run_by_the_executor_that_is_named(bench, embench, toy, tmp_path):
    rules = "core:\n  - {encoder: handcrafted, fusion: lda, modalities: eda}\n"
    (tmp_path / "one-v1.yaml").write_text(f"name: one-v1\nsummary: One.\n{rules}")
    few = ["--target", "arousal", "--seeds", "0", "--device", "cpu", "--workers", "1", "--protocol", bench.protocol]
    places = ["--dataset", plugin("Tiny"), "--data-root", bench.data, "--runs", bench.runs]
    done = embench("baselines", "--baseline-set", tmp_path / "one-v1.yaml", *places, *few, "--executor", "toy")
    assert done.code == 0, done.err
    assert {stage.id for stage in toy} == bench.stages() != set()


@pytest.mark.parametrize("executor", sample(["toy", "local"], "toy"))
@pytest.mark.usefixtures("toy")
def test_a_stage_that_failed_holds_up_its_own_and_no_other_run(bench, executor, capsys, monkeypatch):
    monkeypatch.setattr(flags, "verbose", True)
    broken, whole = bench.request("Raising", fusion="late"), bench.request("Pool", fusion="late")
    with Progress() as progress:
        done = grid([broken, whole], executor=executor, workers=1, progress=progress.event)
    assert len(done.results) == 1
    (error,) = done.failures.values()
    assert isinstance(error, PluginError)
    lines = [re.split(r" \(|, about", line)[0] for line in capsys.readouterr().err.splitlines()]
    failed = [line.removeprefix("failed ").partition(": ") for line in lines if line.startswith("failed ")]
    assert error.what.partition(" (")[0] in {reason for _, _, reason in failed}
    # The other run has stages of the same titles: each was begun twice, and finished once.
    for title, _, _ in failed:
        assert (lines.count(f"started {title}"), lines.count(f"finished {title}")) == (2, 1)


class FullTask:
    """A task of a Ray whose memory always gives out; it notes what it asks for."""

    def __init__(self):
        self.asked = []

    def options(self, name, num_cpus, **_):
        assert len(self.asked) < 20, "it is tried again and again"
        self.asked.append((name, num_cpus))
        return self

    def remote(self, *_):
        return object()


def test_a_stage_whose_memory_gives_out_on_a_ray_is_begun_twice_more_alone_and_then_given_up(bench, monkeypatch):
    ray, task = ModuleType("ray"), FullTask()
    ray.init = ray.shutdown = ray.put = lambda *_, **__: None
    ray.remote = lambda **_: lambda _: task
    ray.wait = lambda running, **_: (running, [])
    ray.get = lambda _: OutOfMemory("out of memory in a stage")
    ray.nodes = lambda: [{"Alive": True, "Resources": {"CPU": 8.0}}]
    ray.exceptions = SimpleNamespace(RayError=ConnectionError)
    monkeypatch.setitem(sys.modules, "ray", ray)
    done = grid([bench.request("Pool", modalities="eda")], executor="ray")
    assert {error.what for error in done.failures.values()} == {"out of memory in a stage, 3 times"}
    for name in {name for name, _ in task.asked}:
        assert [cpus for asked, cpus in task.asked if asked == name] == [1, 8.0, 8.0]


def test_a_run_is_recorded_while_stages_of_the_next_one_still_run(bench):
    recorded = []

    def look(event):
        if event["event"] == "stage_started":
            recorded.append(len(list(bench.runs.glob("*/*/run.yaml"))))

    done = grid([bench.request("Pool", modalities="ecg", seeds=seed) for seed in "01"], progress=look)
    done.check()
    assert (recorded[0], recorded[-1]) == (0, 1)


@pytest.mark.usefixtures("toy")
def test_an_unknown_executor_is_refused_with_the_nearest_name_before_anything_is_planned(bench, embench):
    with pytest.raises(UsageError, match="no executor `locl`") as caught:
        grid([bench.request("Nowhere")], executor="locl")
    assert caught.value.hint == "did you mean local?"
    assert caught.value.expected == "local, slurm, ray, toy"
    done = embench("grid", "--dataset", "amigos", "--encoder", "tcn", "--executor", "tpy", "--dry-run")
    assert done.code == 2
    assert "did you mean toy?" in done.err
