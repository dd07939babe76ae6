"""What Python functions show while they work: as much as commands do, on stderr, or nothing."""

import json
import os
import signal
import subprocess
import sys
import time
import traceback

import pytest
from sklearn.linear_model import LogisticRegression

import embench
from embench.cli import main

from ..tiny.world import plugin


@pytest.fixture
def given(bench):
    return {
        "dataset": plugin("Tiny"), "encoder": "handcrafted", "modalities": "eda", "target": "arousal", "seeds": 0,
        "data_root": bench.data, "runs": bench.runs, "protocol": bench.protocol, "recipe": "quick", "device": "cpu",
        "workers": 1,
    }  # fmt: skip


def test_a_run_shows_its_progress_on_stderr_unless_it_is_silenced(given, capsys):
    embench.run(fusion="logreg", **given)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line for line in err.splitlines() if "stages" in line or "ing 2 of 2" in line] == [
        "4 stages to run, 0 already done",
        "fitting 2 of 2",
        "predicting 2 of 2",
    ]
    embench.run(fusion="svm", progress=False, **given)
    assert capsys.readouterr() == ("", "")


def test_a_dry_run_is_the_plan_that_the_command_prints(given, bench, capsys):
    plan = embench.run(fusion="logreg", dry_run=True, **given)
    assert not (bench.runs / "stages").exists()
    assert capsys.readouterr().out == ""
    line = bench.line("--modalities", "eda", "--target", "arousal", "--fusion", "logreg", encoder="handcrafted")
    assert main([*line, "--dry-run"]) == 0
    assert capsys.readouterr().out == f"{plan}\n" == f"{plan!r}\n"
    assert main([*line, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == plan.document
    own = {name: value for name, value in given.items() if name not in ("encoder", "device")}
    assert embench.benchmark(LogisticRegression(), dry_run=True, **own).document["folds"] == plan.document["folds"]


def test_a_dry_run_of_baselines_is_their_plan(given, tmp_path, capsys):
    (tmp_path / "mine-v1.yaml").write_text(
        "name: mine-v1\nsummary: One.\ncore:\n  - {encoder: handcrafted, fusion: lda, modalities: [each]}\n"
    )
    wanted = {name: value for name, value in given.items() if name != "encoder"}
    plan = embench.run_baselines(baseline_set=str(tmp_path / "mine-v1.yaml"), dry_run=True, **wanted)
    assert [row["row"] for row in plan.document["rows"]] == ["handcrafted + lda on eda, few"]
    assert str(plan).splitlines()[0].startswith("mine-v1, core, on ")
    assert "0 of 1 rows done" in str(plan)
    assert capsys.readouterr().out == ""


class Interrupted(LogisticRegression):
    def fit(self, *_, **__):
        raise KeyboardInterrupt


def test_an_interrupt_is_one_sentence(given):
    with pytest.raises(KeyboardInterrupt) as caught:
        embench.run(fusion=Interrupted(), progress=False, **given)
    assert str(caught.value) == "interrupted; finished work is kept, rerun to resume"
    assert caught.value._render_traceback_() == [str(caught.value)]
    shown = traceback.format_exception(caught.value)
    assert len(shown) == 4  # the head, the caller, the library's door, the sentence


SCRIPT = """
import signal
import time
from pathlib import Path

import embench
from sklearn.linear_model import LogisticRegression


class Slow(LogisticRegression):
    def fit(self, X, y):
        if len(X) > 30:  # in a stage, not in a check
            Path("{begins}").touch()
            time.sleep(60)
        return super().fit(X, y)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a test in the background inherits that it is ignored
    try:
        embench.run(fusion=Slow(), **{given})
    finally:
        print("the script's own end")
    print("never")
"""


@pytest.mark.slow
def test_ctrl_c_ends_a_script_with_one_sentence(given, tmp_path):
    """A terminal sends the signal to the script and its workers."""
    script, begins = tmp_path / "script.py", tmp_path / "begins"
    texts = {name: value if isinstance(value, int) else str(value) for name, value in given.items()}
    script.write_text(SCRIPT.replace("{given}", repr({**texts, "workers": 2})).replace("{begins}", str(begins)))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    begun = subprocess.Popen([sys.executable, script], start_new_session=True, **pipes)
    try:
        while not begins.exists() and begun.poll() is None:
            time.sleep(0.1)
        os.killpg(begun.pid, signal.SIGINT)
        out, err = begun.communicate(timeout=300)
    finally:
        begun.kill()
    assert out == "the script's own end\n"
    assert begun.returncode != 0
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "interrupted; finished work is kept, rerun to resume"
