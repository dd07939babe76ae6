"""What a run leaves behind and says: cohorts, absent units, test-set evaluations, results from Python and as JSON."""

import csv
import gzip
import json
import shutil
from functools import partial

import numpy as np
import pytest

import embench as package
from embench import report
from embench.audits.collect import collect_evidence
from embench.cli import show
from embench.errors import CheckFailed, PluginError, Unfinished, UsageError
from embench.leaderboard.entries import export_entry
from embench.records import ledger, record
from embench.records.predictions import MODEL
from embench.runs.run import grid

from ..tiny.damage import unseal
from ..tiny.running import Bench
from ..tiny.world import TIMELESS, few_folds, make_subjects, plugin, write


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Seven subjects: p00 rated nothing, p01 has no EDA, p02 lacks ECG twice and anything once, p03 valence only."""
    all_subjects = make_subjects(7, **TIMELESS)
    for row in all_subjects["p00"]:
        row["ratings"] = {}
    for row in all_subjects["p01"]:
        row["modalities"] = ("ecg",)
    for row in all_subjects["p02"][:2]:
        row["modalities"] = ("eda",)
    all_subjects["p02"][3]["modalities"] = ("temp",)
    for row in all_subjects["p03"]:
        del row["ratings"]["arousal"]
    return write(tmp_path_factory.mktemp("mixed"), all_subjects)


def in_few_folds(data, runs, dataset="Tiny", folds=2):
    return Bench(data, runs, dataset, few_folds(data, folds))


def folds_of(result):
    with (result.folder / "folds.csv").open() as file:
        return list(csv.DictReader(file))


def test_who_is_left_out_is_listed_with_the_reason(mixed, tmp_path):
    bench = in_few_folds(mixed, tmp_path, folds=3)
    result = bench.run("Moments", fusion="logreg", modalities="eda")
    left_out = {row["subject"]: row["reason"] for row in result.manifest["cohort"]["left_out"]}
    assert left_out == {"p00": {"id": "no_label"}, "p01": {"id": "no_modality", "modalities": ["eda"]}}
    assert result.manifest["cohort"]["subjects"] == ["p02", "p03", "p04", "p05", "p06"]
    rows = folds_of(result)
    reasons = {row["subject"]: {r["reason"] for r in rows if r["subject"] == row["subject"]} for row in rows}
    assert reasons.pop("p00") == {"no_label"}
    assert reasons.pop("p01") == {"no_modality"}
    assert set(reasons) == {"p02", "p03", "p04", "p05", "p06"}
    assert all(reason == {""} for reason in reasons.values())
    # p01 keeps a place in the partition, whatever the modalities, but neither trains nor is tested.
    assert {row["role"] for row in rows if row["subject"] == "p01"} >= {"test"}
    assert "p01" not in set(result.predictions["subject"][result.predictions["method"] == MODEL])


def test_a_result_says_what_share_of_the_labelled_units_it_is_of(mixed, tmp_path, capsys):
    rules = tmp_path / "few.yaml"
    rules.write_text("extends: subject-independent-v4\nname: few\nsplit: {by: group, folds: 3}\n")
    result = Bench(mixed, tmp_path / "runs", "Tiny", str(rules)).run("Moments", fusion="logreg", modalities="eda")
    # Of p01, p02 and p04 to p06, who rated arousal four times each: nothing of p01, one recording less of p02.
    assert result.scores["coverage"] == {"arousal": 15 / 20}
    assert result.manifest["time_context"] == "unit"
    show.print_run(result)
    assert "75.0 % of the labelled units are predicted" in capsys.readouterr().out
    page = report.write_report(result.folder, tmp_path / "report.html", trust_code=True)
    assert "75.0 % of the labelled units are predicted" in page.read_text().lower()


@pytest.mark.slow
def test_units_without_any_modality_are_counted_and_without_a_label_are_not_scored(mixed, tmp_path):
    bench = Bench(mixed, tmp_path)
    result = bench.run("Moments", fusion="logreg", seeds="0,1", targets="arousal,valence")
    assert result.scores["absent"] == {"arousal": 1, "valence": 1}
    predictions, labels = result.predictions, record.read_record(result.folder).labels
    of_model, unpredicted = (predictions["method"] == method for method in ("model", "unpredicted"))
    assert "p02-v3" not in set(predictions["recording"][of_model])
    assert set(predictions["recording"][unpredicted]) == {"p02-v3"}
    assert set(predictions["score"][unpredicted]) == {0.5}  # there is nothing that a method could have read
    assert "p03" in set(predictions["subject"][of_model & (predictions["target"] == "arousal")])
    assert "p03" not in set(labels["subject"][labels["target"] == "arousal"])
    per_seed = of_model & (predictions["target"] == "valence") & (predictions["seed"] == 0)
    assert per_seed.sum() == 6 * 4 - 1
    assert len(set(predictions["unit"][per_seed])) == per_seed.sum()


def test_one_class_in_a_fold_is_undefined_there_and_counted(tmp_path):
    all_subjects = make_subjects(4, **TIMELESS)
    for row in all_subjects["p02"]:
        row["ratings"]["arousal"] = 7.5
    result = Bench(write(tmp_path, all_subjects), tmp_path / "runs").run("Moments", fusion="logreg", modalities="ecg")
    auroc = result.scores["scores"]["arousal"]["auroc"]
    primary_metric = result.scores["scores"]["arousal"]["auroc_within"]
    assert auroc["left_out"]
    assert "class" in json.dumps(auroc["left_out"])
    assert primary_metric["subjects"] == 3
    assert primary_metric["left_out"] == [{"id": "subjects_left_out", "n": 1, "of": 4, "why": {"id": "one_class"}}]
    assert np.isfinite(auroc["mean"])


@pytest.mark.parametrize(("encoder", "fusion"), [("Moments", "logreg"), ("Early", "single")])
def test_training_labels_of_one_class_only(tmp_path, encoder, fusion):
    """With two subjects, one of whom is of one class, the other's fold learns from one class."""
    all_subjects = make_subjects(2, **TIMELESS)
    for row in all_subjects["p01"]:
        row["ratings"]["arousal"] = 7.5
    result = Bench(write(tmp_path, all_subjects), tmp_path / "runs").run(encoder, fusion=fusion, modalities="ecg")
    assert (result.predictions["method"] == "model").sum() == 8
    assert {row["role"] for row in folds_of(result)} == {"train", "test"}


