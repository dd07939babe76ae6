"""The pages about the boards say what the published entries say."""

import re
from dataclasses import replace

import pytest

from bench.boards import BOARDS, ROOT, tables
from bench.boards.findings import TEMPLATE, written
from bench.boards.published import Board, Row, asked, question
from bench.boards.rows import DATASETS, leaderboard_rows
from embench.leaderboard.entries import list_entry_folders
from embench.records.audit import read_audit
from embench.records.record import read_manifest

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in tables.PAGES}
SHOWN = {name: dict(tables.tables_in(page)) for name, page in PAGES.items()}
NUMBER = re.compile(r"(?<![\w.,/-])[-+]?(\d+(?:,\d{3})*\.\d+|\.\d+|\d{1,3}(?:,\d{3})+|\d{2,})(?![\w-]|\.\d)")
CONSTANTS = {"95", "10", "60", "30"}
"""The level of intervals in %; a unit, the difference of session lengths that counts as none, and a break, in s."""


def prose(page):
    """A page without its tables, commands, links' targets and code."""
    text = re.sub(r"<!-- table .*?<!-- table: end -->|```.*?```|^#.*?$", "", page, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\]\([^)]*\)|`[^`]*`", "]", text)


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("docs/boards/")])
def test_every_figure_of_a_page_stands_in_one_of_its_tables(name):
    known = {found[1] for table in SHOWN[name].values() for found in NUMBER.finditer(table)} | CONSTANTS
    missing = [found[0] for found in NUMBER.finditer(prose(PAGES[name])) if found[1] not in known]
    assert SHOWN[name]
    assert missing == []


@pytest.mark.slow
def test_findings_are_what_their_template_says_of_the_entries():
    empty = re.sub(
        r"(<!-- table [^>]*-->\n).*?(<!-- table: end -->)", r"\1\2", PAGES["docs/findings.md"], flags=re.DOTALL
    )
    assert empty == written()


def test_no_figure_of_the_findings_is_typed():
    words = re.sub(r"{[%{].*?[%}]}|<!--.*?-->|version \d", "", TEMPLATE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [found[0] for found in NUMBER.finditer(prose(words)) if found[1] not in CONSTANTS] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_tables_of_a_page_are_those_that_the_entries_give(name):
    for title, shown in SHOWN[name].items():
        assert tables.TABLES[title]() == shown, title


@pytest.mark.slow
def test_families_are_read_by_tuned_rows_where_both_have_some():
    board = Board("eegmat", "task")
    features, networks = board.families
    assert {row.kind for row in features} == {"features"}
    assert {row.kind for row in networks} == {"network"}
    assert len(features) + len(networks) == len(board.best_first)

    def tuned(row):
        config = {**row.run.config, "tuned": {"trials": 20}}
        return Row(replace(row.entry, run=row.run.model_copy(update={"config": config})), board)

    def is_tuned(row):
        return bool(row.run.config.get("tuned"))

    for added, shown in (
        ([tuned(features[1])], [len(features) + 1, len(networks)]),
        ([tuned(features[1]), tuned(networks[1])], [1 + sum(map(is_tuned, features)), 1]),
    ):
        other = Board("eegmat", "task")
        other.__dict__["rows"] = [*board.rows, *added]
        assert [len(rows) for rows in other.families] == shown


@pytest.fixture(scope="module", params=sorted(path.name for path in BOARDS.iterdir() if path.is_dir()))
def ours(request):
    """Folder -> manifest of each entry of a board whose place nothing took."""
    folders = [f for f in list_entry_folders(BOARDS) if f.parts[-3] == request.param]
    return {folder: read_manifest(folder) for folder in folders}


def test_every_entry_of_a_leaderboard_is_a_row_of_a_set(ours):
    rows = set()
    for name in ("leaderboard-v1", "capabilities-v1"):
        every = [row for dataset in DATASETS for row in leaderboard_rows(dataset, name)]
        own = {question({**vars(row.request), "tuned": bool(row.search)}) for row in every}
        assert len(own) == len(every)
        rows |= own
    assert ours
    assert [run.id for run in ours.values() if asked(run) not in rows] == []


def test_no_entry_has_a_severe_finding_and_all_were_audited(ours):
    audits = {folder.name: read_audit(folder) for folder in ours}
    assert [name for name, audit in audits.items() if audit is None or audit["counts"]["severe"]] == []
