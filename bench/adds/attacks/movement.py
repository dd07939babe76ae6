"""The accelerometer's amount and position with all kinds of context, smoothing and models."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.adds.attacks import Attack, bases
from bench.adds.attacks import features as f
from bench.adds.attacks.fitting import boosting, crossfit, extra, kernel, linear, logistic, neighbours, network
from bench.adds.study import Study


def attacks(study: Study) -> Iterator[Attack]:
    yield from _smoothed(study)
    yield from _rolled(study)
    yield from _models(study)
    yield from _decoded(study)
    yield from _single(study)


def _smoothed(study: Study) -> Iterator[Attack]:
    m = f.control(study, "movement")
    yield Attack("movement: the control itself", m)
    for k in (1, 2, 4, 5, 8, 10, 15, 20, 30, 45, 60):
        yield Attack(f"movement: the control, {10 * k} s around", f.smooth(study, m, k))
    for k in (3, 6, 12, 30, 60):
        yield Attack(f"movement: the control, {10 * k} s before", f.smooth(study, m, k, 0))
        yield Attack(f"movement: the control, {10 * k} s after", f.smooth(study, m, 0, k))
    for back, ahead in ((12, 3), (3, 12), (24, 6), (6, 24)):
        name = f"movement: the control, {10 * back} s before and {10 * ahead} s after"
        yield Attack(name, f.smooth(study, m, back, ahead))
    near, far = (f.z(study, f.smooth(study, m, k)) for k in (3, 12))
    yield Attack("movement: the control, higher of half a minute and 2 min around", np.maximum(near, far))
    yield Attack("movement: ranks of the control, a minute around", f.smooth(study, f.ranks(study, m), 6))


def _rolled(study: Study) -> Iterator[Attack]:
    m = f.control(study, "movement")
    for name, summary in (("median", np.median), ("highest", np.max), ("lowest", np.min), ("SD", np.std)):
        yield Attack(f"movement: {name} of a minute around", f.rolling(study, m, 6, 6, summary))
    minute = f.z(study, f.smooth(study, m, 6))
    made = {
        "change of a minute around": f.per_subject(study, minute, lambda x: np.gradient(x, axis=-1)),
        "sum so far": f.per_subject(study, m, lambda x: np.cumsum(x - x.mean(-1, keepdims=True), -1)),
        "x clock": minute * f.z(study, f.control(study, "session_position")),
        "+ .3 clock": minute + 0.3 * f.z(study, f.control(study, "session_position")),
        "+ position": minute + f.z(study, np.tile(f.position(study)["pitch"], (len(m), 1))),
    }
    for name, scores in made.items():
        yield Attack(f"movement: {name}", scores)


def _models(study: Study) -> Iterator[Attack]:
    size, position, turned = f.size(study), f.position(study), f.turns(study)
    own, raw = f.table(study, size), f.table(study, size, raw=True)
    near, far = f.context(study, own, 3, 6, 12), f.context(study, own, 3, 6, 12, 24, 60)
    timed, burst = np.hstack([near, f.clock(study)]), _since_bursts(study)
    posture = f.context(study, f.table(study, {**position, **turned}), 3, 6, 12)
    course = f.context(study, f.table(study, f.spectrum(study)), 6)
    plans = {
        "amount": (own, (boosting, kernel)),
        "amount with 2 min around": (near, (logistic, kernel, neighbours, network, linear)),
        "amount with 10 min around": (far, (boosting, logistic, kernel)),
        "amount in its own units": (raw, (boosting, logistic, extra)),
        "amount with 2 min around in its own units": (f.context(study, raw, 3, 6, 12), (boosting, extra)),
        "amount with 2 min around and clock": (timed, (boosting, extra, network)),
        "bursts": (burst, (boosting, logistic)),
        "position with 2 min around": (posture, (boosting, logistic)),
        "position and clock": (np.hstack([posture, f.clock(study)]), (extra,)),
        "bands with a minute around": (course, (boosting, logistic)),
        "bands with a minute around and clock": (np.hstack([course, f.clock(study)]), (boosting,)),
    }
    for name, (table, makes) in plans.items():
        for make in makes:
            scores = crossfit(study, table, make)
            yield Attack(f"movement: {name}, {make.__name__}", scores)
            if make in (kernel, boosting, logistic):
                yield Attack(f"movement: {name}, {make.__name__}, smoothed", f.smooth(study, scores, 6))


def _since_bursts(study: Study) -> np.ndarray:
    """(n, 4) units since the last one that moved more than each threshold in SD, at most 60."""
    amount = f.z(study, f.size(study)["log_sd"])

    def since(x: np.ndarray, limit: float) -> np.ndarray:
        last = np.maximum.accumulate(np.where(x > limit, np.arange(len(x)), -60))
        return np.minimum(np.arange(len(x)) - last, 60)

    made = np.empty((len(amount), 4))
    for own in study.order:
        made[own] = np.stack([since(amount[own], limit) for limit in (0.5, 1.0, 1.5, 2.0)], 1)
    return made


def _decoded(study: Study) -> Iterator[Attack]:
    """Two hidden states that last, of which movement is the sign."""
    for name, scores in (("the control", f.control(study, "movement")), ("trees", bases.moving(study))):
        for stay in (0.9, 0.97, 0.99):
            decoded = f.per_subject(study, scores, lambda x, stay=stay: _states(x, stay))  # type: ignore[misc]
            yield Attack(f"movement: states of {name} that last, {stay}", decoded)


def _states(evidence: np.ndarray, stay: float) -> np.ndarray:
    """The log odds (..., n) of the second of two states, forward and backward over evidence for it."""
    log = np.log([[stay, 1 - stay], [1 - stay, stay]])
    signs = np.stack([np.zeros_like(evidence), evidence - np.quantile(evidence, 0.67, axis=-1, keepdims=True)], -1)

    def passed(x: np.ndarray) -> np.ndarray:
        made = np.zeros_like(x)
        for k in range(1, x.shape[-2]):
            before = made[..., k - 1, :] + x[..., k - 1, :]
            made[..., k, :] = np.logaddexp.reduce(before[..., :, None] + log, axis=-2)
        return made

    both = passed(signs) + signs + passed(signs[..., ::-1, :])[..., ::-1, :]
    return both[..., 1] - both[..., 0]


def _single(study: Study) -> Iterator[Attack]:
    size, spectrum = f.size(study), f.spectrum(study)
    amount = f.z(study, size["log_sd"])
    high, low = (sum(spectrum[f"power_{band}_{axis}"] for axis in "xyz") for band in ("6", "0.4"))
    columns = {
        "amount": amount,
        "share of movement that is over": f.per_subject(study, size["sd"], lambda x: np.cumsum(x) / x.sum()),
        "rank of jerk": f.ranks(study, size["jerk"]),
        "amount against the last 10 min": amount - f.smooth(study, amount, 60, 0),
        "the stillest of 3 min": f.rolling(study, amount, 9, 9, np.min),
        "how uneven it is": f.rolling(study, amount, 6, 6, np.std),
        "fast against slow": np.asarray(high - low),
    }
    for name, column in columns.items():
        for sign, word in ((1, ""), (-1, "minus ")):
            yield Attack(f"movement: {word}{name}", np.tile(sign * column, (len(study.seeds), 1)))
    for seed, (a, b, w) in enumerate(np.random.default_rng(61).uniform(0, 40, (12, 3))):
        mixed = f.z(study, f.smooth(study, bases.moving(study), int(a), int(b))) + w / 40 * bases.smoothed(study)
        yield Attack(f"movement: mixture {seed + 1}", mixed)
