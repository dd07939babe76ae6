"""The share of a run's units that rest on bridged or missing samples is what was planted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embench import registry
from embench.data.cohort import Cohort, build_cohort, compute_repaired_share, describe_repaired, find_repaired_units
from embench.protocols import Protocol, load_protocol
from embench.store import prepare

from ..sample import sample
from ..tiny.world import RATES, make_subjects, plugin, write

Content = dict[str, Any]
SUBJECTS = make_subjects(5, modalities=("ecg", "eda", "temp"), seconds=20.0)
"""Twenty recordings of 20 s."""


@pytest.fixture
def cohort_of(tmp_path: Path) -> Callable[..., Cohort]:
    def made(
        plant: Callable[[Content], object] = lambda _: None,
        modalities: tuple[str, ...] = ("ecg", "eda"),
        protocol: Protocol | None = None,
        filtered: bool = True,
    ) -> Cohort:
        folder = write(tmp_path / "world", SUBJECTS) / "Tiny"
        path = folder / "p01.npz"
        with np.load(path) as file:
            content = {name: file[name] for name in file.files}
        plant(content)
        np.savez(path, **content)
        dataset = registry.load_plugin("dataset", plugin("Tiny"))(folder)
        cache = tmp_path / "cache"
        store = prepare(dataset, "tests/tiny", "1", rate_hz=128.0, filtered=filtered, cache=cache)
        rules = protocol or load_protocol("subject-independent-v4")
        return build_cohort(store, dataset.card, dataset.card.targets[:1], modalities, rules)

    return made


def lose(
    m: str, first_s: float, stop_s: float, value: float = np.nan, recording: str = "p01-v2"
) -> Callable[[Content], None]:
    def plant(content: Content) -> None:
        rate = RATES[m][0]
        content[f"{recording} {m}"][0, round(first_s * rate) : round(stop_s * rate)] = value

    return plant


def per_segment() -> Protocol:
    rules = load_protocol("subject-independent-v4")
    return rules.model_copy(update={"unit": rules.unit.model_copy(update={"rating": 5.0})})


def test_of_clean_data_no_unit_is_repaired(cohort_of: Callable[..., Cohort]) -> None:
    for protocol in (None, per_segment()):
        cohort = cohort_of(protocol=protocol)
        assert compute_repaired_share(cohort) == 0.0
        assert describe_repaired(cohort) is None


@pytest.mark.parametrize("value", sample([np.nan, np.inf, -np.inf], np.inf))
@pytest.mark.parametrize(("m", "seconds", "share"), [("ecg", 2.0, 0.0), ("ecg", 2.25, 0.05), ("eda", 8.0, 0.05)])
@pytest.mark.parametrize("filtered", [True, False])
def test_a_unit_is_repaired_where_more_than_a_tenth_of_a_modality_was_lost(
    cohort_of: Callable[..., Cohort], value: float, m: str, seconds: float, share: float, filtered: bool
) -> None:
    cohort = cohort_of(lose(m, 6.0, 6.0 + seconds, value), filtered=filtered)
    assert compute_repaired_share(cohort) == share  # one of twenty
    assert {name: int(own.sum()) for name, own in find_repaired_units(cohort).items() if own.any()} == (
        {m: 1} if share else {}
    )


def test_the_units_in_which_samples_were_lost_are_repaired_and_no_others(cohort_of: Callable[..., Cohort]) -> None:
    cohort = cohort_of(lose("ecg", 4.0, 10.0), protocol=per_segment())
    assert len(cohort.units) == 80
    at = np.flatnonzero(find_repaired_units(cohort)["ecg"])
    units = cohort.select_units(at)
    assert [(unit.recording, unit.start) for unit in units] == [("p01-v2", 0.0), ("p01-v2", 5.0)]
    assert compute_repaired_share(cohort) == 2 / 80


def test_samples_that_are_lost_here_and_there_count_as_many_as_they_are(cohort_of: Callable[..., Cohort]) -> None:
    def every(step: int) -> Callable[[Content], None]:
        def plant(content: Content) -> None:
            content["p01-v2 ecg"][0, ::step] = np.nan

        return plant

    assert compute_repaired_share(cohort_of(every(16))) == 0.0
    assert compute_repaired_share(cohort_of(every(8))) == 0.05


def test_a_modality_that_the_run_does_not_read_does_not_count(cohort_of: Callable[..., Cohort]) -> None:
    plant = lose("temp", 0.0, 9.0)
    assert compute_repaired_share(cohort_of(plant)) == 0.0
    assert compute_repaired_share(cohort_of(plant, ("ecg", "temp"))) == 0.05
    assert compute_repaired_share(cohort_of(plant, ("ecg+temp",))) == 0.05


def test_a_recording_without_a_modality_or_with_too_little_of_it_counts_as_missing(
    cohort_of: Callable[..., Cohort],
) -> None:
    def plant(content: Content) -> None:
        lose("eda", 0.0, 15.0, recording="p01-v0")(content)
        content["p01-v1 ecg"] = content["p01-v1 ecg"][:, : 16 * RATES["ecg"][0]]

    cohort = cohort_of(plant)
    assert [entry["modality"] for entry in cohort.store.excluded] == ["eda"]
    assert compute_repaired_share(cohort) == 0.1
    assert describe_repaired(cohort) == "10 % of the units rest on bridged or missing samples (ecg, eda)"
    assert describe_repaired(cohort_of(plant, ("eda",))) is None  # 5 %
