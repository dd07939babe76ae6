"""Predictions from a file, scored as a run's are: the same figures, and what is refused, left out and counted."""

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from embench.engine import fits
from embench.engine.assemble import assemble
from embench.engine.rows import StoreSource, build_grid
from embench.errors import CheckFailed, DataError, UsageError
from embench.leaderboard.entries import explain_unpublishable
from embench.planning.plan import make
from embench.planning.request import Request
from embench.records import ledger, record
from embench.records.manifest import Manifest
from embench.records.scores import Scores
from embench.runs.external import score
from embench.runs.run import run

from ..sample import sample
from ..tiny.running import Bench
from ..tiny.world import RULES, few_folds, make_subjects, of_all_kinds, plugin, write

OUTSIDE = """
import csv, sys
import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

folder, seed, target = sys.argv[1:]
x = {row[0]: [float(v) for v in row[1:]] for row in csv.reader(open(folder + "/features.csv"))}
units = [row for row in csv.DictReader(open(folder + "/units.csv")) if row["target"] == target and row["unit"] in x]
X, y = np.array([x[u["unit"]] for u in units]), np.array([float(u["label"] or "nan") for u in units])
fold = np.array([int(u["fold_" + seed]) for u in units])
out = csv.writer(open(folder + "/mine.csv", "w"))
out.writerow(["subject", "recording", "unit", "target", "seed", "fold", "score"])
for k in np.unique(fold):
    test, train = fold == k, (fold != k) & np.isfinite(y)
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(max_iter=2000))
    score = model.fit(X[train], y[train]).predict_proba(X[test])[:, 1]
    for u, s in zip([u for u, t in zip(units, test) if t], score):
        out.writerow([u["subject"], u["recording"], u["unit"], target, seed, k, repr(float(s))])
assert not {"embench", "torch"} & set(sys.modules)
"""


def rows_of(path):
    with gzip.open(path, "rt") as file:
        return [row for row in csv.DictReader(file) if row["method"] == "model"]


def put(path, rows, drop=()):
    names = [name for name in rows[0] if name not in drop]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    root = tmp_path_factory.mktemp("kinds")
    return Bench(write(root, of_all_kinds(8), dataset="Kinds"), root / "runs", "Kinds", few_folds(root, 2))


@pytest.fixture(scope="module")
def everything(kinds):
    """A run whose targets are no two classes."""
    return kinds.run(
        "Moments", fusion="boosting", seeds="1", targets="arousal_value,state", settings=("fusion.build.trees=20",)
    )


@pytest.fixture(scope="module")
def several(kinds):
    """A run in two seeds."""
    return kinds.run("Moments", fusion="logreg", seeds="0,1", targets="arousal")


@pytest.fixture(scope="module")
def arousal(kinds):
    return kinds.run("Moments", fusion="logreg", seeds="0", targets="arousal")


@pytest.fixture
def scored(kinds, tmp_path):
    """Scores rows of predictions from a file."""

    def call(rows, *, drop=(), dataset="Kinds", **options):
        path = rows if not isinstance(rows, list) else put(tmp_path / "mine.csv", rows, drop)
        own = {"protocol": kinds.protocol, "out": tmp_path / "out" / "mine"}
        return score(path, plugin(dataset), data_root=kinds.data, **own | options)

    return call


def as_if_proven(scores):
    """The scores of a file, were it proven that its method reads nothing but a unit: then less is held constant."""
    adjusted = {
        target: {**found, **({"decisive_level": "movement"} if found.get("decisive_level") == "protocol_phase" else {})}
        for target, found in scores["adjusted"].items()
    }
    return Scores({**scores, "adjusted": adjusted})


