"""A board of a run that is as good as real: of generated recordings whose mark was taken away, so that they may be
published, run and sent as a stranger would."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from embench.cli import main
from embench.store.fingerprint import SYNTHETIC

METHOD = ("--dataset", "stress_predict", "--encoder", "handcrafted", "--modalities", "temp", "--workers", "1")


class Place(NamedTuple):
    root: Path
    data: Path
    boards: Path
    entry: Path


def unmarked(data: Path) -> Path:
    """A data root with generated recordings whose mark was taken away."""
    line = ["data", "synthesize", "stress_predict", "--out", str(data / "stress_predict")]
    assert main([*line, "--subjects", "14", "--length-s", "400"]) == 0  # enough for the headline
    (data / "stress_predict" / SYNTHETIC).unlink()
    return data


def make_place(root: Path) -> Place:
    """Data, runs and boards below `root`, which must be the working folder's and the cache's parent."""
    data, boards = unmarked(root / "data"), root / "boards"
    for fusion, runs in (("logreg", "earlier"), ("lda", "runs")):
        line = ["run", *METHOD, "--fusion", fusion, "--data-root", str(data), "--runs", str(root / runs)]
        assert main(line) == 0
    [run] = (root / "runs" / "stress_predict").glob("handcrafted-lda-*")
    line = ["leaderboard", "submit", str(run), "--boards", str(boards), "--data-root", str(data)]
    assert main(line) == 0
    return Place(root, data, boards, next(boards.glob("stress_predict/*/handcrafted-lda-*")))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("stranger")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(root / "cache"))
        patch.delenv("EMBENCH_DATA", raising=False)
        patch.chdir(root)
        yield make_place(root)  # type: ignore[misc]
