"""The same command again reads the record, without a plan and what a plan imports, as long as nothing has changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embench.data.find import write_synthetic

PROGRAM = """
import sys
from embench.cli import main
code = main(sys.argv[1:])
print("planned" if "torch" in sys.modules else "found", file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def run(tmp_path):
    """Runs one method on small data: what it prints, whether it was planned, and what is told beside it."""
    write_synthetic("hku956", tmp_path / "data" / "hku956", subjects=6, seed=0, effect=1.0, length_s=None)
    method = ["--encoder", "signal_mean", "--fusion", "logreg", "--modalities", "eda", "--seeds", "0"]
    line = ["run", "--dataset", "hku956", "--data-root", "data", *method, "--dev", "--workers", "1"]

    def run(*more):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *line, *more],
            cwd=tmp_path, env={**os.environ, "EMBENCH_CACHE": str(tmp_path / "cache")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        *told, how = done.stderr.splitlines()
        return done.stdout, how, told

    return run


@pytest.mark.slow
def test_a_finished_run_is_found_until_something_changes(run, tmp_path):
    printed, how, _ = run()
    assert how == "planned"
    again, how, told = run()
    assert (again, how) == (printed, "found")
    assert any(line.startswith("0 stages to run") for line in told)
    stage = next(Path(tmp_path / "runs" / "stages").glob("*/result.json"))
    assert run("--no-confounds")[:2] == (printed, "planned")  # its record may lack what this one asks for
    assert run("--set", "fusion.build.C=2")[:2] != (printed, "found")
    data = next(path for path in sorted((tmp_path / "data").rglob("*.csv")))
    os.utime(data, (0, 0))
    assert run()[:2] == (printed, "planned")
    assert run()[:2] == (printed, "found")
    stage.write_text(stage.read_text() + " ")
    assert run()[:2] == (printed, "planned")
