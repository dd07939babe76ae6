"""`embench data labels` on made-up subjects whose labels are known."""

import json
from xml.etree import ElementTree as ET

import pytest

from ..tiny.world import make_subject, make_subjects, of_all_kinds, plugin, write

KINDS = plugin("Kinds")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    all_subjects = of_all_kinds(4)
    for row in all_subjects["p01"]:
        row["ratings"]["liking"] = None
    return write(tmp_path_factory.mktemp("data"), all_subjects, dataset="Kinds")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def described(root, tmp_path_factory):
    from embench.data.cohort import choose_targets
    from embench.data.describe import describe_labels
    from embench.data.find import find_source
    from embench.protocols import load_protocol
    from embench.registry import load_plugin

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        rules, card = load_protocol("subject-independent-v4"), load_plugin("dataset", KINDS).card
        targets = choose_targets(card, "arousal,arousal_value,state,liking")
        return {
            row["target"]: row
            for row in describe_labels(find_source(KINDS, root).prepared(rules), card, targets, rules)
        }


def test_classes_of_each_subject(described):
    arousal = described["arousal"]
    assert (arousal["label_kind"], arousal["unit_s"], arousal["units"], arousal["labelled"]) == (
        "continuous",
        10,
        72,
        72,
    )
    assert [row["subject"] for row in arousal["per_person"]] == ["p00", "p01", "p02", "p03"]
    assert all([c["share"] for c in row["classes"]] == [0.5, 0.5] for row in arousal["per_person"])
    # States c, a and d count, in that order; a is the aroused half.
    state = described["state"]
    assert [c["name"] for c in state["classes"]] == ["c", "a", "d"]
    assert [c["units"] for c in state["per_person"][0]["classes"]] == [6, 9, 3]


def test_values_have_a_mean_and_a_spread(described):
    value = described["arousal_value"]
    assert value["values"]["low"] < 3.5 < value["values"]["mean"] < 6 < value["values"]["high"]
    assert set(value["per_person"][0]["values"]) == {"mean", "sd", "low", "high"}


def test_ties_are_counted_and_warned_of(described):
    liking = described["liking"]
    assert (liking["units"], liking["unit_s"], liking["subjects"]) == (24, None, 3)
    assert liking["dropped"] == {"not annotated": 6}
    assert liking["without_any_label"] == ["p01"]
    assert liking["at_cut"] == {"cut": 5.0, "units": 12, "share": pytest.approx(12 / 18), "ties": "low"}
    assert any("67% of the units are at the threshold of 5" in text for text in liking["warnings"])
    assert described["arousal"]["at_cut"]["units"] == 0
    assert described["arousal"]["warnings"] == []


def test_variance_and_agreement(described):
    shares = described["arousal"]["variance"]
    assert sum(share for name, share in shares.items() if name != "method") == pytest.approx(1)
    assert "undefined" in described["state"]["variance"]
    (observers,) = described["arousal"]["agreement"]
    assert observers["labels"] == ["arousal_annotator1", "arousal_annotator2"]
    assert 0 < observers["alpha"] < 1
    assert observers["pairs"][0]["units"] == 72
    assert described["state"]["agreement"] == []


def test_labels_of_data_without_any_signal(embench, tmp_path):
    bare = {name: [{**row, "modalities": ()} for row in rows] for name, rows in make_subjects(4).items()}
    line = ["data", "labels", plugin("Tiny"), "--data-root", write(tmp_path, bare), "--units", tmp_path / "units.csv"]
    done = embench(*line)
    assert done.code == 0, done.err
    assert "16 whole recordings, 16 with a label" in done.out
    assert "quality" not in done.out
    assert len((tmp_path / "units.csv").read_text().splitlines()) == 1 + 2 * 16


def test_classes_of_few_stimuli_are_warned_of_where_the_stimulus_decides_the_label(embench, tmp_path):
    def felt(number):
        return lambda r: {"arousal": 7.0 if r < 4 else 3.0, "valence": 7.0 if (number + r) % 2 else 3.0}

    subjects = {f"p{n}": make_subject(n, stimuli=15, ratings=felt(n), stimulus="v{}".format) for n in range(2)}
    line = ["data", "labels", plugin("Tiny"), "--data-root", write(tmp_path, subjects)]
    assert (
        "classes have fewer than 10 stimuli (high 4), so a score hardly generalises beyond these stimuli"
        in " ".join(embench(*line).out.split())
    )
    meant, own = json.loads(embench(*line, "--json").out)
    assert [c["stimuli"] for c in meant["classes"]] == [11, 4]
    # Where people differ at a stimulus, or each has stimuli of their own, it decides nothing.
    assert not any("stimuli" in c for c in own["classes"])
    assert own["warnings"] == []
    for rows in subjects.values():
        for row in rows:
            row["stimulus"] = row["id"]
    alone = write(tmp_path / "alone", subjects)
    [meant, _] = json.loads(embench("data", "labels", plugin("Tiny"), "--data-root", alone, "--json").out)
    assert not any("stimuli" in c for c in meant["classes"])


