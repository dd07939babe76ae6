"""Movement that is flipped, drowned in noise, saturated or skewed, in some subjects, folds or units: what a rank of
residuals may take for something new."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np

from bench.adds.attacks import Attack, bases
from bench.adds.attacks import features as f
from bench.adds.attacks.wristband import beats_in
from bench.adds.study import Study


@cache
def _hash(study: Study) -> np.ndarray:
    """(n,) a number from 0 to 1 of the bytes of each unit's accelerations."""
    digests = [hashlib.sha256(part.tobytes()).hexdigest()[:8] for part in study.windows("acc")]
    return np.array([int(digest, 16) / 2**32 for digest in digests])


def attacks(study: Study) -> Iterator[Attack]:
    bases_of = {
        "trees on movement": bases.moving(study),
        "movement": bases.smoothed(study),
        "clock set by movement": bases.registered(study),
    }
    made = {name: _transformed(study, base) for name, base in bases_of.items()}
    for name, scores in made.items():
        for what, score in scores.items():
            yield Attack(f"transform: {name}, {what}", score)
    noisy, flipped = "noise in 30 % of subjects", "flipped in 12 % of subjects"
    mixed = {
        f"trees on movement, {noisy}, + clock": (made["trees on movement"][noisy], bases.cell_clock(study), 0.5),
        f"trees on movement, {flipped}, + clock": (made["trees on movement"][flipped], bases.stretched(study), 0.7),
        f"movement, {flipped}, + clock set by movement": (made["movement"][flipped], bases.registered(study), 0.5),
    }
    for name, (one, other, weight) in mixed.items():
        yield Attack(f"transform: {name}", f.z(study, one) + weight * f.z(study, other))


def _transformed(study: Study, v: np.ndarray) -> Mapping[str, np.ndarray]:
    lot, fold, unit = bases.lot(study, 41), bases.fold_of(study), _hash(study)
    slow, other = bases.noise(study, 42, 0.9), bases.noise(study, 43, 0.9)
    size, position = f.size(study), f.position(study)
    level = np.array([size["log_sd"][own].mean() for own in study.order])
    lively = (level.argsort().argsort() / len(level))[study.subject]
    late = study.start / study.session_s[study.subject] > 0.85
    up = f.z(study, size["mean_x"]) > 1.2
    no_beats = beats_in(study)["count"] == 0
    return {
        "flipped in 12 % of subjects": v * np.where(lot < 0.12, -1, 1),
        "flipped in 25 % of subjects": v * np.where(lot < 0.25, -1, 1),
        "noise in 15 % of subjects": np.where(lot < 0.15, slow, v),
        "noise in 30 % of subjects": np.where(lot < 0.3, slow, v),
        "noise in 50 % of subjects": np.where(lot < 0.5, slow, v),
        "noise of 0 to 3 SD by subject": v + 3 * lot**3 * slow,
        "noise everywhere": v + 0.6 * slow,
        "flipped in a fold": v * np.where(fold == 0, -1, 1),
        "noise in a fold": np.where(fold == 0, slow, v),
        "flipped in the stillest subjects": v * np.where(lively < 0.12, -1, 1),
        "flipped in the liveliest subjects": v * np.where(lively > 0.88, -1, 1),
        "noise in the stillest subjects": np.where(lively < 0.3, slow, v),
        "flipped in 10 % of units, by a hash": v * np.where(unit < 0.1, -1, 1),
        "loud noise in 25 % of units": np.where(unit < 0.25, 3 * other, v),
        "flipped at the end": v * np.where(late, -1, 1),
        "flipped where the wrist is up": v * np.where(up, -1, 1),
        "x sign of pitch": v * np.sign(f.z(study, position["pitch"])),
        "ranks": f.ranks(study, v),
        "skewed": np.exp(np.clip(v, -4, 4)),
        "saturated": np.tanh(4 * v),
        "cubed": v**3,
        "above its mean or not": (v > 0).astype(float),
        "above 1 SD or not": (v > 1).astype(float),
        "in five levels": np.round(v * 1.2),
        "folded by a sine": np.sin(6 * v),
        "dithered by a hash": v + 0.5 * unit,
        "scaled by a hash": v * (0.1 + unit),
        "noise where no beats were found": np.where(no_beats, 0.5 * slow, v),
    }
