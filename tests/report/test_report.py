"""`embench report`: one file that needs nothing else, and says what the record says, or why it can't."""

import gzip
import json
import re
import shutil
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import yaml

from embench import report
from embench.data.find import find_source
from embench.data.quality import compute_unit_quality, terciles
from embench.errors import DataError
from embench.protocols import load_protocol
from embench.records.record import read_manifest, read_record, read_scores, write_record
from embench.report.facts import RunFacts
from embench.report.figures import embeddings_section
from embench.report.sections import facts_section, headline_section, notices, scores_section
from embench.runs import external
from embench.statistics.joined import recorded_target
from embench.statistics.result import Result
from embench.statistics.scores import compute_scores
from embench.vocabulary import label

from ..tiny.world import plugin
from .conftest import alone

BOARDS = Path(__file__).parents[2] / "leaderboards"
SECTIONS = (
    "result", "subjects", "roc", "probabilities", "decisions", "training", "embeddings", "fusion", "scores",
    "quality", "groups", "audit", "cost", "the-run",
)  # fmt: skip


@pytest.fixture(scope="module", params=["made", pytest.param("kinds", marks=pytest.mark.slow)])
def reported(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def content(reported, page):
    return page(reported.html.read_text())


@pytest.fixture(scope="module")
def of_kinds(kinds, page):
    return page(kinds.html.read_text())


def test_the_file_is_whole_and_points_at_nothing_outside(reported, content):
    html = reported.html.read_text()
    shown = tuple(name for name in SECTIONS if name not in reported.lacks)
    assert tuple(content.sections) == shown
    linked = [link.get("href", "") for tag, link in content.elements if tag == "a"]
    assert [f"#{name}" for name in shown] == [link for link in linked if link != "#main"]
    assert len(html.encode()) < 3_000_000
    assert content.count("script") == 0
    for _, attributes in content.elements:
        for name in ("src", "href", "data", "action", "xlink:href"):
            assert str(attributes.get(name, "#")).startswith(("#", "data:"))
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/)", html)
    ids = [attributes["id"] for _, attributes in content.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_picture_has_words_and_the_table_behind_it(reported, content):
    pictures = [attributes for tag, attributes in content.elements if tag == "svg"]
    assert len(pictures) == content.count("figure") == content.count("details")
    assert len(pictures) >= reported.pictures
    for attributes in pictures:
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"]) > 20
    for tag, attributes in content.elements:
        if tag == "div" and attributes.get("class") == "scroll":
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]


def test_it_says_the_scores_of_the_record(reported, content):
    scores = read_scores(reported.folder)
    for target, metric in scores.primary_metrics.items():
        assert f"{scores.get_score(target, metric).mean:.3f}" in content.sections["result"]
        for control in scores.get_confound_only_models(target):
            assert label(control.name) in content.sections["result"]
        for name, other in scores.get_scores(target).items():
            assert (other.undefined or f"{other.mean:.3f}") in content.sections["scores"], name


def test_the_stimulus_control_stands_beside_every_score(copied):
    assert "stimulus_mean</th>" not in scores_section(RunFacts(read_record(copied)))
    path = copied / "scores.json"
    scores = json.loads(path.read_text())
    scores["confound_only"]["stimulus_mean"] = {
        "stress": {"auroc": {**scores["scores"]["stress"]["auroc"], "mean": 0.9137}}
    }
    path.write_text(json.dumps(scores))
    shown = scores_section(RunFacts(read_record(copied)))
    assert shown.count("stimulus_mean</th>") == 1
    assert "0.914" in shown


