"""The ledger of test looks: whole under concurrency, and it notices when somebody improves it."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from embench.errors import CheckFailed, UsageError
from embench.records import ledger


def look(folder: Path, run: str = "r1", method: str = "m1", **changed: str) -> None:
    entry = {"dataset": "amigos", "protocol": "p-v1", "target": "arousal", "run": run, "method": method}
    ledger.append_to_ledger(folder, {**entry, **changed})


def several(folder: Path, name: int) -> None:
    for k in range(20):
        look(folder, run=f"{name}-{k}", method=f"m{name}")


def test_counts_looks_and_methods(tmp_path: Path) -> None:
    assert ledger.count_openings(tmp_path / "runs", "amigos", "p-v1", "arousal") == 0
    for run, method in (("r1", "m1"), ("r2", "m1"), ("r3", "m2")):
        look(tmp_path / "runs", run, method)
    look(tmp_path / "runs", target="valence")
    look(tmp_path / "runs", protocol="other")
    assert ledger.count_openings(tmp_path / "runs", "amigos", "p-v1", "arousal") == 3
    assert ledger.count_methods(tmp_path / "runs", "amigos", "p-v1", "arousal") == 2
    assert len(ledger.read_ledger(tmp_path / "runs")) == 5


def test_processes_take_turns(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3) as pool:
        list(pool.map(several, [tmp_path] * 3, range(3)))
    assert ledger.count_openings(tmp_path, "amigos", "p-v1", "arousal") == 60
    assert ledger.count_methods(tmp_path, "amigos", "p-v1", "arousal") == 3


def drop_one(lines: list[str]) -> list[str]:
    return [lines[0], *lines[2:]]


def swap(lines: list[str]) -> list[str]:
    return [lines[1], lines[0], *lines[2:]]


def rename(lines: list[str]) -> list[str]:
    return [line.replace('"m1"', '"m0"') for line in lines]


def garble(lines: list[str]) -> list[str]:
    return [lines[0], "{}", *lines[1:]]


@pytest.mark.parametrize("tamper", [drop_one, swap, rename, garble])
def test_changes_are_noticed(tmp_path: Path, tamper) -> None:  # type: ignore[no-untyped-def]
    for run in ("r1", "r2", "r3"):
        look(tmp_path, run)
    path = tmp_path / ledger.LEDGER_FILE
    path.write_text("\n".join(tamper(path.read_text().splitlines())) + "\n")
    with pytest.raises(CheckFailed, match="ledger") as error:
        ledger.read_ledger(tmp_path)
    assert "line" in str(error.value.where)
    with pytest.raises(CheckFailed):
        look(tmp_path, "r4")


def test_a_line_that_a_killed_process_left_is_dropped(tmp_path: Path) -> None:
    look(tmp_path, "r1")
    path = tmp_path / ledger.LEDGER_FILE
    path.write_text(path.read_text() + '{"entry": {"data')
    assert ledger.count_openings(tmp_path, "amigos", "p-v1", "arousal") == 1
    look(tmp_path, "r2")
    assert [e["run"] for e in ledger.read_ledger(tmp_path)] == ["r1", "r2"]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_an_entry_must_say_what_was_looked_at(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lacks target, run, method"):
        ledger.append_to_ledger(tmp_path, {"dataset": "amigos", "protocol": "p-v1"})
