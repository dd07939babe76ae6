"""A comparison with the data is never passed over in silence: what an entry says of its files, its code or its labels
decides nothing, and a comparison that was not made ends otherwise than a pass."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embench.cli import main

from ..leaderboard.boards import Place, place
from . import answers as a
from .forger import Forger

__all__ = ["place"]
pytestmark = pytest.mark.slow
OF_DATA = ("labels", "cohort", "unpredicted", "confound_only", "adjusted")
CONTROL = "session_position"


def of_earlier_code(run: Any) -> None:
    """An entry from before raw files were named, prepared by other code."""
    run["dataset"].pop("files", None)
    run["dataset"]["fingerprint"] = "0" * 16


def of_other_files(run: Any) -> None:
    run["dataset"].update(fingerprint="0" * 16, files="0" * 32)


def get_label_limits(run: Any) -> None:
    run["config"]["label_subjects"] = run["config"]["request"]["label_subjects"] = 2


SAID: dict[str, Callable[[Any], None]] = {"earlier code": of_earlier_code, "other files": of_other_files}
WEAKER = a.of_controls(lambda _, values: (values.mean() + 0.01 * (values - values.mean())).round(3), CONTROL)


@pytest.fixture
def forger(place: Place, tmp_path: Path) -> Forger:
    shutil.copytree(place.boards, tmp_path / "boards")
    return Forger(tmp_path / "boards" / place.entry.relative_to(place.boards))


def verified(forger: Forger, place: Place, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, Any]:
    capsys.readouterr()
    line = ["leaderboard", "verify", str(forger.folder), "--data-root", str(place.data), "--json", *more]
    code = main(line)
    text = capsys.readouterr().out
    found = json.loads(text[: text.rindex("]") + 1])
    return code, {check["check"]: (check["status"], check["reason"]) for check in found}


@pytest.mark.parametrize("said", SAID)
def test_an_honest_entry_is_compared_whatever_it_says_of_its_files(
    forger: Forger, place: Place, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    forger.edit_run(SAID[said])
    code, found = verified(forger, place, capsys)
    assert code == 0
    assert {name: found[name][0] for name in OF_DATA if name in found}.items() <= dict.fromkeys(
        OF_DATA, "passed"
    ).items()


@pytest.mark.parametrize("said", SAID)
def test_a_weaker_model_is_named_whatever_the_entry_says_of_its_files(
    forger: Forger, place: Place, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    forger.rewrite(WEAKER)
    forger.edit_run(SAID[said])
    code, found = verified(forger, place, capsys)
    assert (code, found["confound_only"][0]) == (1, "failed")
    assert CONTROL in found["confound_only"][1]


def test_a_weaker_model_is_named_where_it_is_said_to_be_of_few_labels(
    forger: Forger, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    forger.rewrite(WEAKER)
    forger.edit_run(get_label_limits)
    code, found = verified(forger, place, capsys)
    assert (code, found["confound_only"][0]) == (1, "failed")


def test_labels_of_other_files_are_no_pass_and_attested_by_nobody(
    forger: Forger, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    forger.rewrite(a.relabelled(a.of_neighbour))
    forger.edit_run(of_other_files)
    code, found = verified(forger, place, capsys, "--attester", "A. Reader")
    assert code == 3
    status, reason = found["labels"]
    assert status == "not compared"
    assert "labels: " in reason
    assert not (forger.folder.parents[1] / "attestations").exists()
