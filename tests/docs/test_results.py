"""Results that pages show are those that the program prints of published entries."""

import re

import pytest

import embench
from bench import figures, schematics
from embench.statistics.form import lines

from .pages import FIRST, ROOT, blocks

BOARDS = ROOT / "leaderboards"
SVM = BOARDS / "stress_predict" / "subject-independent-v4" / "handcrafted-svm-d535a9be1d"
EEGMAT = BOARDS / "eegmat" / "subject-independent-v4" / "amigos_features-naive_bayes-5c3f69e2bd"
RESULT = ROOT / "docs" / "guide" / "result.md"
READ = ROOT / "docs" / "start" / "read-leaderboard.md"
FOREST = SVM.with_name("handcrafted-forest-8b0461ed29")
ARITHMETIC = EEGMAT.with_name("handcrafted-svm-50a3987de6")


@pytest.mark.parametrize(
    ("page", "begin", "entry"),
    [
        (RESULT, "stress_predict: ", SVM),
        (RESULT, "  This design cannot", EEGMAT),
        (READ, "eegmat: ", ARITHMETIC),
        (FIRST, "stress_predict: ", FOREST),
    ],
)
def test_a_page_shows_what_is_printed(page, begin, entry):
    (form,) = embench.open_result(entry).summaries.values()
    printed = lines(form)
    (block,) = (block.body for block in blocks(page) if block.body.startswith(begin))
    assert [line for line in block.splitlines() if line not in printed and line.strip() != "[…]"] == []


@pytest.mark.parametrize("shown", figures.EXCERPT, ids=lambda shown: shown.entry)
def test_the_figure_of_a_leaderboard_shows_what_is_printed(shown):
    (form,) = embench.open_result(SVM.parent / f"handcrafted-{shown.entry}").summaries.values()
    printed = "\n".join(lines(form))
    mean, low, high = shown.metric
    assert f"Time-matched AUROC   {mean}   95 % CI {low} to {high}" in printed
    assert re.search(f"given time and movement within 10 min\\? +{shown.movement} ", printed)
    for name, (mean, low, high) in figures.MODELS.items():
        assert re.search(re.escape(name) + f" +{mean} \\({low} to {high}\\)", printed)


def test_the_figures_are_as_they_are_drawn():
    drawn = {name: draw() for name, draw in (figures.FIGURES | schematics.FIGURES).items()}
    assert {name: (figures.IMAGES / name).read_text(encoding="utf-8") for name in drawn} == drawn