def test_leave_one_subject_out(mixed, tmp_path):
    result = Bench(mixed, tmp_path).run("Moments", fusion="logreg", protocol="leave-one-subject-out-v4")
    predictions = result.predictions
    for fold in set(predictions["fold"]):
        assert len(set(predictions["subject"][predictions["fold"] == fold])) == 1
    assert len(set(predictions["fold"])) == 6


def test_a_leaking_protocol_marks_its_rows(mixed, tmp_path):
    result = Bench(mixed, tmp_path).run("Moments", fusion="logreg", protocol="segment-random-legacy")
    assert result.manifest["protocol"]["leaks"] is True
    rows = [row for row in folds_of(result) if row["fold"] == "0"]
    by_role = {role: {r["subject"] for r in rows if r["role"] == role} for role in ("train", "test")}
    assert by_role["train"] & by_role["test"]


@pytest.mark.slow
def test_a_dropped_modality_is_absent_at_the_test(mixed, tmp_path):
    bench = Bench(mixed, tmp_path)
    whole = bench.run("Pool", fusion="concat")
    stages = bench.stages()
    dropped = bench.run("Pool", fusion="concat", drop="eda")
    assert dropped.manifest["config"]["drop"] == ["eda"]
    assert whole.predictions["score"].tolist() != dropped.predictions["score"].tolist()
    assert dropped.scores["absent"]["arousal"] == 3  # p02 without EDA has one recording left of four
    assert len(bench.stages() - stages) == len({a.fold for a in bench.plan("Pool", fusion="concat").graph.predictions})
    # Who only has what is dropped cannot be answered at all; the others are.
    ecg = bench.run("Pool", fusion="concat", drop="ecg")
    method = ecg.predictions["method"]
    assert "p01" not in set(ecg.predictions["subject"][method == "model"])
    lost = ecg.predictions["score"][(method == "unpredicted") & (ecg.predictions["subject"] == "p01")]
    assert lost.tolist() == [0.0] * 4  # there is a signal, which the method did without
    on_hidden = bench.run("Pool", fusion="logreg", drop="eda")
    assert np.isfinite(on_hidden.predictions["score"]).all()


