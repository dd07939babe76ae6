"""A board of a run that is as good as real: of generated recordings whose mark was taken away, so that they may be
published, run and sent as a stranger would. Nobody wore the accelerometer, of which all seeds of nuisances take
minutes: entries with movement are those of `tests/attacks/forger.py`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from embench.cli import main
from embench.store.fingerprint import SYNTHETIC

METHOD = ("--dataset", "stress_predict", "--encoder", "handcrafted", "--modalities", "temp", "--workers", "1")
FEW = (*METHOD, "--seeds", "0,1,2")
"""As `embench leaderboard build` takes it; `submit` asks for all balanced partitions."""


class Place(NamedTuple):
    root: Path
    data: Path
    boards: Path
    entry: Path


def make_place(root: Path) -> None:
    """Data, runs and boards below `root`."""
    line = ["data", "synthesize", "stress_predict", "--out", str(root / "data" / "stress_predict")]
    assert main([*line, "--subjects", "14", "--length-s", "400"]) == 0  # enough for the primary metric
    (root / "data" / "stress_predict" / SYNTHETIC).unlink()
    for path in (root / "data").rglob("ACC.csv"):
        path.unlink()
    data = ["--data-root", str(root / "data")]
    with working_in(root):
        for fusion, runs in (("logreg", "earlier"), ("lda", "runs")):
            assert main(["run", *FEW, "--fusion", fusion, *data, "--runs", str(root / runs)]) == 0
        publish_run(Path("runs"), root / "boards", root / "data")


def publish_run(runs: Path, boards: Path, data: Path) -> Path:
    """Audit the only run of a folder and put it on the boards; gives its entry."""
    [run] = runs.glob("stress_predict/handcrafted-*")
    assert main(["audit", str(run), "--data-root", str(data)]) == 0
    assert (
        main(["leaderboard", "build", "--from", str(runs), "--leaderboards", str(boards), "--data-root", str(data)])
        == 0
    )
    [entry] = boards.glob(f"stress_predict/*/{run.name}")
    return entry


@contextmanager
def working_in(root: Path) -> Iterator[pytest.MonkeyPatch]:
    """With `root` as the working folder and the cache's parent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(root / "cache"))
        patch.delenv("EMBENCH_DATA", raising=False)
        patch.chdir(root)
        yield patch


@pytest.fixture(scope="module")
def place(made_once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A copy for one file of tests, with a ledger of its own."""
    root = tmp_path_factory.mktemp("stranger")
    shutil.copytree(made_once("place", make_place), root, dirs_exist_ok=True)
    [entry] = root.glob("boards/stress_predict/*/handcrafted-lda-*")
    with working_in(root):
        yield Place(root, root / "data", root / "boards", entry)
