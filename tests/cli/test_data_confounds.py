"""`embench data confounds`: the scores of models without any physiological signal, as they are printed."""

import json
import os
import re
from pathlib import Path

import pytest

from embench.records.ledger import get_ledger_folder

from ..tiny.world import make_subjects, plugin, sharing_stimuli, write

TINY = plugin("Tiny")
REAL = Path(os.environ.get("EMBENCH_TEST_DATA", "nowhere"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"), sharing_stimuli(make_subjects(12)))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "controls-cache"))


def test_printed_with_reasons_and_the_best_of_them(embench, root):
    done = embench("data", "confounds", TINY, "--data-root", root, "--target", "arousal", "--seeds", "0")
    assert done.code == 0, done.err
    assert "target arousal, confound-only models, 12 subjects, subject-independent-v4" in done.out
    assert "No confound-only model predicts arousal better than chance (" in done.out
    said = " ".join(done.out.split())
    assert "there is no accelerometer" in said.partition("not applicable: ")[2]
    assert re.search(r"majority class +0\.500 by construction", done.out)
    assert re.search(r"[a-z] +\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]", done.out)
    assert not re.search("quadruples|to beat", done.out)
    assert "models fitted: 4 of 4 folds" in done.err


@pytest.mark.parametrize(
    ("targets", "seeds"), [("arousal", "0"), pytest.param("arousal,valence", "0,1", marks=pytest.mark.slow)]
)
def test_as_json_with_every_score_and_no_look_at_test_labels(embench, root, targets, seeds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = embench("data", "confounds", TINY, "--data-root", root, "--target", targets, "--seeds", seeds, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found) == {
        "dataset", "synthetic", "protocol", "seeds", "subjects", "left_out", "primary_metrics", "confound_only", "best",
    }  # fmt: skip
    assert (found["seeds"], found["protocol"]) == ([*map(int, seeds.split(","))], "subject-independent-v4")
    assert found["primary_metrics"] == dict.fromkeys(targets.split(","), "auroc_crossed")
    number = found["confound_only"]["stimulus_mean"][targets.split(",")[-1]]["auroc_within"]
    assert number["low"] <= number["mean"] <= number["high"]
    assert "brier" in found["confound_only"]["prior"]["arousal"]
    assert found["best"][targets.split(",")[-1]]["auroc_within"]["mean"] >= number["mean"]
    assert not list(get_ledger_folder().glob("*"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--target", "arosal", "arousal"),
        ("--seeds", "x", "integers of at least 0"),
        ("--protocol", "none", "no protocol"),
    ],
)
def test_wrong_names_are_refused(option, value, text, embench, root):
    done = embench("data", "confounds", TINY, "--data-root", root, option, value)
    assert (done.code, text in done.err) == (2, True)


@pytest.mark.slow
@pytest.mark.skipif(not (REAL / "eegmat").is_dir(), reason="EMBENCH_TEST_DATA names no folder with eegmat")
def test_intervals_are_of_the_first_score_that_can_be_estimated(embench):
    """In EEGMAT everybody rested first, in recordings of another length, and the release does not say when."""
    done = embench("data", "confounds", "eegmat", "--data-root", REAL, "--seeds", "0")
    assert done.code == 0, done.err
    said = " ".join(done.out.split())
    assert "Without any physiological signal, task is predicted by time since the start (1.00)" in said
    assert "(Within-subject AUROC, as the primary metric is undefined; chance 0.5)" in said
    assert re.search(r"length of the recording\s+0\.9\d\d \[0\.9\d\d, \d\.\d{3}\]", done.out)
    assert "Time-matched AUROC is undefined: the release does not state when a unit began" in said
