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
from embench.claims.files import printed_tables
from embench.claims.page import claims_page, examine_tables, notes_on_tables, requests_of_tables
from embench.errors import UsageError
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
        if row.protocol is None:
            stated = row.run.stated
            texts = [(k, v) for k, vs in stated.items() for v in ([vs] if isinstance(vs, str) else vs)]
            found[tuple(sorted(texts)), tuple(n for _, _, figures in row.numbers() for n in figures)] += 1
    return found


@pytest.mark.parametrize("paper", [name for name, tables in PAPERS.items() if tables.rows])
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
        if table != "4" or metric == "f1_macro"  # which shows the other score of these rows no more
    )
    assert found == expected


def test_each_number_is_listed_with_what_it_needs(embench):
    listed = embench("claims", "vazquez2022", "--printed-numbers", "--data-root", "nowhere").out
    assert listed.count("requires amigos/all") == 20
    assert "0.577" in listed
    unread = json.loads(embench("claims", "wu2023", "--printed-numbers", "--json").out)
    assert [row["table"] for row in unread] == ["2", "3", "4"]
    assert all("could not be read" in row["why"] for row in unread)
    assert "no paper with testable claims has the name `wu2022`" in embench("claims", "wu2022", "--printed-numbers").err


def test_a_page_says_which_numbers_are_not_on_it_and_how_to_read_those_that_are():
    unread = claims_page([], [], [], [], [], notes_on_tables("wu2023", "wesad"))
    assert [f"Not read: table {number}, " in unread for number in (2, 3, 4)] == [True] * 3
    assert "could not be read" in unread
    notes = notes_on_tables("vazquez2022", "amigos/all")
    assert notes[0] == "± is the half width of the 95 % interval over folds."
    assert notes[1].startswith("For amigos, with `--dataset amigos`: EEG, AMIGOS authors; ")
    assert "calls it not comparable" in notes_on_tables("vazquez2022", "amigos")[0]


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
    """One row of a paper's table is run under its protocol; of the other nothing is said."""
    embench("data", "synthesize", "amigos", "--out", tmp_path / "amigos", "--subjects", "5", "--length-s", "12")
    options = {"data_root": tmp_path, "runs": tmp_path / "runs", "recipe": "quick", "seeds": "0", "workers": 1}
    basic, proposed = requests_of_tables("woo2023", "amigos", options)
    done = runner.grid([proposed.by_paper], workers=1)
    asked = [request for row in (basic, proposed) for request in (row.by_paper, row.fixed)]
    results = examine_tables("woo2023", "amigos", options, RunStudy(filter(None, asked), done))
    assert {result.reason for result in results if result.row == basic.row} == {"the run did not start"}
    own = [result for result in results if result.row == proposed.row]
    assert [result.cells["printed"] for result in own][:2] == ["91.68 %", "90.91 %"]
    for result in own:
        assert result.synthetic
        assert result.obtained == done.results[0].scores.get_score(result.target, result.metric)
    assert len(results) == 12
    assert {result.cells["under subject-independent-v3"] for result in results} == {"the run did not start"}
    found = examine_paper("woo2023", "amigos", options, done, [(basic.by_paper, "signals come at 4 Hz")])
    assert {row.reason for row in found.printed if row.row == basic.row} == {"signals come at 4 Hz"}
    assert "side b failed: signals come at 4 Hz" in {row.reason for row in found.rows}
