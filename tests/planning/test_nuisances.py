"""What a plan of a large study says of the minutes in which time and movement are fitted, once for a dataset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from embench.data.cohort import Cohort
from embench.planning import plan
from embench.protocols import load_protocol, whole_recordings
from embench.statistics import confound_test
from embench.statistics.confound_test import make_studies
from embench.statistics.nuisance_columns import BLOCKS

from ..statistics.nuisance.test_behaviour import SAMPLES, SUBJECTS, UNITS, store_of, study_over
from ..tiny.running import Bench
from ..tiny.world import make_subjects, write

PROTOCOL = "subject-independent-v4"


@pytest.fixture
def expected(monkeypatch):
    """The seconds that are expected of a cohort, where each piece that is measured takes one on the one core."""
    monkeypatch.setattr(confound_test, "LARGE_STUDY", 10)

    class Clock:
        def __init__(self) -> None:
            self.now = 0.0

        def process_time(self) -> float:
            self.now += 1.0
            return self.now

    monkeypatch.setattr(plan, "time", Clock())
    monkeypatch.setattr(plan, "cores", lambda: 1)

    def of(cohort: Cohort, seeds: tuple[int, ...] = (0, 1)) -> float:
        return plan.estimate_fit_s(cohort, load_protocol(PROTOCOL), seeds)

    return of


@pytest.fixture
def recorded(tmp_path):
    """The cohort of a study of these modalities."""
    random = np.random.default_rng(0)

    def recorded(*modalities: str) -> Cohort:
        axes = {"acc": ("x", "y", "z")}
        signals = {m: random.standard_normal((SUBJECTS, len(axes.get(m, m[:1])), UNITS * SAMPLES)) for m in modalities}
        folder = tmp_path / "-".join(modalities)
        folder.mkdir(exist_ok=True)
        cohort = study_over(
            store_of(folder, signals, axes), (random.random(SUBJECTS * UNITS) < 0.4).astype(float)
        ).cohort
        return replace(cohort, roster=tuple(whole_recordings(cohort.store.recordings)))

    return recorded


@pytest.mark.slow
def test_more_seeds_take_longer_and_an_accelerometer_most_of_it(expected, recorded):
    clock_alone = expected(recorded("ppg"))
    assert expected(recorded("ppg", "acc")) > 5 * clock_alone > 0
    assert expected(recorded("ppg", "emg")) > clock_alone
    assert expected(recorded("ppg"), (0, 1, 2)) == pytest.approx(1.5 * clock_alone)


@pytest.mark.slow
def test_seeds_share_the_models_of_three_partitions(expected, recorded):
    cohort = recorded("ppg")
    three = expected(cohort, (0, 1, 2))
    assert expected(cohort, tuple(range(10))) == three > 0
    assert expected(cohort, (0, 3, 6, 9)) == pytest.approx(three / 3)


def test_what_is_kept_is_not_expected_again(expected, recorded):
    cohort = recorded("ppg", "acc")
    before = expected(cohort)
    studies = make_studies(cohort, load_protocol(PROTOCOL), {"stress": (0, 1)})["stress"]
    for study in studies.values():
        for name in ("movement", "behaviour"):
            study.observed.cached_array(name, lambda: np.zeros(1))
        for name in BLOCKS:
            study.cached_array(name, lambda: np.zeros(1))
        now = expected(cohort)
        assert now < before
        before = now
    assert now == 0
    assert expected(cohort, (2,)) > 0


@pytest.mark.usefixtures("expected")
def test_a_dry_run_says_so_unless_test_subjects_are_not_scored(tmp_path):
    # Data of its own: a run of another test would have kept what is expected here.
    bench = Bench(write(tmp_path, make_subjects(6), seed=7), tmp_path / "runs")

    def keys(**options: bool) -> set[str]:
        return set(bench.plan("Pool", modalities="ecg", protocol=PROTOCOL, **options).describe())

    assert keys() - keys(dev=True) == {"nuisances_s"}
