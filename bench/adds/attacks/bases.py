"""Scores (S, n) of which several themes make attacks: movement, clocks, and a clock that movement sets."""

from __future__ import annotations

from functools import cache

import numpy as np

from bench.adds.attacks import features as f
from bench.adds.attacks import registration as reg
from bench.adds.attacks.fitting import boosting, crossfit
from bench.adds.study import Study


@cache
def smoothed(study: Study) -> np.ndarray:
    """The published control of movement, averaged over 50 s on either side, normalised."""
    return f.z(study, f.smooth(study, f.control(study, "movement"), 5))


@cache
def moving(study: Study) -> np.ndarray:
    """Trees on movement and posture with up to 2 min around, normalised."""
    return f.z(study, crossfit(study, f.context(study, f.table(study, f.size(study)), 3, 6, 12), boosting))


@cache
def registered(study: Study) -> np.ndarray:
    """The clock that the log SD of movement sets, normalised."""
    return f.z(study, reg.registered(study, reg.trace(study, f.size(study)["log_sd"])))


@cache
def cell_clock(study: Study) -> np.ndarray:
    """Training subjects' labels at the same time since the start."""
    still = np.zeros((len(study.names), len(study.names), 1))
    return reg.read_labels(study, [reg.best_shift(study, still)], 1.0)


@cache
def like_length(study: Study, width_s: float = 60.0) -> np.ndarray:
    """Labels read from the subjects with sessions of like length above all."""
    apart = np.subtract.outer(study.session_s, study.session_s)
    still = -0.5 * (apart / width_s)[..., None] ** 2
    return reg.read_labels(study, [reg.best_shift(study, still)], 1.0)


@cache
def stretched(study: Study) -> np.ndarray:
    """Training subjects' labels at the same share of the session."""
    return _scaled(study, np.divide.outer(study.session_s, study.session_s).T)


@cache
def from_end(study: Study) -> np.ndarray:
    """Training subjects' labels at the same time to the end."""
    return _scaled(study, np.ones((len(study.names),) * 2), np.subtract.outer(study.session_s, study.session_s).T)


def _scaled(study: Study, scale: np.ndarray, add_s: np.ndarray | float = 0.0) -> np.ndarray:
    """Labels read at a subject's time x scale (P, Q) + seconds (P, Q)."""
    more = np.broadcast_to(np.asarray(add_s) / study.length_s, scale.shape)
    at = [
        np.round(reg.cells(study)[own] * scale[p][:, None] + more[p][:, None]).astype(int)
        for p, own in enumerate(study.order)
    ]
    return reg.read_labels(study, [reg.Match(at, [np.zeros((len(scale), 1))] * len(scale))], 1.0)


def clocks(study: Study) -> dict[str, np.ndarray]:
    """All clocks that see no signal, by name."""
    controls = ("elapsed_time", "session_position", "study_drift")
    return {
        **{name: f.control(study, name) for name in controls},
        "cells": cell_clock(study),
        "like length": like_length(study),
        "stretched": stretched(study),
        "from the end": from_end(study),
    }


def noise(study: Study, seed: int, memory: float = 0.0) -> np.ndarray:
    """(S, n) of SD 1; within a subject with an autocorrelation of `memory` from unit to unit."""
    from scipy.signal import lfilter  # slow to import

    rng = np.random.default_rng(seed)
    made = np.empty((len(study.seeds), len(study.y)))
    for own in study.order:
        drawn = rng.standard_normal((len(study.seeds), len(own) + 50))
        made[:, own] = lfilter([np.sqrt(1 - memory**2)], [1, -memory], drawn)[:, 50:]
    return made


def lot(study: Study, seed: int) -> np.ndarray:
    """(n,) a number of each subject, evenly from 0 to 1, by chance."""
    return (np.random.default_rng(seed).permutation(len(study.names)) / len(study.names))[study.subject]


def fold_of(study: Study) -> np.ndarray:
    """(S, n) the fold that tests each unit."""
    return study.folds[:, study.subject]