@pytest.mark.slow
def test_scores_by_tercile_of_quality(kinds, of_kinds):
    """Those of each third, against the metric on a record of its units alone."""
    assert "Descriptive" in of_kinds.sections["quality"]
    assert "eda (all units have the index 1.00)" in of_kinds.sections["quality"]
    of_arousal = kinds.html.read_text().split("<caption>Scores of arousal by the quality")[1]
    of_arousal = of_arousal.split("</table>")[0]
    record = read_record(kinds.folder)
    store = find_source(record.run["dataset"]["name"], kinds.data).prepared(load_protocol(str(kinds.rules)))
    rows = record.predictions
    rows = rows.take((rows["method"] == "model") & (rows["target"] == "arousal"))
    labels = record.labels["unit"][record.labels["target"] == "arousal"]
    ids = np.unique(rows["unit"][np.isin(rows["unit"], labels)])
    third = terciles(compute_unit_quality(store, "ecg", ids.tolist()))
    assert len(set(third)) > 1
    for k, name in enumerate(("worst", "middle", "best")):
        mine = ids[third == k]
        scores = compute_scores(
            rows.take(np.isin(rows["unit"], mine)), record.labels, targets=[recorded_target(record, "arousal")],
            protocol=load_protocol(str(kinds.rules)), design=record.manifest.cohort.design, groups=record.groups,
            unit_length_s=10.0, sessions=record.sessions,
        ).get_scores("arousal")  # fmt: skip
        lines = [line for line in of_arousal.splitlines() if f"ecg, {name}" in line]
        shown = [re.findall(r"<td[^>]*>([^<]*)", line) for line in lines]
        assert [cells[3] for cells in shown] == ["auroc_within", "auroc"]
        for _, units, _, metric, mean, low, high, _ in shown:
            assert int(units) == len(mine)
            assert [mean, low, high] == [f"{getattr(scores[metric], end):.3f}" for end in ("mean", "low", "high")]


def test_each_subject_has_the_score_that_the_predictions_give(reported, content):
    """AUROC by counting pairs of a subject's units, per seed, then the mean of seeds."""
    record = read_record(reported.folder)
    target, subject = record.labels["target"][0], sorted(record.groups)[3]
    of_target = record.labels["target"] == target
    label = dict(zip(record.labels["unit"][of_target], record.labels["label"][of_target], strict=True))
    rows = record.predictions
    rows = rows.take((rows["method"] == "model") & (rows["target"] == target) & (rows["subject"] == subject))
    by_seed = []
    for seed in (0, 1):
        mine = rows.take(rows["seed"] == seed)
        high, low = ([s for u, s in zip(mine["unit"], mine["score"], strict=True) if label.get(u) == y] for y in (1, 0))
        by_seed.append(np.mean([(a > b) + 0.5 * (a == b) for a in high for b in low]))
    for shown in (np.mean(by_seed), *by_seed):
        assert f"{shown:.3f}" in content.sections["subjects"]


def test_probabilities_have_both_curves_with_a_word_on_prevalence(made, page):
    """With the numbers that Python has."""
    shown = page(made.html.read_text()).sections["probabilities"]
    found = Result.read(made.folder).assess_calibration()
    assert f"the lab's: {100 * found.positive:.0f} % here" in shown
    assert "neither the calibration nor the net benefit carries over" in shown
    assert f"Expected calibration error {found.error:.3f}" in shown
    assert f"{found.by_chance:.3f} by chance" in shown
    assert all(f"{b.observed:.3f}" in shown for b in found.bins)
    assert all(f"{b.model:.3f}" in shown for b in found.benefits)


def test_marks_stand_on_top(reported):
    top = reported.html.read_text().split("<nav")[0]
    assert "Recipe." in top  # quick is for trying things
    for target, found in Result.read(reported.folder).answers.items():
        assert f"{found.title}" in top
        assert all(answer.answer in top for answer in found.answers), target


@pytest.mark.slow
def test_every_kind_of_target_has_its_curves(of_kinds):
    curves = of_kinds.sections["roc"]
    assert curves.count("ROC curve of") >= 2
    assert "c against the rest" in curves  # states c, a and d
    assert "Predicted and true values of arousal_value" in curves
    assert "decisions: arousal_value (the target is a value, so there are no decisions)" in of_kinds.missing
    assert "training subjects" in of_kinds.sections["training"]
    one = "Data of the figure: Embedding map of arousal, arousal_value and state"  # one network predicts them all
    assert of_kinds.sections["embeddings"].count(one) == of_kinds.sections["embeddings"].count("Data of") - 1 == 1
    assert "identifies the subject" in of_kinds.sections["embeddings"]


def test_epochs_are_counted_from_one(content):
    first = re.search(r"epochnetworks.*?\n?(\d)", content.sections["training"])
    assert first is not None
    assert first[1] == "1"


@pytest.mark.slow
def test_commands_are_code_and_classes_have_their_names(kinds, of_kinds):
    html = kinds.html.read_text()
    assert "<code>embench audit RUN</code> makes all checks" in html
    assert "<code>embench run --dataset" in html
    assert "`" not in "".join(of_kinds.sections.values())
    assert "Decision curve of arousal" in html
    assert "Decision curve of state" not in html  # of three classes
    assert "Predicted probability of the most probable class, in ten equal bins" in html
    assert "the target is a value, so there are no probabilities" in of_kinds.missing


