"""Arrays that follow from prepared data are made once, and nothing hangs on the files in which they lie."""

import shutil

import numpy as np
import pytest

from embench.store import prepare
from embench.store.store import cache_array, check_folder


@pytest.fixture
def store(dataset, cache):
    return prepare(dataset, "tests/small", "code-1", rate_hz=16.0, cache=cache)


@pytest.fixture
def made():
    """How often an array was made."""
    return []


@pytest.fixture
def ask(store, made):
    def ask(key: object = "trees") -> np.ndarray:
        def make() -> np.ndarray:
            made.append(key)
            return np.array([[0.1, np.nan], [1 / 3, 2.0]])

        return cache_array(store, [key, 1], make)

    return ask


def files(store):
    return sorted((store.path / "kept").glob("*"))


def test_an_array_is_made_once_and_comes_back_to_the_last_bit(ask, made):
    first, again, other = ask(), ask(), ask("another")
    assert made == ["trees", "another"]
    assert first.tobytes() == again.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-40]),
        lambda file: file.write_bytes(file.read_bytes().replace(b"\x9a\x99", b"\x9a\x98")),
        lambda file: file.write_bytes(b""),
        lambda file: np.savez(file, something=np.zeros(3)),
    ],
    ids=["cut short", "altered", "empty", "of something else"],
)
def test_what_is_damaged_is_made_again(ask, made, store, damage):
    first = ask()
    (file,) = files(store)
    damage(file)
    assert ask().tobytes() == ask().tobytes() == first.tobytes()
    assert made == ["trees", "trees"]


def test_a_store_that_is_removed_takes_with_it_what_was_kept(ask, store, cache):
    ask()
    check_folder(store.path, whole=True)
    shutil.rmtree(store.path)
    assert [path.name for path in cache.rglob("*.npz")] == []


def test_a_cache_that_takes_no_file_costs_time_only(ask, made, store):
    (store.path / "kept").write_text("no folder")
    assert ask().tobytes() == ask().tobytes()
    assert made == ["trees", "trees"]
