"""A grid of 160 stages gives the same bytes on this machine, on Slurm and on Ray, whatever is killed meanwhile, and no
stage comes to its end twice."""

import os
import random
import subprocess
import time

import psutil
import pytest

from ..sample import proof
from .conftest import HERE, RAY, SAMPLE

KILLS = int(os.environ.get("EMBENCH_KILLS", "30"))
ON_SLURM = ("--executor", "slurm", "--workers", "2", "--cluster", "mem=2G")


def same(grid, local):
    assert grid.content() == local
    ended = grid.ended()
    assert sorted(set(ended)) == sorted(ended), "a stage came to its end twice"
    assert set(ended) == {folder.name for folder in grid.runs.glob("stages/*")} != set()


@RAY
@pytest.mark.slow
def test_a_ray_of_this_machine_gives_the_same_bytes(make_grid):
    grid = make_grid("ray-sample", SAMPLE).run("--executor", "ray", "--workers", "2")
    same(grid, make_grid("local-sample", SAMPLE).run().content())
    assert "numpy" in next(grid.runs.glob("workers/*.txt")).read_text()  # what only workers elsewhere leave


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_slurm_gives_the_same_bytes(make_grid, local):
    grid = make_grid("slurm").run(*ON_SLURM)
    same(grid, local)
    assert list(grid.runs.glob("slurm/*/*_log.err"))
    assert "numpy" in next(grid.runs.glob("workers/*.txt")).read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_a_parent_that_was_killed_waits_for_its_jobs_when_it_is_started_again(make_grid, local):
    grid = make_grid("adopted")
    parent = grid.start(*ON_SLURM)
    while len(grid.ended()) < 10:
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    grid.run(*ON_SLURM)
    same(grid, local)
    assert "earlier jobs are still in Slurm's queue" in grid.runs.with_suffix(".log").read_text()
    assert len(list((grid.runs / "slurm").iterdir())) == 1


def workers():
    """Processes that run stages of Slurm."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "submitit.core._submit" in line and "python" in line[0]:
            found.append(process)
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_kills_of_workers_and_of_the_parent_change_nothing(make_grid, local):
    """One of two is the parent's, which is started again at once; the worker's jobs are submitted again by the parent.
    Where a stage was struck three times, the grid ends with it named, and the same command goes on."""
    rng, kills, rounds = random.Random(20), 0, 0
    while kills < KILLS:
        rounds += 1
        grid = make_grid(f"killed-{rounds}")
        parent, over = grid.start(*ON_SLURM), False
        while not over:
            try:
                over = parent.wait(rng.uniform(1, 20)) == 0
            except subprocess.TimeoutExpired:
                struck = [parent] if rng.random() < 0.5 else workers()
                if struck and kills < KILLS:
                    rng.choice(struck).kill()
                    kills += 1
            if parent.poll() is not None and not over:
                assert parent.wait() in (-9, 6), grid.runs.with_suffix(".log").read_text()[-4000:]
                parent = grid.start(*ON_SLURM)
        same(grid, local)


@pytest.fixture
def two_nodes(monkeypatch):
    """A Ray of two machines with one CPU each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE / "tally"), os.environ.get("PYTHONPATH", "")]))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.other = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


@RAY
@proof
@pytest.mark.slow
def test_ray_gives_the_same_bytes_where_one_of_two_machines_is_lost_half_way(two_nodes, make_grid, local):
    grid = make_grid("ray")
    parent = grid.start("--executor", "ray", "--workers", "2", "--cluster", f"address={two_nodes.address}")
    while len(grid.ended()) < 100 and parent.poll() is None:
        time.sleep(0.1)
    assert parent.poll() is None
    two_nodes.remove_node(two_nodes.other, allow_graceful=False)
    assert parent.wait() == 0, grid.runs.with_suffix(".log").read_text()[-4000:]
    same(grid, local)