def test_dev_scores_validation_subjects_and_opens_no_test_label(tmp_path):
    bench = in_few_folds(write(tmp_path, make_subjects(6, seconds=11.0, **TIMELESS)), tmp_path / "runs")
    result = bench.run("Early", modalities="ecg", dev=True)
    assert [(e["run"], e["dev"]) for e in ledger.read_ledger(bench.runs)] == [(result.id, True)]
    assert result.manifest["test_evaluations"] == {"arousal": 0}
    assert result.manifest["dev_evaluations"] == {"arousal": 1}
    assert result.id.startswith("dev-")
    assert result.manifest["dev"] is True
    rows = folds_of(result)
    for fold in {row["fold"] for row in rows if row["fold"]}:
        scored = set(result.predictions["subject"][result.predictions["fold"] == int(fold)])
        assert scored <= {row["subject"] for row in rows if row["fold"] == fold and row["role"] == "val"}
    assert set(result.predictions["subject"])
    stages = bench.stages()
    real = bench.run("Early", modalities="ecg")
    assert real.id != result.id
    assert real.manifest["test_evaluations"] == real.manifest["dev_evaluations"] == {"arousal": 1}
    fits = [s for s in bench.plan("Early", modalities="ecg").graph.stages.values() if s.kind == "unimodal"]
    assert {s.id for s in fits} <= stages  # the fits themselves are shared


def test_each_look_at_test_labels_is_in_the_ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))  # other tests read the shared ledgers meanwhile
    bench = in_few_folds(write(tmp_path, make_subjects(4, seconds=10.0, **TIMELESS)), tmp_path / "runs")
    options = {"fusion": "logreg", "targets": "arousal,valence"}
    first = bench.run("Moments", **options, modalities="ecg")
    assert first.manifest["test_evaluations"] == first.manifest["methods_evaluated"] == {"arousal": 1, "valence": 1}
    again = bench.run("Moments", **options, modalities="ecg")
    # Read again from its record: the labels stayed closed.
    assert again.manifest["test_evaluations"] == first.manifest["test_evaluations"]
    (first.folder / "run.yaml").unlink()
    anew = bench.run("Moments", **options, modalities="ecg")
    assert anew.manifest["test_evaluations"] == {"arousal": 1, "valence": 1}  # the same predictions tell nothing new
    assert anew.manifest["methods_evaluated"] == {"arousal": 1, "valence": 1}
    other = bench.run("Moments", fusion="logreg", targets="arousal", modalities="eda")
    assert other.manifest["test_evaluations"] == {"arousal": 2}
    assert other.manifest["methods_evaluated"] == {"arousal": 2}
    assert [e["run"] for e in ledger.read_ledger(bench.runs)] == [first.id] * 2 + [other.id]
    assert record.read_record(other.folder).run["methods_evaluated"] == {"arousal": 2}
    elsewhere = in_few_folds(bench.data, tmp_path / "elsewhere").run("Moments", fusion="lda", modalities="eda")
    assert elsewhere.manifest["test_evaluations"] == {"arousal": 3}
    for path in tmp_path.rglob(ledger.LEDGER_FILE):
        path.unlink()  # what is left are the records
    with pytest.warns(UserWarning, match="missing"):
        last = bench.run("Moments", fusion="lda", modalities="ecg")
    assert last.manifest["test_evaluations"] == {"arousal": 3}


