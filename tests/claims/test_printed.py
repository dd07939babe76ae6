"""Numbers of the papers' tables: those of the pages, each with its command; and what a run obtained of them."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest
import yaml

from embench import registry
from embench.claims.files import SPLITS, printed_tables
from embench.claims.page import claims_page, describe_runs, examine_tables, notes_on_tables, requests_of_tables
from embench.errors import UsageError
from embench.records.scores import Score
from embench.runs import run as runner
from embench.sets.rows import examine_paper
from embench.studies.study import RunStudy

PAPERS = {tables.paper: tables for tables in printed_tables()}
PAGES = Path(__file__).parents[2] / "docs" / "papers"
_NUMBER = re.compile(r"^(\d*\.?\d+)(?: ± (\d*\.?\d+))?$")


def on_page(paper: str) -> Counter[tuple[object, ...]]:
    """The rows of a page that have options: dataset, the run's options, and their numbers in the order of columns."""
    found: Counter[tuple[object, ...]] = Counter()
    for line in (PAGES / f"{paper}.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        numbers = [m for cell in cells[1:] if (m := _NUMBER.match(cell))]  # the first may be that of a table
        if numbers and cells[-1].startswith("`--"):
            words = shlex.split(cells[-1].strip("`"))
            options = sorted(zip(words[::2], words[1::2], strict=True))
            stated = [(name[2:], value) for name, value in options if name not in ("--dataset", "--target")]
            found[tuple(stated), tuple(float(g) for m in numbers for g in m.groups() if g)] += 1
    return found


def in_file(paper: str) -> Counter[tuple[object, ...]]:
    """The same of the file, but for rows that the page quotes in words."""
    found: Counter[tuple[object, ...]] = Counter()
    for row in PAPERS[paper].rows:
        if row.protocol is None and any(figures for _, _, figures in row.numbers()):
            stated = row.run.stated
            texts = [(k, v) for k, vs in stated.items() for v in ([vs] if isinstance(vs, str) else vs)]
            found[tuple(sorted(texts)), tuple(n for _, _, figures in row.numbers() for n in figures)] += 1
    return found


@pytest.mark.parametrize("paper", [name for name in PAPERS if name != "wu2023"])  # whose numbers could not be read
def test_files_hold_the_numbers_and_the_commands_of_the_pages(paper):
    assert in_file(paper) == on_page(paper)


def typed_apart() -> Path:
    """Every number of the papers, typed a second time, without sight of the first."""
    data = os.environ.get("EMBENCH_TEST_DATA")
    path = Path(data or "nowhere").parent / "published_results.yaml"
    if not path.is_file():
        pytest.skip("the numbers that were typed a second time are not at hand")
    return path


@pytest.mark.parametrize("paper", PAPERS)
def test_files_hold_every_number_that_the_papers_print(paper):
    """Rows that several tables repeat stand once, with all of their tables."""
    printed = yaml.safe_load(typed_apart().read_text())["results"]
    expected = Counter(
        (row["table"], row["target"], row["metric"].replace("f1_macro", "f1"), row["value"], row["spread"])
        for row in printed
        if row["paper"] == paper
    )
    found = Counter(
        (table, target, metric.replace("f1_macro", "f1"), figures[0], figures[1] if len(figures) > 1 else None)
        for row in PAPERS[paper].rows
        for table in row.tables
        for target, metric, figures in row.numbers()
        if figures and (table != "4" or metric == "f1_macro")  # which shows the other score of these rows no more
    )
    assert found == expected


def test_each_number_is_listed_with_what_it_needs(embench):
    listed = embench("claims", "vazquez2022", "--printed-numbers", "--data-root", "nowhere").out
    assert listed.count("requires amigos/all") == 20
    assert "0.577" in listed
    listed = json.loads(embench("claims", "wu2023", "--printed-numbers", "--json").out)
    numbers, unread = listed[:-3], listed[-3:]
    assert {row["printed"] for row in numbers} == {"not read"}
    assert [row["table"] for row in unread] == ["2", "3", "4"]
    assert all("could not be read" in row["why"] for row in unread)
    assert "no paper with testable claims has the name `wu2022`" in embench("claims", "wu2022", "--printed-numbers").err


def test_a_page_says_which_numbers_are_not_on_it_and_how_to_read_those_that_are():
    unread = claims_page([], [], [], [], [], notes_on_tables("wu2023", "wesad"), describe_runs("wu2023", []))
    assert unread.startswith("# Printed and obtained: no run is finished\n")
    assert [f"Not read: table {number}, " in unread for number in (2, 3, 4)] == [True] * 3
    assert "could not be read" in unread
    notes = notes_on_tables("vazquez2022", "amigos/all")
    splits = (
        "the paper's split: vazquez2022; recordings apart: vazquez2022-recording; subjects apart: vazquez2022-group."
    )
    assert notes[0] == splits
    assert notes[1].startswith("± is the half width of the 95 % interval over folds: t · SD / √k, with ")
    assert notes[3].startswith("For amigos, with `--dataset amigos`: EEG, AMIGOS authors; ")
    quoted = notes_on_tables("vazquez2022", "amigos")
    assert (
        quoted[0] == "the paper's split: mirandacorrea2021; recordings apart: none; subjects apart: mirandacorrea2021."
    )
    assert quoted[1] == notes[1], "our results have a spread although these numbers were printed without one"
    assert any("calls it not comparable" in note for note in quoted)


@pytest.mark.parametrize(
    ("paper", "text"),
    [
        ("vazquez2022", "0.810 ± 0.0107 [0.700, 0.920]"),  # 2.262 * 0.015 / 10 ** 0.5
        ("strizhkova2024", "81.0 ± 1.5 % [70.0, 92.0]"),
        ("woo2023", "81.0 % [70.0, 92.0]"),
    ],
)
def test_a_score_has_the_papers_unit_and_spread_and_the_interval_of_embench(paper, text):
    score = Score(mean=0.81, std=0.015, over="folds", low=0.7, high=0.92)
    assert PAPERS[paper].format_score(score, 10) == text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("encoder: unet_se", 'encoder: "./mine.py:Net"', "a table names a file: rows.0.run.encoder"),
        ("row: basic model", 'row: "basic \\e[2J model"', "a table contains control characters: rows.0.row"),
        ("unit: percent", "unit: grams", "unit"),
        ("paper: woo2023", "paper: woo2024", "these are the tables of woo2024"),
    ],
)
def test_a_file_of_a_package_runs_no_code_and_writes_on_no_terminal(old, new, message, tmp_path, monkeypatch):
    text = Path(registry.find_shipped_files("printed/woo2023.yaml")[0]).read_text()
    made = tmp_path / "woo2023.yaml"
    made.write_text(text.replace(old, new, 1))
    monkeypatch.setattr(registry, "find_shipped_files", lambda _: [made])
    with pytest.raises(UsageError, match=re.escape(message)):
        printed_tables("woo2023")


