"""Damaged files are read, or refused with an error that names the file; and the harness sees what is bad."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench.interfaces.recording import Recording, Signal

from . import harness
from .formats import CANARY
from .harness import DATASETS, _apart, fuzz
from .mutations import mutate


class Reader:
    """Reads `a.bin`; what it does wrong is what the file says."""

    def __init__(self, root):
        self.path = Path(root, "a.bin")

    def subjects(self):
        return ["S1"]

    def files(self, subject):
        return [self.path]

    def recordings(self, subject):
        fault = self.path.read_text()
        getattr(self, f"_{fault}")()
        data = np.zeros((1, 0 if fault == "empty" else 4), np.float64 if fault == "dtype" else np.float32)
        signals = {"eda": Signal(data, 4.0, ("eda",), "uS")}
        yield Recording("S1", subject, "v", "s", 1.0, subject, None, None, signals)

    def verify(self):
        return [Finding("note", "a.bin", "seen")]

    def _fine(self): ...

    _empty = _dtype = _fine

    def _raises(self):
        raise ValueError("not a number")

    def _refuses(self):
        raise DataError("damaged", where=str(self.path))

    def _refuses_nameless(self):
        raise DataError("damaged", where="somewhere")

    def _hangs(self):
        while True:
            pass

    def _eats(self):
        return np.ones(3 << 28)

    def _dies(self):
        os.kill(os.getpid(), 11)

    def _runs(self):
        os.system(f"touch {CANARY}")

    def _looks_up(self):
        pickle.loads(b"cos\ngetcwd\n.")

    def _recurses(self):
        self._recurses()


@pytest.mark.parametrize(
    ("fault", "kind", "what"),
    [
        ("fine", "read", ""),
        ("refuses", "refused", ""),
        ("refuses_nameless", "failed", "names no file"),
        ("raises", "failed", "ValueError: not a number"),
        ("dtype", "failed", "float64"),
        ("empty", "failed", "(1, 0)"),
        ("eats", "failed", "MemoryError"),
        ("dies", "failed", "SIGSEGV"),
        ("runs", "failed", "code ran"),
        ("looks_up", "failed", "pickle.find_class"),
        ("recurses", "failed", "RecursionError"),
        pytest.param("hangs", "failed", "more than 1 s", marks=pytest.mark.slow),
    ],
)
def test_harness_sees_what_a_reader_does_wrong(tmp_path, monkeypatch, fault, kind, what):
    monkeypatch.setattr(harness, "SECONDS", 1)
    (tmp_path / "a.bin").write_text(fault)
    outcome = _apart(Reader, tmp_path)
    assert outcome["kind"] == kind, outcome
    assert what in outcome["what"]


def test_a_mutation_changes_something_and_comes_again_with_its_number(tmp_path):
    def damaged(place, seed):
        place.mkdir()
        (place / "EMBENCH_SYNTHETIC.json").write_text("{}")
        (place / "S1.csv").write_text("a,b\n" + "1,2\n" * 50)
        (place / "S2.csv").write_text("a,b\n" + "3,4\n" * 50)
        how = mutate(place, np.random.default_rng(seed), [], [])
        return how, {path.name: path.read_bytes() if path.is_file() else None for path in place.iterdir()}

    whole = {"EMBENCH_SYNTHETIC.json": b"{}", "S1.csv": b"a,b\n" + b"1,2\n" * 50, "S2.csv": b"a,b\n" + b"3,4\n" * 50}
    ways, changed = set(), 0
    for seed in range(60):
        first, again = damaged(tmp_path / f"{seed}", seed), damaged(tmp_path / f"{seed}again", seed)
        assert first == again
        assert first[1]["EMBENCH_SYNTHETIC.json"] == b"{}"
        ways.add(first[0].split()[0])
        changed += first[1] != whole
    assert len(ways) > 15
    assert changed > 50


@pytest.mark.slow
@pytest.mark.parametrize("name", DATASETS)
def test_damaged_files_are_read_or_refused(name):
    """The first 4 mutations of each dataset; `make fuzz` tries 2,000."""
    result = fuzz(name, 0, 4)
    assert result.outcomes.total() == 4
    assert not result.failures
