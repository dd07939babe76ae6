"""Grids along an axis: numbers of labelled subjects, and modalities that are taken away, in a table, a CSV and an
SVG."""

import csv
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from embench.errors import UsageError
from embench.planning.request import Request
from embench.planning.weights import expand_axes
from embench.protocols import Given
from embench.records.scores import Scores
from embench.report.axis_curves import build_curves, draw_curve, write_curve

from ..tiny.running import Bench
from ..tiny.world import make_subjects, write


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    root = tmp_path_factory.mktemp("curves")
    write(root, make_subjects(8))
    return Bench(root, root / "runs")


@pytest.fixture
def grid(bench, embench):
    """Runs `embench grid` with these options."""

    def run(*options):
        own = bench.line(*options, encoder="Moments")
        return embench("grid", *own[1:])

    return run


def files_of(done):
    return [Path(path) for path in re.search(r"^files: (.*)$", done.out, re.MULTILINE)[1].split(", ")]


def scores_in(bench):
    """(label_subjects, drop, fusion) -> primary metric of every run on record."""
    found = {}
    for path in bench.runs.glob("Tiny/*/scores.json"):
        manifest = yaml.safe_load((path.parent / "run.yaml").read_text())
        config = manifest["config"]
        key = (config["label_subjects"], tuple(config["drop"]), manifest["method"]["fusion"].rpartition("/")[2])
        found[key] = json.loads(path.read_text())["scores"]["arousal"]["auroc_within"]
    return found


@pytest.mark.slow
def test_numbers_of_labelled_subjects_make_a_curve_for_each_method(bench, grid):
    done = grid(
        "--fusion", "logreg", "--fusion", "lda", "--modalities", "ecg", "--target", "arousal",
        "--label-subjects", "1,2,all",
    )  # fmt: skip
    assert done.code == 0, done.err
    picture, numbers = files_of(done)
    assert numbers.parent == bench.runs / "curves"
    rows = list(csv.DictReader(numbers.open()))
    assert [(r["line"], r["at"]) for r in rows] == [
        (f"Moments + {fusion}", at) for fusion in ("logreg", "lda") for at in ("1", "2", "all")
    ]
    known = scores_in(bench)
    for row in rows:
        count = None if row["at"] == "all" else int(row["at"])
        number = known[count, (), row["line"].rpartition(" ")[2]]
        assert [float(row[key]) for key in ("mean", "low", "high")] == [number[key] for key in ("mean", "low", "high")]
        assert (row["dataset"], row["target"], row["metric"]) == ("Tiny", "arousal", "auroc_within")
    # The table: a line for each number of subjects, a column for each method.
    lines = [line.split() for line in done.out.splitlines()]
    first = next(line for line in lines if line[:1] == ["1"])
    assert first[1] == f"{known[1, (), 'logreg']['mean']:.3f}"
    tree = ET.parse(picture).getroot()
    text = " ".join(tree.itertext())
    assert "Moments + logreg" in text
    assert "training subjects with labels" in text


@pytest.mark.slow
def test_every_choice_of_modalities_is_taken_away_from_one_fit(bench, grid):
    done = grid(
        "--fusion", "logreg", "--modalities", "ecg,eda", "--target", "arousal", "--drop", "each"
    )  # fmt: skip
    assert done.code == 0, done.err
    _, numbers = files_of(done)
    rows = {r["at"]: r for r in csv.DictReader(numbers.open())}
    assert list(rows) == ["none", "ecg", "eda"]
    assert {r["line"] for r in rows.values()} == {"Moments + logreg"}
    known = scores_in(bench)
    assert float(rows["ecg"]["mean"]) == known[None, ("ecg",), "logreg"]["mean"]
    plans = {d: bench.plan("Moments", fusion="logreg", modalities="ecg,eda", drop=d) for d in (None, "ecg")}
    ids = {drop: {(s.kind, s.id) for s in plan.graph.stages.values()} for drop, plan in plans.items()}
    assert {kind for kind, _ in ids["ecg"] - ids[None]} == {"predict"}  # nothing is fitted anew


