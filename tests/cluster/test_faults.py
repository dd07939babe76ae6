"""What goes wrong on other machines: workers that die, stages that fail, machines that differ, time that runs out."""

import os
import pickle
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from embench.engine.executors.slurm import Work
from embench.engine.stage import Folder
from embench.engine.work import Parent, run_in_worker
from embench.errors import MachineError, PluginError, WorkerKilled
from embench.planning.graph import stage_folder
from embench.planning.plan import make
from embench.runs.grids import describe_grid, find_latest_grid
from embench.runs.run import grid

from ..sample import proof
from ..tiny.fixtures import bench, cache, embench, six, striking  # noqa: F401  fixtures
from ..tiny.world import plugin
from .conftest import RAY


@pytest.fixture
def work(bench):  # noqa: F811
    """All stages of a small run, as one job runs them."""
    planned = make(bench.request("Pool", fusion="late"))
    root = stage_folder(bench.runs).absolute()
    place = root.parent / "slurm" / "embench-0"
    for folder in (root, place):
        folder.mkdir(parents=True)
    return Work(tuple(planned.graph.stages.values()), Parent(root), place)


def run_by_submitit(work):
    """Runs it in a process of its own, as submitit does without a cluster."""
    submitit = pytest.importorskip("submitit", reason="submitit is not installed: make setup")
    executor = submitit.LocalExecutor(work.place)
    return executor.submit(work)


def unfinished(work):
    return [stage.title for stage in work.stages if not Folder(work.parent.root, stage.id).done]


@pytest.mark.slow
def test_a_job_runs_its_stages_and_goes_on_where_it_was_interrupted(work):
    job = run_by_submitit(work)
    while len(unfinished(work)) == len(work.stages) and not job.done():
        time.sleep(0.05)
    job._interrupt()  # as Slurm does to make room for another's job
    job.result()
    assert not unfinished(work)
    assert not list(work.place.glob("*.fault"))
    assert next((work.parent.root.parent / "workers").glob("*.txt")).read_text().startswith("python 3.")


@pytest.mark.slow
def test_a_worker_with_other_versions_refuses_its_stages(work):
    other = replace(work.parent, environment={**work.parent.environment, "numpy": "1.26.4"})
    run_by_submitit(replace(work, parent=other)).result()
    assert len(unfinished(work)) == len(work.stages)
    faults = [pickle.loads(path.read_bytes()) for path in work.place.glob("*.fault")]
    assert faults
    for fault in faults:
        assert isinstance(fault, MachineError)
        assert fault.what.startswith("numpy differs on ")
        assert fault.what.endswith(", not 1.26.4")
        assert fault.where == sys.executable


def test_a_worker_that_does_not_see_the_folder_says_so(work, monkeypatch):
    monkeypatch.chdir(work.parent.folder)
    error = run_in_worker(work.stages[0], replace(work.parent, root=work.parent.root.with_name("elsewhere")))
    assert isinstance(error, MachineError)
    assert "does not see the folder of the stages" in error.what
    assert "--runs" in error.hint


@pytest.mark.parametrize(("executor", "library"), [("slurm", "submitit"), ("ray", "ray")])
def test_what_is_not_installed_is_named_with_the_line_that_installs_it(bench, monkeypatch, executor, library):  # noqa: F811
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MachineError, match=f"{library} is not installed") as caught:
        grid([bench.request("Pool", fusion="late")], executor=executor)
    assert caught.value.hint == f"pip install {library}"


def test_a_machine_without_slurm_is_named(bench, monkeypatch, tmp_path):  # noqa: F811
    pytest.importorskip("submitit", reason="submitit is not installed: make setup")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="there is no Slurm on this machine"):
        grid([bench.request("Pool", fusion="late")], executor="slurm")


@pytest.mark.slow
def test_faults_of_a_stage_come_back_from_slurm_and_hold_up_no_other(bench, slurm):  # noqa: F811
    assert slurm
    done = grid([bench.request("Raising", fusion="late"), bench.request("Pool", fusion="late")], executor="slurm")
    assert len(done.results) == 1
    (error,) = done.failures.values()
    assert isinstance(error, PluginError)


@pytest.mark.slow
def test_a_stage_whose_worker_dies_is_tried_twice_again_and_then_named_with_its_log(bench, slurm, monkeypatch):  # noqa: F811
    assert slurm
    monkeypatch.setenv("STRIKE_AT", "estimator:1")
    monkeypatch.setattr("embench.engine.executors.slurm._ASK_S", 1.0)
    deadly = bench.request("Moments", fusion=plugin("FragileLogReg"))
    notes = []
    done = grid(
        [deadly, bench.request("Pool", fusion="late")], "slurm", 4, lambda e: notes.append(str(e.get("text"))), {}
    )
    assert len(done.results) == 1
    (error,) = done.failures.values()
    assert isinstance(error, MachineError)
    assert "of Slurm ended as FAILED during " in error.what
    assert Path(error.where).is_file()
    again = [note for note in notes if "tried again" in note]
    assert len(again) == 2 * len({note.split("during ")[1].split(", which")[0] for note in again})


