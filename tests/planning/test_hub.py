"""Weights on the Hugging Face hub: no dry run asks for them, and a run says once that the hub does not answer."""

import os
import socket
import subprocess
import sys
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


BLOCKED = """
import socket, sys, time

def blocked(*_, **__):
    print("NETWORK", file=sys.stderr)
    raise OSError("no network")

socket.getaddrinfo = socket.create_connection = socket.socket.connect = socket.socket.connect_ex = blocked
import embench.planning.plan  # start-up: torch
from embench.cli import main
began = time.process_time()
code = main(sys.argv[1:])
print(code, time.process_time() - began)
"""
PAPER = "run --dataset amigos --modalities video --encoder videomae --protocol strizhkova2024 --recipe paper --dry-run"


@pytest.mark.slow
@pytest.mark.parametrize("present", [True, False])
def test_a_paper_that_needs_weights_is_refused_at_once_and_offline(root, tmp_path, present):
    """Whether or not the data are there: one refusal, exit code 2, within 3 s of start-up, and nobody is asked."""
    line = [*PAPER.split(), "--data-root", str(root if present else tmp_path / "none")]
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_OFFLINE")}
    done = subprocess.run([sys.executable, "-c", BLOCKED, *line], capture_output=True, text=True, env=clean, check=True)
    code, seconds = done.stdout.split()
    assert (code, float(seconds) < 3) == ("2", True), (done.stdout, done.stderr)
    first, *others = [text for text in done.stderr.splitlines() if not text.startswith("  ")]
    assert first == "wrong arguments: the paper's VideoMAE starts from Kinetics-400, and no weights are named"
    assert not others
    assert "  what to do: --set encoder.build.weights=MCG-NJU/videomae-base@" in done.stderr
    assert "  command: embench run --dataset amigos " in done.stderr
