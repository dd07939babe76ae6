"""Encoder `signal_mean`: the mean of each channel, a minimal baseline (ours).

With `logreg` on one channel, scores order the moments of a subject as the mean does, or the other way round. A method
that reads more of a signal should beat this row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np

from embench.errors import UsageError
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench_plugins.encoders.features.spans import Spans
from embench_plugins.encoders.handcrafted import Handcrafted


class SignalMean(Handcrafted):
    """The features are the same in every preset; a recipe's rest trains the one Linear that makes them a token, as with
    `handcrafted`."""

    accepts: ClassVar = frozenset(
        {"eeg", "ecg", "ppg", "eda", "resp", "temp", "emg", "eog", "acc", "hr", "eeg_bands", "face_au"}
    )
    recipes: ClassVar[Mapping[str, Recipe]] = {
        preset: replace(recipe, prepare={}) for preset, recipe in Handcrafted.recipes.items()
    }

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """(n, C) float32, in the signal's unit; a span in which samples were lost is NaN altogether."""
        x = np.asarray(signal.data, np.float64)
        where = Spans.from_seconds(spans, signal.rate, x.shape[1])
        values = where.rows(x, lambda rows: rows.mean(-1), len(x))
        values[~np.isfinite(values).all(1)] = np.nan
        return values.astype(np.float32)

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """(C,) names in the order of a feature row. Raises UsageError where there are no features of this modality."""
        if modality not in self.accepts:
            raise UsageError(
                f"signal_mean has no features of {modality!r}", expected=f"one of {', '.join(sorted(self.accepts))}"
            )
        return tuple(f"{c}_mean" for c in channels)