def test_printed_and_as_json(kinds, arousal, tmp_path, embench):
    rows = rows_of(arousal.folder / "predictions.csv.gz")
    path = put(tmp_path / "my_svm.csv", rows[:-2])
    line = ["score", path, "--dataset", plugin("Kinds"), "--data-root", kinds.data, "--protocol", kinds.protocol]
    line += ["--out", tmp_path / "out"]
    done = embench(*line)
    assert done.code == 0, done.err
    assert "Kinds: arousal, high or low?" in done.out
    assert "8 subjects, predictions from a file" in done.out
    assert "Within-subject AUROC" in done.out
    assert "2 units have no prediction; 2 of these units have a label" in done.out
    assert "its author declared the training data" in done.out
    assert "note: a file of predictions does not show what its method was pretrained on" in " ".join(done.out.split())
    assert "cost: not measured" in done.out
    document = json.loads(embench(*line, "--json").out)
    assert document["submission"]["name"] == "my_svm"
    assert document["primary_metric"] == "auroc_within"
    assert document["folder"] == str(tmp_path / "out")


@pytest.mark.parametrize("run", sample(["everything", "several"], "several"))
def test_a_runs_own_predictions_give_its_own_figures_and_files(request, scored, run):
    done = request.getfixturevalue(run)
    again = scored(done.folder / "predictions.csv.gz")
    assert as_if_proven(again.scores) == done.scores
    for name in ("predictions.csv.gz", "labels.csv.gz", "folds.csv"):
        assert (again.folder / name).read_bytes() == (done.folder / name).read_bytes(), name


def test_targets_can_be_chosen(everything, scored):
    made = scored(everything.folder / "predictions.csv.gz", targets="state")
    assert list(made.scores["primary_metrics"]) == ["state"]
    assert made.scores["scores"]["state"] == everything.scores["scores"]["state"]
    with pytest.raises(DataError, match="no rows for liking"):
        scored(everything.folder / "predictions.csv.gz", targets="liking")
    with pytest.raises(UsageError, match="no target `stat`"):
        scored(everything.folder / "predictions.csv.gz", targets="stat")


def test_plain_columns_are_enough(everything, scored):
    rows = rows_of(everything.folder / "predictions.csv.gz")
    again = scored(rows, drop=("method", "fold", "stimulus", "start_s", "decision"))
    assert as_if_proven(again.scores) == everything.scores
    assert all(folds == {"id": "folds_of_protocol"} for folds in again.manifest["submission"]["folds"].values())


def inside_and_outside(root, folder, dataset, target, embench, primary_metric="auroc_within", **options):
    """A run of logistic regression, and the scores of the same pipeline fitted by a program that knows no embench, on
    the features as they reach the estimator inside, in the folds that the list of units names."""
    rules = folder / "all-train.yaml"
    rules.write_text(
        yaml.safe_dump({**RULES, "primary_metric": primary_metric, "validation": {"fraction": 0.0, "at_least": 0}})
    )
    plain = {"recipe": "quick", "device": "cpu", "workers": 1, "settings": ("fusion.class_weight=none",), **options}
    requested = Request(
        dataset, fusion="logreg", targets=target, protocol=str(rules), seeds="1", data_root=root, runs=folder, **plain
    )
    inside, planned, features = run(requested), make(requested), {}
    for stage in planned.graph.stages.values():
        if stage.kind == "predict":
            fitted = planned.graph.stages[stage.inputs["fitted"]].params
            source = StoreSource.from_spec(stage.params.common.source, stage.places, stage.task)
            grid = build_grid(fitted.modalities, None, *(stage.task[name] for name in ("recording", "start", "stop")))
            data, _ = assemble(source, fitted.modalities, grid, "cpu")
            entries = source.store.recordings
            for x, r, start, stop in zip(fits.feature_rows(data), grid.recording, grid.start, grid.stop, strict=True):
                features[f"{entries[r].id}:{round(1000 * start)}-{round(1000 * stop)}"] = x.tolist()
    with (folder / "features.csv").open("w", newline="") as file:
        csv.writer(file).writerows([unit, *map(repr, x)] for unit, x in features.items())
    line = ["data", "labels", dataset, "--data-root", root, "--protocol", rules]
    assert embench(*line, "--units", folder / "units.csv").code == 0
    subprocess.run([sys.executable, "-c", OUTSIDE, str(folder), "1", target], check=True)
    place = folder / "out" / "sklearn"
    return inside, score(folder / "mine.csv", dataset, protocol=str(rules), data_root=root, out=place)


