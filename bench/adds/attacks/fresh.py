"""Attacks of our own that no earlier list has: landmarks of movement, other ways to register, saturated and noisy
transforms, and more features of one window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.adds.attacks import Attack, bases
from bench.adds.attacks import features as f
from bench.adds.attacks import registration as reg
from bench.adds.attacks.contact import gaps, ppg, temperature
from bench.adds.attacks.fitting import (
    bayes,
    boosting,
    crossfit,
    extra,
    forest,
    kernel,
    linear,
    logistic,
    neighbours,
    network,
    quadratic,
)
from bench.adds.attacks.shapes import shapes
from bench.adds.study import Study


def attacks(study: Study) -> Iterator[Attack]:
    yield from _registrations(study)
    yield from _landmarks(study)
    yield from _hybrids(study)
    yield from _transforms(study)
    yield from _windows(study)


def _registrations(study: Study) -> Iterator[Attack]:
    size, spectrum, shape = f.size(study), f.spectrum(study), shapes(study)
    amount = reg.trace(study, size["log_sd"])
    tilt = [reg.trace(study, axis) for axis in f.gravity(study).T]
    for name, trace, cost in (
        ("log SD", amount, 0.3),
        ("log SD, free steps", amount, 0.02),
        ("jerk", reg.trace(study, size["jerk"]), 0.3),
        ("pitch", reg.trace(study, f.position(study)["pitch"]), 0.3),
    ):
        match = reg.warped(study, trace, step=cost)
        yield Attack(f"fresh: warped in time by {name}", reg.read_labels(study, [match], 0.05))
        if name == "log SD":
            yield Attack("fresh: warped in time, flat weights", reg.read_labels(study, [match], 10.0))
    channels = {
        "spectral entropy": [reg.trace(study, spectrum["entropy"])],
        "kurtosis": [reg.trace(study, spectrum["kurtosis"])],
        "gravity's direction": tilt,
        "zero crossings": [reg.trace(study, spectrum["crossings"])],
        "permutation entropy": [reg.trace(study, shape["permutation_4"])],
        "axes' agreement": [reg.trace(study, shape[f"with_{pair}"]) for pair in ("01", "02", "12")],
        "ranks of movement": [reg.grid(study, f.smooth(study, f.ranks(study, size["log_sd"]), 1))],
        "still or not": [reg.trace(study, (f.z(study, size["log_sd"]) > 0.5).astype(float), 3)],
        "the control's own score": [reg.trace(study, f.control(study, "movement").mean(0))],
        "every shape": [reg.trace(study, column) for column in shape.values()],
    }
    for name, traces in channels.items():
        yield Attack(f"fresh: registered by {name}", reg.registered(study, *traces, temperature=0.06))
    for name, columns in (("temperature", temperature(study)), ("PPG", ppg(study)), ("gaps", gaps(study))):
        traces = [reg.trace(study, column) for column in columns.values()]
        yield Attack(f"fresh: registered by {name}", reg.registered(study, *traces), held="contact")
        match = reg.warped(study, traces[0])
        yield Attack(f"fresh: warped in time by {name}", reg.read_labels(study, [match], 0.05), held="contact")
    everything = [amount, *tilt, *(reg.trace(study, column, 4) for column in spectrum.values())]
    yield Attack("fresh: registered by all at once", reg.registered(study, *everything, temperature=0.03, soft=True))
    yield Attack("fresh: registered to 15 min", reg.registered(study, amount, temperature=0.05, reach=90))
    yield Attack("fresh: registered in thirds", reg.read_labels(study, [_in_thirds(study, amount)], 0.1))
    yield Attack("fresh: shifted and stretched", reg.read_labels(study, [_stretched(study, amount)], 0.08))
    yield Attack("fresh: at the same share of movement", reg.read_labels(study, [_same_share(study, size["sd"])], 1.0))


def _in_thirds(study: Study, trace: np.ndarray) -> reg.Match:
    """Each third of the session registered on its own."""
    edges = np.linspace(0, trace.shape[1], 4).astype(int)
    part = np.searchsorted(edges, np.arange(trace.shape[1]), "right") - 1
    likes = [reg.likeness([np.where(part == k, trace, np.nan)], reg.REACH) for k in range(3)]
    matches = [reg.best_shift(study, like) for like in likes]
    at, weight = [], []
    for p, own in enumerate(study.order):
        of = part[reg.cells(study)[own]]
        at.append(np.choose(of[None], [m.at[p] for m in matches]))
        weight.append(np.choose(of[None], [np.broadcast_to(m.weight[p], m.at[p].shape) for m in matches]))
    return reg.Match(at, weight)


def _stretched(study: Study, trace: np.ndarray) -> reg.Match:
    """Each pair at the best of five paces and all shifts."""
    x, cells = reg.filled(trace), np.arange(trace.shape[1])
    paces = (0.85, 0.93, 1.0, 1.08, 1.18)
    likes = []
    for pace in paces:
        slow = np.stack([np.interp(cells / pace, cells, own) for own in x])
        likes.append(_against(x, slow))
    best = np.stack([like.max(-1) for like in likes]).argmax(0)
    shift = np.stack([like.argmax(-1) - reg.REACH for like in likes])
    at, weight = [], []
    for p, own in enumerate(study.order):
        pace = np.array(paces)[best[p]][:, None]
        own_shift = shift[best[p], p, np.arange(len(x))][:, None]
        at.append(np.round((reg.cells(study)[own] - own_shift) / pace).astype(int))
        weight.append(np.stack([like[p].max(-1) for like in likes]).max(0)[:, None])
    return reg.Match(at, weight)


def _against(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(P, P, shifts) the correlation of traces (P, C) with others, later by up to `REACH` cells, over the cells that
    both cover."""
    made = []
    for shift in range(-reg.REACH, reg.REACH + 1):
        a = own[:, max(shift, 0) : own.shape[1] + min(shift, 0)]
        b = other[:, max(-shift, 0) : other.shape[1] - max(shift, 0)]
        a, b = ((part - part.mean(1, keepdims=True)) / (part.std(1, keepdims=True) + 1e-9) for part in (a, b))
        made.append(a @ b.T / a.shape[1])
    return np.stack(made, -1)


