"""Grids from another terminal: how far they are, and stopping them; and workers that are killed or out of memory."""

import json
import os
from collections import Counter

import psutil
import pytest

from embench import system
from embench.cli import main
from embench.errors import DataError, MachineError, PluginError, Unfinished
from embench.runs.grids import describe_grid, find_latest_grid
from embench.runs.run import grid

from ..tiny.running import encoder_name, start_apart
from ..tiny.world import few_folds


def notes(events):
    return [event["text"] for event in events if event["event"] == "note"]


@pytest.mark.slow
def test_what_a_killed_worker_left_is_tried_again(striking):
    done, events, kills = striking("Killing", 1)
    done.check()
    assert kills == 1
    assert any("a worker process was killed by SIGKILL during unimodal" in note for note in notes(events))


@pytest.mark.slow
def test_a_stage_that_kills_its_workers_is_named_and_the_other_run_finishes(bench, striking, embench):
    done, _, kills = striking("Killing", 10**6)
    assert [result.manifest["method"]["encoders"]["eda"].endswith("Pool") for result in done.results] == [True]
    ((title, error),) = done.failures.items()
    assert "Killing" in title
    assert "was killed by SIGKILL during unimodal" in error.what
    assert error.exit_code == 5
    assert error.what.endswith(", 3 times")
    status = describe_grid(find_latest_grid(bench.runs))
    assert (status["state"], status["runs"]) == ("ended", {"finished": 1, "of": 2})
    assert kills >= 2 * len(status["failed"]) > 0  # a stage beside one that kills may count it as its own once
    shown = embench("grid", "status", bench.runs)
    assert "runs: 1 of 2 finished" in shown.out
    assert error.what in " ".join(shown.out.split())


@pytest.mark.slow
@pytest.mark.parametrize("when", ["plan", "stage_started"])
def test_a_grid_outlives_the_server_of_its_workers(bench, when, tmp_path):
    bench.protocol = few_folds(tmp_path, 2)
    requests = [bench.request(name, modalities="eda") for name in ("Pool", "Early")]
    events, killed = [], []

    def watch(event):
        events.append(event)
        if event["event"] == when and not killed:
            system.in_fresh_process("", len, "abc", module="embench.engine.work")  # it is there in any case
            servers = [child for child in psutil.Process().children() if "forkserver" in " ".join(child.cmdline())]
            killed.extend(child.kill() or child for child in servers)

    grid(requests, workers=2, progress=watch).check()
    assert len(killed) == 1
    if when == "stage_started":
        assert any("(forkserver) was killed during unimodal" in note for note in notes(events))


@pytest.mark.slow
def test_a_stage_that_ran_out_of_memory_beside_others_is_tried_again_alone(striking):
    done, events, strikes = striking("Starving", 1)
    done.check()
    again = [note for note in notes(events) if note.startswith("out of memory in unimodal")]
    assert len(again) == strikes >= 1
    steps = [(e["event"], e["stage"]["id"]) for e in events if e["event"] in ("stage_started", "stage_ended")]
    begun = Counter(id_ for word, id_ in steps if word == "stage_started")
    struck = {id_ for id_, times in begun.items() if times > 1}
    assert len(struck) == strikes
    for id_ in struck:
        last = max(at for at, step in enumerate(steps) if step == ("stage_started", id_))
        ended = {other for word, other in steps[:last] if word == "stage_ended"}
        assert {other for _, other in steps[:last]} - ended <= struck
        assert steps[last + 1] == ("stage_ended", id_)


@pytest.mark.slow
def test_a_stage_that_runs_out_of_memory_each_time_is_named_and_the_other_run_finishes(striking):
    done, events, strikes = striking("Starving", 10**6)
    assert [result.manifest["method"]["encoders"]["eda"].endswith("Pool") for result in done.results] == [True]
    (error,) = done.failures.values()
    assert isinstance(error, MachineError)
    assert error.what.startswith("out of memory in unimodal")
    assert error.what.endswith(", 3 times")
    assert "batch" in error.hint
    failed = [event["stage"]["id"] for event in events if event["event"] == "stage_failed"]
    assert len(failed) == len(set(failed)) == strikes / 3


@pytest.mark.slow
def test_what_a_plugin_is_at_fault_for_is_not_tried_again(striking):
    done, events, strikes = striking("Breaking", 10**6)
    (error,) = done.failures.values()
    assert isinstance(error, PluginError)
    assert len([event for event in events if event["event"] == "stage_failed"]) == strikes
    assert not [note for note in notes(events) if "again" in note]


