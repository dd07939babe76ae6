"""`embench score` on the command line: what it says first, and what it leaves alone."""

import csv
from html import unescape

import pytest

import embench as embench_module
from embench.records.record import read_record
from embench.report.latex.bibliography import escape, in_apa
from embench.statistics.answers import answer_questions
from embench.statistics.form import result_forms

from ..tiny.world import few_folds


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Nine synthetic subjects, eight with labels, and the list of their units."""
    from embench.cli import main

    root = tmp_path_factory.mktemp("data")
    line = ["data", "synthesize", "stress_predict", "--out", root / "stress_predict", "--subjects", 9]
    assert main([str(word) for word in [*line, "--length-s", 90]]) == 0
    line = ["data", "labels", "stress_predict", "--data-root", root, "--units", root / "units.csv"]
    assert main([str(word) for word in line]) == 0
    return root


@pytest.fixture
def predictions(data, tmp_path):
    """Writes a file that predicts the first `subjects` subjects."""

    def write(name, subjects):
        rows = list(csv.DictReader((data / "units.csv").open()))
        kept = sorted({row["subject"] for row in rows if row["label"]})[:subjects]
        with (tmp_path / name).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["subject", "recording", "unit", "target", "score"])
            for k, row in enumerate(row for row in rows if row["subject"] in kept and row["label"]):
                writer.writerow([row[key] for key in ("subject", "recording", "unit", "target")] + [k % 7 / 7])
        return tmp_path / name

    return write


@pytest.fixture
def predicted_at_random(tmp_path, monkeypatch):
    """A data root with seventeen subjects who can be compared, with more than 900 labelled units, and a file of
    predictions at random; nothing is prepared or fitted yet."""
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    line = ["data", "synthesize", "stress_predict", "--out", tmp_path / "stress_predict", "--subjects", 18]
    assert embench_main(*line, "--length-s", 600) == 0
    assert embench_main("data", "labels", "stress_predict", "--data-root", tmp_path, "--units", tmp_path / "u.csv") == 0
    rows = [row for row in csv.DictReader((tmp_path / "u.csv").open()) if row["label"]]
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["subject", "recording", "unit", "target", "score"])
        for k, row in enumerate(rows):
            writer.writerow([row[key] for key in ("subject", "recording", "unit", "target")] + [k % 7 / 7])
    return tmp_path, tmp_path / "mine.csv"


def embench_main(*words):
    from embench.cli import main

    return main([str(word) for word in words])


def test_a_file_without_a_primary_metric_says_so_first(embench, data, predictions, tmp_path):
    file = predictions("few.csv", 1)
    line = ("--dataset", "stress_predict", "--data-root", data, "--protocol", few_folds(tmp_path))
    done = embench("score", file, *line, "--out", tmp_path / "few")
    lines = done.out.splitlines()
    assert any(line.strip().startswith("Too few comparisons: 8 of 8 subjects ") for line in lines[:8])
    assert "predictions of 1 of 8 labelled subjects" in done.out
    [line] = [line for line in lines if line.endswith("no prediction in the file")]
    assert "(7 in all)" in line


@pytest.mark.slow
def test_a_list_of_units_has_the_partitions_of_the_protocol_and_a_file_may_have_them_all(embench, tmp_path):
    """Of a release that hides times, so that nothing has to be fitted to clocks in fifty folds."""
    size = ("--subjects", 8, "--length-s", 12)
    assert embench("data", "synthesize", "amigos", "--out", tmp_path / "amigos", *size).code == 0
    path = tmp_path / "units.csv"
    line = ("data", "labels", "amigos", "--data-root", tmp_path, "--target", "arousal", "--units", path)
    assert embench(*line).code == 0
    rows = list(csv.DictReader(path.open()))
    assert [name for name in rows[0] if name.startswith("fold_")] == [f"fold_{seed}" for seed in range(5)]
    with (tmp_path / "every.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["subject", "recording", "unit", "target", "seed", "fold", "score"])
        for seed in range(5):
            for k, row in enumerate(rows):
                own = [row[key] for key in ("subject", "recording", "unit", "target")]
                writer.writerow([*own, seed, row[f"fold_{seed}"], k % 7 / 7])
    options = ("--dataset", "amigos", "--data-root", tmp_path, "--protocol", "subject-independent-v4")
    done = embench("score", tmp_path / "every.csv", *options, "--out", tmp_path / "every")
    assert done.code == 0, done.err
    assert read_record(tmp_path / "every").run["seeds"] == list(range(5))


def test_another_record_is_not_replaced_unasked(embench, data, predictions, tmp_path):
    line = ("--dataset", "stress_predict", "--data-root", data, "--out", tmp_path / "mine")
    line += ("--protocol", few_folds(tmp_path))
    first, second = predictions("first.csv", 8), predictions("second.csv", 7)
    assert embench("score", first, *line).code == 0
    held = (tmp_path / "mine" / "run.yaml").read_bytes()
    done = embench("score", second, *line)
    assert done.code == 2
    assert "the folder contains another record, submission-first-" in done.err
    assert "what to do: choose another --out" in done.err
    assert (tmp_path / "mine" / "run.yaml").read_bytes() == held
    assert embench("score", first, *line).code == 0  # the same record may be made again


def test_nothing_is_fitted_to_confounds_where_too_few_comparisons_are_there(embench, data, predictions, tmp_path):
    file, out = predictions("mine.csv", 8), tmp_path / "mine"
    line = ("--dataset", "stress_predict", "--data-root", data, "--out", out)
    done = embench("score", file, *line, "--protocol", few_folds(tmp_path, 2))
    assert done.code == 0
    assert "confound analysis" not in done.err
    record = read_record(out)
    assert record.scores.get_adjusted("stress").undefined
    assert answer_questions(record.run, record.scores)["stress"].format_answer("movement") == "too few data"
    assert "Too few comparisons: " in " ".join(done.out.split())


@pytest.mark.slow
def test_a_file_is_judged_as_one_that_saw_whole_sessions_whatever_it_declares(embench, predicted_at_random, tmp_path):
    root, file, out = *predicted_at_random, tmp_path / "mine"
    line = ("--dataset", "stress_predict", "--data-root", root, "--out", out)
    line = (*line, "--protocol", few_folds(tmp_path, 2))
    done = embench("score", file, *line, "--time-context", "unit")
    assert done.code == 0
    assert "confound-only models fitted" not in done.out
    assert "have no prediction" not in done.out  # units without a label need none
    assert "it cannot run live" not in done.out  # nobody knows how the signals were normalised
    record = read_record(out)
    assert record.run["time_context"] == "unit"
    assert record.scores.get_adjusted("stress").decisive_level == "protocol_phase"
    form = result_forms(record.run, record.scores)["stress"]
    assert [each.question for each in form.answers] == ["chance", "held", "movement", "protocol_phase"]
    page, opened = tmp_path / "page.html", embench_module.open_result(out)
    assert embench("report", out, "--out", page).code == 0
    texts = (done.out, page.read_text(), opened._repr_html_(), str(opened))
    for text in (" ".join(unescape(text).split()) for text in texts):  # whatever the width of a line
        assert all(sentence in text for sentence in (form.question, *form.about, form.sentence, *form.notes))
    assert escape(in_apa(form.sentence)) in embench("export", out, "--methods").out
    assert record.scores.get_score("stress", "auroc", "protocol_phase")
    assert done.err.index("Models without any") < done.err.index("confound analysis")  # the scores come first
    before = record.scores["adjusted"]["stress"]
    again = embench("score", file, *line, "--time-context", "unit", "--all")
    assert "Placebo: one axis of the accelerometer" in " ".join(again.out.split())
    placebo = read_record(out).scores["adjusted"]["stress"]
    assert placebo.pop("placebo_seeds") == [0]
    assert set(placebo.pop("placebo")) == {"x", "y", "z"}
    assert {**placebo, "placebo": {}} == before
    refused = embench("score", file, *line, "--time-context", "window")
    assert refused.code == 2
    assert "'unit', 'causal', 'offline'" in refused.err
