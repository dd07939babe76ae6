"""The pages about the boards say what the published entries say."""

import re

import pytest

from bench.boards import ROOT, tables
from bench.boards.rows import GROUPS

from ..sample import WHOLE

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in tables.pages()}
SHOWN = {name: dict(tables.tables_in(page)) for name, page in PAGES.items()}
NUMBER = re.compile(r"(?<![\w.,/-])[-+]?(\d+(?:,\d{3})*\.\d+|\.\d+|\d{1,3}(?:,\d{3})+|\d{2,})(?![\w-]|\.\d)")
CONSTANTS = {"95", "10", "60", "30"}
"""The level of intervals in %; a unit, the difference of session lengths that counts as none, and a break, in s."""


LONG = {"above", "choice"}
"""Tables that compare every row of every board anew, which takes minutes: a part of a long proof."""


def prose(page):
    """A page without its tables, commands, links' targets and code."""
    text = re.sub(r"<!-- table .*?<!-- table: end -->|```.*?```|^#.*?$", "", page, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\]\([^)]*\)|`[^`]*`", "]", text)


@pytest.mark.parametrize("name", [name for name in PAGES if name != "README.md"])
def test_every_figure_of_a_page_stands_in_one_of_its_tables(name):
    known = {found[1] for table in SHOWN[name].values() for found in NUMBER.finditer(table)} | CONSTANTS
    missing = [found[0] for found in NUMBER.finditer(prose(PAGES[name])) if found[1] not in known]
    assert SHOWN[name]
    assert missing == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_tables_of_a_page_are_those_that_the_entries_give(name):
    for title, shown in SHOWN[name].items():
        if title in LONG and not WHOLE:
            continue
        assert tables.TABLES[title]() == shown, title


def test_every_entry_of_a_board_is_a_row_that_make_board_runs():
    rows = {tables.question(vars(row.request())) for group in GROUPS.values() for row in group}
    assert len(rows) == sum(map(len, GROUPS.values()))
    ours = {asked: e for asked, e in tables.published().items() if not e.run.protocol.name.endswith("-v1")}
    assert ours
    assert [e.run.id for asked, e in ours.items() if asked not in rows] == []


def test_no_entry_has_a_severe_finding_and_all_were_audited():
    ours = [e for e in tables.entries() if not e.run.protocol.name.endswith("-v1")]
    assert [e.run.id for e in ours if e.audit is None or e.audit["counts"]["severe"]] == []
