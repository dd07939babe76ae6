"""Long proofs go on where they were interrupted, and every test that is a part of one is run by one."""

import json
import re
import sys
from pathlib import Path

import pytest

from . import __main__ as proofs
from .parts import PROOFS

ELSEWHERE = ("cluster/", "pairs/", "site/test_browser")
"""Run whole by targets of their own."""


def python(code):
    return (sys.executable, "-S", "-c", code)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a proof of two parts, of which the second fails as long as there is no file `mended`."""
    monkeypatch.setattr(proofs, "WORK", tmp_path)
    monkeypatch.setattr(proofs, "_commit", lambda: "c0ffee")
    mended = tmp_path / "mended"
    parts = {"a/long": python("print('fine')"), "b": python(f"open({str(mended)!r}).close()")}
    return lambda *line: proofs.main([*line], {"sums": parts})


def test_what_has_passed_is_not_run_again(run, tmp_path, capsys, monkeypatch):
    assert run("sums") == 1
    assert re.findall(r"sums, (.+): (\w+),", capsys.readouterr().out) == [("a/long", "passed"), ("b", "failed")]
    row = json.loads((tmp_path / "sums" / "a-long.json").read_text())
    assert (row["commit"], row["result"], row["end"]) == ("c0ffee", "passed", "fine")
    (tmp_path / "mended").touch()
    assert run("sums") == 0
    assert re.findall(r"sums, (.+): (\w+),", capsys.readouterr().out) == [("b", "passed")]
    monkeypatch.setattr(proofs, "_commit", lambda: "another")
    assert run("sums", "a/long") == 0
    assert "a/long: passed" in capsys.readouterr().out


def test_the_list_says_what_was_run(run, capsys):
    assert run("sums", "a/long") == 0
    assert run("--list") == 0
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert [cell.strip() for cell in first.split("|")][1:4] == ["sums", "a/long", "c0ffee"]
    assert first.rstrip("| ").endswith("fine")
    assert "not run" in second


def test_every_test_that_is_a_part_of_a_long_proof_is_run_by_one():
    folder = Path(__file__).parents[1]
    imported = re.compile(r"^from \.+sample import .*(WHOLE|proof)", re.MULTILINE)
    tests = {path for path in folder.rglob("test_*.py") if imported.search(path.read_text(encoding="utf-8"))}
    names = {path.relative_to(folder).as_posix() for path in tests}
    named = {word.removeprefix("tests/") for parts in PROOFS.values() for command in parts.values() for word in command}
    assert {name for name in names if not name.startswith(ELSEWHERE)} <= named
