"""The commands of a first run, which `make demo` types too, find the effect in their data, and nothing where there is
none."""

import shlex
import subprocess
from itertools import pairwise

import pytest

from embench.statistics.result import Result

from .pages import FIRST, ROOT, commands

DEMO = [words for words in commands(FIRST) if "DIR" not in words]
"""The commands on synthetic data."""
PLACES = ("--data-root", "--runs", "--out", "--method")
"""Options in which the page and the Makefile differ."""


def without_places(words):
    """The arguments of a command but for folders and the network's run."""
    kept = [word for before, word in pairwise(words) if not {before, word} & set(PLACES)]
    return [word for word in kept if "cnn_tf-cross_attn-" not in word]


def test_make_demo_types_the_commands_of_the_page():
    line = ["make", "--dry-run", "--always-make", "--directory", str(ROOT), "demo"]
    printed = subprocess.run(line, capture_output=True, text=True, check=True).stdout.replace("\\\n", " ")
    typed = [shlex.split(each) for each in printed.splitlines() if each.startswith(".venv/bin/embench")]
    assert [without_places(words) for words in typed] == [without_places(words) for words in DEMO]


@pytest.mark.slow
def test_arousal_is_found_and_valence_is_not(folder, shell, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(folder / "cache"))
    for words in DEMO:
        code, printed = shell(words)
        assert code == 0, printed
        assert "synthetic" in printed.lower()
    answers = Result.read(*folder.glob("runs/amigos/cnn_tf-*")).answers
    assert {name: found.find_answer("chance").answer for name, found in answers.items()} == {
        "arousal": "yes",
        "valence": "not shown",
    }
    assert answers["arousal"].score.low > 0.6
    assert "arousal: Stimulus-matched AUROC" in printed
    page = (folder / "demo.html").read_text(encoding="utf-8")
    assert page.index("<figure") < page.index("Films felt as arousing or calm")
