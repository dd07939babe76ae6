"""Faults that were planted in sound signals are found where they are, and nowhere else."""

import numpy as np
import pytest

from embench.data.quality import FAULTS, find_signal_faults
from embench.interfaces.recording import Signal

RATE = 16.0
UNITS = {"eda": "uS", "eeg": "uV", "acc": "g", "resp": "a.u.", "temp": "degC"}
SOUND = {"eda": 5.0, "eeg": 0.0, "acc": 0.5, "resp": 0.0, "temp": 33.0}


def sound(modality, channels=1):
    rng = np.random.default_rng(4)
    wave = np.sin(np.arange(1600) / 7) + 0.1 * rng.standard_normal((channels, 1600))
    return (SOUND[modality] + (0.3 if modality == "acc" else 1.0) * wave).astype(np.float32)


def found(modality, x, fault):
    codes = find_signal_faults(modality, Signal(x, RATE, ("c",) * len(x), UNITS[modality]))
    assert set(np.unique(codes)) <= {0, FAULTS.index(fault) + 1}
    return codes > 0


@pytest.mark.parametrize("modality", UNITS)
def test_sound_signals_have_none(modality):
    assert not found(modality, sound(modality, 3), "lost").any()


@pytest.mark.parametrize(
    ("modality", "fault", "value"),
    [("eda", "lost", np.nan), ("resp", "lost", np.inf), ("eda", "flat", 5.0), ("eda", "outside", 0.01),
     ("temp", "outside", 12.0), ("eeg", "flat", 0.5)],
)  # fmt: skip
def test_a_planted_fault_is_found_where_it_is(modality, fault, value):
    x = sound(modality)
    x[0, 400:560] = value if fault != "outside" else value + 1e-4 * np.arange(160)
    where = found(modality, x, fault)[0]
    assert where[400:560].all()
    assert where.sum() == 160


def test_clipping_is_a_pile_of_samples_at_a_limit():
    x = sound("resp")
    clipped = np.minimum(x, 0.7)
    where = found("resp", clipped, "clipped")
    assert where[clipped == np.float32(0.7)].mean() > 0.9
    assert not where[x < 0.7].any()


def test_axes_are_stuck_only_together():
    x = sound("acc", 3)
    x[0, 400:560] = 0.5
    assert not found("acc", x, "flat").any()
    x[:, 400:560] = 0.5
    assert (found("acc", x, "flat").sum(1) == 160).all()


def test_seconds_of_an_eeg_that_span_too_much():
    x = sound("eeg", 2)
    x[1, 320:336] += 300 * np.hanning(16)
    where = found("eeg", x, "outside")
    assert not where[0].any()
    assert (np.flatnonzero(where[1]) == np.arange(320, 336)).all()