def _same_share(study: Study, amount: np.ndarray) -> reg.Match:
    """Moments at which as large a share of the session's movement is over."""
    over = f.per_subject(study, amount, lambda x: np.cumsum(x) / x.sum())
    cells, everyone = reg.cells(study), range(len(study.names))
    at = [
        np.stack([np.round(np.interp(over[own], over[study.order[q]], cells[study.order[q]])).astype(int)
                  for q in everyone])
        for own in study.order
    ]  # fmt: skip
    return reg.Match(at, [np.zeros((len(study.names), 1))] * len(study.names))


def _landmarks(study: Study) -> Iterator[Attack]:
    """Clocks that begin at what movement does, not at the session's start."""
    size = f.size(study)
    since = _since_changes(study, f.smooth(study, f.z(study, size["log_sd"]), 3))
    both = np.hstack([since, f.clock(study)])
    yield Attack("fresh: since changes of movement, boosting", crossfit(study, since, boosting))
    yield Attack("fresh: since changes of movement and clock, extra trees", crossfit(study, both, extra))
    posture = _since_changes(study, f.smooth(study, f.z(study, f.position(study)["pitch"]), 3))
    yield Attack("fresh: since changes of posture, boosting", crossfit(study, posture, boosting))
    motif = np.hstack(
        [f.lagged(study, f.z(study, f.smooth(study, size[name], 1)), 15, 3) for name in ("log_sd", "jerk")]
    )
    yield Attack("fresh: motifs of 5 min, neighbours", crossfit(study, motif, neighbours))
    t = f.clock(study)[:, :2] / f.clock(study)[:, :2].std(0)
    yield Attack(
        "fresh: motifs of 5 min at like times, neighbours", crossfit(study, np.hstack([motif, 3 * t]), neighbours)
    )
    yield Attack("fresh: motifs of 5 min, quadratic", crossfit(study, motif, quadratic))
    total = f.per_subject(study, np.stack([size["sd"], np.exp(size["jerk"])]), lambda x: np.cumsum(x, -1))
    share = f.per_subject(study, total, lambda x: x / x[..., -1:])
    yield Attack("fresh: movement so far, neighbours", crossfit(study, np.vstack([total, share]).T, neighbours))


def _since_changes(study: Study, level: np.ndarray, many: int = 6) -> np.ndarray:
    """(n, 5) of the largest steps of a level (n,) in a session: time since the last and to the next one, how many are
    over, and the sizes of both."""
    made = np.empty((len(level), 5))
    for own in study.order:
        x, wide = level[own], 12
        padded = np.concatenate([np.full(wide, x[0]), x, np.full(wide, x[-1])])
        total = np.concatenate([[0], np.cumsum(padded)])
        at = np.arange(len(x)) + wide
        step = (total[at + wide] - total[at] - (total[at] - total[at - wide])) / wide
        found: list[int] = []
        for k in np.argsort(-np.abs(step)).tolist():
            if len(found) < many and all(abs(k - other) > wide for other in found):
                found.append(k)
        marks, here = np.array([-1, *sorted(found), len(x)]), np.arange(len(x))
        last = np.searchsorted(marks, here, "right") - 1
        following = np.minimum(last + 1, len(marks) - 1)
        sizes = np.concatenate([[0], step[marks[1:-1]], [0]])
        made[own] = np.stack([here - marks[last], marks[following] - here, last, sizes[last], sizes[following]], 1)
    return made


