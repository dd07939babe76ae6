"""What a protocol file may say, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from embench.errors import UsageError
from embench.protocols import load, names

PUBLISHED = {
    "leave-one-subject-out-v1": "0276c05ececb65fc8a36be6970aa8a3db25252e9319e94aa1f8d02cdc162d0e9",
    "segment-random-legacy": "4b766b5c0b10fb0d1cd6783a736d692e49ee6628375c9cfbaf51cf3a0957338d",
    "subject-independent-v1": "2e04bd27ff411709e570ad13dd83b479ad661a6cc40d5ab1da01e1e1a8af887d",
}


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """`own(leaks=True)`: the path of a protocol file like subject-independent-v1, with some fields changed."""

    def write(drop: str | None = None, **changes: Any) -> Path:
        rules = load("subject-independent-v1").model_dump(mode="json") | {"name": "own-v1"} | changes
        rules.pop(drop, None)
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump(rules))
        return path

    return write


def test_published_rules_never_change() -> None:
    assert {name: load(name).hash for name in names()} == PUBLISHED


def test_published_protocols_say_what_they_give_up() -> None:
    assert {name: bool(load(name).gives_up) for name in names()} == {name: load(name).leaks for name in names()}


def test_hash_holds_rules_not_spelling(own: Any, tmp_path: Path) -> None:
    one = load(own(rate_hz=64))
    other = tmp_path / "other.yaml"
    other.write_text("# a remark\n" + yaml.safe_dump({**one.model_dump(mode="json"), "rate_hz": 64.0}, sort_keys=False))
    assert load(other).hash == one.hash
    assert load(own(rate_hz=32)).hash != one.hash


def test_a_protocol_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load("subject-independent-v1").leaks = True  # type: ignore[misc]


def test_wrong_name_shows_the_nearest() -> None:
    with pytest.raises(UsageError) as error:
        load("subject-independant")
    assert str(error.value.hint).startswith("did you mean subject-independent-v1")
    assert "segment-random-legacy" in str(error.value.expected)


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"leeks": True}, "leeks", "did you mean leaks?"),
        ({"split": {"by": "group", "folds": 5, "fold": 3}}, "split.fold", "did you mean folds"),
        ({"split": {"by": "subject", "folds": 5}}, "split.by", "'group', 'recording', 'segment' or 'group+stimulus'"),
        ({"split": {"by": "group", "folds": 1}}, "split.folds", "greater than or equal to 2"),
        ({"validation": {"fraction": "a fifth", "at_least": 4}}, "validation.fraction", "valid number"),
        ({"unit": {"rating": "recording", "continuous_s": 0, "condition_s": 10}}, "unit.continuous_s", "greater than"),
        ({"normalise": "subject"}, "normalise", "'none', 'baseline' or 'subject_unlabelled'"),
        ({"version": True}, "version", "valid integer"),
        ({"drop": "headline"}, "headline", "a value for headline"),
    ],
)
def test_a_field_that_breaks_the_schema_is_named(own: Any, changes: dict[str, Any], field: str, expected: str) -> None:
    path = own(**changes)
    with pytest.raises(UsageError) as error:
        load(path)
    assert error.value.where == f"{path}, {field}"
    assert expected in str(error.value.expected)


# A split that leaks is refused on its folds, with the ids that it shares: see `test_guard.py`.
@pytest.mark.parametrize(("changes", "field"), [({"select": "peak_on_test"}, "select")])
def test_a_leak_must_be_declared(own: Any, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError, match="leaks while it says that it does not") as error:
        load(own(**changes))
    assert str(error.value.where).endswith(field)
    declared = load(own(**changes, leaks=True))
    assert list(declared.gives_up) == [field]


def test_a_published_name_is_not_for_other_rules(own: Any) -> None:
    assert load(own(name="subject-independent-v1")).hash == PUBLISHED["subject-independent-v1"]
    with pytest.raises(UsageError, match="differ from those published"):
        load(own(name="subject-independent-v1", rate_hz=64))


@pytest.mark.parametrize(
    ("text", "match"), [("a: [1\nb: 2", "not valid YAML"), ("", "holds no rules"), ("- a\n- b\n", "holds no rules")]
)
def test_a_file_without_rules_is_refused(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=match):
        load(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file") as error:
        load(tmp_path / "none.yaml")
    assert error.value.where == str(tmp_path / "none.yaml")


def test_decisions() -> None:
    decide = load("subject-independent-v1").decision
    assert decide(np.array([0.2, 0.5, 0.7])).tolist() == [0.0, 1.0, 1.0]
    assert decide(np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])).tolist() == [1.0, 0.0]


def test_headline_depends_on_target_and_clock() -> None:
    protocol = load("subject-independent-v1")
    assert protocol.headline_for("binary", fixed_order=False) == "auroc_within"
    assert protocol.headline_for("classes", fixed_order=False) == "auroc_within"
    assert protocol.headline_for("binary", fixed_order=True) == "auroc_crossed_time"
    assert protocol.headline_for("value", fixed_order=False) == "ccc"


def test_a_papers_headline_holds_everywhere(own: Any) -> None:
    assert load(own(headline="f1_weighted")).headline_for("binary", fixed_order=True) == "f1_weighted"
