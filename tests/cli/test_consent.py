"""Own data leave with the participants' consent and an approval by name; of public datasets nobody is asked."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from embench.cli.leaderboard import ask_consent
from embench.errors import CheckFailed, UsageError
from embench.leaderboard import entries
from embench.leaderboard.pull_request import list_packages

BOARD = "Board of the Faculty, no. 17"


def run(name: str = "own/study", public: str = "no") -> Any:
    return SimpleNamespace(dataset=SimpleNamespace(name=name), card=SimpleNamespace(labels_public=public))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_public_datasets_are_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask_consent([run("embench_plugins/wesad")], consent=False, ethics=None) is None
    assert capsys.readouterr().out == ""
    for said in ({"consent": True, "ethics": None}, {"consent": False, "ethics": BOARD}):
        with pytest.raises(UsageError, match="no run here uses your own data"):
            ask_consent([run("embench_plugins/wesad")], **said)


@pytest.mark.parametrize("said", [(False, None), (True, None), (False, BOARD), (True, "")])
def test_without_a_terminal_both_must_be_said(
    said: tuple[bool, str | None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"y\n{BOARD}\n"))
    with pytest.raises(UsageError, match="not a terminal") as caught:
        ask_consent([run()], consent=said[0], ethics=said[1])
    assert "--consent and --ethics" in str(caught.value.expected)
    assert "not published: signals" in capsys.readouterr().out


def test_with_both_nobody_is_asked_and_what_leaves_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask_consent([run(), run("embench_plugins/wesad")], consent=True, ethics=f" {BOARD} ") == BOARD
    told = " ".join(capsys.readouterr().out.split())
    assert "own data: own/study." in told
    assert "labels.hmac" in told
    assert "predictions.npz" not in told
    assert ask_consent([run(public="yes")], consent=True, ethics=BOARD) == BOARD
    assert "predictions.npz" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["  ", "a\nb", "x" * 201])
def test_an_approval_has_a_name(text: str) -> None:
    with pytest.raises(UsageError, match="missing or not valid"):
        ask_consent([run()], consent=True, ethics=text)


def test_on_a_terminal_both_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("typer.confirm", lambda *_, **__: True)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: BOARD)
    assert ask_consent([run()], consent=False, ethics=None) == BOARD


def test_no_other_way_leads_past_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = SimpleNamespace(encoders={}, fusion=None, pretrainers=[])
    manifest = SimpleNamespace(dataset=SimpleNamespace(name="own/study"), method=method, versions={})
    assert list_packages(manifest) == {}  # type: ignore[arg-type]
    monkeypatch.setattr(entries, "read_record", lambda _: SimpleNamespace(run={}))
    monkeypatch.setattr(entries.Manifest, "model_validate", lambda _: manifest)
    monkeypatch.setattr(entries, "explain_unpublishable", lambda _: [])
    with pytest.raises(CheckFailed, match="participants' consent"):
        entries.export_entry(tmp_path, tmp_path, key=lambda _: b"")
