"""Features that can only mislead, found in the training units before anything is fitted to them: a value that is the
same in all of them, or another way to write how long a recording is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from embench.engine.feed import Data, FeatureFeed
from embench.engine.rows import Grid
from embench.errors import DataError
from embench.interfaces.tokens import InputSpec
from embench.store import Store, derive

LEAST = 20
"""Least number of units, or recordings: fewer may be alike by chance."""
LEAST_LENGTHS = 5
FOLLOWS = 0.99
CONSTANT = 1e-6
"""A feature with a smaller SD is rounding: absolute where signals or features were z-scored, else relative to it."""

REASONS = {"constant": "constant over the training units", "length": "a function of the length of the recording"}


def drop(
    data: Data, specs: Mapping[str, InputSpec], store: Store, grid: Grid, train: np.ndarray, scaled: frozenset[str]
) -> tuple[Data, dict[str, InputSpec]]:
    """The data with NaN for features that can only mislead, and the specs, whose `fitted` names their positions.

    Args:
        train: positions (k,) of the training rows.
        scaled: the modalities whose features are of z-scored signals, or z-scored themselves.

    Raises:
        DataError: that is more than half of a modality's features.
    """
    feeds, found = dict(data.feeds), dict(specs)
    for m, feed in data.feeds.items():
        if not isinstance(feed, FeatureFeed) or len(specs[m].shape) != 1:
            continue
        rows = train[feed.present[train]]
        values = feed.array[torch.from_numpy(rows).to(feed.device)].cpu().numpy().astype(np.float64)
        source = derive.joined(store, m)
        length_s = {r: source.spans[store.recordings[r].id].samples / source.rate for r in set(grid.recording[rows])}
        positions = {
            "constant": _constant(values, m in scaled),
            "length": _following(values, grid.recording[rows], length_s),
        }
        positions["length"] = np.setdiff1d(positions["length"], positions["constant"])
        positions = {reason: at for reason, at in positions.items() if len(at)}
        if not positions:
            continue
        found[m] = replace(specs[m], fitted=positions)
        gone = sum(map(len, positions.values()))
        if 2 * gone > values.shape[1]:
            raise DataError(
                f"{gone} of {values.shape[1]} features of {m} carry no information: {_in_words(found[m])}",
                expected="features of which at least half vary with more than the length of a recording",
                hint="features of the level of a signal need a protocol that keeps the level, such as --protocol "
                "subject-independent-v3; else choose other --modalities or another --encoder",
            )
        feeds[m] = without(feed, found[m])
    return replace(data, feeds=feeds), found


def without(feed: FeatureFeed, spec: InputSpec) -> FeatureFeed:
    """The feed with NaN for the features that `spec.fitted` names."""
    if not (gone := _positions(spec)):
        return feed
    array = feed.array.clone()
    array[:, gone] = torch.nan
    return replace(feed, array=array)


def dropped_names(specs: Mapping[str, InputSpec]) -> dict[str, dict[str, str]]:
    """Modality -> feature -> why it was dropped, where any was."""
    found: dict[str, dict[str, str]] = {}
    for m, spec in specs.items():
        for reason, words in REASONS.items():
            for i in spec.fitted.get(reason, ()):
                found.setdefault(m, {})[_name(spec, int(i))] = words
    return found


def notes(specs: Mapping[str, InputSpec]) -> list[str]:
    """A line for each modality of which features were dropped."""
    return [
        f"{len(_positions(spec))} of {spec.shape[0]} features of {m} dropped: {_in_words(spec)}"
        for m, spec in specs.items()
        if len(_positions(spec))
    ]


def _positions(spec: InputSpec) -> list[int]:
    return [int(i) for reason in REASONS for i in spec.fitted.get(reason, ())]


def _in_words(spec: InputSpec) -> str:
    parts = {words: [_name(spec, int(i)) for i in spec.fitted.get(reason, ())] for reason, words in REASONS.items()}
    return "; ".join(f"{words}: {', '.join(which)}" for words, which in parts.items() if which)


def _name(spec: InputSpec, position: int) -> str:
    return spec.channels[position] if len(spec.channels) == spec.shape[0] else f"feature {position}"


def _constant(values: np.ndarray, scaled: bool) -> np.ndarray:
    """(k,) positions of features of `values` (n, F) that are the same in all rows that have them."""
    there = np.isfinite(values)
    count = there.sum(0)
    known = np.where(there, values, 0.0)
    mean = known.sum(0) / np.maximum(count, 1)
    std = np.sqrt(np.where(there, (values - mean) ** 2, 0.0).sum(0) / np.maximum(count, 1))
    return np.flatnonzero((count >= LEAST) & (std <= CONSTANT * (1.0 if scaled else np.abs(known).max(0, initial=0.0))))


def _following(values: np.ndarray, recording: np.ndarray, length_s: Mapping[Any, float]) -> np.ndarray:
    """(k,) positions of features whose mean over a recording follows how long that is: along a line, or any other curve
    that only rises or only falls."""
    from scipy.stats import rankdata  # slow to import, and runs whose stages are done find nothing

    which, row = np.unique(recording, return_inverse=True)
    lengths = np.array([length_s[r] for r in which])
    found = []
    for i, column in enumerate(values.T):
        there = np.isfinite(column)
        count = np.bincount(row[there], minlength=len(which))
        seen = count > 0
        mean = np.bincount(row[there], column[there], len(which))[seen] / count[seen]
        if seen.sum() < LEAST or len(np.unique(lengths[seen])) < LEAST_LENGTHS or np.ptp(mean) == 0:
            continue
        pairs = ((mean, lengths[seen]), (rankdata(mean), rankdata(lengths[seen])))
        if max(abs(np.corrcoef(one, other)[0, 1]) for one, other in pairs) > FOLLOWS:
            found.append(i)
    return np.array(found, np.int64)
