"""Attacks that read one window of the accelerometer alone: a finer look than any statistic of 10 s."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from sklearn.decomposition import PCA

from bench.adds.attacks import Attack
from bench.adds.attacks import features as f
from bench.adds.attacks.fitting import boosting, crossfit, extra, forest, kernel, logistic, neighbours, network
from bench.adds.attacks.shapes import shapes
from bench.adds.study import Study

KERNELS = 150


def attacks(study: Study) -> Iterator[Attack]:
    yield from _spectra(study)
    yield from _samples(study)
    yield from _convolutions(study)


def _spectra(study: Study) -> Iterator[Attack]:
    spectrum, position = f.spectrum(study), f.position(study)
    both = {**spectrum, **position}
    plans = {
        "bands": (f.table(study, spectrum), (boosting, logistic, extra)),
        "bands in their own units": (f.table(study, spectrum, raw=True), (logistic, extra)),
        "bands and posture": (f.table(study, both), (boosting, logistic, extra, forest, neighbours, kernel)),
        "posture": (f.table(study, position), (boosting, logistic, extra)),
        "posture in its own units": (f.table(study, position, raw=True), (extra,)),
        "amount": (f.table(study, f.size(study)), (logistic, extra, neighbours)),
    }
    for name, (table, makes) in plans.items():
        for make in makes:
            yield Attack(f"window: {name}, {make.__name__}", crossfit(study, table, make), "unit")


@cache
def _quantiles(study: Study) -> f.Columns:
    """Quantiles of each axis and of its steps."""
    x = f.accelerations(study)
    made: dict[str, np.ndarray] = {}
    for name, values, shares in (
        ("level", x, (0.05, 0.25, 0.5, 0.75, 0.95)),
        ("step", np.abs(np.diff(x, axis=-1)), (0.5, 0.9, 0.99)),
    ):
        found = np.quantile(values, shares, axis=-1)
        made |= {f"{name}_{q:g}_{axis}": found[i, :, k] for i, q in enumerate(shares) for k, axis in enumerate("xyz")}
    return made


def _samples(study: Study) -> Iterator[Attack]:
    chosen = {name: column for name, column in shapes(study).items() if name.startswith(("rho", "with", "above"))}
    own = f.table(study, {**_quantiles(study), **chosen})
    wide = np.hstack([own, f.table(study, {**f.spectrum(study), **f.position(study)})])
    made = []
    for name, table, makes in (
        ("quantiles and autocorrelation", own, (extra, boosting, neighbours, logistic)),
        ("quantiles, autocorrelation, bands", wide, (extra, forest, neighbours, logistic, network)),
    ):
        for make in makes:
            made.append(crossfit(study, table, make))
            yield Attack(f"window: {name}, {make.__name__}", made[-1], "unit")
    mean = np.mean([f.z(study, scores) for scores in made], axis=0)
    yield Attack("window: mean of all of these", mean, "unit")
    yield Attack("window: mean of all of these, a minute around", f.smooth(study, mean, 6))


@cache
def convolved(study: Study) -> np.ndarray:
    """(n, 40) principal components of random convolutions of the samples, without labels: how much of a window is
    above a kernel's threshold, and the highest value."""
    x = f.accelerations(study)
    x = ((x - x.mean(-1, keepdims=True)) / 0.1).astype(np.float32)
    rng, made = np.random.default_rng(31), []
    for _ in range(KERNELS):
        length = int(rng.choice([7, 9, 11]))
        gap = int(2 ** rng.uniform(0, np.log2((x.shape[-1] - 1) / (length - 1))))
        weights = rng.standard_normal(length)
        weights, axis, threshold = weights - weights.mean(), rng.integers(3), rng.uniform(-0.3, 0.3)
        left = x.shape[-1] - gap * (length - 1)
        out = sum(np.float32(w) * x[:, axis, k * gap : k * gap + left] for k, w in enumerate(weights)) - threshold
        made += [(out > 0).mean(-1), np.log1p(np.maximum(out.max(-1), 0))]
    columns = np.stack(made, 1)
    return PCA(40, random_state=0).fit_transform((columns - columns.mean(0)) / (columns.std(0) + 1e-6))


def _convolutions(study: Study) -> Iterator[Attack]:
    raw = convolved(study)
    own = np.clip(f.z(study, raw.T).T, -4, 4)
    for make in (logistic, kernel, network, extra):
        yield Attack(f"window: random convolutions, {make.__name__}", crossfit(study, own, make), "unit")
    yield Attack("window: random convolutions, not normalised, logistic", crossfit(study, raw, logistic), "unit")
    samples = f.accelerations(study)[:, :, ::2].reshape(len(study.y), -1)
    parts = PCA(40, random_state=0).fit_transform(samples)
    yield Attack("window: components of the samples, network", crossfit(study, parts, network), "unit")
    wide = f.context(study, own[:, :20], 6, 12)
    timed = np.hstack([wide, f.clock(study)])
    for name, table in (("with context", wide), ("with context and clock", timed)):
        for make in (network, logistic):
            scores = crossfit(study, table, make)
            yield Attack(f"window: random convolutions {name}, {make.__name__}", scores)
            smoothed = f.smooth(study, scores, 6)
            yield Attack(f"window: random convolutions {name}, {make.__name__}, a minute around", smoothed)