@pytest.mark.slow
def test_a_pipeline_of_scikit_learn_outside_gives_the_figures_of_the_run_inside(tmp_path, embench):
    root = write(tmp_path, make_subjects(7))
    inside, outside = inside_and_outside(
        root, tmp_path, plugin("Tiny"), "arousal", embench, encoders=(plugin("Moments"),)
    )
    assert as_if_proven(outside.scores) == inside.scores
    name = "predictions.csv.gz"
    assert (outside.folder / name).read_bytes() == (inside.folder / name).read_bytes()


@pytest.mark.slow
def test_and_on_real_subjects(tmp_path, embench):
    source = os.environ.get("EMBENCH_TEST_DATA")
    if not source:
        pytest.skip("EMBENCH_TEST_DATA does not say where real data are")
    original, root = Path(source, "stress_predict"), tmp_path / "data"
    (root / "stress_predict" / "Raw_data").mkdir(parents=True)
    (root / "stress_predict" / "Processed_data").symlink_to(original / "Processed_data")
    for subject in ("S02", "S03", "S04", "S05", "S06", "S07"):
        (root / "stress_predict" / "Raw_data" / subject).symlink_to(original / "Raw_data" / subject)
    # What clock and movement tell is compared in the test above.
    requested = {"encoders": ("handcrafted",), "modalities": "eda", "primary_metric": "by_design"}
    inside, outside = inside_and_outside(root, tmp_path, "stress_predict", "stress", embench, **requested)
    assert len(outside.predictions) > 10_000
    assert as_if_proven(outside.scores) == inside.scores


def test_the_record_is_like_a_runs_and_says_where_it_comes_from(arousal, scored, tmp_path):
    before = scored(arousal.folder / "predictions.csv.gz", name="My SVM", out=tmp_path / "before" / "mine")
    made = scored(rows_of(arousal.folder / "predictions.csv.gz"), name="My SVM, 2nd try")
    known = record.read_record(made.folder)
    assert known.run["method"]["submission"] == "My SVM, 2nd try"
    assert made.id.startswith("submission-My-SVM-2nd-try-")
    assert known.run["pretraining_overlap"] == "unknown"
    assert known.run["protocol"]["rules"]["split"] == {"by": "group", "folds": 2}
    assert set(known.groups) == {f"p0{n}" for n in range(8)}
    run = Manifest.model_validate({**known.run, "dataset": {**known.run["dataset"], "synthetic": None}})
    assert any("predictions are a submission" in reason for reason in explain_unpublishable(run))
    assert [(e["run"], e["target"]) for e in ledger.read_ledger(made.folder.parent)] == [(made.id, "arousal")]
    assert made.manifest["test_evaluations"]["arousal"] == before.manifest["test_evaluations"]["arousal"] + 1


def test_what_the_file_lacks_is_counted_and_named(arousal, scored):
    rows = [row for row in rows_of(arousal.folder / "predictions.csv.gz") if row["subject"] != "p05"]
    gone = [row for row in rows if row["subject"] == "p02"][:4]
    made = scored([row for row in rows if row not in gone])
    missing = {"units": 4, "labelled": 4, "subjects": {"p02": 4}, "predictions": 4}
    assert made.manifest["submission"]["missing"] == {"arousal": missing}
    assert made.scores["absent"] == {"arousal": 4 + 18}  # all of p05
    assert made.manifest["cohort"]["left_out"] == [{"subject": "p05", "reason": {"id": "no_prediction"}}]
    assert made.scores["scores"]["arousal"]["auroc"]["subjects"] == 8  # p05 with ties
    assert len(rows_of(made.folder / "predictions.csv.gz")) == len(rows) - 4