@pytest.mark.slow
def test_single_modalities_are_found_beside_the_run_and_signals_drawn(kinds, of_kinds):
    fusion = of_kinds.sections["fusion"]
    assert all(folder.name in fusion for folder in kinds.singles)
    assert "examples, not evidence" in fusion
    if "Recording p" in fusion:
        assert "eda, left (uS)" in fusion


def test_what_a_record_lacks_is_said(copied, tmp_path, page):
    """Labels, as in an entry of a dataset where they are not public; history, embeddings, data and other runs."""
    for name in ("labels.csv.gz", "history.csv"):
        (copied / name).unlink()
    path = report.write_report(copied, tmp_path / "entry.html", data_root=tmp_path, trust_code=True)
    content = page(path.read_text())
    assert tuple(content.sections) == ("result", "scores", "cost", "the-run")
    closed = "scores by subject, ROC curve, probabilities and alarms, decisions, fusion against single modalities, "
    closed += "scores by the quality of signals and "
    assert f"{closed}scores by group of subjects (this record has no labels, because" in content.missing
    assert "learning curves (this record has no history)" in content.missing
    assert "embeddings (this record has no embeddings)" in content.missing
    assert "audit (this run has not been audited; run embench audit RUN)" in content.missing
    assert " or " not in content.missing
    assert "no data of" in content.sections["the-run"]
    assert "Within-subject AUROC of stress" in content.sections["result"]


def test_without_the_other_runs_and_the_data(copied, tmp_path, page):
    content = page(report.write_report(copied, tmp_path / "r.html", data_root=tmp_path, trust_code=True).read_text())
    assert "name such runs with --single-modality" in content.missing
    assert "fusion" not in content.sections
    assert "high" in content.sections["decisions"]  # what classes are called without the data


@pytest.mark.slow
def test_runs_given_are_used_and_the_signals_missing_said(kinds, tmp_path, page):
    content = page(
        report.write_report(
            alone(kinds.folder, tmp_path),
            tmp_path / "r.html",
            singles=kinds.singles[:1],
            data_root=tmp_path,
            trust_code=True,
        ).read_text()
    )
    assert kinds.singles[0].name in content.sections["fusion"]
    assert "There is no run of eda alone" in content.sections["fusion"]


def test_an_audit_that_is_there_is_shown(copied, tmp_path, page):
    evidence = {"n": 2, "subjects": ["p1", "p2"]}
    finding = {"check": "subjects", "severity": "severe", "id": "untested_subjects", "evidence": evidence}
    audit = {"version": 11, "counts": {"severe": 1, "warning": 0, "note": 0}, "findings": [finding]}
    audit["skipped"] = {"probe": [{"id": "no_embeddings"}]}
    (copied / "audit.json").write_text(json.dumps(audit))
    html = report.write_report(copied, tmp_path / "r.html", data_root=tmp_path, trust_code=True).read_text()
    assert "2 subjects are predicted in folds that, by folds.csv, do not test them." in html.split("<nav")[0]
    shown = page(html).sections["audit"]
    assert all(
        text in shown for text in ("1 severe", "find out which folds", "p1, p2", "probe (the run has no embeddings)")
    )


def test_a_run_that_was_not_audited_is_audited_now_and_left_as_it_is(embench, copied, tmp_path, page):
    rows = (copied / "folds.csv").read_text()
    first = rows.splitlines()[1]
    (copied / "folds.csv").write_text(rows + first.replace(",test,", ",train,") + "\n")
    before = {path.name: path.read_bytes() for path in copied.iterdir()}
    done = embench("report", copied, "--trust-code", "--out", tmp_path / "r.html", "--data-root", tmp_path)
    assert done.code == 0, done.err
    html = (tmp_path / "r.html").read_text()
    assert "1 subjects are in both training and test of a fold." in html.split("<nav")[0]
    shown = page(html).sections["audit"]
    assert "Audited for this report by" in shown
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == before


