"""Results that pages show are those that the program prints of published entries."""

import pytest

import embench
from embench.statistics.form import lines

from .pages import ROOT, blocks

BOARDS = ROOT / "leaderboards"
SVM = BOARDS / "stress_predict" / "subject-independent-v4" / "handcrafted-svm-5c30c425e7"
EEGMAT = BOARDS / "eegmat" / "subject-independent-v4" / "amigos_features-naive_bayes-af7d72e344"
RESULT = ROOT / "docs" / "guide" / "result.md"


@pytest.mark.parametrize(
    ("page", "begin", "entry"),
    [
        (ROOT / "README.md", "stress_predict: ", SVM),
        (RESULT, "stress_predict: ", SVM),
        (RESULT, "  This design cannot", EEGMAT),
    ],
)
def test_a_page_shows_what_is_printed(page, begin, entry):
    (form,) = embench.open_result(entry).summaries.values()
    printed = lines(form)
    (block,) = (block.body for block in blocks(page) if block.body.startswith(begin))
    assert [line for line in block.splitlines() if line not in printed and line.strip() != "[…]"] == []
