"""Files that others made are read up to a limit, and what is private stays so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from embench.data.fetch import MOST_MEMBERS, unpack
from embench.errors import DataError
from embench.files import folder_mode, make_folder
from embench.records.predictions import read_submission
from embench_plugins.datasets.stress_predict.reader import StressPredict

HEAD = "subject,recording,unit,target,seed,fold,score"


def submitted(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([HEAD, *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (["S02,r,u,stress,0,99999999999999999999,0.5"], "fold"),
        (["S02,r,u,stress,0,0,1_0"], "not finite numbers"),
        (["S02,r,u,stress,0,0,\u0661"], "not finite numbers"),
        (["S02,r,u\x1b[2J,stress,0,0,0.5"], "control characters"),
        (["S02,r,u,stress,0,0,0.5"] * 1_000_000, "repeat a unit"),
        ([f"S02,r,u,stress,{seed},0,0.5" for seed in range(300)], "300 seeds"),
    ],
    ids=["fold", "underscore", "digits", "escape", "million", "seeds"],
)
def test_lines_that_no_submission_has(tmp_path: Path, lines: list[str], what: str) -> None:
    with pytest.raises(DataError, match=what):
        read_submission(submitted(tmp_path / "mine.csv", *lines), StressPredict.card)


@pytest.mark.parametrize(
    "names", [["a", "a/b"], ["x" * 300], ["a\x1b[2J"], ["a\nb"]], ids=["clash", "long", "esc", "line"]
)
def test_names_that_cannot_be_files_are_refused_before_anything_is_written(tmp_path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in names:
            archive.writestr(name, "1")
    with pytest.raises(DataError, match="nothing was unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.slow
def test_an_archive_of_too_many_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(MOST_MEMBERS + 1):
            archive.writestr(str(number), "")
    with pytest.raises(DataError, match="too many"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permissions of this kind")
def test_folders_are_private_unless_all_labels_are_public(tmp_path: Path) -> None:
    for name, says in (("no", ["yes", "no"]), ("unknown", ["unknown"]), ("yes", ["yes", "yes"])):
        make_folder(tmp_path / "runs" / name, folder_mode(*says))
    modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "runs").iterdir()}
    assert modes["no"] == modes["unknown"] == 0 != modes["yes"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_sigterm_ends_with_a_line_and_143() -> None:
    code = "import time, sys; from embench import cli; cli.results.print_audit; cli.listing.list_kinds\n"
    code += "import embench.registry as r; r.entries = lambda *a: (print('up', flush=True), time.sleep(60))\n"
    code += "sys.exit(cli.main(['list']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=50)
    assert process.returncode == 143
    assert said.startswith("terminated; finished work is kept")
    assert "Traceback" not in said
