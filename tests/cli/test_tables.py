"""Tables on a terminal."""

from types import SimpleNamespace

from embench.claims.examine import ClaimResult
from embench.claims.files import SPLITS, printed_tables, select_claims
from embench.claims.page import Found, PrintedResult
from embench.cli import studies
from embench.cli.console import show_table
from embench.records.scores import Score
from embench.screen import TableColumn, field


def test_rows_that_are_mappings_name_the_columns(capsys):
    show_table([{"fold": 0, "score": 0.61234}, {"fold": 1, "why": "one class"}], title="folds")
    title, heads, _, *rows = capsys.readouterr().out.splitlines()
    assert title == "folds"
    assert heads.split() == ["fold", "score", "why"]
    assert [row.split() for row in rows if row] == [["0", "0.612"], ["1", "one", "class"]]


def test_columns_read_attributes_and_keys_alike(capsys):
    columns = [field("read_as"), field("p", spec=".2f", missing="-"), TableColumn("twice", lambda _: "again")]
    for row in ({"read_as": "eda", "p": None}, SimpleNamespace(read_as="eda", p=None)):
        show_table([row], columns)
        heads, _, cells, _ = capsys.readouterr().out.splitlines()
        assert heads.split() == ["read", "as", "p", "twice"]
        assert cells.split() == ["eda", "-", "again"]


def test_a_table_without_rows_is_not_printed(capsys):
    show_table([], [field("name")], title="nothing")
    assert capsys.readouterr().out == ""


def test_names_without_room_are_folded_at_their_parts_and_numbers_are_not(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    long = dict.fromkeys(("setting", "score"), "fusion.build.attention=false sensitivity_specificity 0.12345678")
    show_table([long | dict.fromkeys(("under woo2023-group", "published", "measured", "verdict"), "-0.12345678")])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert {"sensitivity_", "specificity", "attention=", "0.12345678", "-0.12345678"} <= {*text.split()}


def test_a_claim_that_was_compared_has_its_difference_in_the_table(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    (claim,) = select_claims("woo2023", ("W1",))
    about = {"dataset": "amigos", "leg": "fixed", "protocol": "subject-independent-v4", "target": "arousal"}
    gap = Score(mean=0.0321, low=0.01, high=0.05)
    found = ClaimResult(claim, **about, status="compared", difference=gap, cost={"a": 90.0, "b": 30.0})
    studies.print_claims([claim], [found], [], [])
    text = capsys.readouterr().out
    assert "+0.032 [+0.010, +0.050]" in text
    assert "a 2 min, b 30 s" in text


def test_a_long_reason_stands_once_below_the_numbers_that_it_is_of(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    tables = next(each for each in printed_tables() if each.paper == "strizhkova2024")
    reason = "the weights cannot be downloaded (MCG-NJU/videomae-base)"
    none = Found(reason=reason)
    rows = [
        PrintedResult(tables, "4a", row.row, *number, dict.fromkeys(SPLITS, none), none)
        for row in tables.rows
        for number in row.numbers()
    ]
    studies.print_claims([], [], [], [], rows, ["Of deap: more."])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("downloaded") == 1
    assert f"(1) {reason}\nOf deap: more." in text
    assert text.count("(1)") == 3 * len(rows) + len({(row.name, row.target) for row in rows}) + 1
