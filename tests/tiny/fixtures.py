"""Fixtures that the tests of engine, planning and run share."""

import pytest

from embench.runs.run import grid

from .running import Bench, command
from .world import PLUGINS, few_folds, make_subjects, write


@pytest.fixture(scope="session", autouse=True)
def cache(session_cache):
    """Prepared data of this session's tests lie in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(session_cache))
        yield session_cache


@pytest.fixture(scope="session")
def six(tmp_path_factory):
    """Six subjects: one without EDA, one whose ECG is missing in two recordings, one with a lost stretch."""
    return write(tmp_path_factory.mktemp("six"), six_subjects())


def six_subjects(**changes):
    """What the files of `six` hold, with `changes` in all recordings."""
    all_subjects = make_subjects(6, **changes)
    for row in all_subjects["p01"]:
        row["modalities"] = ("ecg",)
    for row in all_subjects["p02"][:2]:
        row["modalities"] = ("eda",)
    all_subjects["p03"][1]["lost"] = {"ecg": 1.5}
    return all_subjects


@pytest.fixture
def bench(six, tmp_path):
    """The six subjects in three folds, and an empty runs folder."""
    return Bench(six, tmp_path / "runs", protocol=few_folds(six))


@pytest.fixture(scope="session")
def shared(six, tmp_path_factory):
    """The six subjects in three folds, and a runs folder that tests fill together, so that a stage is run once."""
    return Bench(six, tmp_path_factory.mktemp("shared"), protocol=few_folds(six))


@pytest.fixture
def striking(bench, tmp_path, monkeypatch):
    """A grid of a method of `striking.py`, and of another one, in two folds: what came of it, its events, and the
    number of strikes."""
    log, bench.protocol = tmp_path / "strikes", few_folds(tmp_path, 2)
    monkeypatch.setenv("STRIKE_LOG", str(log))

    def run(name, strikes, executor="local"):
        monkeypatch.setenv("STRIKES", str(strikes))
        events = []

        def watch(event):
            events.append(event)
            if event["event"] == "plan":  # after the checks of conformance, which train as well
                log.touch()

        named = [f"{PLUGINS.with_name('striking.py')}:{name}", "Pool"]
        requests = [bench.request(name, modalities="eda", settings=("encoder.epochs=1",)) for name in named]
        done = grid(requests, executor, workers=2, progress=watch)
        return done, events, len(log.read_bytes())

    return run


@pytest.fixture
def embench(capsys):
    """Runs a command line in this process."""
    return lambda *arguments: command(capsys, *arguments)
