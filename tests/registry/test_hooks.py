"""Observers see copies, and cannot stop or change a run."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import embench
from embench.errors import PluginError
from embench.registry.loading import Observers

STAGE = {"id": "abc", "kind": "fusion", "fold": 0}


class Recorder:
    def __init__(self):
        self.heard = []

    @embench.hookimpl
    def run_started(self, run):
        self.heard.append(("run_started", run))

    @embench.hookimpl
    def epoch_ended(self, epoch, figures):  # leaves `stage` out
        self.heard.append((epoch, figures))


class Meddler:
    @embench.hookimpl
    def run_started(self, run):
        run["config"]["lr"] = 1.0
        run.clear()


class Raiser:
    calls = 0

    @embench.hookimpl
    def stage_started(self, stage):
        Raiser.calls += 1
        raise ValueError("no")


def test_events_arrive_in_order_and_hooks_may_leave_arguments_out():
    recorder = Recorder()
    observers = Observers([recorder])
    observers.tell("run_started", run={"run": "r"})
    observers.tell("stage_started", stage=STAGE)
    observers.tell("epoch_ended", stage=STAGE, epoch=1, figures={"loss": 0.5})
    observers.tell("stage_ended", stage=STAGE, figures={})
    observers.tell("run_ended", run={"run": "r"}, scores={})
    assert recorder.heard == [("run_started", {"run": "r"}), (1, {"loss": 0.5})]


def test_observers_change_neither_the_run_nor_what_others_see():
    recorder, run = Recorder(), {"config": {"lr": 0.1}}
    Observers([Meddler(), recorder]).tell("run_started", run=run)
    assert run == {"config": {"lr": 0.1}}
    assert recorder.heard == [("run_started", {"config": {"lr": 0.1}})]


def test_one_that_raises_is_disabled_with_one_warning_and_others_go_on():
    Raiser.calls = 0
    recorder = Recorder()
    observers = Observers([Raiser(), recorder])
    with pytest.warns(UserWarning, match=r"Raiser is disabled, because it raised in stage_started: ValueError: no"):
        observers.tell("stage_started", stage=STAGE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        observers.tell("stage_started", stage=STAGE)
        observers.tell("epoch_ended", stage=STAGE, epoch=2, figures={})
    assert Raiser.calls == 1
    assert recorder.heard == [(2, {})]


def test_no_array_or_object_gets_out():
    observers = Observers([Recorder()])
    for value in (np.zeros(3), torch.zeros(2), object()):
        with pytest.raises(TypeError, match="plain values only"):
            observers.tell("run_started", run={"labels": value})


def test_plain_values_of_libraries_become_pythons_own():
    recorder = Recorder()
    Observers([recorder]).tell(
        "run_started",
        run={
            "n": np.int64(3),
            "x": np.float64(0.5),
            "t": torch.tensor(1.5),
            "path": Path("a/b"),
            "seeds": (0, 1),
            4: None,
        },
    )
    heard = recorder.heard[0][1]
    assert heard == {"n": 3, "x": 0.5, "t": 1.5, "path": "a/b", "seeds": [0, 1], "4": None}
    assert type(heard["x"]) is float


def test_observer_with_a_hook_that_there_is_not_is_refused():
    class Wrong:
        @embench.hookimpl
        def epoch_endd(self):
            """Misspelt."""

    class Greedy:
        @embench.hookimpl
        def run_ended(self, labels):
            """Asks for what is not there."""

    with pytest.raises(PluginError, match="epoch_endd"):
        Observers([Wrong()])
    with pytest.raises(PluginError, match="labels"):
        Observers([Greedy()])
    with pytest.raises(PluginError, match="implements no hook"):
        Observers([object()])


@pytest.mark.usefixtures("acme", "broken")
def test_observers_by_name():
    Observers.named(["counter"]).tell("epoch_ended", stage=STAGE, epoch=1, figures={})
    with pytest.raises(PluginError, match="implements no hook"):
        Observers.named(["deaf"])


def test_observer_that_cannot_be_made_says_whose_it_is(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("class Mine:\n    def __init__(self, needed): ...\n")
    with pytest.raises(PluginError, match=r"cannot create observer .*TypeError.*needed"):
        Observers.named([f"{path}:Mine"])
