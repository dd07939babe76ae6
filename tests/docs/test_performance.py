"""The page of figures shows what was measured, and the command that measures still runs."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from bench.speed.page import insert

from .pages import ROOT

PAGE, FIGURES = ROOT / "bench" / "performance.md", ROOT / "bench" / "performance.json"


def test_the_page_shows_the_figures_of_the_file():
    assert insert(PAGE.read_text(), json.loads(FIGURES.read_text())) == PAGE.read_text()


@pytest.mark.slow
def test_a_topic_is_measured_and_fills_the_page(tmp_path):
    shutil.copy(PAGE, tmp_path)
    line = [sys.executable, "-m", "bench.speed", "startup", "--tiny", "--out", str(tmp_path)]
    subprocess.run(line, check=True, cwd=ROOT, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    found = json.loads((tmp_path / "performance.json").read_text())
    assert "sizes are tiny, and the figures mean nothing" in found["warnings"]
    assert {"commit", "cores", "load_average", "measured", "processor", "versions"} <= found["machine"].keys()
    (topic,) = found["topics"]
    rows = {row["what"]: row for row in topic["rows"]}
    assert topic["name"] == "startup"
    assert not topic["error"]
    imported = rows["import embench"]
    assert imported["unit"] == "s"
    assert imported["bound"] == "<= 0.15 s"
    assert imported["kept"] == (imported["ours"] <= 0.15)
    assert imported["repetitions"] == 2
    page = (tmp_path / "performance.md").read_text()
    assert page == insert(PAGE.read_text(), found)
    assert "| embench list |" in page


@pytest.mark.slow
def test_an_unknown_topic_is_refused_with_those_that_exist():
    line = [sys.executable, "-m", "bench.speed", "nonsense"]
    done = subprocess.run(line, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no topic nonsense; there are first, startup, preparing" in done.stderr
