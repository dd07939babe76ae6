"""Encoder `handcrafted`: the field's feature lists, for estimators or as one token for networks.

The classical rows of Strizhkova et al. 2024 (`strizhkova2024`), whose lists are those of the StressID code: 46 values
of an ECG, 24 of skin conductance, 84 of a face. Definitions are the textbooks', not that code's, which has faults
(frequency axes off by two, entropies of positions instead of intervals); `prepare.compat` repeats them. The other
signals' lists are ours. Beats, responses and decompositions are found once a recording, and then counted span by span.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from embench.errors import UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec, Tokens
from embench.interfaces.units import View
from embench.signals.beats import ecg_peaks, ppg_peaks
from embench_plugins.encoders.features import lists, published
from embench_plugins.encoders.features.spans import Spans

RECIPE = Recipe(
    optimiser="adamw", lr=1e-3, weight_decay=1e-2, schedule="cosine", epochs=20, batch=64,
    selection="early_stop", patience=20, class_weight="balanced", view=View("unit"), prepare={"compat": False},
    build={"dim": 64},
)  # fmt: skip


class Handcrafted(Encoder):
    """The features are the same in every preset; a recipe's rest trains the one Linear that makes them a token.

    Prepare keys: `compat` computes the lists of ECG, PPG and EDA as the published code does, see `features/published`.
    """

    accepts: ClassVar = frozenset({"eeg", "ecg", "ppg", "eda", "resp", "temp", "emg", "acc", "hr", "face_au"})
    offers: ClassVar = frozenset({"features"})
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": RECIPE.replace(
            assumed=("optimiser", "lr", "weight_decay", "schedule", "epochs", "batch", "build.dim")
        ),
        "small": RECIPE,
        "quick": RECIPE.replace(epochs=8, patience=8),
    }

    @property
    def reads(self) -> Literal["signal", "stream", "features"]:
        """Always `features`: one vector (F,) a window."""
        return "features"

    def features(self, signal: Signal, spans: np.ndarray) -> np.ndarray:
        """(n, F) float32, see `feature_names`; several leads of ECG, PPG or EDA give one list each. A span in which
        samples were lost is NaN altogether."""
        _check(signal.modality)
        x = np.asarray(signal.data, np.float64)
        lost = np.asarray(~np.isfinite(x).all(0))
        x = _bridge_gaps(x, lost)
        where = Spans.from_seconds(spans, signal.rate, x.shape[1])
        compat = bool(self.recipe.prepare["compat"])
        values = (_compute_published if compat else _compute_values)(signal.modality, x, signal.unit, where)
        gone = np.concatenate([[0], np.cumsum(lost)])
        values[gone[where.stop] > gone[where.start]] = np.nan
        values[~np.isfinite(values)] = np.nan
        return values.astype(np.float32)

    def feature_names(self, modality: str, channels: tuple[str, ...]) -> tuple[str, ...]:
        """(F,) names in the order of a feature row; the channel stands before the feature where there are several.

        Raises:
            UsageError: there are no features of this modality.
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
        """`mean` and `std` (F,) of each value over the rows (n, F) that have it; 0 and 1 where none has, or all are
        equal."""
        known = np.isfinite(x)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, x, 0.0).sum(0, dtype=np.float64) / count
        std = np.sqrt(np.where(known, (x - mean) ** 2, 0.0).sum(0, dtype=np.float64) / count)
        return {"mean": mean.astype(np.float32), "std": np.where(std > 1e-8, std, 1.0).astype(np.float32)}

    def build(self, spec: InputSpec) -> nn.Module:
        """One linear layer from the F features to a token of width `build.dim`."""
        return Network(spec, int(self.recipe.build["dim"]))


def _check(modality: str) -> None:
    if modality not in Handcrafted.accepts:
        raise UsageError(
            f"handcrafted has no feature list for {modality!r}",
            expected="one of " + ", ".join(sorted(Handcrafted.accepts)),
            hint="give each modality on its own (`ecg,eda`), not joined (`ecg+eda`)",
        )


def _bridge_gaps(x: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """`x` (C, T) with straight lines over lost samples, so that filters and detectors can run."""
    if not lost.any() or lost.all():
        return np.where(lost, 0.0, x)
    at = np.arange(len(lost))
    return np.stack([np.interp(at, at[~lost], row[~lost]) for row in x])


def _compute_values(modality: str, x: np.ndarray, unit: str, spans: Spans) -> np.ndarray:
    """(n, F) float64 of the samples `x` (C, T)."""
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
    """Features like those of `_compute_values`, by the definitions of the published code where it has any."""
    if modality in ("ecg", "ppg"):
        return np.concatenate([published.compute_heart(lead, spans, clean=modality == "ecg") for lead in x], 1)
    if modality == "eda":
        return np.concatenate([published.compute_skin(lead, spans) for lead in x], 1)
    return _compute_values(modality, x, unit, spans)


class Network(nn.Module):
    """(B, F) -> one token (B, 1, D). Values are standardised by the training subjects' `stats`; a missing one becomes
    0, their mean; values beyond 10 SD are held there, since ratios have long tails."""

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
        """`x` (B, F), NaN where a feature is missing -> one token (B, 1, D). `mask` is not used."""
        known = ((x - self.mean) / self.std).nan_to_num(0.0).clamp(-10.0, 10.0)
        return Tokens(torch.nn.functional.gelu(self.linear(known))[:, None])
