"""Encoder `handcrafted`: the field's feature lists, for estimators, or as one token for networks.

The lists are those of the StressID code, which Strizhkova et al. 2024 (`strizhkova2024`) use for their classical
methods: 46 values of an ECG, 24 of EDA, 84 of a face. Definitions are the textbooks'. `prepare.compat` reproduces the
faults of that code (frequency axes off by two, entropies of positions instead of intervals). The lists of the other
signals are ours. Beats, responses and decompositions are computed once for a recording, and then counted for each span.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from embench.errors import UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, Tokens
from embench.interfaces.units import View
from embench.signals.beats import check_rate, ecg_peaks, ppg_peaks
from embench_plugins.encoders.features import lists, published
from embench_plugins.encoders.features.spans import ANY_SERIES, Spans, fit_known_stats

RECIPE = Recipe(
    optimiser="adamw", lr=1e-3, weight_decay=1e-2, schedule="cosine", epochs=20, batch=64,
    selection="early_stop", patience=20, class_weight="balanced", view=View("unit"), prepare={"compat": False},
    build={"dim": 64},
)  # fmt: skip


class Handcrafted(Encoder):
    """All presets have the same features. The rest of a recipe trains the linear layer from features to a token.

    Prepare keys: `compat`, True to compute the lists of ECG, PPG and EDA as `features/published` does.
    """

    reads: ClassVar[Literal["features"]] = "features"
    accepts: ClassVar = frozenset({"eeg", "ecg", "ppg", "eda", "resp", "temp", "emg", "acc", "hr", "face_au"})
    offers: ClassVar = frozenset({"features"})
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": RECIPE.replace(
            assumed=("optimiser", "lr", "weight_decay", "schedule", "epochs", "batch", "build.dim")
        ),
        "small": RECIPE,
        "quick": RECIPE.replace(epochs=8, patience=8),
    }

    def check_input(self, modality: str, channels: tuple[str, ...], rate: float) -> None:
        """Raise UsageError if beats cannot be found at this rate."""
        check_rate(modality, rate)

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """Return (n, F) float32, see `feature_names`. Several channels of ECG, PPG or EDA give one list each. All
        features of a span with lost samples are NaN."""
        _check(signal.modality)
        x = np.asarray(signal.data, np.float64)
        lost = np.asarray(~np.isfinite(x).all(0))
        x = _bridge_gaps(x, lost)
        where = Spans.from_seconds(spans, signal.rate, x.shape[1])
        compat = bool(self.recipe.prepare["compat"])
        values = (_compute_published if compat else _compute_values)(signal.modality, x, signal.unit, where)
        values[where.contain(lost)] = np.nan
        values[~np.isfinite(values)] = np.nan
        return values.astype(np.float32)

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Return (F,) names in the order of a feature row; with several channels, a name begins with its channel.

        Raises:
            UsageError: this modality has no features.
        """
        _check(modality)
        if modality == "face_au":
            return tuple(f"{c}_{name}" for name in lists.FACE_STATISTICS for c in channels)
        names = {"ecg": lists.HEART, "ppg": lists.HEART, "eda": lists.SKIN, "eeg": tuple(lists.EEG_BANDS)}
        per_channel = names.get(modality, lists.STATISTICS)
        several = len(channels) > 1 or modality not in ("ecg", "ppg", "eda")
        every = tuple(f"{c}_{name}" if several else name for c in channels for name in per_channel)
        return (*every, *lists.BREATHS) if modality == "resp" else every

    def fit_stats(self, x: np.ndarray, mask: np.ndarray | None) -> Mapping[str, np.ndarray]:
        """Return `mean` and `std` (F,) of each feature over rows (n, F) where it is not NaN; see `fit_known_stats`."""
        return fit_known_stats(x)

    def build(self, spec: InputSpec) -> nn.Module:
        """Return one linear layer from the F features to a token of width `build.dim`."""
        return Network(spec, int(self.recipe.build["dim"]))


def make_recipes(**prepare: Any) -> dict[str, Recipe]:
    """Return the recipes of `handcrafted` by preset, with the given keys as `prepare`."""
    return {preset: replace(recipe, prepare=prepare) for preset, recipe in Handcrafted.recipes.items()}


