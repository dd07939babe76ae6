"""A small study, a challenge on it, and teams: shared by all tests of challenges, each of which gets a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .world import CLOSED, OPEN, Host, write_study


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("challenge-study") / "study")


@pytest.fixture(scope="session")
def _packed(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Host(study, tmp_path_factory.mktemp("challenge") / "c").pack().root


@pytest.fixture(scope="session")
def _closed(_packed: Path, study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("challenge-closed") / "c"
    shutil.copytree(_packed, root)
    host = Host(study, root)
    host.register(("alpha", "a", "no"), ("beta", "b", "no"), ("noise", "c", "no"), ("friends", "d", "yes"))
    host.submit("alpha", "one", skill=2.0)
    host.submit("beta", "one", skill=2.0, seed=1)
    host.submit("noise", "one", skill=0.0)
    host.submit("friends", "one", skill=3.0)
    host.score(OPEN)
    host.close(CLOSED)
    return root


@pytest.fixture
def host(_packed: Path, study: Path, tmp_path: Path) -> Host:
    """A host whose package is published, before any submission. The signals, hundreds of files, are not copied."""
    shutil.copytree(_packed, tmp_path / "c", ignore=shutil.ignore_patterns("signals"))
    return Host(study, tmp_path / "c")


@pytest.fixture
def whole_host(_packed: Path, study: Path, tmp_path: Path) -> Host:
    """As `host`, with the signals."""
    shutil.copytree(_packed, tmp_path / "c")
    return Host(study, tmp_path / "c")


@pytest.fixture
def closed(_closed: Path, study: Path, tmp_path: Path) -> Host:
    """A host who has closed the challenge."""
    shutil.copytree(_closed, tmp_path / "c", ignore=shutil.ignore_patterns("signals"))
    return Host(study, tmp_path / "c")