@pytest.mark.slow
def test_two_targets_of_one_network_share_what_is_the_same(pair, page):
    content = page(pair.read_text())
    layer = content.sections["embeddings"]
    for what in ("Embedding map", "Probes"):
        assert layer.count(f"Data of the figure: {what} of stress and calm") == 1
    assert all(f"Coloured by {what}" in pair.read_text() for what in ("stress", "calm", "subject", "stimulus"))
    assert "More than 8 values have no legend (stimulus): the table has them." in layer
    for target in ("stress", "calm"):
        assert f"auroc_within of each subject, {target}" in content.sections["subjects"]


@pytest.mark.slow
def test_maps_of_runs_that_differ_in_settings_stand_side_by_side(made, tmp_path):
    """As in figure 2 of woo2023: the same network with and without a part."""
    record, (gated, plain, other) = read_record(made.folder), (tmp_path / name for name in ("gated", "plain", "other"))
    setting = "fusion.build.attention=false"
    for folder, change in (
        (gated, {}),
        (plain, {"recipe": {**record.run["recipe"], "settings": [setting]}}),
        (other, {"recipe": {**record.run["recipe"], "preset": "small"}}),
    ):
        folder.mkdir()
        shutil.copy(made.folder / "embeddings.npz", folder)
        write_record(folder, replace(record, run={**record.run, "id": folder.name, **change}))
    shown = embeddings_section(RunFacts(read_record(gated), gated)).markup
    assert shown.count('role="img" aria-label="Embedding maps by settings, stress') == 1
    assert "label: this run" in shown
    assert f"label: {setting}" in shown
    assert f"label: without {setting}" in embeddings_section(RunFacts(read_record(plain), plain)).markup
    assert "by settings" not in embeddings_section(RunFacts(read_record(other), other)).markup
    shared = embeddings_section(RunFacts(read_record(gated), gated, for_others=True))
    assert "by settings" not in getattr(shared, "markup", "")


def test_what_two_targets_have_in_common_stands_once_below_both():
    [entry, *_] = sorted((BOARDS / "hku956" / "subject-independent-v4").glob("handcrafted-*"))
    run = RunFacts(read_record(entry))
    shown = headline_section(run).markup
    assert shown.count("<caption>Other scores") == 1
    assert all(form.problem in unescape(shown) for form in run.summaries.values())
    table = shown.split("<caption>Other scores")[1]
    for target in ("valence", "arousal"):
        assert f"{run.scores.get_score(target, 'auroc_within').mean:.3f}" in table
        assert f"the method, {target}</th>" in table


def test_label_rules_say_a_cut_of_zero_and_no_lag_of_zero():
    [entry, *_] = sorted((BOARDS / "hku956" / "subject-independent-v4").glob("handcrafted-*"))
    shown = facts_section(RunFacts(read_record(entry)))
    assert "aggregate value, cut 0, ties drop, annotator self" in shown
    assert "lag_s" not in shown


def test_a_primary_metric_that_cannot_be_estimated_is_a_remark_at_the_top():
    [entry, *_] = sorted((BOARDS / "eegmat" / "subject-independent-v4").glob("handcrafted-*"))
    told = notices(RunFacts(read_record(entry), entry))
    [(bad, text)] = [(bad, text) for bad, called, text in told if called == "Primary metric"]
    assert not bad
    assert text.startswith("task: This design cannot separate arithmetic from the time since the start: everybody")


def test_what_is_not_known_of_predictions_from_a_file_is_said_as_such(copied):
    known = read_record(copied)
    run = {**known.run, "method": {**known.run["method"], "submission": "mine", "encoders": {}, "modalities": []}}
    facts = RunFacts(replace(known, run=run))
    shown = unescape(re.sub(r"<[^>]+>", " ", facts_section(facts)))
    for what in ("fusion", "pretraining", "what the method saw of a test subject"):
        assert re.search(rf"{what}\s+unknown: other code made the predictions", shown), what
    assert "units without a prediction" in shown
    assert "for normalisation" not in shown
    assert "modalities" not in shown.partition("units without")[2][:30]


def test_names_from_outside_are_no_markup(copied, tmp_path, page):
    run = yaml.safe_load((copied / "run.yaml").read_text())
    run["method"]["submission"] = "<script>alert(1)</script>"
    (copied / "run.yaml").write_text(yaml.safe_dump(run))
    content = page(report.write_report(copied, tmp_path / "r.html", data_root=tmp_path, trust_code=True).read_text())
    assert content.count("script") == 0


