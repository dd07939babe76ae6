"""From a folder of CSV files to a row of results by the command line, and what names and records say of the folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from embench.cli import main

from ..tiny.world import few_folds

FILLED = {"title": "A study", "citation": "ours", "licence": "CC0", "mains_hz": 50, "fixed_order": "false"}
METHOD = ["--encoder", "handcrafted", "--fusion", "logreg", "--seeds", "0", "--device", "cpu", "--workers", "1"]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Ten participants in five dyads, five clips of 20 s each, skin conductance and ratings."""
    root = tmp_path_factory.mktemp("own") / "study"
    rng = np.random.default_rng(0)
    ratings, people = ["code,clip,arousal"], ["code,dyad"]
    for person in range(1, 11):
        folder = root / f"P{person:02d}"
        folder.mkdir(parents=True)
        people.append(f"{folder.name},{(person + 1) // 2}")
        for clip in range(1, 6):
            arousal = rng.integers(1, 10)
            values = 3 + rng.uniform() + 0.02 * arousal * np.cumsum(rng.standard_normal(160))
            rows = "\n".join(f"{k / 8:.3f},{value:.4f}" for k, value in enumerate(values))
            (folder / f"clip{clip}.csv").write_text(f"time,EDA\n{rows}\n")
            ratings.append(f"{folder.name},{clip},{arousal}")
    (root / "ratings.csv").write_text("\n".join(ratings) + "\n")
    (root / "people.csv").write_text("\n".join(people) + "\n")
    return root


def fill_in(path: Path) -> None:
    lines = []
    for line in path.read_text().splitlines():
        key = line.partition(":")[0]
        line = line.replace("# group: dyad  #", "group: dyad  #").replace("kind: value}", "kind: binary, cut: 5}")
        lines.append(f"{key}: {FILLED[key]}" if key in FILLED else line)
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def described(recordings):
    assert main(["data", "new", str(recordings)]) == 0
    fill_in(recordings / "dataset.yaml")
    return recordings


