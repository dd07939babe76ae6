"""Clocks that see no signal, and the least that files say beside signals: bytes, gaps and the time of day."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.adds.attacks import Attack, bases
from bench.adds.attacks import features as f
from bench.adds.attacks.fitting import boosting, crossfit, extra, kernel, logistic, neighbours
from bench.adds.attacks.wristband import time_of_day
from bench.adds.study import Study


def attacks(study: Study) -> Iterator[Attack]:
    for name, scores in bases.clocks(study).items():
        yield Attack(f"clock: {name}", scores)
        yield Attack(f"clock: {name}, negated", -scores)
    for width in (30.0, 150.0):
        yield Attack(f"clock: of sessions within {width:.0f} s", bases.like_length(study, width))
    own = f.clock(study)
    for make in (boosting, extra, neighbours, kernel):
        yield Attack(f"clock: all at once, {make.__name__}", crossfit(study, own, make))
    waves = np.hstack([fn(k * np.pi * own[:, 1:2]) for k in range(1, 9) for fn in (np.sin, np.cos)])
    yield Attack("clock: waves of the share that is over, logistic", crossfit(study, waves, logistic))
    steps = np.eye(20)[np.minimum((own[:, 1] * 20).astype(int), 19)]
    yield Attack("clock: twentieths of the session, logistic", crossfit(study, steps, logistic))
    day = time_of_day(study)
    yield Attack("clock: time of day, boosting", crossfit(study, day[:, None], boosting))
    yield Attack("clock: time of day and clock, boosting", crossfit(study, np.hstack([day[:, None], own]), boosting))
    pauses = f.per_subject(study, study.start, lambda t: np.diff(t, prepend=t[0]))
    ahead = f.per_subject(study, study.start, lambda t: np.diff(t, append=t[-1]))
    yield Attack("clock: gaps between labelled units", crossfit(study, np.stack([pauses, ahead], 1), boosting))
    kinds = np.array([len(np.unique(part.round(2))) for part in f.accelerations(study)[:, :, ::4]], float)
    yield Attack("clock: how finely the accelerometer's values are spread", np.tile(kinds, (len(study.seeds), 1)))
    yield Attack("clock: noise", bases.noise(study, 51))
    yield Attack("clock: slow noise", bases.noise(study, 52, 0.97))
    yield Attack("clock: slow noise + cells", bases.noise(study, 53, 0.97) + f.z(study, bases.cell_clock(study)))
