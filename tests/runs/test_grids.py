"""Grids from another terminal: how far they are, and stopping them; and workers that are killed."""

import json

import pytest

from embench.errors import DataError, Unfinished
from embench.runs.grids import grid_status, latest_grid
from embench.runs.run import grid

KILLING = """
import multiprocessing
import os
import signal
from pathlib import Path

from tests.tiny.plugins import Pool, PoolNetwork


class Killed(PoolNetwork):
    def forward(self, x, mask=None):
        log = Path(os.environ["KILL_LOG"])
        if self.training and log.exists() and multiprocessing.parent_process():
            if len(log.read_bytes()) < int(os.environ["KILLS"]):
                with log.open("ab") as file:
                    file.write(b".")
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x, mask)


class Killing(Pool):
    def build(self, spec):
        return Killed(spec.shape[0], int(self.recipe.build["dim"]))
"""


@pytest.fixture
def killing(tmp_path, monkeypatch):
    """Requests of a method whose workers are killed, and of another one; what arms the first, and the kills so far."""
    (tmp_path / "killing.py").write_text(KILLING)
    log = tmp_path / "kills"
    monkeypatch.setenv("KILL_LOG", str(log))

    def run(bench, kills):
        monkeypatch.setenv("KILLS", str(kills))
        events = []

        def watch(event):
            events.append(event)
            if event["event"] == "plan":  # after the checks of conformance, which train as well
                log.touch()

        named = [f"{tmp_path / 'killing.py'}:Killing", "Pool"]
        requests = [bench.request(name, modalities="eda", settings=("encoder.epochs=1",)) for name in named]
        done = grid(requests, workers=2, progress=watch)
        return done, [event["text"] for event in events if event["event"] == "note"], len(log.read_bytes())

    return run


@pytest.mark.slow
def test_what_a_killed_worker_left_is_tried_again(bench, killing):
    done, notes, kills = killing(bench, 1)
    done.check()
    assert kills == 1
    assert any("was killed during unimodal" in note for note in notes)


@pytest.mark.slow
def test_a_stage_that_kills_its_workers_is_named_and_the_other_run_finishes(bench, killing, embench):
    done, _, kills = killing(bench, 10**6)
    assert [result.manifest["method"]["encoders"]["eda"].endswith("Pool") for result in done.results] == [True]
    ((title, error),) = done.failures.items()
    assert "Killing" in title
    assert "was killed 3 times during unimodal" in error.what
    status = grid_status(latest_grid(bench.runs))
    assert (status["state"], status["runs"]) == ("ended", {"finished": 1, "of": 2})
    assert kills >= 2 * len(status["failed"]) > 0  # a stage beside one that kills may count it as its own once
    shown = embench("grid", "status", bench.runs)
    assert "runs: 1 of 2 finished" in shown.out
    assert "was killed 3 times" in " ".join(shown.out.split())


def test_a_grid_is_cancelled_from_elsewhere_and_goes_on_where_it_stopped(bench, embench):
    requests = [bench.request(name, modalities="eda") for name in ("Pool", "Early")]
    seen = []

    def watch(event):
        if event["event"] == "stage_ended" and not seen:
            found = latest_grid(bench.runs)
            seen.append(grid_status(found))
            assert "stops within seconds" in embench("grid", "cancel", bench.runs).out.replace("\n", " ")

    with pytest.raises(Unfinished, match="cancelled"):
        grid(requests, workers=1, progress=watch)
    (status,) = seen
    assert status["state"] == "running"
    assert status["stages"]["waiting"] > 0
    stopped = grid_status(latest_grid(bench.runs))
    assert stopped["state"] == "ended"
    assert 0 < stopped["stages"]["done"] < sum(stopped["stages"].values())
    grid(requests, workers=1).check()
    shown = json.loads(embench("grid", "status", bench.runs, "--json").out)
    assert shown["stages"] == {"done": sum(stopped["stages"].values())}
    assert shown["runs"] == {"finished": 2, "of": 2}
    assert shown["left_s"] == 0


def test_what_is_no_grid_is_said(tmp_path, bench, embench):
    with pytest.raises(DataError, match="no grid was started here"):
        latest_grid(tmp_path)
    assert embench("grid", "status").code == 2
    assert embench("grid", "cancel", tmp_path, "more").code == 2
    assert embench("grid", "a.yaml", "b.yaml").code == 2
    (bench.runs / "grids").mkdir(parents=True)
    (bench.runs / "grids" / "0123456789.json").write_text("{")
    done = embench("grid", "status", bench.runs)
    assert done.code == 3
    assert "not the file of a grid" in done.err
