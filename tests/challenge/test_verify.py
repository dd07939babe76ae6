"""Attacks on published results: every number, text and list is edited, one at a time, and `verify` has to name it."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from embench.challenge.results import Results, write_tables
from embench.challenge.verification import verify_results
from embench.errors import EmbenchError

from .world import Host, close_withheld

Path_ = tuple[str | int, ...]

UNCHECKED_RESULTS = {
    "closed",  # only that it is after the deadline
    "rows.*.rerun",  # the host's word
    "rows.*.answers.movement",  # needs the signals
}
"""Leaves of results.json that `verify` cannot check from published files."""

UNCHECKED_CHALLENGE = {
    "title", "contact", "deadline", "feedback", "submissions_per_team", "ethics.approval",
    "ethics.consent_third_parties", "ethics.consent_competitions", "ethics.lawful_basis", "ethics.access_agreement",
    "ethics.withdrawals", "ethics.retention", "ethics.prohibited_uses", "modalities.*", "signals.eda.channels.*",
    "signals.eda.rate", "signals.eda.unit",
}  # fmt: skip
"""Leaves of challenge.yaml that only its copy in the package confirms; `verify` prints the file's checksum."""


def leaves(content: Any, at: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Yield the place and value of each number, text and truth value."""
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from leaves(value, (*at, key))
    else:
        yield at, content


def edited(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return round(value - 0.002, 3) if value > 0.5 else round(value + 0.002, 3)
    if isinstance(value, int):
        return value + 1
    if value is None:
        return 0.4
    known = {"to do": "same", "": "same", "yes": "not shown", "not shown": "yes", "held constant": "yes"}
    if value in known:
        return known[value]
    if re.fullmatch(r"[0-9a-f]{64}", value):
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    if re.fullmatch(r"\d{4}-\d\d-\d\dT.*", value):
        return value.replace("T00:00:00", "T00:00:01")
    return value + " x"


def replaced(content: Any, at: Path_, value: Any) -> Any:
    changed = copy.deepcopy(content)
    place = changed
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    return changed


def pattern(at: Path_) -> str:
    return ".".join("*" if isinstance(key, int) else key for key in at)


def is_found(folder: Path) -> str:
    """What `verify` says of a folder; empty if it finds nothing."""
    try:
        verify_results(folder)
    except EmbenchError as error:
        return str(error)
    return ""


def read_results(host: Host) -> dict[str, Any]:
    return json.loads((host.place.results / "results.json").read_text())


def forge(folder: Path, content: dict[str, Any]) -> bool:
    """Write edited results with the leaderboard and the report that belong to them, as a careful forger does. Return
    whether they are of the right form."""
    try:
        write_tables(folder, Results.model_validate(content, strict=False))
    except ValueError:
        return False
    (folder / "results.json").write_text(json.dumps(content))
    return True


def called(content: dict[str, Any], at: Path_) -> list[str]:
    """The words of which one has to be in the message about an edited leaf."""
    if at[0] == "rows":
        return [content["rows"][at[1]]["team"]]
    if at[0] == "pairs":
        one, other = (content["pairs"][at[1]][key] for key in ("first", "second"))
        return [f"{one} and {other}", f"{other} and {one}"]
    if at[0] in ("confound_only", "undefined"):
        return ["confound-only model"]
    return [str(at[0]).replace("_", " ")]


@pytest.mark.slow
def test_each_leaf_of_the_results_is_checked_or_listed(closed):
    folder, content = closed.place.results, read_results(closed)
    missed, unnamed = set(), []
    for at, value in leaves(content):
        if not forge(folder, replaced(content, at, edited(value))):
            continue
        said = is_found(folder)
        if not said:
            missed.add(pattern(at))
        elif not any(word in said for word in called(content, at)):
            unnamed.append((at, said))
    assert missed == UNCHECKED_RESULTS
    assert unnamed == [], unnamed


@pytest.mark.slow
def test_removed_and_added_parts_of_the_results_are_found(closed):
    folder, content = closed.place.results, read_results(closed)
    for key in ("rows", "pairs", "sentences"):
        for k in range(len(content[key])):
            changed = copy.deepcopy(content)
            del changed[key][k]
            assert forge(folder, changed)
            said = is_found(folder)
            assert any(word in said for word in called(content, (key, k))), (key, k, said)
    for name in content["confound_only"]:
        changed = copy.deepcopy(content)
        del changed["confound_only"][name]
        assert forge(folder, changed)
        assert "confound-only model" in is_found(folder)
    changed = copy.deepcopy(content)
    changed["rows"].append({**content["rows"][0], "team": "ghost"})
    assert forge(folder, changed)
    assert "ghost" in is_found(folder)
    assert forge(folder, {**content, "rows": [content["rows"][0], *content["rows"]]})
    assert f"{content['rows'][0]['team']} is there twice" in is_found(folder)
    changed = copy.deepcopy(content)
    changed["rows"][0], changed["rows"][1] = changed["rows"][1], changed["rows"][0]
    assert forge(folder, changed)
    assert "order" in is_found(folder)


def test_a_team_that_was_left_out_everywhere_but_in_one_place_is_found(closed):
    folder, content = closed.place.results, read_results(closed)
    whole = closed.root / "whole"
    shutil.copytree(folder, whole)
    places: dict[str, Callable[[], object]] = {
        "results.json": lambda: forge(
            folder, {**content, "rows": [r for r in content["rows"] if r["team"] != "noise"]}
        ),
        "submissions": lambda: shutil.rmtree(folder / "submissions" / "noise"),
        "teams.csv": lambda: _drop_lines(folder / "teams.csv", "noise"),
        "status.csv": lambda: _drop_lines(folder / "status.csv", "noise"),
    }
    for only in (*places, None):
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        for name, remove in places.items():
            if name != only:
                remove()
        assert is_found(folder), only
    shutil.rmtree(folder)
    shutil.copytree(whole, folder)
    shutil.copytree(folder / "submissions" / "noise", folder / "submissions" / "ghost")
    assert "ghost" in is_found(folder)


def _drop_lines(path: Path, start: str) -> None:
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith(start)))


def cells(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield for each cell of a CSV file its line and column, and the file with this cell changed."""
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    for k, row in enumerate(rows):
        for column in row:
            changed = [dict(each) for each in rows]
            value = row[column]
            changed[k][column] = f"{value}9" if re.fullmatch(r"[0-9.]*", value) else edited(value)
            out = io.StringIO()
            writer = csv.DictWriter(out, list(row), lineterminator="\n")
            writer.writeheader()
            writer.writerows(changed)
            yield k, column, out.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["leaderboard.csv", "teams.csv", "status.csv"])
