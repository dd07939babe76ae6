"""`embench data confounds`: the numbers that a method must beat, as they are printed."""

import json

import pytest

from embench.records.ledger import ledger_home

from ..tiny.world import make_subjects, plugin, sharing_stimuli, write

TINY = plugin("Tiny")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"), sharing_stimuli(make_subjects(12)))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "controls-cache"))


def test_printed_with_reasons_and_the_best_of_them(embench, root):
    done = embench("data", "confounds", TINY, "--data-root", root, "--target", "arousal", "--seeds", "0")
    assert done.code == 0, done.err
    assert "target arousal, confound-only models, 12 subjects, subject-independent-v3" in done.out
    rows = {line.split()[0]: line for line in done.out.splitlines() if line}
    assert rows["model"].split()[1:4] == ["auroc_crossed", "auroc_within", "auroc"]
    assert "not applicable: there is no accelerometer" in rows["movement"]
    best = max(float(row.split()[-1]) for name, row in rows.items() if name in ("majority", "prior", "stimulus_mean"))
    assert float(rows["to"].split()[-1]) >= best
    assert "auroc_crossed is undefined" in done.out or "by construction" in done.out
    assert "models fitted: 5 of 5 folds" in done.err


@pytest.mark.parametrize(
    ("targets", "seeds"), [("arousal", "0"), pytest.param("arousal,valence", "0,1", marks=pytest.mark.slow)]
)
def test_as_json_with_every_score_and_no_look_at_test_labels(embench, root, targets, seeds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = embench("data", "confounds", TINY, "--data-root", root, "--target", targets, "--seeds", seeds, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found) == {
        "dataset", "synthetic", "protocol", "seeds", "people", "left_out", "headlines", "controls", "to_beat",
        "raters",
    }  # fmt: skip
    assert all("a self-report needs a retest" in found["raters"][name]["undefined"] for name in targets.split(","))
    assert (found["seeds"], found["protocol"]) == ([*map(int, seeds.split(","))], "subject-independent-v3")
    assert found["headlines"] == dict.fromkeys(targets.split(","), "auroc_crossed")
    number = found["controls"]["stimulus_mean"][targets.split(",")[-1]]["auroc_within"]
    assert number["low"] <= number["mean"] <= number["high"]
    assert "brier" in found["controls"]["prior"]["arousal"]
    assert found["to_beat"][targets.split(",")[-1]]["auroc_within"]["mean"] >= number["mean"]
    assert not list(ledger_home().glob("*"))
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