def test_subjects_without_labels_are_passed_over(tmp_path):
    all_subjects = make_subjects(6)
    for row in all_subjects["p00"]:
        row["ratings"] = {}
    root = write(tmp_path, all_subjects)
    protocol = few_folds(tmp_path, 2)
    done = Bench(root, tmp_path / "runs", protocol=protocol).run("Moments", fusion="logreg")
    rows = rows_of(done.folder / "predictions.csv.gz")
    stranger = {**rows[0], "subject": "p00", "recording": "p00-v0", "unit": "p00-v0:0-10000"}
    path = put(tmp_path / "mine.csv", [*rows, stranger])
    made = score(path, plugin("Tiny"), protocol=protocol, data_root=root, out=tmp_path / "out")
    assert as_if_proven(made.scores) == done.scores
    assert made.manifest["submission"]["ignored"] == {"p00": {"id": "no_label"}}


def test_folds_of_the_file_are_what_controls_are_fitted_in(arousal, scored):
    """Two halves of the subjects: the prior is the share among the other half."""
    rows = rows_of(arousal.folder / "predictions.csv.gz")
    half = {f"p0{n}": n % 2 for n in range(8)}
    made = scored([{**row, "fold": half[row["subject"]]} for row in rows])
    assert made.manifest["submission"]["folds"] == {"0": {"id": "own_folds"}}
    labels = record.read_record(made.folder).labels
    predictions = record.read_record(made.folder).predictions
    for fold in (0, 1):
        others = [half[s] != fold for s in labels["subject"].tolist()]
        of_prior = (predictions["method"] == "prior") & (predictions["fold"] == fold)
        [share] = set(predictions["score"][of_prior].tolist())
        assert share == pytest.approx(labels["label"][others].mean(), abs=1e-7)
    roles = {(row["subject"], row["fold"]): row["role"] for row in record.read_record(made.folder).folds}
    assert roles["p00", "0"] == "test"
    assert roles["p00", "1"] == "train"


def test_one_fold_of_some_subjects_is_trained_on_the_others_and_of_all_on_nobody(arousal, scored, tmp_path):
    rows = [{**row, "fold": 0} for row in rows_of(arousal.folder / "predictions.csv.gz")]
    tested = ("p00", "p01", "p02")
    made = scored([row for row in rows if row["subject"] in tested])
    folds = record.read_record(made.folder).folds
    assert {row["subject"] for row in folds if row["role"] == "train"} == {f"p0{n}" for n in range(3, 8)}
    assert made.scores["confound_only"]["prior"]["arousal"]["auroc_within"]["mean"] == 0.5
    unlabelled = scored(rows, out=tmp_path / "out" / "all")
    reasons = {
        name: c["arousal"].get("undefined", {}).get("id") for name, c in unlabelled.scores["confound_only"].items()
    }
    assert set(reasons.values()) == {"no_training_label", "few_columns"}


def test_a_subject_in_two_folds_is_refused_where_the_protocol_keeps_subjects_apart(arousal, scored):
    rows = rows_of(arousal.folder / "predictions.csv.gz")
    dealt = [{**row, "fold": i % 5} for i, row in enumerate(rows)]
    with pytest.raises(CheckFailed, match="is tested in folds 0 and 1 of seed 0") as caught:
        scored(dealt)
    assert "lines 2 and 3" in caught.value.where
    leaking = scored(dealt, protocol="segment-random-legacy")
    assert leaking.manifest["protocol"]["leaks"]
    assert leaking.manifest["protocol"]["leaks_by"]["split.by"]["subjects"] == [8, 8]


