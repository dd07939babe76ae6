"""Every command of the page on clusters runs, in its order and in one shell, on a Slurm and on Ray."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..docs.pages import CLUSTER, blocks


@pytest.mark.slow
def test_the_commands_of_the_page_run(slurm, folder):
    assert slurm
    pytest.importorskip("ray", reason="ray is not installed: pip install ray")
    lines = [b.body.replace("\n$ ", "\n").removeprefix("$ ") for b in blocks(CLUSTER) if b.language == "console"]
    assert len(lines) >= 6
    place = folder / "page"
    place.mkdir()
    # `embench` and `pip` of the environment that runs this test.
    programs = place / "bin"
    programs.mkdir()
    for name, module in (("embench", "embench"), ("pip", "pip")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    script = "set -eux\n" + "".join(lines)
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert len(list(place.glob("runs/amigos/*/run.yaml"))) == 5
    assert "AUROC within subject" in done.stdout  # what `embench compare` says
