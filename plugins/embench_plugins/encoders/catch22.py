"""Encoder `catch22`: 22 features of a series' shape, with its mean and SD, for any signal.

Lubba et al. 2019 (`lubba2019`) chose them from 4791 features as a small set that still tells the classes of 93 data
sets apart. They are the authors' own code, the package `pycatch22` (extra `features`; GPL-3, so that embench does not
bring it along). All but mean and SD are of the z-scored series: scale and offset do not matter to them. Lags are
counted in samples, and slow signals are therefore brought to `prepare.rates_hz` first, which is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from embench.errors import MachineError, UsageError
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench_plugins.encoders.features.spans import RATES_HZ, take_recorded
from embench_plugins.encoders.handcrafted import Handcrafted

SHAPE = (
    "mode_5", "mode_10", "outlier_timing_pos", "outlier_timing_neg", "acf_timescale", "acf_first_min",
    "low_freq_power", "median_freq", "forecast_error", "whiten_timescale", "high_fluctuation", "stretch_high",
    "stretch_decreasing", "entropy_pairs", "ami2", "trev", "ami_timescale", "transition_variance", "periodicity",
    "embedding_dist", "rs_range", "dfa",
)  # fmt: skip
NAMES = (*SHAPE, "mean", "sd")
LEAST_SAMPLES = 20
"""Of fewer, or of a constant, `pycatch22` returns numbers that say nothing, such as 708."""


class Catch22(Handcrafted):
    """The features are the same in every preset; a recipe's rest trains the one Linear that makes them a token, as with
    `handcrafted`.

    Prepare keys: `rates_hz` by modality; others keep the rate of the protocol.
    """

    accepts: ClassVar = frozenset(
        {"eeg", "ecg", "ppg", "eda", "resp", "temp", "emg", "eog", "acc", "hr", "eeg_bands", "face_au"}
    )
    libraries: ClassVar[tuple[str, ...]] = ("pycatch22",)
    recipes: ClassVar[Mapping[str, Recipe]] = {
        preset: replace(recipe, prepare={"rates_hz": dict(RATES_HZ)}) for preset, recipe in Handcrafted.recipes.items()
    }

    def assets(self) -> tuple[Path, ...]:
        """No files. Raises MachineError where `pycatch22` is not installed, so that a run stops when it is planned."""
        _import_library()
        return ()

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """(n, C * 24) float32, channel by channel, mean and SD in the signal's unit. NaN where samples were lost; a
        span that is constant or shorter than 20 samples has mean and SD only.

        Raises:
            MachineError: `pycatch22` is not installed.
        """
        compute = _import_library()
        x, where = take_recorded(signal, spans, self.recipe.prepare["rates_hz"])

        def values(rows: np.ndarray) -> np.ndarray:
            return np.array([_compute_values(series, compute) for series in rows.reshape(-1, rows.shape[-1])])

        found = where.rows(x, values, len(x) * len(NAMES))
        found[~np.isfinite(found)] = np.nan
        return found.astype(np.float32)

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """(F,) names in the order of a feature row, as `pycatch22` shortens them. Raises UsageError where there are no
        features of this modality."""
        if modality not in self.accepts:
            raise UsageError(
                f"catch22 has no features of {modality!r}", expected=f"one of {', '.join(sorted(self.accepts))}"
            )
        return tuple(f"{c}_{name}" for c in channels for name in NAMES)


def _import_library() -> Callable[..., Any]:
    try:
        from pycatch22 import catch22_all
    except ModuleNotFoundError as error:
        raise MachineError(
            "pycatch22 is not installed, and the encoder catch22 needs it",
            hint="pip install pycatch22, or the extra `features` of embench",
        ) from error
    return catch22_all


def _compute_values(series: np.ndarray, compute: Callable[..., Any]) -> np.ndarray:
    """(24,) of one channel (length,)."""
    values = np.array(compute(series.tolist(), catch24=True)["values"])
    if len(series) < LEAST_SAMPLES or np.ptp(series) == 0:
        values[: len(SHAPE)] = np.nan
    return values
