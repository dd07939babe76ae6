"""The two schemas of run.yaml and scores.json: which a record is written in, and that no number is lost in reading."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from embench.errors import DataError
from embench.interfaces.units import Target
from embench.protocols import load_protocol
from embench.records.record import Record, read_manifest, read_record, read_scores, write_entry, write_record
from embench.records.scores import Scores
from embench.statistics.scores import compute_scores

from ..sample import WHOLE
from .test_record import RUN

BOARDS = Path(__file__).parents[2] / "leaderboards"
SOURCE = {"dataset": "embench_plugins/wesad", "store": "0" * 16, "subjects": 15, "labels": "none"}
EFFECT = {"mean": 0.3, "low": 0.1, "high": 0.5, "subjects": 12, "over": "jackknife"}
AT = {"effect": EFFECT, "score": EFFECT, "share_left": 0.8, "adds": True, "of_groups": {"people": 0.2}}
ADDS = {"levels": {"local": AT}, "tasks": {"people": EFFECT}, "placebo": {"x": EFFECT}}


def a_record(made: Any, target: Target, protocol: str) -> Record:
    rules = load_protocol(protocol)
    scores = compute_scores(
        made.predictions, made.labels, targets=[target], protocol=rules, design="free", groups=made.groups,
        unit_length_s=10.0,
    )  # fmt: skip
    about = {"name": rules.name, "version": rules.version, "hash": rules.hash, "leaks": False}
    run = {
        **RUN,
        "protocol": {**about, "rules": rules.model_dump(mode="json", exclude_none=True)},
        "trained_on": {
            "name": "embench_plugins/wesad", "fingerprint": "f", "subjects": 15, "label_rules_hash": "b",
            "label_rules": [],
        },
        "outside": {"missing": {"stress": {"units": 1, "labelled": 1, "subjects": {"s00": 1}}}},
        "pretraining": [SOURCE],
        "started_from": {"weights": {}, "manifest": {"seen": [SOURCE]}, "run": None},
    }  # fmt: skip
    folds = [{"subject": p, "group": g, "fold": 0, "role": "test", "seed": 0} for p, g in made.groups.items()]
    adding = {"adds": {"stress": ADDS}, "absent": {"people": 0}} if rules.scoring == 3 else {}
    return Record(run, made.predictions, made.labels, folds, Scores({**scores, **adding}))


@pytest.fixture
def v2(make_run: Callable[..., Any], binary: Target) -> Record:
    return a_record(make_run(), binary, "subject-independent-v2")


@pytest.fixture
def v3(make_run: Callable[..., Any], binary: Target) -> Record:
    return a_record(make_run(), binary, "subject-independent-v3")


def keys(value: Any) -> set[str]:
    """All keys of a file, but those that are names of targets, tasks and groups."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item)}
    if not isinstance(value, dict):
        return set()
    named = ("absent", "of_groups", "tasks", "rules")
    inside = {k for key, item in value.items() for k in keys(item if key not in named else [*item.values()])}
    return {*value, *inside}


def written(folder: Path, record: Record) -> tuple[Any, Any]:
    write_record(folder, record)
    return yaml.safe_load((folder / "run.yaml").read_text()), json.loads((folder / "scores.json").read_text())


def test_records_of_version_3_are_written_in_schema_2(tmp_path: Path, v3: Record) -> None:
    run, scores = written(tmp_path, v3)
    for content in (run, scores):
        assert next(iter(content.items())) == ("schema", 2)
        assert "people" not in keys(content)
    assert run["cohort"]["subjects"] == 12
    headline = scores["scores"]["stress"]["auroc_within"]
    assert (headline["subjects"], headline["over"]) == (12, "subjects")
    assert {row["subjects"] for row in scores["folds"]} == {3}
    again = read_record(tmp_path)
    assert (again.run, again.scores) == (v3.run, v3.scores)
    write_entry(tmp_path / "board" / "v3" / "row", v3, tmp_path / "board" / "shared")
    assert read_record(tmp_path / "board" / "v3" / "row").scores["controls"] == v3.scores["controls"]


def test_records_of_version_2_are_written_in_schema_1(tmp_path: Path, v2: Record) -> None:
    run, scores = written(tmp_path, v2)
    assert not {"schema", "subjects"} & (keys(run) | keys(scores))
    assert run["cohort"]["people"] == 12
    assert run["trained_on"]["people"] == run["pretraining"][0]["people"] == 15
    assert run["started_from"]["manifest"]["seen"][0]["people"] == 15
    assert run["outside"]["missing"]["stress"]["people"] == {"s00": 1}
    headline = scores["scores"]["stress"]["auroc_within"]
    assert (headline["people"], headline["over"]) == (12, "people")
    again = read_record(tmp_path)
    assert (again.run, again.scores) == (v2.run, v2.scores)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", sorted(path.name for path in BOARDS.iterdir() if path.is_dir()))