def test_each_cell_of_the_tables_is_checked(closed, name):
    path = closed.place.results / name
    before = path.read_text()
    missed = set()
    for _, column, text in cells(path):
        path.write_text(text)
        said = is_found(closed.place.results)
        if not said:
            missed.add(column)
        else:
            assert name in said or "team" in said, said
    path.write_text(before)
    assert missed == ({"reason"} if name == "status.csv" else set())
    assert not is_found(closed.place.results)


@pytest.mark.parametrize(
    ("key", "value"), [("submissions_per_team", "many"), ("deadline", "soon"), ("commitment", 1), ("target", None)]
)
def test_a_damaged_description_is_refused_without_a_traceback(closed, key, value):
    path = closed.place.results / "challenge.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), key: value}))
    assert is_found(closed.place.results)


@pytest.mark.slow
def test_each_line_of_the_report_is_checked(closed):
    path = closed.place.results / "report.md"
    lines = path.read_text().splitlines()
    for k, line in enumerate(lines):
        path.write_text("\n".join([*lines[:k], line + " x", *lines[k + 1 :]]) + "\n")
        assert "report.md" in is_found(closed.place.results), line


@pytest.mark.slow
@pytest.mark.parametrize("name", ["opening.json", "commitment.json", "challenge.yaml", "final/facts.json"])
def test_each_leaf_of_other_documents_is_checked_or_listed(closed, name):
    path = closed.place.results / name
    content = yaml.safe_load(path.read_text())
    missed = set()
    for at, value in leaves(content):
        changed = replaced(content, at, edited(value))
        path.write_text(yaml.safe_dump(changed) if path.suffix == ".yaml" else json.dumps(changed))
        if not is_found(closed.place.results):
            missed.add(pattern(at))
    assert missed == (UNCHECKED_CHALLENGE if name == "challenge.yaml" else set())


def test_each_file_of_a_submission_and_of_the_reference_is_checked(closed):
    folder = closed.place.results
    files = [path for part in ("submissions", "final") for path in sorted((folder / part).rglob("*")) if path.is_file()]
    assert len(files) == 4 * 2 + 3
    for path in files:
        before = path.read_bytes()
        path.write_bytes(before + b"\n")
        said = is_found(folder)
        assert path.parent.name in said, (path, said)
        path.unlink()
        assert is_found(folder), path
        path.write_bytes(before)
    text = (folder / "submissions" / "noise" / "predictions.csv").read_text()
    lines = text.splitlines()
    (folder / "submissions" / "noise" / "predictions.csv").write_text(
        "\n".join([lines[0], *reversed(lines[1:])]) + "\n"
    )
    assert "noise" in is_found(folder)  # the scores are the same; the file is not the team's


@pytest.mark.slow
def test_withheld_results_are_checked_as_far_as_they_go(study, tmp_path):
    host = close_withheld(study, tmp_path / "c", alpha=2.0, beta=0.0)
    folder, content = host.place.results, read_results(host)
    assert any("withheld" in line for line in verify_results(folder))
    for at, value in leaves(content):
        if at[-1] == "rank" or at[0] in ("sentences", "registered", "submissions", "subjects", "is_final"):
            assert forge(folder, replaced(content, at, edited(value)))
            assert is_found(folder), at
