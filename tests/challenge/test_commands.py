"""A host and a participant by the command line alone, without torch; and the scoring program as Codabench calls it."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from embench.challenge.codabench import write_bundle
from embench.cli import main

from ..cli.test_light import WITHOUT
from .world import LADDER, METHOD, OPEN, VALUE, Host, fill_form


def light(code: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python code as in the light installation: without torch and what comes with it."""
    line = [sys.executable, "-c", WITHOUT + code, *arguments]
    return subprocess.run(line, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


COMMAND = "from embench.cli import main\nsys.exit(main(sys.argv[1:]))"


@pytest.mark.slow
def test_a_host_and_a_participant_reach_the_end_without_torch(tmp_path):
    """A demonstration on synthetic data: each step by its command, in a folder of its own."""
    made = ["--out", str(tmp_path / "demo" / "amigos"), "--subjects", "34", "--length-s", "25"]
    assert main(["data", "synthesize", "amigos", *made]) == 0

    def run(*words: str, cwd: Path = tmp_path) -> str:
        done = light(COMMAND, *words, cwd=cwd, EMBENCH_CACHE=str(tmp_path / "cache"))
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    new = ["challenge", "new", "amigos", "--data-root", "demo", "--target", "arousal", "--modalities", "eda"]
    new += ["--out", "calm", "--demonstration"]
    assert "fill in" in run(*new)
    fill_form(tmp_path / "calm" / "holder" / "form.yaml", when="2025-07-02T04:37Z")
    again = ["challenge", "new", "--out", "calm"]
    assert "two teams can be told apart" in run(*again)
    assert "20 hidden" in run(*again, "--public-value", VALUE)
    package = tmp_path / "calm" / "public"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "predictions.csv").write_bytes((package / "baseline.csv").read_bytes())
    (mine / "method.yaml").write_text(METHOD.format(name="baseline"))
    inbox = tmp_path / "inbox" / "alpha"
    with (package / "units.csv").open() as file:  # who is hidden is drawn, and recordings differ in units
        hidden = sum(row["part"] == "hidden" for row in csv.DictReader(file))
    assert f"valid: {hidden} units of 20 hidden subjects" in run(
        "challenge", "check", "mine", "--package", str(package), "--out", str(inbox / "a.zip")
    )
    Host.arrive(inbox / "a.zip", OPEN)
    (tmp_path / "calm" / "holder" / "teams.csv").write_text("team,members,affiliated\nalpha,a@example.org,no\n")
    assert "valid" in run("challenge", "score", "inbox", "--challenge", "calm")
    assert "alpha" in run("challenge", "close", "inbox", "--challenge", "calm", "--early")
    assert "checked: the scores of one team and no comparisons" in run(
        "challenge", "verify", "results", cwd=tmp_path / "calm"
    )


def test_a_participant_is_told_what_to_do(host, tmp_path, capsys):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "predictions.csv").write_text("subject,recording\n")
    (folder / "method.yaml").write_bytes((host.place.public / "method.yaml").read_bytes())
    assert main(["challenge", "check", str(folder), "--package", str(host.place.public)]) == 3
    error = capsys.readouterr().err
    assert "declarations are missing" in error
    assert "TODO" in error
    assert main(["challenge", "check", str(folder), "--package", str(folder)]) == 3
    assert "not the public package of a challenge" in capsys.readouterr().err
    assert main(["challenge", "score", str(folder), "--challenge", str(folder)]) == 2
    assert "contains no challenge" in capsys.readouterr().err


def unpack(host: Host, folder: Path) -> Path:
    """Unpack the host's bundle as Codabench does."""
    bundle = folder / "codabench.zip"
    write_bundle(host.place, bundle, "example/embench-score:0.1")
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder / "bundle")
    return folder / "bundle"


def call(bundle: Path, phase: str, submission: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Call the scoring program as Codabench does: in the program's folder, with input/ref, input/res and output."""
    given = out.parent / f"input-{phase}"
    given.mkdir(parents=True)
    shutil.copytree(bundle / f"reference_{phase}", given / "ref")
    shutil.copytree(submission, given / "res")
    command = yaml.safe_load((bundle / "scoring_program" / "metadata.yaml").read_text())["command"].split()
    assert command == ["python3", "score.py", "/app/input", "/app/output"]
    code = "import runpy\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    return light(code, "score.py", str(given), str(out), cwd=bundle / "scoring_program")


def test_the_scoring_program_scores_as_codabench_calls_it(host, tmp_path):
    bundle = unpack(host, tmp_path)
    good = host.submit("alpha", "one", skill=1.5)
    done = call(bundle, "feedback", good, tmp_path / "a" / "out")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "a" / "out" / "scores.json").read_text()) == {"valid": 1}
    done = call(bundle, "final", good, tmp_path / "b" / "out")
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "b" / "out" / "scores.json").read_text())
    assert 0.6 < scores["low"] < scores["score"] < scores["high"] <= 1
    bad = host.submit("alpha", "two", text="nothing")
    done = call(bundle, "final", bad, tmp_path / "c" / "out")
    assert done.returncode == 1
    assert "lacks the column" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_bundle_is_one_that_codabench_reads(host, tmp_path):
    bundle = unpack(host, tmp_path)
    about = yaml.safe_load((bundle / "competition.yaml").read_text())
    assert about["version"] == 2
    named = [about["image"], about["terms"], *(page["file"] for page in about["pages"])]
    named += [task[key] for task in about["tasks"] for key in ("reference_data", "scoring_program")]
    assert all((bundle / name).exists() for name in named)
    assert {index for phase in about["phases"] for index in phase["tasks"]} == {
        task["index"] for task in about["tasks"]
    }
    feedback = {path.name for path in (bundle / "reference_feedback").iterdir()}
    assert feedback == {"challenge.yaml", "units.csv"}  # nothing is scored there by default
    assert (tmp_path / "codabench.zip").stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_the_feedback_phase_scores_if_the_host_chose_the_ladder(study, tmp_path):
    host = Host(study, tmp_path / "c").pack(**LADDER)
    bundle = unpack(host, tmp_path)
    done = call(bundle, "feedback", host.submit("alpha", "one", skill=1.5), tmp_path / "a" / "out")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "a" / "out" / "scores.json").read_text())["score"] > 0.6


def test_the_starter_and_its_notebook_have_the_same_code(host):
    script = (host.place.public / "starter.py").read_text()
    notebook = json.loads((host.place.public / "starter.ipynb").read_text())
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(part in script for part in code)
    assert sum(map(len, code)) > 0.7 * len(script)


def test_the_starter_estimates_its_score_on_training_subjects(host, tmp_path):
    package = shutil.copytree(host.place.public, tmp_path / "package")
    done = subprocess.run([sys.executable, "starter.py"], cwd=package, capture_output=True, text=True, check=True)
    estimate = re.search(r"AUROC within subjects (\d\.\d\d), mean over (\d+)", done.stdout)
    assert 0 <= float(estimate[1]) <= 1
    assert int(estimate[2]) > 2
