"""Stored files that were damaged: named in one line, moved aside and made again, to the same bytes."""

import contextlib
import os
import pickle
import shutil
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from embench import files
from embench.engine import loop
from embench.engine.stage import Folder
from embench.errors import EmbenchError
from embench.files import DamagedError, check_files, checksum_files, sha256
from embench.store.store import check_folder, stored_folders

from ..sample import sample
from ..tiny.damage import DAMAGES, damage
from ..tiny.running import Bench
from ..tiny.world import few_folds, make_subjects, plugin, write

NETWORKS, ESTIMATOR = ("Pool", {"fusion": "late"}), ("Moments", {"fusion": "logreg"})
STAGE_FILES = {"stage.json", "specs.json", "stats.npz", "result.json", "predictions.npz"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of networks and one of an estimator, with a cache of their own: bench, cache, bytes of predictions."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(folder / "cache"))
        bench = Bench(write(folder / "data", make_subjects(5)), folder / "runs", protocol=few_folds(folder, 2))
        results = [bench.run(encoder, **options) for encoder, options in (NETWORKS, ESTIMATOR)]
        yield bench, folder / "cache", [predicted(result) for result in results]


def predicted(result) -> bytes:
    return (result.folder / "predictions.csv.gz").read_bytes()


def guarded(folder):
    """The files of a folder that have a checksum. What is kept beside a store is made again where it can't be read."""
    return [path for path in sorted(folder.iterdir()) if path.name not in ("lock", "events.jsonl", "kept")]


def test_what_was_compared_within_a_day_is_read_again_only_if_it_changed(tmp_path, monkeypatch):
    """The next process knows what this one compared; it finds what was altered since, and compares all on the next
    day."""
    old = time.time() - 10
    for name in ("a", "b"):
        (tmp_path / name).write_text("as it was written")
        os.utime(tmp_path / name, (old, old))
    sums = checksum_files(tmp_path, ["a", "b"])
    monkeypatch.setattr(files, "_sound", {})
    monkeypatch.setattr(files, "_SETTLED_S", -10.0)  # nothing else can make a file older
    with files.remembering(tmp_path / ".compared"):
        check_files(tmp_path, sums)

    def in_another_process():
        read = []
        monkeypatch.setattr(files, "_sound", {})
        monkeypatch.setattr(files, "sha256", lambda path: read.append(path.name) or sha256(path))
        with files.remembering(tmp_path / ".compared"), contextlib.suppress(DamagedError):
            check_files(tmp_path, sums)
        return read

    assert in_another_process() == []
    (tmp_path / "b").write_text("as it is forged!!")
    os.utime(tmp_path / "b", (old, old))
    assert in_another_process() == ["b"]
    monkeypatch.setattr(files, "_TRUSTED_S", 0.0)
    assert in_another_process() == ["a", "b"]
    monkeypatch.undo()
    (tmp_path / ".compared").write_text('[["cut')
    assert in_another_process() == ["a", "b"]


@pytest.mark.parametrize("kind", DAMAGES)
def test_each_damage_of_each_stored_file_is_noticed(finished, kind):
    bench, cache, _ = finished
    names = set()
    for check, folder in checks(bench, cache):
        check()
        for path in guarded(folder):
            content = path.read_bytes()
            if DAMAGES[kind](content) == content:  # zeros where zeros were
                continue
            damage(path, kind)
            with pytest.raises(DamagedError) as found:
                check()
            assert path.name in found.value.what
            assert found.value.where == str(path)
            names.add(path.name)
            path.write_bytes(content)
        check()
    empty = {"stats.npz"} if kind == "zeros at the end" else set()  # these encoders have no statistics
    assert names | empty >= STAGE_FILES | {"weights.safetensors", "history.csv", "rows.npz"}
    assert names >= {"index.json", "labels.npz", "checksums.json", "ecg.npy", "eda.npy", "array.npy"}


def checks(bench, cache):
    """Each folder of stages and cache, and what compares it with its checksums."""
    found = [(Folder(path.parent, path.name).check, path) for path in stages(bench)]
    return found + [(partial(check_folder, path), path) for path in stored_folders(cache)]


def stages(bench) -> list[Path]:
    return sorted(bench.runs / "stages" / name for name in bench.stages())


@pytest.mark.parametrize("kind", sample(DAMAGES, "empty"))
def test_a_run_over_damaged_files_names_them_and_gives_the_same_bytes(finished, tmp_path, kind, embench):
    """One file of each stage, a different one in each, and one of each folder of the cache."""
    bench, cache, before = finished
    shutil.copytree(bench.runs / "stages", tmp_path / "runs" / "stages")
    again = Bench(bench.data, tmp_path / "runs", protocol=bench.protocol)
    damaged, told, changed = [], list[str](), dict[Path, bool]()
    for number, folder in enumerate([*stages(again), *stored_folders(cache)]):
        files = guarded(folder)
        damaged.append(files[number % len(files)])
        content = damaged[-1].read_bytes()
        changed[damaged[-1]] = DAMAGES[kind](content) != content
        damage(damaged[-1], kind)
    for (encoder, options), expected in zip((NETWORKS, ESTIMATOR), before, strict=True):
        done = embench(*again.line("--target", "arousal", "--fusion", options["fusion"], encoder=encoder))
        assert done.code == 0, done.err
        warned = [line for line in done.err.splitlines() if line.startswith("warning:")]
        assert all("made again" in line for line in warned)
        told += warned
        (result,) = (again.runs / "Tiny").glob(f"{encoder}-*")
        assert (result / "predictions.csv.gz").read_bytes() == expected
    named = [path for path in damaged if any(f"{path}:" in line for line in told)]
    # A stage without its result is one that has not finished, which is nothing to tell.
    unfinished = [path for path in damaged if kind == "missing" and path.name == "result.json"]
    assert set(named) == {path for path in damaged if changed[path]} - set(unfinished)
    for check, _ in checks(again, cache):
        check()


def test_a_run_whose_results_are_all_empty_makes_them_again(finished, tmp_path, embench):
    bench, _, (_, expected) = finished
    shutil.copytree(bench.runs / "stages", tmp_path / "runs" / "stages")
    again = Bench(bench.data, tmp_path / "runs", protocol=bench.protocol)
    for stage in stages(again):
        damage(stage / "result.json", "empty")
    encoder, options = ESTIMATOR
    done = embench(*again.line("--target", "arousal", "--fusion", options["fusion"], encoder=encoder))
    assert done.code == 0, done.err
    assert "made again" in done.err
    (result,) = (again.runs / "Tiny").glob(f"{encoder}-*")
    assert (result / "predictions.csv.gz").read_bytes() == expected


def test_a_large_file_is_sampled_when_it_is_opened_and_read_whole_on_demand(tmp_path):
    content = np.random.default_rng(0).bytes(30_000_000)
    (tmp_path / "array.npy").write_bytes(content)
    sums = checksum_files(tmp_path, ["array.npy"])
    check_files(tmp_path, sums, whole=True)
    stretch = bytearray(content)
    stretch[9_000_000:9_200_000] = bytes(200_000)
    (tmp_path / "array.npy").write_bytes(stretch)
    with pytest.raises(DamagedError, match="altered"):
        check_files(tmp_path, sums)
    bit = bytearray(content)
    bit[9_100_000] ^= 1
    (tmp_path / "array.npy").write_bytes(bit)
    with pytest.raises(DamagedError, match="altered"):
        check_files(tmp_path, sums, whole=True)


@pytest.mark.parametrize("kind", [kind for kind in DAMAGES if kind != "missing"])
def test_training_begins_anew_where_a_checkpoint_is_damaged(tmp_path, kind):
    module = nn.Linear(2, 1)
    optimiser = torch.optim.Adam(module.parameters())
    folder = Folder(tmp_path, "stage")
    loop._save_checkpoint(module, optimiser, loop.FitState(epoch=3), folder, "cpu")
    assert loop._restore(module, optimiser, folder, "cpu").epoch == 3
    damage(folder.file("checkpoint.pt"), kind)
    with pytest.warns(UserWarning, match="checkpoint"):
        assert loop._restore(module, optimiser, folder, "cpu").epoch == 0
    assert not folder.file("checkpoint.pt").exists()


class Planted:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_stored_file_is_unpickled(finished, tmp_path):
    """Pickles in place of all arrays, and beside them, with checksums that fit: nothing runs."""
    bench, _, _ = finished
    shutil.copytree(bench.runs / "stages", tmp_path / "runs" / "stages")
    again, canary = Bench(bench.data, tmp_path / "runs", protocol=bench.protocol), tmp_path / "canary"
    planted = pickle.dumps(Planted(canary))
    for path in stages(again):
        for arrays in path.glob("*.npz"):
            arrays.write_bytes(planted)
        (path / "estimator.pkl").write_bytes(planted)
        folder = Folder(path.parent, path.name)
        folder.finish(folder.result())
    with pytest.raises(EmbenchError, match="pickled"):
        again.run(ESTIMATOR[0], **ESTIMATOR[1])
    assert not canary.exists()
    pickle.loads(planted)
    assert canary.exists()


def test_data_that_are_read_whole_show_what_opening_does_not(finished, embench):
    """A bit of prepared data that no command of this dataset opens."""
    bench, cache, _ = finished
    line = ("data", "verify", plugin("Tiny"), "--data-root", bench.data)
    (store, *_) = (path for path in stored_folders(cache) if path.parent.name == "store")
    content = (store / "ecg.npy").read_bytes()
    assert embench(*line, "--force").code == 0
    damage(store / "ecg.npy", "middle bit")
    assert embench(*line).code == 0
    done = embench(*line, "--force")
    assert (done.code, str(store / "ecg.npy") in done.out.replace("\n", "")) == (1, True)
    (store / "ecg.npy").write_bytes(content)