def test_published_entries_are_read_and_written_again_byte_by_byte(tmp_path: Path, dataset: str) -> None:
    for n, path in enumerate(sorted((BOARDS / dataset).glob("*/*/run.yaml"))):
        if n % 72 and not WHOLE:
            continue
        again = tmp_path / path.parent.relative_to(BOARDS)
        again.parent.mkdir(parents=True, exist_ok=True)
        write_entry(again, read_record(path.parent), again.parent.parent / "shared")
        for name in ("run.yaml", "scores.json"):
            assert (again / name).read_bytes() == path.with_name(name).read_bytes(), path.parent
    for path in tmp_path.glob("*/shared/control_scores-*"):
        assert path.read_bytes() == (BOARDS / path.relative_to(tmp_path)).read_bytes()


def rename(part: dict[str, Any], old: str, new: str) -> None:
    part[new] = part.pop(old)


HEADLINE = "scores.json, scores.stress.auroc_within"
EDITS: dict[str, tuple[str, Callable[[Any, Any], object], str]] = {
    "people in schema 2": ("v3", lambda r, _: rename(r["cohort"], "subjects", "people"), "run.yaml, cohort"),
    "people beside subjects": ("v3", lambda r, _: r["cohort"].update(people=99), "run.yaml, cohort"),
    "people in a source": ("v3", lambda r, _: r["pretraining"][0].update(people=99), "run.yaml, pretraining.0"),
    "people in a score": ("v3", lambda _, s: rename(of(s), "subjects", "people"), HEADLINE),
    "people in a fold": ("v3", lambda _, s: rename(s["folds"][3], "subjects", "people"), "scores.json, folds.3"),
    "over people": ("v3", lambda _, s: of(s).update(over="people"), HEADLINE),
    "people in what is added": (
        "v3", lambda _, s: s["adds"]["stress"]["tasks"]["people"].update(people=1), "scores.json, adds.stress.tasks",
    ),
    "subjects without a schema": ("v2", lambda _, s: rename(of(s), "people", "subjects"), HEADLINE),
    "subjects in schema 1": (
        "v2", lambda r, _: (r.update(schema=1), rename(r["cohort"], "people", "subjects")), "run.yaml, cohort",
    ),
    "over subjects": ("v2", lambda _, s: of(s).update(over="subjects and stimuli"), HEADLINE),
    "no schema any more": ("v3", lambda r, _: r.pop("schema"), "run.yaml, cohort"),
    "called schema 2": ("v2", lambda _, s: s.update(schema=2), "scores.json, scores.stress"),
    "a later schema": ("v3", lambda r, _: r.update(schema=3), "run.yaml, schema"),
    "a later schema of scores": ("v3", lambda _, s: s.update(schema=3), "scores.json, schema"),
    "a text for a schema": ("v3", lambda _, s: s.update(schema="2"), "scores.json, schema"),
    "true for a schema": ("v2", lambda r, _: r.update(schema=True), "run.yaml, schema"),
    "none for a schema": ("v2", lambda r, _: r.update(schema=None), "run.yaml, schema"),
}  # fmt: skip


def of(scores: Any) -> Any:
    return scores["scores"]["stress"]["auroc_within"]


@pytest.mark.parametrize("name", EDITS)
def test_a_schema_that_is_not_known_or_not_kept_is_refused(
    tmp_path: Path, request: pytest.FixtureRequest, name: str
) -> None:
    version, change, field = EDITS[name]
    run, scores = written(tmp_path, request.getfixturevalue(version))
    del run["files"], run["sealed"]  # which would find it first
    change(run, scores)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    with pytest.raises(DataError) as refused:
        read_record(tmp_path)
    assert field in str(refused.value.where)
    assert ("update embench" in str(refused.value.hint)) == field.endswith("schema")


def test_a_file_is_read_by_its_own_schema_whatever_its_protocol(tmp_path: Path, v2: Record, v3: Record) -> None:
    """The file says which schema it is in: the version of a protocol does not imply it."""
    run, scores = written(tmp_path / "3", v3)
    before, _ = written(tmp_path / "2", v2)
    del before["files"], before["sealed"]
    (tmp_path / "3" / "run.yaml").write_text(yaml.safe_dump({**before, "protocol": run["protocol"]}))
    assert read_manifest(tmp_path / "3").cohort.size == 12
    assert of(read_scores(tmp_path / "3"))["subjects"] == of(scores)["subjects"] == 12


def test_a_file_of_either_schema_can_be_held_as_scores(tmp_path: Path, v2: Record, v3: Record) -> None:
    for record in (v2, v3):
        _, content = written(tmp_path / record.run["protocol"]["name"], record)
        score = Scores(content).score("stress", "auroc_within")
        assert score is not None
        assert (score.subjects, score.over) == (12, "subjects")