@pytest.mark.slow
def test_a_number_stands_beside_what_its_run_obtained(tmp_path, embench):
    """One row of a paper's table is run under two of its three splits; of the other nothing is said."""
    embench("data", "synthesize", "amigos", "--out", tmp_path / "amigos", "--subjects", "5", "--length-s", "12")
    options = {"data_root": tmp_path, "runs": tmp_path / "runs", "recipe": "quick", "seeds": "0", "workers": 1}
    basic, proposed = requests_of_tables("woo2023", "amigos", options)
    by_paper, _, subjects = proposed.by_split.values()
    done = runner.grid([by_paper, subjects], workers=1)
    found = examine_paper("woo2023", "amigos", options, done, [(basic.by_split[SPLITS[0]], "signals come at 4 Hz")])
    assert {row.by_split[SPLITS[0]].reason for row in found.printed if row.name == basic.row.row} == {
        "signals come at 4 Hz"
    }
    assert "side b failed: signals come at 4 Hz" in {row.reason for row in found.rows}
    own = [result for result in found.printed if result.name == proposed.row.row]
    assert [result.cells["printed"] for result in own][:2] == ["91.68 %", "90.91 %"]
    for result in own:
        assert result.synthetic
        for split, run in zip((SPLITS[0], SPLITS[2]), done.results, strict=True):
            expected = run.scores.get_score(result.target, result.metric)
            assert result.by_split[split].score == expected
            assert result.cells[split].startswith(f"{100 * expected.mean:.1f} % [")
    assert {result.cells["recordings apart"] for result in own} == {"the run did not start"}
    assert {result.primary_cells["score"] for result in own} == {"the run did not start"}
    (run,) = (result.manifest for result in done.results if result.manifest["protocol"]["name"] == "woo2023")
    assert found.head.headline == "not the paper's network (recipe quick)"
    assert found.head.facts == {
        "recipe": "quick",
        "seeds": "0",
        "dataset": "amigos, SYNTHETIC",
        "subjects": "5",
        "device": run["device"],
        "protocols": "woo2023; woo2023-group",
        "embench": run["embench_version"],
    }
    departs = {row["setting"]: (row["in the paper"], row["here"]) for row in found.head.departures}
    assert departs.keys() == {row["field"] for row in run["recipe"]["departs"]}
    assert departs["fusion.build.dim"] == ("left open", "32")
    page = claims_page(*found)
    assert page.startswith("# Printed and obtained: not the paper's network (recipe quick)\n\n**SYNTHETIC DATA")
    assert page.index("| subjects | 5 |") < page.index("| woo2023 | fusion.build.dim | left open | 32 | all |")


