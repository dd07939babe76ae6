"""The seeds of runs that name none."""

from __future__ import annotations

from pathlib import Path

import pytest

from embench.planning.request import format_recorded_command
from embench.records.record import read_manifest

from ..tiny.running import Bench
from ..tiny.world import TIMELESS, make_subjects, write

THREE, BALANCED, TEN = [0, 1, 2], list(range(5)), list(range(10))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data"), make_subjects(6, **TIMELESS))


@pytest.mark.parametrize(
    ("protocol", "encoder", "fusion", "seeds"),
    [
        ("subject-independent-v4", "Moments", "logreg", BALANCED),
        ("subject-independent-v4", "Pool", "logreg", THREE),
        ("subject-independent-v4", "Pool", "single", THREE),
        ("leave-one-subject-out-v4", "Moments", "logreg", THREE),
        ("OWN", "Moments", "logreg", [0]),
        ("OWN", "Pool", "single", [0]),
    ],
)
def test_default_seeds_are_balanced_for_estimators_three_for_networks_and_one_for_a_paper(
    data: Path, tmp_path: Path, protocol: str, encoder: str, fusion: str, seeds: list[int]
) -> None:
    if protocol == "OWN":  # the protocol of a paper, whose folds were run once
        rules = tmp_path / "doe2030-group.yaml"
        rules.write_text("extends: subject-independent-v4\nname: doe2030-group\nsplit: {by: group, folds: 3}\n")
        protocol = str(rules)
    bench = Bench(data, tmp_path, protocol=protocol)
    plan = bench.plan(encoder, fusion=fusion, modalities="eda", seeds=None)
    assert list(plan.folds) == seeds
    assert dict.fromkeys(fold["seed"] for fold in plan.describe()["folds"]) == dict.fromkeys(seeds)
    assert bench.plan(encoder, fusion=fusion, modalities="eda", seeds=",".join(map(str, seeds))).id == plan.id


@pytest.mark.slow
def test_a_record_names_its_seeds_and_its_command_only_those_that_are_not_the_default(
    data: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "few.yaml"
    rules.write_text("extends: subject-independent-v4\nname: few\nsplit: {by: group, folds: 3}\n")
    bench = Bench(data, tmp_path / "runs", protocol=str(rules))
    for seeds, said in ((None, ""), ("0,1,2", "--seeds 0,1,2")):
        run = read_manifest(bench.run("Moments", fusion="logreg", modalities="eda", seeds=seeds).folder)
        assert run.seeds == (THREE if seeds else TEN)  # folds that are not dealt as balanced partitions
        assert run.config["request"]["seeds"] == ",".join(map(str, run.seeds))
        assert ("--seeds" in format_recorded_command(run)) == bool(said)
        assert said in format_recorded_command(run)