class SignalMean(Handcrafted):
    """Encoder `signal_mean`: the mean of each channel, a minimal baseline (ours). With `logreg` on one channel, scores
    order a subject's units as the mean does, or in reverse. A method that reads more of a signal should beat it."""

    accepts: ClassVar = ANY_SERIES
    recipes: ClassVar[Mapping[str, Recipe]] = make_recipes()
    check_input = Encoder.check_input

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """Return (n, C) float32, in the signal's unit, NaN for a span with lost samples."""
        x = np.asarray(signal.data, np.float64)
        where = Spans.from_seconds(spans, signal.rate, x.shape[1])
        values = where.rows(x, lambda rows: rows.mean(-1), len(x))
        values[~np.isfinite(values).all(1)] = np.nan
        return values.astype(np.float32)

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Return (C,) names in the order of a feature row. Raises UsageError for a modality without features."""
        check_modality("signal_mean", modality, self.accepts)
        return tuple(f"{c}_mean" for c in channels)


def check_modality(encoder: str, modality: str, accepts: frozenset[str]) -> None:
    """Raise UsageError if an encoder has no features of a modality."""
    if modality not in accepts:
        names = ", ".join(sorted(accepts))
        raise UsageError(
            f"{encoder} has no features of {modality!r}", expected=names if len(accepts) == 1 else f"one of {names}"
        )


def _check(modality: str) -> None:
    if modality not in Handcrafted.accepts:
        raise UsageError(
            f"handcrafted has no feature list for {modality!r}",
            expected="one of " + ", ".join(sorted(Handcrafted.accepts)),
            hint="give each modality on its own (`ecg,eda`), not joined (`ecg+eda`)",
        )


def _bridge_gaps(x: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Return `x` (C, T) with straight lines over lost samples, so that filters and detectors can run."""
    if not lost.any() or lost.all():
        return np.where(lost, 0.0, x)
    position = np.arange(len(lost))
    return np.stack([np.interp(position, position[~lost], row[~lost]) for row in x])


def _compute_values(modality: str, x: np.ndarray, unit: str, spans: Spans) -> np.ndarray:
    """Return (n, F) float64 features of the samples `x` (C, T)."""
    if modality in ("ecg", "ppg"):
        find = ecg_peaks if modality == "ecg" else ppg_peaks
        return np.concatenate([lists.compute_heart(lead, find(lead, spans.rate), spans) for lead in x], 1)
    if modality == "eda":
        return np.concatenate([lists.compute_skin(lead, unit, spans) for lead in x], 1)
    if modality == "eeg":
        return lists.compute_entropies(x, spans)
    if modality == "face_au":
        return lists.compute_face(x, spans)
    values = lists.compute_statistics(x, spans)
    return np.concatenate([values, lists.compute_breathing(x[0], spans)], 1) if modality == "resp" else values


def _compute_published(modality: str, x: np.ndarray, unit: str, spans: Spans) -> np.ndarray:
    """Return the features of `_compute_values`, for ECG, PPG and EDA as the published code computes them."""
    if modality in ("ecg", "ppg"):
        return np.concatenate([published.compute_heart(lead, spans, clean=modality == "ecg") for lead in x], 1)
    if modality == "eda":
        return np.concatenate([published.compute_skin(lead, spans) for lead in x], 1)
    return _compute_values(modality, x, unit, spans)


class Network(nn.Module):
    """(B, F) -> one token (B, 1, D). Features are standardised by the training subjects' `stats`. A missing one becomes
    0, the mean. Values beyond 10 SD are clipped, since ratios have long tails."""

    mean: Tensor
    std: Tensor

    def __init__(self, spec: InputSpec, dim: int) -> None:
        super().__init__()
        width = spec.shape[0]
        stats = spec.stats or {"mean": np.zeros(width, np.float32), "std": np.ones(width, np.float32)}
        for name in ("mean", "std"):
            self.register_buffer(name, torch.as_tensor(stats[name]))
        self.linear = nn.Linear(width, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Return one token (B, 1, D) for features `x` (B, F), NaN where one is missing. `mask` is not used."""
        known = ((x - self.mean) / self.std).nan_to_num(0.0).clamp(-10.0, 10.0)
        return Tokens(torch.nn.functional.gelu(self.linear(known))[:, None])
