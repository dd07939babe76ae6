"""Names of participants and stimuli that tables, spreadsheets and HTML could misread stay as they are, everywhere."""

import csv
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from ..tiny.world import few_folds

PEOPLE = (
    *("Händel 1", "Müller_a", "=cmd()", "<b>x<i>", "NA", "nan", "1e5", "007", 'O\'Neil "x"', "a,b;c", "{x}"),
    *(
        unicodedata.normalize("NFD", "Zoë"),
        "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{MICROSCOPE}",
        "wide\N{NO-BREAK SPACE}blank",
    ),
)
FILMS = (
    *(
        "=cmd()",
        "<b>x</b>",
        "NA",
        "nan",
        "1e5",
        "007",
        "Müller/a",
        "Grüße \N{GRINNING FACE}",
        'say "hi", it\'s',
        "-1+2",
    ),
    *("\N{WOMAN}\N{ZERO WIDTH JOINER}\N{MICROSCOPE}", "wide\N{NO-BREAK SPACE}blank"),
)
FILLED = {"title: TODO": "title: 'Händel & <b>x</b>, =cmd()'", "mains_hz: TODO": "mains_hz: 50"}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder for each participant, and a table of trials with a rating each."""
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    rng, rows = np.random.default_rng(0), []
    for person in PEOPLE:
        (tmp_path / "study" / person).mkdir(parents=True)
        values = 3 + 0.02 * np.cumsum(rng.standard_normal(80 * len(FILMS)))
        lines = "".join(f"{k / 8:.3f},{value:.4f}\n" for k, value in enumerate(values))
        (tmp_path / "study" / person / "eda.csv").write_text(f"time,EDA\n{lines}")
        films = [FILMS[k] for k in rng.permutation(len(FILMS))]
        # A table is typed on another machine than the one that names files: its letters are composed.
        code = unicodedata.normalize("NFC", person)
        rows += [[code, film, 10 * k, 10 * k + 10, rng.integers(1, 10)] for k, film in enumerate(films)]
    with Path("study/ratings.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["code", "film", "begin", "end", "arousal"], *rows])
    return {(unicodedata.normalize("NFC", row[0]), row[1]): str(row[4]) for row in rows}


@pytest.fixture
def described(study, embench):
    assert embench("data", "new", "./study").code == 0
    path = Path("study/dataset.yaml")
    text = path.read_text("utf-8")
    for old, new in FILLED.items():
        text = text.replace(old, new)
    text = text.replace(": TODO", ": ours").partition("\ntargets:")[0]
    path.write_text(f"{text}\ntargets:\n  arousal: {{label: arousal, kind: binary, cut: 5}}\n", "utf-8")
    return study


def read_csv(path):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_names_come_back_as_they_are(embench, described):
    verified = json.loads(embench("data", "verify", "./study", "--json").out)
    assert (verified["subjects"], verified["recordings"]) == (len(PEOPLE), len(PEOPLE) * len(FILMS))
    assert [finding for finding in verified["findings"] if finding["severity"] != "note"] == []
    named = json.loads(embench("data", "pseudonyms", "./study", "--json").out)
    assert {row["participant"] for row in named} == set(PEOPLE)
    assert embench("data", "labels", "./study", "--units", "units.csv").code == 0
    units = read_csv("units.csv")
    assert {row["subject"] for row in units} == set(PEOPLE)
    rated = {(unicodedata.normalize("NFC", row["subject"]), row["stimulus"]): row["label"] for row in units}
    assert rated == {key: f"{int(value) > 5:d}" for key, value in described.items()}


@pytest.mark.slow
@pytest.mark.usefixtures("described")
def test_names_survive_runs_scores_reports_and_sites(embench, tmp_path):
    few = ["--protocol", few_folds(tmp_path)]
    method = ["--encoder", "handcrafted", "--fusion", "logreg", "--seeds", "0", "--device", "cpu", "--workers", "1"]
    done = embench("run", "--dataset", "./study", *method, *few, "--json")
    assert done.code == 0, done.err
    folder = json.loads(done.out)["folder"]
    assert embench("data", "labels", "./study", "--units", "units.csv").code == 0
    lines = [[*(row[name] for name in ("subject", "recording", "unit", "target")), k % 7 / 7] for k, row in
             enumerate(read_csv("units.csv"))]  # fmt: skip
    with Path("answers.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["subject", "recording", "unit", "target", "score"], *lines])
    scored = embench("score", "answers.csv", "--dataset", "./study", *few, "--json")
    assert scored.code == 0, scored.err
    for line in (
        ["data", "report", "./study", "--out", "data.html"],
        ["report", folder, "--dataset", "./study", "--out", "report.html"],
        ["leaderboard", "site", "--runs", "runs", "--out", "site"],
    ):
        assert embench(*line).code == 0
    pages = [Path("data.html"), Path("report.html"), *Path("site").rglob("*.html")]
    assert not any("<b>x" in page.read_text("utf-8") for page in pages)
    for form in ("--latex", "--methods"):
        exported = embench("export", "--dataset", "./study", form)
        assert (exported.code, "Händel" in exported.out or form == "--methods") == (0, True)
    compared = embench("compare", "--dataset", "./study", "--metric", "auroc_within")
    assert compared.code == 0, compared.err
    assert "answers" in compared.out