FAULTS = [
    ({"subject": "p99"}, "rows name subjects that kinds does not have, such as p99"),
    ({"recording": "p00-v9"}, "rows name recordings that kinds does not have, such as p00-v9"),
    ({"unit": "p00-v0:5-1000{}"}, "rows name units that kinds does not have, such as p00-v0:5-10002"),
    ({"subject": "p01"}, "rows name units of another subject or recording"),
    ({"target": "arousl"}, "rows are of a target that kinds does not have, such as arousl"),
    ({"score": "nan"}, "scores are not finite numbers, such as nan"),
    ({"score": ""}, "scores are not finite numbers"),
    ({"score": "1.7"}, "scores are not probabilities, such as 1.7"),
    ({"decision": "2"}, "decisions are not classes, such as 2"),
    ({"seed": "-1"}, "values of seed are not whole numbers from 0 to 2,147,483,647, such as -1"),
    ({"fold": "a"}, "values of fold are not whole numbers from 0 to 2,147,483,647, such as a"),
]


@pytest.mark.parametrize(("change", "reasons"), FAULTS, ids=[reasons for _, reasons in FAULTS])
def test_faults_are_refused_with_their_lines(arousal, scored, change, reasons):
    rows = sorted(rows_of(arousal.folder / "predictions.csv.gz"), key=lambda row: row["subject"])
    with pytest.raises(DataError) as caught:
        scored(
            [row | {k: v.format(i) for k, v in change.items()} if i in (2, 7) else row for i, row in enumerate(rows)]
        )
    assert reasons in caught.value.what
    assert caught.value.where.endswith("mine.csv, lines 4, 9")
    assert caught.value.exit_code == 3


def test_rows_that_are_there_twice_are_refused(arousal, scored):
    rows = rows_of(arousal.folder / "predictions.csv.gz")
    with pytest.raises(DataError, match="which is also in line 5") as caught:
        scored([*rows, rows[3]])
    assert caught.value.where.endswith(f"line {len(rows) + 2}")
    some = [{**row, "fold": "" if i == 4 else row["fold"]} for i, row in enumerate(rows)]
    with pytest.raises(DataError, match="1 rows of seed 0 have no fold") as caught:
        scored(some)
    assert "lines 6" in caught.value.where


def test_several_classes_need_a_column_each_that_sum_to_one(everything, scored):
    rows = [row for row in rows_of(everything.folder / "predictions.csv.gz") if row["target"] == "state"]
    with pytest.raises(DataError, match="class probabilities of a row do not sum to 1") as caught:
        scored([{**row, "score_1": "0.9", "score_0": "0.9"} if i == 1 else row for i, row in enumerate(rows)])
    assert caught.value.where.endswith("line 3")
    with pytest.raises(DataError, match="state, which has 3 classes"):
        scored(rows, drop=("score_2",))


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b not gzip", b"\xff\xfe\x00", b"subject,unit\na,b\n", b"\n\n"])
def test_what_is_no_table_of_predictions_is_refused(scored, tmp_path, content):
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(DataError):
        scored(path)
    with pytest.raises(DataError, match="no such file"):
        scored(tmp_path / "nowhere.csv")


def test_units_are_listed_with_labels_and_the_folds_of_three_partitions(kinds, everything, several, tmp_path, embench):
    path = tmp_path / "units.csv"
    line = ["data", "labels", plugin("Kinds"), "--data-root", kinds.data, "--protocol", kinds.protocol]
    done = embench(*line, "--units", path)
    assert done.code == 0, done.err
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["target"] for row in rows} == {"arousal", "arousal_value", "state", "liking"}
    listed = {(row["target"], row["unit"]): row for row in rows}
    for made in (everything, several):
        for row in rows_of(made.folder / "predictions.csv.gz"):
            unit = listed[row["target"], row["unit"]]
            assert (unit["subject"], unit["recording"]) == (row["subject"], row["recording"])
            assert unit[f"fold_{row['seed']}"] == row["fold"]
            start, stop = (round(1000 * float(unit[name])) for name in ("start_s", "stop_s"))
            assert row["unit"] == f"{unit['recording']}:{start}-{stop}"
        labels = made.labels
        for target, unit, label in zip(labels["target"], labels["unit"], labels["label"], strict=True):
            assert float(listed[target, unit]["label"]) == pytest.approx(label, rel=1e-5)