def test_whose_weights_were_used_and_what_they_saw_is_said_and_marked(copied, tmp_path):
    run = yaml.safe_load((copied / "run.yaml").read_text())
    modality = next(iter(run["method"]["encoders"]))
    about = {
        "name": "lab/net",
        "licence": "MIT",
        "source": "https://example.org",
        "declared": True,
        "saw": "unlabelled",
    }
    run |= {"weights": {modality: about}, "pretraining_overlap": "unlabelled_target"}
    (copied / "run.yaml").write_text(yaml.safe_dump(run))
    text = report.write_report(copied, tmp_path / "r.html", data_root=tmp_path, trust_code=True).read_text()
    assert "saw signals of the test subjects" in text
    assert "lab/net (MIT), saw of the test subjects: unlabelled, as its authors declare" in text


def test_generated_data_are_marked(copied, tmp_path):
    run = yaml.safe_load((copied / "run.yaml").read_text())
    run["dataset"]["synthetic"] = {"generator": "embench"}
    (copied / "run.yaml").write_text(yaml.safe_dump(run))
    assert (
        "Synthetic data."
        in report.write_report(copied, tmp_path / "r.html", data_root=tmp_path, trust_code=True).read_text()
    )


def test_a_folder_without_a_record_is_refused(tmp_path):
    with pytest.raises(DataError, match="missing"):
        report.write_report(tmp_path, tmp_path / "r.html")


def test_command_writes_where_the_reader_is(embench, copied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = embench("report", copied, "--trust-code", "--data-root", tmp_path)
    assert done.code == 0, done.err
    assert done.out.split() == [f"{copied.name}.html"]
    again = embench("report", copied, "--trust-code", "--out", "again.html", "--data-root", tmp_path)
    assert again.code == 0
    assert (tmp_path / f"{copied.name}.html").read_bytes() == (tmp_path / "again.html").read_bytes()


@pytest.mark.slow
def test_command_refuses_a_run_that_is_not_of_one_of_its_modalities(embench, kinds, tmp_path):
    done = embench(
        "report", kinds.folder, "--trust-code", "--single-modality", kinds.folder, "--out", tmp_path / "r.html"
    )
    assert done.code == 2
    assert "not a run of a single modality" in done.err
    assert not (tmp_path / "r.html").exists()


@pytest.mark.slow
def test_predictions_from_a_file_have_a_report(kinds, tmp_path, page):
    """Neither a history nor networks, and nothing known of the method."""
    table = tmp_path / "mine.csv"
    rows = gzip.decompress((kinds.folder / "predictions.csv.gz").read_bytes()).decode().splitlines()
    table.write_text("\n".join(row for row in rows if row.startswith(("method", "model,arousal,"))))
    scored = external.score(
        table, plugin("Kinds"), data_root=kinds.data, protocol=str(kinds.rules), out=tmp_path / "out"
    )
    html = report.write_report(scored.folder, tmp_path / "r.html", data_root=kinds.data, trust_code=True).read_text()
    assert "Submission." in html.split("<nav")[0]
    content = page(html)
    assert f"{scored.scores.get_score('arousal', 'auroc_within').mean:.3f}" in content.sections["result"]
    assert "learning curves and embeddings (the predictions are a submission" in content.missing
    assert "unknown" in content.sections["the-run"]
    assert "all that the dataset has are shown" in content.sections["quality"]
    assert "ecg, worst" in content.sections["quality"]


ENTRIES = sorted((BOARDS / "stress_predict").glob("*/handcrafted-*/run.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("run", [ENTRIES[0], ENTRIES[-1]], ids=lambda run: run.parent.name)
def test_entries_of_the_board_have_a_report_of_modest_size(run, tmp_path, page):
    path = report.write_report(run.parent, tmp_path / "r.html", data_root=tmp_path)
    assert path.stat().st_size < 3_000_000
    content = page(path.read_text())
    subjects = read_manifest(run.parent).cohort.size
    assert subjects in (24, 34)
    assert f"{subjects} subjects" in path.read_text()
    assert content.count("figure") > 5
    primary_metric = content.sections["result"]
    for text in ("For a paper:", "Is the score associated with the label", "time since the start, majority class"):
        assert text in primary_metric
    assert re.search(r"which does not hold time and movement constant; [\w ,]+ alone reaches 0\.9", primary_metric)