@pytest.fixture(autouse=True)
def place(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("EMBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def study(described):
    Path("study").symlink_to(described)
    return Path("study")


def test_new_writes_a_description_once(embench, recordings, tmp_path):
    root = tmp_path / "mine"
    shutil.copytree(recordings, root, ignore=shutil.ignore_patterns("dataset.yaml"))
    done = embench("data", "new", root)
    assert done.code == 0
    assert "5 lines with TODO" in done.out
    assert f"embench data verify {root}" in done.out
    before = (root / "dataset.yaml").read_text()
    again = embench("data", "new", root)
    assert again.code == 2
    assert "already contains a dataset.yaml" in again.err
    assert (root / "dataset.yaml").read_text() == before
    unfilled = embench("data", "verify", root)
    assert unfilled.code == 3
    assert "still says TODO" in unfilled.err
    assert "dataset.yaml, line 7" in unfilled.err


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_new_says_what_it_cannot_describe(embench, tmp_path, name):
    (tmp_path / "empty").mkdir()
    done = embench("data", "new", tmp_path / name)
    assert done.code == 3
    assert "no such folder" in done.err or "no recordings are found" in done.err


@pytest.mark.usefixtures("study")
def test_data_commands_take_the_folder(embench):
    status = json.loads(embench("data", "status", "./study", "--json").out)[0]
    assert (status["dataset"], status["title"], status["subjects"]) == ("./study", "A study", 10)
    verified = json.loads(embench("data", "verify", "./study", "--json").out)
    assert (verified["subjects"], verified["recordings"]) == (10, 50)
    assert [f for f in verified["findings"] if f["severity"] != "note"] == []
    labels = json.loads(embench("data", "labels", "./study", "--target", "arousal", "--json").out)
    assert labels[0]["labelled"] == 50
    prepared = json.loads(embench("data", "prepare", "./study", "--json").out)
    assert (prepared["dataset"], prepared["subjects"]) == ("own/study", 10)


@pytest.mark.slow
@pytest.mark.usefixtures("study")
def test_below_the_data_root_the_name_is_enough(embench):
    listed = json.loads(embench("data", "status", "--data-root", ".", "--json").out)
    assert [fact["state"] for fact in listed if fact["dataset"] == "study"] == ["found"]
    assert embench("data", "verify", "study", "--data-root", ".").code == 0
    assert embench("data", "verify", "own/study", "--data-root", ".").code == 0
    done = embench("data", "verify", "own/other", "--data-root", ".")
    assert (done.code, "no data of other found" in done.err) == (3, True)


def test_a_folder_that_is_renamed_is_no_longer_found_by_name(embench, study):
    Path("root").mkdir()
    study.rename("root/renamed")
    done = embench("data", "verify", "renamed", "--data-root", "root")
    assert done.code == 3
    assert "`name: study` differs from the name of its folder, renamed" in done.err
    assert embench("data", "verify", "root/renamed").code == 0


def test_the_name_of_a_bundled_dataset_is_refused(embench, described, tmp_path):
    root = tmp_path / "mine"
    shutil.copytree(described, root)
    path = root / "dataset.yaml"
    path.write_text(path.read_text().replace("name: study", "name: wesad"))
    done = embench("data", "verify", root)
    assert done.code == 3
    assert "`name: wesad` is the name of another dataset" in done.err


@pytest.mark.parametrize("command", ["verify", "prepare", "labels", "status"])
def test_a_folder_without_a_description_says_what_writes_one(embench, tmp_path, command):
    (tmp_path / "plain").mkdir()
    for name, what in (("./plain", "no dataset.yaml"), ("./nowhere", "does not exist")):
        done = embench("data", command, name)
        assert done.code == 3
        assert what in done.err
        assert "embench data new" in done.err


def test_a_run_is_a_row_that_holds_no_path(embench, study, tmp_path):
    few = ["--protocol", few_folds(tmp_path)]
    done = embench("run", "--dataset", "./study", *METHOD, *few, "--target", "arousal", "--json")
    assert done.code == 0, done.err
    folder = Path(json.loads(done.out)["folder"])
    assert folder.parent == Path("runs/study")
    run = yaml.safe_load((folder / "run.yaml").read_text())
    assert run["dataset"]["name"] == "own/study"
    assert run["cohort"]["design"] == "shared_stimuli"
    # Dyads are never divided between training and test.
    rows = [line.split(",") for line in (folder / "folds.csv").read_text().splitlines()]
    subject, part = rows[0].index("subject"), rows[0].index("role")
    fold = rows[0].index("fold")
    tested = {row[subject]: row[fold] for row in rows[1:] if row[part] == "test"}
    names = json.loads(embench("data", "pseudonyms", "./study", "--json").out)
    known = {row["participant"]: tested[row["pseudonym"]] for row in names}
    assert all(known[f"P{k:02d}"] == known[f"P{k + 1:02d}"] for k in range(1, 11, 2))
    assert len(set(tested.values())) > 1
    # An audit finds the data by the folder that its user names, or below the data root; a record alone does not lead.
    for place in (["--dataset", "./study"], ["--data-root", "."]):
        assert "severe:" not in embench("audit", folder, *place).out
    refused = embench("audit", folder)
    assert refused.code == 3
    assert "--dataset ./FOLDER" in refused.err
    other = tmp_path / "other"
    shutil.copytree(study, other)
    (other / "dataset.yaml").write_text((other / "dataset.yaml").read_text().replace("name: study", "name: other"))
    wrong = embench("audit", folder, "--dataset", "./other")
    assert (wrong.code, "the record is of own/study, not of own/other" in wrong.err) == (2, True)


@pytest.mark.slow
@pytest.mark.usefixtures("study")
def test_commands_on_a_run_take_the_folder_under_any_name(embench, described, tmp_path):
    root = tmp_path / "Größe der Studie"
    shutil.copytree(described, root)
    text = (root / "dataset.yaml").read_text()
    (root / "dataset.yaml").write_text(text.replace("title: A study", "title: Händel & <Fußball>"))
    shown = json.loads(embench("info", root, "--json").out)[0]
    assert (shown["title"], list(shown["modalities"])) == ("Händel & <Fußball>", ["eda"])
    assert "Händel & <Fußball>" in embench("info", root).out
    confounds = embench("data", "confounds", root, "--seeds", "0", "--target", "arousal", "--json")
    assert json.loads(confounds.out)["confound_only"]["stimulus_mean"]["arousal"]
    done = embench(
        "run", "--dataset", root, *METHOD, "--protocol", few_folds(tmp_path), "--target", "arousal", "--json"
    )
    assert done.code == 0, done.err
    folder = json.loads(done.out)["folder"]
    for form, title in (("--methods", "Händel"), ("--bibtex", "Händel"), ("--latex", "")):
        exported = embench("export", folder, "--dataset", root, form)
        assert (exported.code, title in exported.out) == (0, True), exported.err
    for named, missing in ((["--dataset", root], False), ([], True)):
        assert embench("report", folder, *named, "--out", "r.html").code == 0
        assert ("no data of study found" in Path("r.html").read_text("utf-8")) is missing
    other = tmp_path / "other"
    shutil.copytree(described, other)
    (other / "dataset.yaml").write_text(text.replace("name: study", "name: other"))
    for command in ("report", "export", "compare"):
        form = ["--latex"] if command == "export" else []
        wrong = embench(command, folder, "--dataset", "./other", *form)
        assert (wrong.code, "the record is of own/study, not of own/other" in wrong.err) == (2, True)


@pytest.mark.usefixtures("study")
def test_predictions_of_other_software_are_scored(embench, tmp_path):
    assert embench("data", "labels", "./study", "--target", "arousal", "--units", "units.csv").code == 0
    head, *rows = [line.split(",") for line in Path("units.csv").read_text().splitlines()]
    at = [head.index(name) for name in ("subject", "recording", "unit", "target", "label")]
    lines = [",".join(row[i] or "0" for i in at) for row in rows]
    Path("answers.csv").write_text("\n".join(["subject,recording,unit,target,score", *lines]) + "\n")
    few = ["--protocol", few_folds(tmp_path)]
    done = embench("score", "answers.csv", "--dataset", "./study", *few, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["scores"]["arousal"]["auroc_within"]["mean"] == 1


@pytest.mark.usefixtures("study")
def test_own_data_train_and_test_each_other_and_are_told_apart(embench, described, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(described, other)
    (other / "dataset.yaml").write_text((other / "dataset.yaml").read_text().replace("name: study", "name: other"))
    line = ["run", "--dataset", "./study", "--train-dataset", "./other", *METHOD, "--dry-run"]
    done = embench(*line)
    assert done.code == 2  # a copy of the same files
    assert "contains subjects of the test dataset study" in done.err
    for path in other.glob("P*/*.csv"):
        rows = path.read_text().splitlines()
        path.write_text("\n".join([rows[0], *(f"{row}1" for row in rows[1:])]) + "\n")
    for table, row in (("ratings.csv", "P99,1,5\n"), ("people.csv", "P99,9\n")):
        (other / table).write_text((other / table).read_text() + row)
    assert embench(*line).code == 0


def test_a_copied_recording_is_found_as_in_any_dataset(embench, described, tmp_path):
    root = tmp_path / "copied"
    shutil.copytree(described, root)
    shutil.copy(root / "P01" / "clip1.csv", root / "P02" / "clip3.csv")
    done = embench("data", "verify", root, "--json")
    assert done.code == 1
    assert any("another subject, in every sample: one is a copy" in f["what"] for f in json.loads(done.out)["findings"])