def tried_again(striking, executor):  # noqa: F811
    """What a grid said of a stage that ran out of memory once, and then came to its end."""
    done, events, strikes = striking("Starving", 1, executor)
    done.check()
    said = [event["text"] for event in events if str(event.get("text")).startswith("out of memory in unimodal")]
    assert len(said) == strikes >= 1
    return said[0]


@pytest.mark.slow
def test_a_stage_that_ran_out_of_memory_gets_more_from_slurm(bench, slurm, striking):  # noqa: F811
    assert slurm
    assert "tried again alone and with more" in tried_again(striking, "slurm")
    asked = {
        line
        for script in bench.runs.glob("slurm/*/*submission*.sh")
        for line in script.read_text().splitlines()
        if "--mem=" in line
    }
    assert len(asked) == 2


@RAY
@proof
@pytest.mark.slow
def test_a_stage_that_ran_out_of_memory_gets_a_machine_of_ray_to_itself(striking):  # noqa: F811
    assert "tried again alone" in tried_again(striking, "ray")


@RAY
@proof
@pytest.mark.slow
@pytest.mark.parametrize("name", ["gcs_server", "raylet"])
def test_a_ray_that_is_killed_is_named_and_the_grid_goes_on_with_another(bench, name):  # noqa: F811
    requests = [bench.request(encoder, modalities="eda") for encoder in ("Pool", "Early")]

    def watch(event):
        if event["event"] == "stage_started":
            for child in psutil.Process().children():
                if child.name() == name:
                    child.kill()

    with pytest.raises(WorkerKilled, match=f"the process `{name}` of Ray was killed"):
        grid(requests, executor="ray", workers=2, progress=watch)
    grid(requests, executor="ray", workers=2).check()


@pytest.mark.slow
def test_what_slurm_refuses_is_said_in_its_words(bench, slurm):  # noqa: F811
    assert slurm
    with pytest.raises(MachineError, match="invalid partition specified") as caught:
        grid([bench.request("Pool", fusion="late")], executor="slurm", options={"partition": "nowhere"})
    assert caught.value.where == "--cluster partition=nowhere"
    assert not list((bench.runs / "slurm").iterdir())


@pytest.mark.slow
def test_a_grid_is_cancelled_from_another_terminal_and_leaves_no_jobs(slurm, make_grid, local):
    assert slurm
    grid = make_grid("cancelled")
    line = ("--executor", "slurm", "--workers", "1", "--cluster", "mem=2G")
    parent = grid.start(*line)
    while len(grid.ended()) < 5 and parent.poll() is None:
        time.sleep(0.2)
    status = describe_grid(find_latest_grid(grid.runs))
    assert (status["state"], status["processes"][0]["executor"]) == ("running", "slurm")
    find_latest_grid(grid.runs).cancel()
    assert parent.wait(timeout=60) == 6, grid.runs.with_suffix(".log").read_text()[-4000:]
    until = time.monotonic() + 60
    while queued := subprocess.run(["squeue", "--me", "--noheader"], capture_output=True, check=True).stdout:
        assert time.monotonic() < until, queued
        time.sleep(1)
    grid.run(*line)
    assert grid.content() == local
    assert sorted(set(grid.ended())) == sorted(grid.ended())


@pytest.mark.slow
def test_a_job_that_others_drive_out_goes_on_when_they_are_done(slurm, make_grid, local):
    """Slurm itself puts it back into its queue, and waits two minutes."""
    assert slurm
    grid = make_grid("preempted")
    parent = grid.start("--executor", "slurm", "--workers", "1", "--cluster", "mem=2G", "--cluster", "cpus-per-task=2")
    while len(grid.ended()) < 20 and parent.poll() is None:
        time.sleep(0.2)
    urgent = ["srun", "--partition=urgent", f"--cpus-per-task={os.cpu_count()}", "--mem=100M", "true"]
    subprocess.run(urgent, check=True, timeout=120)
    assert parent.wait() == 0, grid.runs.with_suffix(".log").read_text()[-4000:]
    assert grid.content() == local
    assert sorted(set(grid.ended())) == sorted(grid.ended())
    assert "tried again" not in grid.runs.with_suffix(".log").read_text()