def test_a_grid_that_cannot_be_run_says_so_before_anything_is_trained(bench, grid):
    before = bench.stages()
    done = grid("--fusion", "logreg", "--modalities", "ecg", "--target", "arousal", "--label-subjects", "1,5,all")
    assert done.code == 2
    assert "training subjects, fewer than 5" in done.err
    assert bench.stages() == before
    done = grid("--fusion", "logreg", "--modalities", "ecg", "--target", "arousal", "--drop", "all")
    assert done.code == 2
    assert "only one modality, ecg" in done.err


def test_requests_are_spread_over_their_axes():
    request = Request("k_emocon", label_subjects="1, 2,all", drop="all")
    made = expand_axes(request)
    choices = [None, "ppg", "eda", "temp", "ppg,eda", "ppg,temp", "eda,temp"]
    assert [(r.label_subjects, r.drop) for r in made] == [(n, d) for n in ("1", "2", "all") for d in choices]
    each = expand_axes(Request("amigos", modalities="ecg+eda,eeg", drop="each"))
    assert [r.drop for r in each] == [None, "ecg+eda", "eeg"]
    crossed = expand_axes(Request("case", train_dataset="k_emocon", drop="each"))
    assert [r.drop for r in crossed] == [None, "ppg", "eda", "temp"]
    assert [r.lag for r in expand_axes(Request("case", lag="-2,0, 1.5"))] == ["-2", "0", "1.5"]
    plain = Request("amigos", drop="eda,ecg")
    assert expand_axes(plain) == [plain]
    with pytest.raises(UsageError, match="no modality can be dropped"):
        expand_axes(Request("amigos", modalities="eda", drop="each"))


def about(run, fusion, count=None, drop=(), **config):
    return {
        "id": run,
        "dataset": {"name": "embench_plugins/amigos", "synthetic": None},
        "protocol": {"name": "subject-independent-v4"},
        "recipe": {"preset": "small", "settings": []},
        "method": {"encoders": {"eda": "p/tcn", "ecg": "p/tcn"}, "fusion": fusion, "pretrainers": [],
                   "modalities": ["eda", "ecg"]},
        "config": {"label_subjects": count, "drop": list(drop), "train_dataset": None, "pretrained": {}, **config},
    }  # fmt: skip


def scored(mean):
    undefined = {"undefined": "one class"}
    known = undefined if mean is None else {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "subjects": 7}
    nothing = {"confound_only": {}}
    return Scores(
        {**nothing, "primary_metrics": {"arousal": "auroc_within"}, "scores": {"arousal": {"auroc_within": known}}}
    )


def test_two_axes_make_two_curves_and_an_undefined_point_is_no_point():
    runs = [
        (about("a", "p/late", 10), scored(0.6)),
        (about("b", "p/late"), scored(0.7)),
        (about("c", "p/late", 2), scored(None)),
        (about("d", "p/late", drop=["ecg"]), scored(0.55)),
    ]
    subjects_axis, drop_axis = build_curves(runs)
    assert subjects_axis.places == ("2", "10", "all")
    assert {point.line for point in subjects_axis.points} == {"tcn + late", "without ecg"}
    assert [point.fields()["mean"] for point in subjects_axis.points] == [0.6, 0.7, None, 0.55]
    assert drop_axis.places == ("none", "ecg")
    assert {point.line for point in drop_axis.points} == {f"labels of {n} subjects" for n in ("2", "10", "all")}
    assert build_curves(runs[:1]) == []
    assert "labels of 2 subjects" in draw_curve(drop_axis).svg()