def test_a_grid_is_cancelled_from_elsewhere_and_goes_on_where_it_stopped(bench, embench):
    requests = [bench.request(name, modalities="eda") for name in ("Pool", "Early")]
    seen = []

    def watch(event):
        if event["event"] == "stage_ended" and not seen:
            found = find_latest_grid(bench.runs)
            seen.append(describe_grid(found))
            assert "stops within seconds" in embench("grid", "cancel", bench.runs).out.replace("\n", " ")

    with pytest.raises(Unfinished, match="cancelled"):
        grid(requests, workers=1, progress=watch)
    (status,) = seen
    assert status["state"] == "running"
    assert status["stages"]["waiting"] > 0
    stopped = describe_grid(find_latest_grid(bench.runs))
    assert stopped["state"] == "cancelled"
    assert set(stopped["stages"]) == {"cancelled", "done"}
    assert "cancelled: rerun the command to resume" in embench("grid", "status", bench.runs).out
    assert "not running" in embench("grid", "cancel", bench.runs).out
    grid(requests, workers=1).check()
    shown = json.loads(embench("grid", "status", bench.runs, "--json").out)
    assert shown["stages"] == {"done": sum(stopped["stages"].values())}
    assert shown["runs"] == {"finished": 2, "of": 2}
    assert shown["left_s"] == 0


@pytest.mark.slow
def test_a_second_process_that_works_on_a_grid_hides_nothing_of_the_first(bench, embench, tmp_path):
    bench.protocol = few_folds(tmp_path, 2)
    line = ["grid", *bench.line("--encoder", encoder_name("Early"), "--modalities", "eda", "--target", "arousal")[1:]]
    seen = []

    def watch(event):
        if event["event"] == "stage_ended" and not seen:
            embench("grid", "cancel", bench.runs)
            other = start_apart(line, tmp_path / "printed")
            other.join()
            assert other.exitcode == 0, (tmp_path / "printed").read_text()
            seen.append(json.loads(embench("grid", "status", bench.runs, "--json").out))
            shown.append(embench("grid", "status", bench.runs).out)

    shown = []
    with pytest.raises(Unfinished, match="cancelled"):
        grid([bench.request(name, modalities="eda") for name in ("Pool", "Early")], workers=1, progress=watch)
    (status,) = seen
    assert status["state"] == "running"
    assert [process["state"] for process in status["processes"]] == ["running", "ended"]
    assert status["runs"] == {"finished": 2, "of": 2}
    assert len([line for line in shown[0].splitlines() if line.startswith("started: ")]) == 2
    assert describe_grid(find_latest_grid(bench.runs))["state"] == "ended"
    assert main(line) == 0
    assert len(describe_grid(find_latest_grid(bench.runs))["processes"]) == 1  # those that are over are forgotten


def test_cancelling_a_grid_leaves_the_jobs_of_others_in_the_queue(bench, embench, tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "scancel").write_text(f'#!/bin/sh\necho "$@" > {tmp_path / "asked"}\n')
    (programs / "scancel").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)

    def watch(event):
        if event["event"] == "plan":
            for name, id_ in (("embench-ours", event["stages"][0]["id"]), ("embench-theirs", "0" * 20)):
                place = bench.runs / "slurm" / name
                place.mkdir(parents=True)
                (place / "jobs.json").write_text(json.dumps([[id_], ["1" * 20]]))
            embench("grid", "cancel", bench.runs)

    with pytest.raises(Unfinished, match="cancelled"):
        grid([bench.request(name, modalities="eda") for name in ("Pool", "Early")], workers=1, progress=watch)
    assert (tmp_path / "asked").read_text().split() == ["--me", "--name=embench-ours"]


def test_what_is_no_grid_is_said(tmp_path, bench, embench):
    with pytest.raises(DataError, match="the folder contains no grid"):
        find_latest_grid(tmp_path)
    assert embench("grid", "status").code == 2
    assert embench("grid", "cancel", tmp_path, "more").code == 2
    assert embench("grid", "a.yaml", "b.yaml").code == 2
    (bench.runs / "grids").mkdir(parents=True)
    (bench.runs / "grids" / "0123456789-here-1.json").write_text("{")
    done = embench("grid", "status", bench.runs)
    assert done.code == 3
    assert "not the file of a grid" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("order", [1, -1])
def test_evaluations_are_counted_before_the_first_run_ends(bench, tmp_path, monkeypatch, workers, order):
    """However many processes there are, and in whatever order runs end."""
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))  # other tests evaluate the same people
    requests = [bench.request("Moments", fusion=name, modalities="ecg") for name in ("logreg", "knn", "lda")]
    done = grid(requests[::order], workers=workers)
    assert [result.manifest["test_evaluations"] for result in done.results] == [{"arousal": 3}] * 3
    assert [result.manifest["methods_evaluated"] for result in done.results] == [{"arousal": 3}] * 3
    again = grid(requests, workers=workers)
    assert [result.manifest["test_evaluations"] for result in again.results] == [{"arousal": 3}] * 3