def _hybrids(study: Study) -> Iterator[Attack]:
    """Movement with every clock, as a sum and as a product."""
    m, best = bases.smoothed(study), bases.moving(study)
    for name, clock in bases.clocks(study).items():
        c = f.z(study, clock)
        yield Attack(f"fresh: smoothed movement + .5 x clock: {name}", m + 0.5 * c)
        yield Attack(f"fresh: movement x (1 + clock): {name}", m * (1.5 + np.tanh(c)))
        yield Attack(f"fresh: trees on movement, highest where the clock is: {name}", np.minimum(best, c))
    both = f.z(study, bases.registered(study)) + 0.3 * m
    yield Attack("fresh: a clock set by movement, on top of it, smoothed", f.smooth(study, both, 3))
    yield Attack("fresh: a clock set by movement where the wrist is still", bases.registered(study) * (m < 0))


def _transforms(study: Study) -> Iterator[Attack]:
    e, slow = bases.noise(study, 11), bases.noise(study, 12, 0.9)
    lot, fold = bases.lot(study, 13), bases.fold_of(study)
    for name, m in (
        ("movement", bases.smoothed(study)),
        ("trees on movement", bases.moving(study)),
        ("clock set by movement", bases.registered(study)),
    ):
        made = {
            "noise that grows with it": m + 0.5 * e * np.exp(0.7 * m),
            "noise that falls with it": m + 0.5 * e * np.exp(-0.7 * m),
            "skewed, growing slow noise": np.exp(np.clip(m, -3, 3)) + slow * np.maximum(m, 0),
            "saturated, noise on the plateau": np.tanh(3 * m) + 0.6 * e * (np.abs(m) > 0.7),
            "floored at 1 SD": np.maximum(m, 1.0) + 1e-3 * e,
            "squared": m**2,
            "absolute": np.abs(m),
            "negated": -m,
            "negated and skewed": -np.exp(np.clip(m, -3, 3)),
            "noise of 0 to 2 SD by subject": m + 2 * lot**2 * slow,
            "scaled .1 to 10 by subject": m * 10 ** (2 * lot - 1),
            "scaled by fold": m * 4.0**fold,
            "moved by fold": m + 2.0 * fold,
            "flipped in two folds of five": m * np.where(fold < 2, -1, 1),
            "noise in one seed": np.where(np.arange(len(m))[:, None] == 0, slow, m),
            "ranked, probit": _probit(f.ranks(study, m)),
        }
        for what, scores in made.items():
            yield Attack(f"fresh: {name}, {what}", scores)


def _probit(share: np.ndarray) -> np.ndarray:
    from scipy.special import ndtri  # slow to import

    return np.asarray(ndtri(np.clip(share, 0.002, 0.998)))


def _windows(study: Study) -> Iterator[Attack]:
    """More features of one window of the accelerometer."""
    shape = shapes(study)
    every, raw = f.table(study, shape), f.table(study, shape, raw=True)
    for make in (extra, forest, boosting, neighbours, logistic, kernel, network, linear, quadratic, bayes):
        yield Attack(f"fresh: shapes of one window, {make.__name__}", crossfit(study, every, make), "unit")
    for make in (extra, logistic):
        yield Attack(f"fresh: shapes in their own units, {make.__name__}", crossfit(study, raw, make), "unit")
    groups = {
        "complexity": ("permutation", "mobility", "complexity", "jerk_crossings", "turning"),
        "rhythm": ("peak", "rho"),
        "wavelets": ("haar",),
        "autoregression": ("ar_",),
        "axes": ("flat", "line", "with", "tilt"),
        "levels": ("quantile", "above", "still", "burst"),
    }
    for name, starts in groups.items():
        own = f.table(study, {key: column for key, column in shape.items() if key.startswith(starts)})
        for make in (extra, logistic):
            yield Attack(f"fresh: {name} of one window, {make.__name__}", crossfit(study, own, make), "unit")
    wide = f.context(study, every, 6)
    yield Attack("fresh: shapes with a minute around, linear", crossfit(study, wide, linear))
    yield Attack("fresh: shapes with a minute around, extra", crossfit(study, wide, extra))
