"""Presses of the wristband's button, which mark where tasks begin and end, alone and mixed into honest rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.adds.attacks import Attack, bases
from bench.adds.attacks import features as f
from bench.adds.attacks.fitting import boosting, crossfit
from bench.adds.attacks.scoring import within
from bench.adds.attacks.wristband import presses
from bench.adds.study import Study

FAR_S = 2000.0
WEIGHTS = (0.02, 0.05, 0.15)


def pressed(study: Study) -> np.ndarray:
    """(n, 3) seconds since the last press and until the next one, and how many there were."""
    made = np.empty((len(study.y), 3))
    for own, times in zip(study.order, presses(study), strict=True):
        middle = study.start[own] + study.length_s / 2
        over = np.searchsorted(times, middle)
        padded = np.concatenate([[-np.inf], times, [np.inf]])
        since, until = middle - padded[over], padded[over + 1] - middle
        made[own] = np.stack([np.minimum(since, FAR_S), np.minimum(until, FAR_S), over], 1)
    return made


def honest(study: Study) -> dict[str, np.ndarray]:
    """The best row of three kinds, by the score inside a subject."""
    found = {}
    for kind in ("svm", "forest", "tcn"):
        rows = {name: scores for name, scores in study.rows.items() if kind in name}
        if rows:
            best = max(rows, key=lambda name: within(study, rows[name]))
            found[best] = f.z(study, f.log_odds(rows[best]))
    return found


def attacks(study: Study) -> Iterator[Attack]:
    marked = f.z(study, crossfit(study, pressed(study), boosting))
    yield Attack("events: presses", marked, held="events")
    for name, row in honest(study).items():
        for weight in WEIGHTS:
            yield Attack(f"events: {name} + {weight} presses", row + weight * marked, held="events")
    for weight in (0.1, 0.3):
        yield Attack(f"events: movement + {weight} presses", bases.smoothed(study) + weight * marked, held="events")