@pytest.mark.parametrize("order", [1, -1])
def test_runs_of_one_command_count_each_other_whichever_is_scored_first(tmp_path, monkeypatch, order):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    bench = in_few_folds(write(tmp_path, make_subjects(4, seconds=10.0, **TIMELESS)), tmp_path / "runs")
    requests = [bench.request("Moments", fusion=name, modalities="ecg") for name in ("logreg", "lda", "naive_bayes")]
    made = grid(requests[::order]).results
    assert [run.manifest["test_evaluations"] for run in made] == [{"arousal": 3}] * 3
    assert [run.manifest["methods_evaluated"] for run in made] == [{"arousal": 3}] * 3
    assert len({run.manifest["ledger"] for run in made}) == 1
    assert sorted(e["run"] for e in ledger.read_ledger(bench.runs)) == sorted(run.id for run in made)
    later = bench.run("Moments", fusion="logreg", modalities="eda")
    assert later.manifest["test_evaluations"] == {"arousal": 4}


@pytest.mark.parametrize(
    "name", ["run.yaml", "scores.json", "predictions.csv.gz", "labels.csv.gz", "folds.csv", "history.csv"]
)
def test_an_edited_record_is_refused_by_whoever_reads_it(shared, tmp_path, embench, name):
    result = shared.run("Pool", modalities="ecg")
    folder = tmp_path / "Tiny" / result.id
    shutil.copytree(result.folder, folder)
    assert record.read_record(folder).scores == record.read_record(result.folder).scores
    content = (folder / name).read_bytes()
    if name.endswith(".gz"):
        text = gzip.decompress(content)
        (folder / name).write_bytes(gzip.compress(text.replace(b"9", b"8", 1)))
    else:
        old, new = (b"train", b"test") if name == "folds.csv" else (b"0.", b"1.")
        (folder / name).write_bytes(content.replace(old, new, 1))
    assert (folder / name).read_bytes() != content
    for line in (
        ["report", folder, "--out", tmp_path / "r.html"],
        ["export", "--latex", folder],
        ["compare", folder, result.folder],
    ):
        done = embench(*line)
        assert done.code == 1, done.err
        assert str(folder / name) in done.err
    for publish in (collect_evidence, partial(export_entry, boards=tmp_path / "boards", key=bytes)):
        with pytest.raises(CheckFailed) as found:
            publish(folder, *([shared.data] if publish is collect_evidence else []))
        assert found.value.where == str(folder / name)


def test_the_same_command_does_not_believe_an_edited_record(shared, embench):
    line = shared.line("--target", "arousal", "--modalities", "eda")
    assert embench(*line).code == 0
    result = shared.run("Pool", modalities="eda")
    scores = (result.folder / "scores.json").read_text()
    (result.folder / "scores.json").write_text(scores.replace("0.", "0.9", 1))
    done = embench(*line)
    assert (done.code, str(result.folder / "scores.json") in done.err) == (1, True)
    (result.folder / "scores.json").write_text(scores)
    assert embench(*line).code == 0


def test_a_record_of_before_checksums_stays_readable(shared, tmp_path):
    result = shared.run("Pool", modalities="ecg")
    shutil.copytree(result.folder, tmp_path / "old")
    text = (tmp_path / "old" / "run.yaml").read_text()
    (tmp_path / "old" / "run.yaml").write_text(text.rpartition("sealed: ")[0])
    with pytest.raises(CheckFailed):  # the list of hashes is there, its seal is not
        record.read_record(tmp_path / "old")
    unseal(tmp_path / "old")
    assert record.read_record(tmp_path / "old").scores == record.read_record(result.folder).scores


def test_starting_from_another_run(mixed, tmp_path):
    bench = in_few_folds(mixed, tmp_path)
    first = bench.run("Pool", modalities="ecg")
    by_id = bench.run("Pool", modalities="ecg", pretrained=first.id)
    by_file = bench.run("Pool", modalities="ecg", pretrained=str(min((first.folder / "weights").iterdir())))
    assert by_id.manifest["pretraining_overlap"] == "labelled_target"
    np.testing.assert_array_equal(by_id.predictions["score"], by_file.predictions["score"])
    assert by_id.id == by_file.id != first.id
    assert by_id.predictions["score"].tolist() != first.predictions["score"].tolist()


