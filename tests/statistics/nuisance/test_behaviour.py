"""Muscles, eyes and breathing are held constant as movement is, on sessions whose causes are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config

from embench.data.cohort import Cohort
from embench.interfaces.dataset import Card
from embench.interfaces.metric import Undefined
from embench.interfaces.units import LabelRule, Target, Unit
from embench.protocols import Fold
from embench.statistics import confound_test
from embench.statistics.confound_blocks import ConfoundBlocks
from embench.statistics.confound_test import Association, estimate_metric, measure_association
from embench.statistics.intervals import leave_one_out
from embench.statistics.nuisance_columns import Observed, Study, make_block, make_study
from embench.statistics.nuisance_movement import adjusted_modalities, behaviour_features, breath, eyes, jaw, muscle
from embench.store import ModalityEntry, RecordingEntry, Span, Store
from embench.store.store import RowWriter

SUBJECTS, UNITS, UNIT_S, RATE = 14, 30, 4, 64
SAMPLES = UNIT_S * RATE
TARGET = Target("stress", "binary", LabelRule(), "stress")
CARD = Card("made", "", "", "", "", "", {}, (), (TARGET,), 50.0, 160.0, "yes", fixed_order=False)
MISSING = "p03"
"""The subject without any signal but the pulse."""


def store_of(folder: Path, signals: Mapping[str, np.ndarray], channels: Mapping[str, tuple[str, ...]]) -> Store:
    """Prepared data of signals (subjects, channels, samples)."""
    entries = []
    for p in range(SUBJECTS):
        there = [m for m in signals if m == "ppg" or f"p{p:02d}" != MISSING]
        samples = UNITS * SAMPLES
        spans = {m: Span(p * samples, samples, 0.0) for m in there}
        name, length = f"p{p:02d}", float(UNITS * UNIT_S)
        entries.append(RecordingEntry(f"{name}-r", name, "session", "main", name, 0.0, 0, length, spans))
    for name, values in signals.items():
        with RowWriter(folder / f"{name}.npy", values.shape[1:2]) as rows:
            for own in values:
                rows.append(own.T)
    modalities = {m: ModalityEntry(channels.get(m, (m,)), float(RATE), "uV") for m in signals}
    return Store(folder, "key", "made", RATE, True, None, tuple(entries), modalities, (), {}, {})


def study_over(store: Store, y: np.ndarray) -> Study:
    """Two folds of neighbours over all units."""
    starts = [(p, u * float(UNIT_S)) for p in range(SUBJECTS) for u in range(UNITS)]
    units = tuple(
        Unit(f"p{p:02d}-r:{s:g}", f"p{p:02d}-r", f"p{p:02d}", "session", f"p{p:02d}", s, s + UNIT_S, s, s)
        for p, s in starts
    )
    whole = tuple(range(len(units)))
    labels = {"stress": y}
    cohort = Cohort(store, CARD, (TARGET,), units, labels, labels, whole, whole, (), float(UNIT_S), units)
    halves = [tuple(unit.id for unit in units if int(unit.subject[1:]) % 2 == k) for k in (0, 1)]
    study = make_study(Observed(cohort), TARGET, [Fold(k, halves[1 - k], (), halves[k]) for k in (0, 1)], 0)
    assert isinstance(study, Study)
    return study


def judged(study: Study, score: np.ndarray) -> Association:
    tested = confound_test.tested_units(study.cohort, TARGET, study.units)
    joined = tested.joined({0: score[:, None]}, {0: study.parts})
    jackknife = leave_one_out(joined.tested_subjects(), {})
    own = estimate_metric("auroc_within", joined, TARGET, jackknife)
    assert not isinstance(own, Undefined)
    with parallel_config("sequential"):
        held = {0: ConfoundBlocks({"local": make_block("local", study)}, study.parts)}
    return measure_association({0: score[:, None]}, tested, held, ["local"], "auroc_within", own, jackknife)


class Sessions:
    """Frowning, of some size in each unit, tells the label; so does the body, by itself."""

    def __init__(self) -> None:
        random = np.random.default_rng(1)
        n = SUBJECTS * UNITS
        self.y = (random.random(n) < 0.4).astype(float)
        tension, body = 0.9 * self.y + random.standard_normal((2, n))
        self.body = body
        waves = random.standard_normal((n, SAMPLES)) * np.exp(tension / 2)[:, None]
        emg = waves.reshape(SUBJECTS, 1, -1)
        self.tension = tension
        self.signals = {"ppg": random.standard_normal(emg.shape), "emg": emg}

    def study(self, folder: Path, *modalities: str) -> Study:
        folder.mkdir()
        return study_over(store_of(folder, {m: self.signals[m] for m in modalities}, {}), self.y)


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture(scope="module")
def with_emg(sessions: Sessions, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return sessions.study(tmp_path_factory.mktemp("made") / "emg", "ppg", "emg")


@pytest.fixture(scope="module")
def without(sessions: Sessions, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return sessions.study(tmp_path_factory.mktemp("made") / "pulse", "ppg")


def test_what_a_frown_tells_adds_to_the_clock_alone(sessions: Sessions, without: Study) -> None:
    assert judged(without, np.tanh(sessions.tension)).associated


def test_what_a_frown_tells_does_not_add_where_emg_is_held_constant(sessions: Sessions, with_emg: Study) -> None:
    frown = np.tanh(sessions.tension)
    assert not judged(with_emg, frown).associated
    assert judged(with_emg, frown + sessions.body).associated


def test_columns_of_a_study_without_such_a_modality_are_those_of_the_clock(with_emg: Study, without: Study) -> None:
    with parallel_config("sequential"):
        clock, more = make_block("local", without), make_block("local", with_emg)
    assert without.observed.behaviour.shape == (SUBJECTS * UNITS, 0)
    assert clock.shape[1] == 1 + 42 + 3  # a constant, bumps, and three models
    np.testing.assert_array_equal(more[:, :43], clock[:, :43])
    assert more.shape[1] > 60
    assert adjusted_modalities(without.cohort.store) == []


def test_a_missing_recording_is_average(with_emg: Study) -> None:
    shown = behaviour_features(with_emg.cohort, with_emg.units)
    mine = np.array([unit.subject == MISSING for unit in with_emg.cohort.units])
    assert np.isnan(shown[mine]).all()
    assert np.isfinite(shown[~mine]).all()
    with parallel_config("sequential"):
        columns = make_block("local", with_emg)
    assert np.isfinite(columns).all()
    measured = columns[:, 43 : 43 + 4 * shown.shape[1]]
    np.testing.assert_array_equal(measured[mine], 0.0)
    assert measured[~mine].std() > 0.5


@pytest.mark.parametrize("polarity", [1.0, -1.0])
def test_blinks_are_counted(polarity: float) -> None:
    random = np.random.default_rng(2)
    seconds = np.arange(10 * RATE) / RATE
    rested = 8.0 * random.standard_normal((6, len(seconds)))
    at = [[], [], [2.0], [2.0, 5.0], [1.0, 3.0, 6.0, 8.0], [1.0, 2.5, 4.0, 5.5, 7.0, 8.5]]
    blinks = [sum((np.exp(-0.5 * ((seconds - t) / 0.08) ** 2) for t in own), 0 * seconds) for own in at]
    rates = eyes(rested + polarity * 150.0 * np.array(blinks), RATE)[:, 0]
    np.testing.assert_allclose(rates, [len(own) / 10 for own in at])


def test_clenched_teeth_show_above_20_hz_and_slow_eyes_below_4() -> None:
    random = np.random.default_rng(4)
    seconds = np.arange(10 * RATE) / RATE
    rested = random.standard_normal((1, len(seconds)))
    clenched, looked = rested + 3 * np.sin(2 * np.pi * 27 * seconds), rested + 3 * np.sin(2 * np.pi * 1.5 * seconds)
    assert jaw(clenched, RATE) > jaw(rested, RATE) + 1
    assert jaw(looked, RATE) == pytest.approx(jaw(rested, RATE), abs=0.1)
    assert eyes(looked, RATE)[0, 1] > eyes(rested, RATE)[0, 1] + 1
    assert eyes(clenched, RATE)[0, 1] == pytest.approx(eyes(rested, RATE)[0, 1], abs=0.1)


@pytest.mark.parametrize("hz", [0.15, 0.25, 0.45])
def test_breathing_is_as_fast_as_it_is(hz: float) -> None:
    seconds = np.arange(40 * RATE) / RATE
    noise = 0.05 * np.random.default_rng(5).standard_normal((1, len(seconds)))
    found = breath(np.sin(2 * np.pi * hz * seconds) + noise, RATE)[0]
    assert found[2] == pytest.approx(hz, abs=0.011)


@pytest.mark.parametrize("look", [muscle, breath, eyes, jaw])
def test_the_unit_of_measurement_does_not_matter(look: Callable[[np.ndarray, float], np.ndarray]) -> None:
    random = np.random.default_rng(6)
    volts = random.standard_normal((6, SAMPLES)) * 2.0 ** np.arange(6)[:, None]
    one, other = (look(x, RATE) - look(x, RATE)[0] for x in (volts, 1e-6 * volts))
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("recorded", "held"),
    [
        ({"ppg": ("ppg",), "acc": ("x", "y", "z")}, ["acc"]),
        ({"acc": ("x",), "resp": ("belt",), "emg": ("zygomaticus",), "eog": ("h", "v")}, ["acc", "emg", "eog", "resp"]),
        ({"eeg": ("AF3", "F7", "O1", "T8")}, ["eeg"]),
        ({"eeg": ("EEG Fp1", "EEG T3")}, ["eeg"]),
        ({"eeg": ("Fz", "Cz", "Pz", "F3", "P7")}, []),
        ({"eeg": ("Fp1", "T7"), "eog": ("h",)}, ["eog", "eeg"]),
        ({"eeg": ("Fp1", "Cz"), "eog": ("h",)}, ["eog"]),
        ({"eeg": ("Fp1", "T7"), "eog": ("h",), "emg": ("trapezius",)}, ["emg", "eog"]),
    ],
)
def test_an_eeg_stands_in_where_eyes_or_muscles_have_no_electrodes_of_their_own(
    recorded: Mapping[str, tuple[str, ...]], held: list[str]
) -> None:
    modalities = {m: ModalityEntry(channels, 64.0, "uV") for m, channels in recorded.items()}
    assert adjusted_modalities(Store(Path(), "", "", 64.0, True, None, (), modalities, (), {}, {})) == held
