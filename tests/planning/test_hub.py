"""Weights on the Hugging Face hub: no dry run asks for them, and a run says once that the hub does not answer."""

import socket
import time

import pytest
from huggingface_hub import constants

from embench.cli import main
from embench.planning.hub import offline

SHORT = ("--length-s", "12")
WEIGHTS = f"MCG-NJU/videomae-base@{'d' * 40}"
VIDEO = "run --dataset amigos --modalities video --encoder videomae --target valence --recipe quick --seeds 0"


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The hosts that were looked for. Nobody answers."""
    hosts = []

    def unknown(host, *_, **__):
        hosts.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return hosts


@pytest.fixture(scope="module")
def root(made_once):
    def make(root):
        assert main(["data", "synthesize", "amigos", "--out", str(root / "amigos"), "--subjects", "4", *SHORT]) == 0

    return made_once("hub", make)


def test_a_dry_run_asks_nobody(embench, asked, root):
    line = [*VIDEO.split(), "--data-root", root, "--set", f"encoder.build.weights={WEIGHTS}"]
    done = embench(*line, "--dry-run")
    assert not asked
    assert done.code == 3
    assert "are not on this machine, and nothing is downloaded in a dry run" in done.err
    assert done.err.endswith(f"hf download {WEIGHTS.replace('@', ' --revision ')}\n")
    embench(*line)  # what was not looked for in a dry run is looked for now
    assert asked


def test_a_run_says_in_one_line_that_the_hub_does_not_answer(embench, asked, root):
    done = embench(*VIDEO.split(), "--data-root", root, "--set", f"encoder.build.weights={WEIGHTS[:-1]}e")
    assert asked
    assert done.code == 3
    first, second, *_ = [line for line in done.err.splitlines() if "warning: " in line or "data: " in line]
    assert first.startswith("warning: the Hugging Face hub does not answer")
    assert second.startswith("data: the weights cannot be downloaded")
    assert "Retrying" not in done.err


@pytest.mark.usefixtures("asked")
def test_offline_ends_with_its_context(monkeypatch):
    with offline():
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with offline():
        pass
    assert constants.HF_HUB_OFFLINE