def test_conditions_are_scored_on_a_grid_and_the_clock_is_a_control(tmp_path):
    data = write(tmp_path, make_subjects(8, stimuli=1, seconds=240.0, start_s=0.0), dataset="Session")
    bench = in_few_folds(data, tmp_path / "runs", "Session")
    result = bench.run("Moments", fusion="logreg", modalities="ecg", targets=None)
    assert result.to_dict()["primary_metric"] == "auroc_crossed_matched"
    assert result.manifest["cohort"]["design"] == "fixed_order"
    assert result.manifest["cohort"]["session_s"] == {f"p0{n}": 240.0 for n in range(8)}
    of_model = result.predictions["method"] == "model"
    assert of_model.sum() == 8 * 24
    clock = result.scores["confound_only"]["elapsed_time"]["stress"]
    assert clock["auroc"]["mean"] == 1.0
    labels = record.read_record(result.folder).labels
    assert len(labels["unit"]) == 8 * 24


def test_weights_lie_beside_the_record(shared):
    result = shared.run("Pool", fusion="late", modalities="eda,ecg")
    names = {path.name for path in (result.folder / "weights").iterdir()}
    assert {"seed0-fold0-arousal.safetensors", "seed0-fold0-arousal-ecg.safetensors"} <= names
    history = record.read_record(result.folder).history
    assert {row["kind"] for row in history} == {"unimodal", "fusion"}


# From Python and as JSON.


def test_from_python(six, tmp_path):
    result = package.run(
        dataset=plugin("Tiny"), encoder=plugin("Moments"), fusion="logreg", modalities=["ecg", "eda"], seeds=[0],
        recipe="quick", target="arousal", data_root=str(six), runs=str(tmp_path), workers=1, device="cpu",
        protocol=few_folds(six),
    )  # fmt: skip
    assert isinstance(result, package.Result)
    assert result.folder.is_dir()
    assert result.scores["primary_metrics"] == {"arousal": "auroc_within"}
    assert set(result.predictions["target"]) == {"arousal"}
    again = record.read_record(result.folder)
    assert again.scores == json.loads(json.dumps(result.scores.content))
    assert again.run["id"] == result.id == result.folder.name
    few = package.run(
        dataset=plugin("Tiny"), encoder=plugin("Moments"), fusion="logreg", modalities="ecg", seeds=(0,),
        recipe="quick", target="arousal", data_root=six, runs=tmp_path, label_subjects=2, workers=1,
        set="fusion.build.C=0.5", protocol=few_folds(six),
    )  # fmt: skip
    assert few.manifest["config"]["label_subjects"] == 2
    assert few.manifest["recipe"]["settings"] == ["fusion.build.C=0.5"]


def test_from_python_with_a_wrong_option():
    with pytest.raises(UsageError, match="no argument `fusio`"):
        package.run(dataset="amigos", encoder="cnn_tf", fusio="late")


def test_json_is_one_document(shared, embench):
    done = embench(*shared.line("--modalities", "ecg", "--target", "arousal", "--json"))
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert set(document) >= {"run", "folder", "synthetic", "primary_metric", "scores", "confound_only", "cost"}
    assert document["synthetic"] is False
    number = document["scores"]["arousal"][document["primary_metric"]]
    assert set(number) >= {"mean", "std", "low", "high"}
    assert set(document["confound_only"]) >= {"majority", "prior", "stimulus_mean", "elapsed_time", "recording_length"}


def test_generated_data_are_marked(six, tmp_path):
    for path in (six / "Tiny").iterdir():
        (tmp_path / "Tiny").mkdir(exist_ok=True)
        (tmp_path / "Tiny" / path.name).symlink_to(path)
    (tmp_path / "Tiny" / "EMBENCH_SYNTHETIC.json").write_text('{"generator": "mine"}')
    result = in_few_folds(tmp_path, tmp_path / "runs").run("Moments", fusion="logreg", modalities="ecg")
    assert result.to_dict()["synthetic"] is True
    assert result.manifest["dataset"]["synthetic"] == {"generator": "mine"}


def test_a_grid_runs_what_it_can_and_names_what_is_missing(shared):
    done = grid([shared.request(modalities="ecg"), shared.request("Raising", modalities="ecg")], workers=1)
    assert len(done.results) == 1
    (title,) = done.failures
    assert "Raising+single" in title
    assert isinstance(done.failures[title], PluginError)
    with pytest.raises(Unfinished, match="1 of 2 runs are missing"):
        done.check()
