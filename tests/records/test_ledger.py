"""The ledger of test looks: whole under concurrency, and it notices when somebody improves it."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from embench.errors import CheckFailed, UsageError
from embench.records import ledger


def look(folder: Path, run: str = "r1", method: str = "m1", **changed: str) -> None:
    entry = {"dataset": "amigos", "protocol": "p-v1", "target": "arousal", "run": run, "method": method}
    ledger.append_to_ledger(folder, {**entry, **changed})


def several(folder: Path, name: int) -> None:
    for k in range(20):
        look(folder, run=f"{name}-{k}", method=f"m{name}")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "home"))
    return tmp_path / "home"


def opened(
    runs: Path, run: str = "r1", method: str = "m1", data: bytes = b"one", **changed: Any
) -> ledger.EvaluationCounts:
    opening = {"dataset": "amigos", "protocol": "p-v1", "run": run, "method": method, **changed}
    return ledger.record_evaluations(runs, data, "f", opening, ["arousal", "valence"])


def test_counts_looks_and_methods(tmp_path: Path) -> None:
    for run, method in (("r1", "m1"), ("r2", "m1"), ("r3", "m2")):
        looks = opened(tmp_path / "runs", run, method)
    assert looks.test_evaluations == {"arousal": 3, "valence": 3}
    assert looks.methods_evaluated == {"arousal": 2, "valence": 2}
    assert opened(tmp_path / "runs", protocol="other").test_evaluations["arousal"] == 1
    assert len(ledger.read_ledger(tmp_path / "runs")) == 8


def test_each_lag_is_another_look_at_the_same_labels(tmp_path: Path) -> None:
    for run, lag in (("r1", ""), ("r2", "-lag2s"), ("r3", "-lag-0.5s")):
        looks = opened(tmp_path / "runs", run, f"m{lag}", protocol=f"p-v1{lag}")
    assert (looks.test_evaluations["arousal"], looks.methods_evaluated["arousal"]) == (3, 3)
    known = ledger.count_up_to(looks.chain, "amigos", "p-v1", ["arousal"])
    assert known is not None
    assert known.methods_evaluated == {"arousal": 3}


def test_another_runs_folder_goes_on_counting_and_other_data_do_not(tmp_path: Path) -> None:
    for folder in ("one", "two", "three"):
        looks = opened(tmp_path / folder, f"r-{folder}")
    assert looks.test_evaluations["arousal"] == 3
    assert len(ledger.read_ledger(tmp_path / "three")) == 2
    assert opened(tmp_path / "four", data=b"other").test_evaluations["arousal"] == 1


def test_the_same_run_counts_once(tmp_path: Path) -> None:
    first = opened(tmp_path / "one")
    assert opened(tmp_path / "one") == opened(tmp_path / "two") == first


def test_a_reproduction_is_written_down_and_is_no_look(tmp_path: Path, home: Path) -> None:
    """It shows nothing that was not published; whoever runs the method later all the same, looks."""
    before = opened(tmp_path / "one")
    opened(tmp_path / "two", "reproduction of r2", "m2", reproduces="r2")
    [folder] = (home / "ledger").iterdir()
    assert [line.get("reproduces") for line in ledger.read_ledger(folder)] == [None, None, "r2", "r2"]
    after = opened(tmp_path / "one")
    assert (after.test_evaluations, after.methods_evaluated) == (before.test_evaluations, before.methods_evaluated)
    assert opened(tmp_path / "two", "r2", "m2").test_evaluations["arousal"] == 2


def test_dev_looks_are_counted_apart_and_once_each(tmp_path: Path, home: Path) -> None:
    opened(tmp_path / "one")
    for folder in ("one", "two"):
        looks = opened(tmp_path / folder, "dev-r2", "m2", dev=True)
    assert (looks.test_evaluations, looks.methods_evaluated, looks.dev_evaluations) == tuple(
        {"arousal": 1, "valence": 1} for _ in range(3)
    )
    (path,) = home.rglob(ledger.LEDGER_FILE)
    path.unlink()
    with pytest.warns(UserWarning, match="missing: 4"):
        looks = opened(tmp_path / "one", "r3", "m3")
    assert (
        looks.test_evaluations["arousal"],
        looks.methods_evaluated["arousal"],
        looks.dev_evaluations["arousal"],
    ) == (2, 2, 1)


def several_looks(folder: Path, _: int) -> None:
    for k in range(5):
        opened(folder, run=f"r{k}")


def test_equal_commands_at_once_count_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(several_looks, [tmp_path] * 2, range(2)))
    assert opened(tmp_path, "r0").test_evaluations["arousal"] == 5


@pytest.mark.parametrize("cut", ["its end", "all"])
def test_a_ledger_that_was_cut_short_is_made_whole_from_the_runs_folder(tmp_path: Path, home: Path, cut: str) -> None:
    for run in ("r1", "r2", "r3"):
        opened(tmp_path / "runs", run)
    (path,) = home.rglob(ledger.LEDGER_FILE)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2]) if cut == "its end" else "")
    with pytest.warns(UserWarning, match=f"missing: {4 if cut == 'its end' else 6}"):
        looks = opened(tmp_path / "runs", "r4", "m2")
    assert looks.test_evaluations == {"arousal": 4, "valence": 4}
    assert looks.methods_evaluated == {"arousal": 2, "valence": 2}


def test_the_seal_of_a_record_fixes_its_counts(tmp_path: Path) -> None:
    looks = [opened(tmp_path / "runs", run) for run in ("r1", "r2", "r3")]
    assert ledger.count_up_to(looks[1].chain, "amigos", "p-v1", ["arousal", "valence"]) == looks[1]
    assert ledger.count_up_to("0" * 64, "amigos", "p-v1", ["arousal"]) is None


def test_processes_take_turns(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3) as pool:
        list(pool.map(several, [tmp_path] * 3, range(3)))
    assert len(ledger.read_ledger(tmp_path)) == 60
    assert len({entry["run"] for entry in ledger.read_ledger(tmp_path)}) == 60


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
    with pytest.raises(CheckFailed, match="log of test-set evaluations") as error:
        ledger.read_ledger(tmp_path)
    assert "line" in str(error.value.where)
    with pytest.raises(CheckFailed):
        look(tmp_path, "r4")


def test_a_line_that_a_killed_process_left_is_dropped(tmp_path: Path) -> None:
    look(tmp_path, "r1")
    path = tmp_path / ledger.LEDGER_FILE
    path.write_text(path.read_text() + '{"entry": {"data')
    assert len(ledger.read_ledger(tmp_path)) == 1
    look(tmp_path, "r2")
    assert [e["run"] for e in ledger.read_ledger(tmp_path)] == ["r1", "r2"]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_an_entry_must_say_what_was_looked_at(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lacks target, run, method"):
        ledger.append_to_ledger(tmp_path, {"dataset": "amigos", "protocol": "p-v1"})
