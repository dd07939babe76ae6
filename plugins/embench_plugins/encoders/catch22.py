"""Encoder `catch22`: 22 features of a series' shape, with its mean and SD, for any signal.

Lubba et al. 2019 (`lubba2019`) chose them from 4791 features as a small set that still separates the classes of 93 data
sets. The authors' package `pycatch22` computes them (extra `features`; it is GPL-3, so embench does not include it).
All but mean and SD are of the z-scored series, so scale and offset do not matter. Lags are counted in samples; slow
signals are therefore resampled to `prepare.rates_hz` first, which is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from embench.errors import MachineError
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench_plugins.encoders.features.spans import ANY_SERIES, RATES_HZ, take_recorded
from embench_plugins.encoders.handcrafted import Handcrafted, check_modality, make_recipes

SHAPE = (
    "mode_5", "mode_10", "outlier_timing_pos", "outlier_timing_neg", "acf_timescale", "acf_first_min",
    "low_freq_power", "median_freq", "forecast_error", "whiten_timescale", "high_fluctuation", "stretch_high",
    "stretch_decreasing", "entropy_pairs", "ami2", "trev", "ami_timescale", "transition_variance", "periodicity",
    "embedding_dist", "rs_range", "dfa",
)  # fmt: skip
NAMES = (*SHAPE, "mean", "sd")
LEAST_SAMPLES = 20
"""For fewer samples, or a constant series, `pycatch22` returns meaningless numbers such as 708."""


class Catch22(Handcrafted):
    """All presets have the same features. The rest of a recipe trains the linear layer from features to a token.

    Prepare keys: `rates_hz`, the rate by modality; other modalities keep the protocol's rate.
    """

    accepts: ClassVar = ANY_SERIES
    libraries: ClassVar[tuple[str, ...]] = ("pycatch22",)
    recipes: ClassVar[Mapping[str, Recipe]] = make_recipes(rates_hz=dict(RATES_HZ))
    check_input = Encoder.check_input

    def assets(self) -> tuple[Path, ...]:
        """Return no files. Raises MachineError if `pycatch22` is not installed, so that a run stops during planning."""
        _import_library()
        return ()

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """Return (n, C * 24) float32, channel by channel, mean and SD in the signal's unit. NaN where samples were
        lost. A span that is constant or shorter than 20 samples has only mean and SD.

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
        """Return (F,) names in the order of a feature row, in `pycatch22`'s short form. Raises UsageError for a
        modality without features."""
        check_modality("catch22", modality, self.accepts)
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
    """Return (24,) features of one channel (length,)."""
    values = np.array(compute(series.tolist(), catch24=True)["values"])
    if len(series) < LEAST_SAMPLES or np.ptp(series) == 0:
        values[: len(SHAPE)] = np.nan
    return values
