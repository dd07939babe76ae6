import subprocess

import pytest

import embench
from embench.testing import check
from embench_lab_notebook.lab_notebook import LabNotebook

RUN = {
    "id": "rocket-logreg-0a1b",
    "dataset": "embench_plugins/amigos",
    "modalities": ["ecg", "eda"],
    "targets": ["arousal"],
}
SCORE = {"mean": 0.61, "low": 0.55, "high": 0.6704}
SCORES = embench.Scores.make_empty(
    primary_metrics={"arousal": "auroc_crossed"}, scores={"arousal": {"auroc_crossed": SCORE}}
).content


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def note(scores=SCORES):
    observer = LabNotebook()
    observer.run_started(RUN)
    observer.run_ended(RUN, scores)
    return observer


def last(folder):
    line = (folder / "notebook.md").read_text().splitlines()[-1]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_conforms():
    check("observer", LabNotebook)


def test_a_run_is_a_line_below_what_is_there(folder):
    note()
    cells = last(folder)
    assert cells[2:] == [
        "`rocket-logreg-0a1b`", "amigos", "arousal", "ecg, eda", "-", "arousal auroc_crossed 0.610 [0.550, 0.670]",
    ]  # fmt: skip
    with (folder / "notebook.md").open("a") as file:
        file.write("\nThe electrode of P07 was loose.\n\n")
    note()
    assert (folder / "notebook.md").read_text().count("rocket-logreg") == 2
    assert "P07 was loose" in (folder / "notebook.md").read_text()


def test_an_undefined_primary_metric_says_so(folder):
    note({**SCORES, "scores": {"arousal": {"auroc_crossed": {"undefined": "one stimulus"}}}})
    assert last(folder)[-1] == "arousal auroc_crossed undefined"


def test_the_commit_is_that_of_the_working_folder(folder):
    (folder / "code.py").write_text("1\n")
    own = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    for words in (["init", "-q"], ["add", "code.py"], [*own, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], check=True)
    note()
    (folder / "code.py").write_text("2\n")
    clean = last(folder)[6]
    note()
    assert last(folder)[6] == f"{clean}+"