LEAK = """
paper: woo2023
protocol: woo2023
recordings_apart: woo2023-recording
subjects_apart: woo2023-group
unit: percent
rows:
  - tables: ["1"]
    row: bands of the EEG
    dataset: amigos
    run: {modalities: eeg, encoder: differential_entropy, fusion: knn, set: "fusion.build.neighbours=1"}
    printed: {arousal: {accuracy: 90}, valence: {accuracy: 90}}
"""


@pytest.mark.slow
def test_a_label_that_only_the_recording_tells_is_predicted_where_recordings_are_divided(
    tmp_path, embench, monkeypatch
):
    """Each recording of these subjects has gains of its own and a rating that no signal follows. So a method can
    recognise the recordings that it was trained on, and nothing else."""
    made = tmp_path / "woo2023.yaml"
    made.write_text(LEAK)
    shipped = registry.find_shipped_files
    monkeypatch.setattr(registry, "find_shipped_files", lambda files: [made] if "printed" in files else shipped(files))
    size = ("--subjects", "10", "--length-s", "60", "--effect", "0")
    embench("data", "synthesize", "amigos", "--out", tmp_path / "amigos", *size)
    options = {"data_root": tmp_path, "runs": tmp_path / "runs", "recipe": "small", "seeds": "0"}
    (row,) = requests_of_tables("woo2023", "amigos", options)
    done = runner.grid(list(row.by_split.values()), workers=2)
    results = examine_tables("woo2023", "amigos", options, RunStudy(row.requests, done))
    means = {
        (row.name, row.target): [each.score and each.score.mean for each in row.by_split.values()] for row in results
    }
    for target in ("arousal", "valence"):
        segments, recordings, subjects = means["bands of the EEG", target]
        assert segments > 0.95
        assert recordings < 0.6  # also below .5, since a subject's other recordings have the other labels more often
        assert subjects == pytest.approx(0.5, abs=0.1)
        leak, no_leak, none = means["label of the recording's other units (recording_label)", target]
        assert leak > 0.99
        assert no_leak is none is None
    (cell,) = {row.cells["subjects apart"] for row in results if "recording_label" in row.name}
    assert cell == "no leak"
