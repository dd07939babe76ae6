"""Same seed, same bytes: run once, by two workers, or killed in every kind of stage and run again."""

import functools
import signal

import pytest

from embench import system
from embench.engine import loop
from embench.runs.run import run

from ..tiny.running import Bench, start_apart
from ..tiny.world import few_folds, make_subjects, plugin, write

NETWORKS = {
    "encoder": "Fragile",
    "fusion": plugin("FragileLate"),
    "pretrainers": (plugin("FragileMasked"),),
}
ESTIMATOR = {"encoder": "Moments", "fusion": plugin("FragileLogReg")}


def keep_every_epoch():
    """Every epoch leaves a checkpoint, so that what goes on goes on from the middle of a fit."""
    loop.CHECKPOINT_EVERY_S = -1.0


def folder_of(result):
    return {name: (result.folder / name).read_bytes() for name in ("predictions.csv.gz", "labels.csv.gz", "folds.csv")}


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Gives the bench of a folder for runs, for four subjects in two folds."""
    all_subjects = make_subjects(4)
    for row in all_subjects["p01"][:2]:
        row["modalities"] = ("ecg",)
    data = write(tmp_path_factory.mktemp("four"), all_subjects)
    return functools.partial(Bench, data, protocol=few_folds(data, 2))


METHODS = {"networks": NETWORKS, "estimator": ESTIMATOR}


@pytest.fixture(scope="module")
def once(four, tmp_path_factory):
    """Gives a method's run, made without a break by one worker."""
    bench = four(tmp_path_factory.mktemp("once"))
    return functools.cache(lambda name: bench.run(**METHODS[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_two_workers_give_the_same_bytes(four, once, cache, tmp_path, name, monkeypatch):
    alone = once(name)
    # Else short stages, and few features, would be over before a worker starts.
    monkeypatch.setattr(system, "WORKERS_START_S", -1.0)
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))  # where no features are yet
    again = four(tmp_path).run(**METHODS[name], workers=2)
    assert again.id == alone.id
    assert folder_of(again) == folder_of(alone)
    made = {path.parent.name: path.read_bytes() for path in tmp_path.glob("cache/derived/*/array.npy")}
    assert bool(made) == (name == "estimator")
    assert made == {key: (cache / "derived" / key / "array.npy").read_bytes() for key in made}
    for path in (alone.folder / "weights").glob("*"):
        assert path.read_bytes() == (again.folder / "weights" / path.name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(  # the first twelve steps of `unimodal` are the forecast's
    ("name", "moments"),
    [("networks", ("pretrain:9", "unimodal:19", "fusion:5")), ("estimator", ("estimator:2", "predict:2"))],
)
def test_killed_in_every_kind_of_stage_and_run_again(four, once, tmp_path, name, moments):
    bench, options = four(tmp_path), METHODS[name]
    line = bench.line("--fusion", options["fusion"], "--target", "arousal", encoder=options["encoder"])
    for pretrainer in options.get("pretrainers", ()):
        line += ["--pretrainer", pretrainer]
    for moment in moments:
        before = bench.stages()
        struck = start_apart(line, tmp_path / "printed", {"STRIKE_AT": moment}, keep_every_epoch)
        struck.join()
        assert struck.exitcode == -signal.SIGKILL, (tmp_path / "printed").read_text()[-2000:]
        kind = (
            "predict" if name == "estimator" else moment.partition(":")[0]
        )  # estimators are fitted where they predict
        unfinished = [path for path in (bench.runs / "stages").iterdir() if not (path / "result.json").exists()]
        (broken,) = (path for path in unfinished if (path / "stage.json").exists())
        assert f'"kind": "{kind}"' in (broken / "stage.json").read_text()
        if kind in ("pretrain", "unimodal", "fusion"):
            assert (broken / "checkpoint.pt").exists()
        assert bench.stages() >= before
        assert not (bench.runs / "Tiny").exists()
    again = bench.run(**options)
    assert again.id == once(name).id
    assert folder_of(again) == folder_of(once(name))
    assert not list((bench.runs / "stages").glob("*/checkpoint.pt"))


def test_the_same_request_again_runs_no_stage(four, tmp_path):
    bench = four(tmp_path)
    first = bench.run(**ESTIMATOR)
    made = {path: path.stat().st_mtime_ns for path in (bench.runs / "stages").glob("*/*")}
    events = []
    again = run(bench.request(**ESTIMATOR), progress=events.append)
    assert [(e["total"], e["done"]) for e in events if e["event"] == "plan"] == [(0, len(bench.stages()))]
    assert made == {path: path.stat().st_mtime_ns for path in (bench.runs / "stages").glob("*/*")}
    assert folder_of(first) == folder_of(again)
    assert again.scores == first.scores


@pytest.mark.slow
def test_a_stage_that_two_want_is_run_once(four, tmp_path):
    """Two processes with one runs folder: each stage's result is written by one of them."""
    bench = four(tmp_path)
    line = bench.line("--fusion", plugin("FragileLogReg"), "--target", "arousal", "--json", encoder="Moments")
    running = [start_apart(line, tmp_path / "printed") for _ in range(2)]
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0, 0], (tmp_path / "printed").read_text()
    assert bench.stages() == {path.name for path in (bench.runs / "stages").iterdir() if path.name[0] != "."}
    ledger = (bench.runs / "test_labels_opened.jsonl").read_text().splitlines()
    assert len(ledger) == 1  # one run, however often its command is given
