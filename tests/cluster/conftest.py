"""A Slurm of one node, a Ray of two, and a grid of 160 stages to run on them."""

import getpass
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from embench.cli import main

from ..sample import WHOLE

HERE = Path(__file__).parent
RAY = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: pip install ray")
"""Marks what needs Ray, so that without it nothing is prepared."""
OFF = "`make cluster` runs this"
METHOD = (
    "--dataset",
    "amigos",
    "--encoder",
    "handcrafted",
    "--modalities",
    "eda",
    "--recipe",
    "quick",
    "--fusion",
    "logreg",
)
GRID = (*METHOD, "--fusion", "lda", "--seeds", "0,1,2,3,4")
"""160 stages: 2 methods, 5 seeds, 4 folds, 2 targets, of each one that fits and one that predicts."""
SAMPLE = (*METHOD, "--seeds", "0")
"""One of the methods with one seed."""


class Grid:
    """A grid on some executor, in a runs folder of its own."""

    def __init__(self, asked, runs, data, cache):
        self.runs, self.tally = runs, runs.with_suffix(".tally")
        self.line = [sys.executable, "-m", "embench", "grid", *asked, "--runs", str(runs), "--data-root", str(data)]
        paths = [str(HERE / "tally"), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = {
            **os.environ,
            "EMBENCH_CACHE": str(cache),
            "EMBENCH_TALLY": str(self.tally),
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *options):
        with self.runs.with_suffix(".log").open("a") as log:
            return subprocess.Popen([*self.line, *options], env=self.environment, stdout=log, stderr=log)

    def run(self, *options):
        assert self.start(*options).wait() == 0, self.runs.with_suffix(".log").read_text()[-4000:]
        return self

    def ended(self):
        """The stages that came to their end, each as often as it did."""
        return self.tally.read_text().split() if self.tally.is_file() else []

    def content(self):
        """The bytes of every file that does not tell of time and place."""
        files = [*self.runs.glob("stages/*/*"), *self.runs.glob("amigos/*/*")]
        own = ("result.json", "run.yaml", "events.jsonl", "lock", "error.txt")
        return {
            p.relative_to(self.runs).as_posix(): p.read_bytes()
            for p in files
            if p.name not in own and not p.name.startswith(".")
        }


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="session")
def data(folder):
    line = ["data", "synthesize", "amigos", "--out", str(folder / "data" / "amigos")]
    assert main([*line, *(("--subjects", "12") if WHOLE else ("--subjects", "5", "--length-s", "20"))]) == 0
    return folder / "data"


@pytest.fixture(scope="session")
def make_grid(folder, data):
    return lambda name, asked=GRID: Grid(asked, folder / name, data, folder / "cache")


@pytest.fixture(scope="session")
def local(make_grid):
    """What the grid gives in this machine's own processes."""
    return make_grid("local").run().content()


@pytest.fixture(scope="session")
def slurm(folder):
    """A Slurm of one node with the partitions `main` and `urgent`."""
    if not WHOLE:
        pytest.skip(OFF)
    if missing := [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if not shutil.which(name)]:
        pytest.skip(f"{', '.join(missing)} not installed: apt-get install slurm-wlm munge")
    if getpass.getuser() != "root":
        pytest.skip("only root may start Slurm's daemons")
    place = folder / "slurm"
    for above in place.parents[:3]:
        above.chmod(above.stat().st_mode | 0o011)  # munge's clients are other users
    started = subprocess.run([HERE / "slurm.sh", "start", place], capture_output=True, text=True, check=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(place / "slurm.conf"))
        try:
            if started.returncode:
                pytest.skip(f"Slurm does not start here: {started.stderr[-500:]}")
            yield place
        finally:
            subprocess.run(["scancel", "--me"], check=False)
            subprocess.run([HERE / "slurm.sh", "stop", place], check=False)