def given_run(text, score, fusion="p/logreg", confound_only=(), gain=None):
    """A run that is given this, with the scores of its confound-only models and its gain above
    `time_since_calibration`."""
    given = Given.read(text)
    run = about(f"{fusion}{text}", fusion) | {
        "calibration_data": given.to_record(),
        "dev": False,
        "calibration_split": "given this, scored that",
    }
    known = {name: {"arousal": {"auroc_within": {"mean": mean}}} for name, mean in confound_only}
    content = {**scored(score).content, "confound_only": known}
    if gain is not None:
        gaps = {
            name: {
                "auroc_within": {
                    "difference": {"mean": size, "low": size - 0.1, "high": size + 0.1},
                    "above_zero": False,
                }
            }
            for name, size in (
                ("time_since_calibration", gain),
                ("no_calibration", gain + 0.05),
                ("calibration_only", gain - 0.05),
            )
        }
        told = {"level_metric": "brier", "compared_with": gaps, "normalisation": {}, "source": "not_shown"}
        content["calibration_gain"] = {"arousal": told}
    return run, Scores(content)


def test_what_is_given_makes_a_curve_of_labelled_and_unlabelled_units_with_what_they_are_compared_with(tmp_path):
    confound_only = [
        ("no_calibration", 0.6),
        ("calibration_normalised", 0.62),
        ("calibration_class_proportions", 0.5),
        ("time_since_calibration", 0.55),
    ]
    runs = [
        given_run("10", 0.7, confound_only=confound_only, gain=0.02),
        given_run("0", 0.6),
        given_run("2", 0.65, confound_only=confound_only, gain=-0.01),
        given_run("unlabelled:2", 0.62, confound_only=[("no_calibration", 0.6)], gain=0.02),
        given_run("session", 0.64),
    ]
    (curve,) = build_curves(runs)
    assert curve.places == ("0", "2", "10", "session")
    lines = {}
    for point in curve.points:
        if point.kind != "gain":
            lines.setdefault(point.line, {})[point.at] = (point.kind, point.score.mean)
    assert lines["labelled"] == {"0": ("method", 0.6), "2": ("method", 0.65), "10": ("method", 0.7)}
    # Nothing has no labels to leave out; where the same units were run without labels, that run takes its place.
    assert lines["unlabelled (calibration_normalised)"] == {
        "0": ("method", 0.6), "2": ("method", 0.62), "10": ("control", 0.62),
    }  # fmt: skip
    assert lines["whole session, unlabelled"] == {"session": ("method", 0.64)}
    assert lines["time_since_calibration"] == {"2": ("control", 0.55), "10": ("control", 0.55)}
    [(title, _)] = curve.panels()
    gains = [(p.at, p.above, p.score.mean) for p in curve.gains(title) if p.line == "labelled"]
    assert gains == [("2", "time_since_calibration", -0.01), ("10", "time_since_calibration", 0.02)]
    assert "given this, scored that" in curve.note
    assert "no amount may be chosen" in curve.note
    picture, numbers = write_curve(curve, tmp_path, "c")
    drawn = picture.read_text()
    assert "Gain over the best confound-only model" in drawn
    assert "no_calibration" in drawn
    rows = list(csv.DictReader(numbers.open()))
    assert {row["above"] for row in rows if row["kind"] == "gain"} == {"time_since_calibration"}
    assert build_curves([runs[0], runs[0]]) == []


def test_methods_that_are_given_something_have_a_panel_each():
    runs = [given_run(text, 0.6, fusion) for fusion in ("p/logreg", "p/lda") for text in ("0", "5")]
    (curve,) = build_curves(runs)
    assert [title.rpartition(", ")[2] for title, _ in curve.panels()] == ["tcn + logreg", "tcn + lda"]


def test_curves_of_generated_data_say_so(tmp_path):
    runs = [(about("a", "p/late", n), scored(0.6)) for n in (1, None)]
    for run, _ in runs:
        run["dataset"]["synthetic"] = {"seed": 0}
    (curve,) = build_curves(runs)
    picture, numbers = write_curve(curve, tmp_path, "c")
    assert "amigos (synthetic), arousal" in picture.read_text()
    assert numbers.read_text().count("amigos (synthetic)") == 2
