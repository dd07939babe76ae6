"""Of a subject that gives its first day, or its first blocks, to train on, nothing later reaches what predicts it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from embench.cli import main
from embench.engine.stage import Stage
from embench.errors import CheckFailed, UsageError
from embench.planning.graph import TRAIN
from embench.planning.plan import Plan, make
from embench.planning.request import Request
from embench.protocols import NO_CALIBRATION, load_protocol, prove_given

from ..planning.days import write_days, write_rules
from ..sample import sample
from ..tiny.fixtures import cache
from ..tiny.world import plugin

__all__ = ["cache"]
FEATURES = {"encoders": ("handcrafted",), "fusion": "logreg"}
NETWORK = {"encoders": (plugin("Pool"),), "pretrainers": ("masked_value",)}


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_days(tmp_path_factory.mktemp("days") / "days")


def plan(data: Path, protocol: str, **options: object) -> Plan:
    asked = {"recipe": "quick", "seeds": "0", "device": "cpu", "workers": 1, **FEATURES, **options}
    return make(Request(str(data), protocol=protocol, runs=data.parent / "runs", **asked))  # type: ignore[arg-type]


def list_test_stages(made: Plan, last: str) -> Iterator[Stage]:
    """The stages that a prediction is made with, itself left out."""
    for name in made.graph.stages[last].inputs.values():
        yield made.graph.stages[name]
        yield from list_test_stages(made, name)


def touched(made: Plan, stage: Stage, units: list[int]) -> set[str]:
    """Those of some units any part of which a stage that fits reads; with --dev, which tests them, other than to
    validate with them."""
    read = (stage.task["role"] == TRAIN) | (not made.request.dev)
    spans = list(zip(*(stage.task[name][read].tolist() for name in ("recording", "start", "stop")), strict=True))
    index = {entry.id: r for r, entry in enumerate(made.test.store.recordings)}
    return {
        unit.id
        for unit in made.test.select_units(units)
        for r, start, stop in spans
        if r == index[unit.recording] and start < unit.stop and unit.start < stop
    }


@pytest.mark.parametrize("options", [FEATURES, NETWORK, {**NETWORK, "dev": True}, {**FEATURES, "label_subjects": "1"}])
@pytest.mark.parametrize("gives", sample(["session", "blocks"], "session"))
def test_what_is_fitted_or_pretrained_reads_of_a_test_subject_what_it_gives_alone(
    days: Path, tmp_path: Path, gives: str, options: dict[str, object]
) -> None:
    made = plan(days, write_rules(tmp_path, gives), **options)
    slices = made.test.slices
    assert slices is not None
    for each in made.graph.predictions:
        tested = {made.test.units[i].subject for i in each.units}
        own = [i for i in made.test.positions if made.test.units[i].subject in tested]
        given = {made.test.units[i].id for i in own if slices.rank[i]}
        assert all(slices.scored[i] for i in each.units)
        for name, stage in {**each.beside, "": each.stage}.items():
            fitted = list(list_test_stages(made, stage))
            read = set().union(*(touched(made, one, own) for one in fitted))
            assert read == (set() if name == NO_CALIBRATION else given)
            assert "pretrain" in {one.kind for one in fitted} or "pretrainers" not in options


def test_folds_that_learn_more_of_a_test_subject_than_it_gave_are_refused(days: Path, tmp_path: Path) -> None:
    made = plan(days, write_rules(tmp_path, "blocks"))
    cohort, protocol = made.test, made.protocol
    folds = cohort.folds(protocol, 0)
    slices, fold = cohort.slices, folds[0]
    assert slices is not None
    subject_of = {unit.id: unit.subject for unit in cohort.units}
    tested = {subject_of[id_] for id_ in fold.test}
    between = [cohort.units[i] for i in cohort.eligible if not slices.rank[i] and not slices.scored[i]]
    guard = next(unit.id for unit in between if unit.subject in tested)
    for stolen in (guard, fold.test[0]):
        with pytest.raises(CheckFailed, match="but not calibration data"):
            cohort.split_calibration(protocol, [replace(fold, train=(*fold.train, stolen))])
    units, given, scored = cohort.select_units(cohort.eligible), {fold.train[-1]}, set(fold.test)
    with pytest.raises(CheckFailed, match="are tested in fold 0 but must not be scored"):
        prove_given(protocol, "days", units, [replace(fold, test=(*fold.test, guard))], given, scored)


@pytest.mark.parametrize(
    ("names", "sessions"),
    [
        (("day2", "day10"), None),
        (("pre", "post"), ["pre", "post"]),
        (("2024-11-30", "2025-01-02"), ["2024-11-30", "2025-01-02"]),
    ],
)
def test_the_first_session_is_the_one_that_came_first(
    tmp_path: Path, names: tuple[str, str], sessions: list[str] | None
) -> None:
    folder = write_days(tmp_path / "days", 3, names)
    if sessions:
        about = yaml.safe_load((folder / "dataset.yaml").read_text())
        (folder / "dataset.yaml").write_text(yaml.safe_dump({**about, "sessions": sessions}))
    cohort = plan(folder, write_rules(tmp_path, "session")).test
    first = {entry.id for entry in cohort.store.recordings if cohort.placed.session[entry.id] == 0}
    given = {unit.recording for unit, rank in zip(cohort.units, cohort.slices.rank, strict=True) if rank}
    scored = {unit.recording for unit, asked in zip(cohort.units, cohort.slices.scored, strict=True) if asked}
    assert given == first
    assert given.isdisjoint(scored)
    assert len(scored) == 3
    own = {entry.id: entry.session for entry in cohort.store.recordings}
    assert {own[id_] for id_ in given} == {cohort.card.sessions[0] if sessions else "day2"}


@pytest.mark.parametrize("names", [("pre", "post"), ("2024-11-30", "2025-01-02")])
def test_sessions_whose_order_nobody_knows_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    folder = write_days(tmp_path / "days", 3, names)
    with pytest.raises(UsageError, match="the order of the sessions of days is not known"):
        plan(folder, write_rules(tmp_path, "session"))
    plan(folder, load_protocol("subject-independent-v4").name)


def test_what_the_design_does_not_allow_is_refused_with_the_reason(tmp_path: Path) -> None:
    one = write_days(tmp_path / "one", 4, ["day1"])
    with pytest.raises(UsageError, match="for 4 of 4 subjects, there is one session only"):
        plan(one, write_rules(tmp_path, "session"))
    plan(one, write_rules(tmp_path, "blocks"))
    stages = (one / "stages.csv").read_text().splitlines()
    calm = [row.replace("stress", "rest") if int(row.split(",")[2]) >= 180 else row for row in stages[1:]]
    (one / "stages.csv").write_text("\n".join([stages[0], *calm]) + "\n")
    with pytest.raises(UsageError, match="the remaining units to score lacks a class"):
        plan(one, write_rules(tmp_path, "blocks"))


@pytest.mark.slow
def test_short_films_of_amigos_are_given_and_long_ones_scored(tmp_path: Path) -> None:
    main(["data", "synthesize", "amigos", "--out", str(tmp_path / "amigos"), "--subjects", "6", "--length-s", "25"])
    protocol = write_rules(tmp_path, "session")
    cohort = plan(Path("amigos/all"), protocol, data_root=tmp_path, modalities="eda", targets="arousal").test
    session = {entry.id: entry.session for entry in cohort.store.recordings}
    assert cohort.slices is not None
    given = {session[unit.recording] for unit, rank in zip(cohort.units, cohort.slices.rank, strict=True) if rank}
    scored = {session[unit.recording] for unit, asked in zip(cohort.units, cohort.slices.scored, strict=True) if asked}
    assert (given, scored) == ({"short"}, {"long"})
