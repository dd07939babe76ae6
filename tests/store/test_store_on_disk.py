"""Same inputs, same folder; never rebuilt, never half there, whoever else is at work and whatever gives out."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_dataset import NAME, SmallDataset, make, write_subjects

import embench.store.fingerprint as fingerprint
from embench.errors import DataError, MachineError
from embench.signals.preprocess import RULES
from embench.store import cache_root, prepare

SCRIPT = """
import sys
from pathlib import Path
from embench.errors import MachineError
from small_dataset import SlowDataset, make
try:
    store = make(SlowDataset(Path(sys.argv[1])), Path(sys.argv[2]), workers=int(sys.argv[3]))
    print(store.path)
except MachineError as error:
    print(error.exit_code, error.where, error.hint)
"""
SMALL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))"


def start(root, cache, workers=1, first=""):
    """Another process that prepares, slowly."""
    folders = [str(Path(__file__).parent), *(path for path in sys.path if path)]
    return subprocess.Popen(
        [sys.executable, "-c", first + SCRIPT, str(root), str(cache), str(workers)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def change_one_value(path):
    """In a file that keeps its size."""
    with np.load(path) as file:
        content = {key: file[key] for key in file.files}
    content["rating0"][0] *= -1  # the sign is one bit
    size = path.stat().st_size
    np.savez(path, **content)
    assert path.stat().st_size == size


def test_nothing_is_done_twice_and_one_byte_makes_another_store(dataset, cache):
    first = make(dataset, cache)
    before = first.path.stat().st_mtime_ns, [p.stat().st_ino for p in sorted(first.path.iterdir())]
    again = make(dataset, cache)
    assert again.path == first.path
    assert before == (again.path.stat().st_mtime_ns, [p.stat().st_ino for p in sorted(again.path.iterdir())])
    path = dataset.root / "p2.npz"
    change_one_value(path)  # within the same tick of the clock: the hash of so young a file is not trusted
    other = make(dataset, cache)
    assert other.path != first.path
    assert first.path.is_dir()
    assert other.labels()["rating"]["p2-0"].values == -first.labels()["rating"]["p2-0"].values
    change_one_value(path)
    assert make(dataset, cache).path == first.path


def test_the_address_depends_on_what_decides_the_contents_and_on_nothing_else(dataset, cache, tmp_path):
    subjects = dataset.subjects()

    def key(data=dataset, name=NAME, code="c", rate=128.0, filtered=True):
        return fingerprint.store_key(data, subjects, name, code, rate, filtered, cache)

    others = [key(name="tests/small"), key(code="d"), key(rate=64.0), key(filtered=False)]
    assert len({key(), *others}) == 5
    moved = SmallDataset(tmp_path / "moved")
    dataset.root.rename(moved.root)
    dataset.root.mkdir()
    assert key(moved) == key(moved, rate=128)
    assert key(moved) not in others
    with pytest.raises(DataError, match="cannot be read") as caught:
        key(dataset)
    assert "p0.npz" in caught.value.where
    dataset.root.rmdir()
    moved.root.rename(dataset.root)
    assert key() == fingerprint.store_key(dataset, subjects, NAME, "c", 128.0, True, tmp_path / "another cache")


def test_each_preparation_has_its_address_and_the_standard_ones_keep_theirs(dataset, cache):
    plain = make(dataset, cache)
    stores = {rules: make(dataset, cache, rules=rules) for rules in RULES}
    assert stores["standard-v1"].path == plain.path
    assert len({store.path for store in stores.values()}) == len(RULES)
    # The card drops the first second of every signal, which two papers keep.
    starts = {rules: {s.t0 for e in store.recordings for s in e.spans.values()} for rules, store in stores.items()}
    assert starts == {rules: {0.0} if rules in ("vazquez2022", "woo2023") else {1.0} for rules in RULES}


def test_hashes_of_settled_files_are_remembered(dataset, cache, monkeypatch):
    old = time.time() - 100
    for path in dataset.root.iterdir():
        os.utime(path, (old, old))
    hashed = []
    real = fingerprint.hashlib.file_digest

    def seen(name):
        if str(dataset.root) in name:
            hashed.append(name)

    monkeypatch.setattr(fingerprint.hashlib, "file_digest", lambda f, kind: seen(f.name) or real(f, kind))
    first = make(dataset, cache)
    assert len(hashed) == 4
    assert make(dataset, cache).key == first.key
    assert len(hashed) == 4
    (cache / "file-hashes.sqlite").write_bytes(b"not a database")
    assert make(dataset, cache).key == first.key
    assert len(hashed) == 8


def test_a_file_whose_size_and_time_stay_is_hashed_anew_on_demand(dataset, cache):
    path = min(dataset.root.iterdir())
    os.utime(path, (time.time() - 100,) * 2)
    with fingerprint.FileHashes(cache) as hashes:
        before, state = hashes(path), path.stat()
        with path.open("r+b") as file:
            file.write(b"PL")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert hashes(path) == before
    for anew in (True, False):  # what was found anew is remembered
        with fingerprint.FileHashes(cache, anew=anew) as hashes:
            assert hashes(path) != before


@pytest.mark.slow
def test_two_processes_at_once_share_one_store(root, cache):
    both = [start(root, cache), start(root, cache, workers=2)]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert [path.name for path in (cache / "store").iterdir()] == [Path(outputs[0][0].strip()).name]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_preparation_leaves_nothing_that_looks_finished(root, cache, workers):
    process = start(root, cache, workers)
    deadline = time.monotonic() + 30
    while not list(cache.glob("store/.building-*/ecg.npy")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)  # ends only when the workers, who hold the same pipes, have ended too
    left = list((cache / "store").iterdir())
    assert left
    assert all(path.name.startswith(".building-") for path in left)
    store = make(SmallDataset(root), cache)
    assert list((cache / "store").iterdir()) == [store.path]


@pytest.mark.slow
def test_a_preparation_that_is_alive_is_not_swept_away(root, cache):
    process = start(root, cache)
    deadline = time.monotonic() + 30
    while not list(cache.glob("store/.building-*/ecg.npy")) and time.monotonic() < deadline:
        time.sleep(0.01)
    make(SmallDataset(root), cache, rate_hz=64.0)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert Path(out.strip()).is_dir()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_file_is_named_and_earlier_stores_stay(root, cache, workers):
    earlier = make(SmallDataset(root), cache)
    broken = root / "p3.npz"
    broken.write_bytes(broken.read_bytes()[:3000])
    with pytest.raises(DataError, match="damaged") as caught:
        make(SmallDataset(root), cache, workers=workers)
    assert caught.value.where == str(broken)
    assert list((cache / "store").iterdir()) == [earlier.path]


@pytest.mark.slow
def test_a_full_disk_is_said_with_the_place_and_leaves_nothing(root, cache):
    out, err = start(root, cache, first=SMALL_DISK).communicate(timeout=60)
    assert out, err
    code, where, hint = out.strip().split(" ", 2)
    assert code == "5"
    assert str(cache) in where
    assert "EMBENCH_CACHE" in hint
    assert list((cache / "store").iterdir()) == []


def test_a_place_that_cannot_be_written_is_said(dataset, tmp_path):
    occupied = tmp_path / "a file"
    occupied.write_text("")
    with pytest.raises(MachineError, match="cannot be written") as caught:
        make(dataset, occupied)
    assert str(occupied) in caught.value.where
    assert "EMBENCH_CACHE" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache_still_gives_what_it_has(dataset, cache):
    store = make(dataset, cache)
    (cache / "store").chmod(0o500)
    cache.chmod(0o500)
    try:
        assert make(dataset, cache) == store
        with pytest.raises(MachineError, match="Permission denied"):
            make(dataset, cache, rate_hz=64.0)
    finally:
        cache.chmod(0o700)
        (cache / "store").chmod(0o700)


def test_the_cache_lies_where_it_is_wanted(monkeypatch, tmp_path):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("EMBENCH_CACHE")
    assert cache_root().name == "embench"


def test_many_subjects_are_kept_in_the_order_of_the_dataset(tmp_path):
    data = SmallDataset(write_subjects(tmp_path / "data", 12, seconds=2.0))
    store = prepare(data, NAME, "c", rate_hz=128.0, cache=tmp_path / "cache", workers=2)
    assert [entry.id for entry in store.recordings] == [f"p{p}-{r}" for p in range(12) for r in range(2)]