def test_reasons_why_units_have_no_label():
    import numpy as np

    from embench.data.describe import _count_dropped
    from embench.interfaces.recording import Label
    from embench.interfaces.units import LabelRule, Unit
    from embench.protocols import label_units

    units = [Unit(f"r:{i}", "r", "p", "v", "p", 10.0 * i, 10.0 * i + 10, 10.0 * i, 0.0) for i in range(6)]

    def dropped(values, rule):
        labels = {"r": Label("continuous", np.array(values), 10.0 * np.repeat(np.arange(6), 2) + np.tile([1, 2], 6))}
        raw, label = label_units(units, labels, rule)
        return _count_dropped(units, labels, rule, raw, label)

    nan = np.nan
    values = [nan, nan, 1, 3, 5, 5, 4.6, 4.6, 9, 9, 2, nan]
    assert dropped(values, LabelRule("mean", cut=5, ties="drop", dead_band=(4.5, 4.7))) == {
        "not annotated": 1, "in the dead band": 1, "on the cut": 1,
    }  # fmt: skip
    assert dropped(values, LabelRule("unanimous", positive=(5,), negative=(2,))) == {
        "not annotated": 1, "values disagree": 1, "a class that does not count": 2,
    }  # fmt: skip


def test_printed_and_as_json(embench, root):
    done = embench("data", "labels", KINDS, "--data-root", root, "--target", "state,liking")
    assert done.code == 0, done.err
    assert "state (classes, from state)" in done.out
    assert "arousal" not in done.out
    [row] = [line for line in done.out.splitlines() if line.startswith("p00") and "0.33" in line and "0.17" in line]
    assert row.split()[-1] == "█" * 10 + "░" * 15 + "▒" * 5
    assert "without any label: p01" in done.out
    assert "warning: 67%" in done.out
    done = embench("data", "labels", KINDS, "--data-root", root, "--json")
    assert [row["target"] for row in json.loads(done.out)] == ["arousal", "arousal_value", "state", "liking"]


def test_quality_of_signals_beside_the_labels(embench, root):
    done = embench("data", "labels", KINDS, "--data-root", root, "--target", "state,arousal,liking")
    assert done.out.count("signal quality, 0 to 1, units of 10 s") == 2  # of conditions, and of annotations
    assert done.out.count("signal quality, 0 to 1, whole recordings") == 1
    rows = json.loads(embench("data", "labels", KINDS, "--data-root", root, "--target", "arousal", "--json").out)
    judged = {one["modality"]: one for one in rows[0]["quality"]}
    for one in judged.values():
        assert one["units"] == len(one["index"]) == rows[0]["units"]
        assert 0 <= one["low"] <= one["median"] <= one["high"] <= 1
        assert one["poor"] == sum(value < 0.5 for value in one["index"].values()) / one["units"]
    assert {"ecg", "eda"} <= set(judged)


def test_a_protocols_own_rule_and_its_fitted_cut(embench, root, tmp_path):
    file = tmp_path / "mean.yaml"
    file.write_text(
        "name: mean\nextends: subject-independent-v4\n"
        "labels: {kinds: {liking: {aggregate: mean, cut: training_mean, ties: low}}}\n"
    )
    done = embench("data", "labels", KINDS, "--data-root", root, "--target", "liking", "--protocol", file, "--json")
    assert done.code == 0, done.err
    [plain] = json.loads(embench("data", "labels", KINDS, "--data-root", root, "--target", "liking", "--json").out)
    [fitted] = json.loads(done.out)
    assert (fitted["units"], fitted["subjects"]) == (plain["units"], plain["subjects"])
    assert fitted["labelled"] == plain["labelled"] + sum(
        plain["dropped"].get(r, 0) for r in ("in the dead band", "on the cut")
    )
    assert any("the mean over all subjects" in warning for warning in fitted["warnings"])


def test_drawn(embench, root, tmp_path):
    drawn = [tmp_path / name for name in ("one.svg", "two.svg", "one.png")]
    for path in drawn:
        done = embench("data", "labels", KINDS, "--data-root", root, "--figure", path)
        assert done.code == 0, done.err
    assert drawn[0].read_bytes() == drawn[1].read_bytes()
    assert drawn[2].read_bytes().startswith(b"\x89PNG")
    tree = ET.parse(drawn[0])
    assert tree.getroot()[0].text == "Kinds: labels of each subject"


def test_figures_that_cannot_be_written_are_refused_first(embench, tmp_path):
    for name, text in (("labels.doc", "no format"), ("nowhere/labels.svg", "no folder")):
        done = embench("data", "labels", KINDS, "--data-root", tmp_path, "--figure", tmp_path / name)
        assert (done.code, text in done.err) == (2, True)


def test_a_dataset_without_targets_is_refused(embench, tmp_path):
    done = embench("data", "labels", "corpus", "--data-root", tmp_path)
    assert done.code == 2
    assert "has no targets" in done.err
