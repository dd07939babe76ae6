"""Write one simulated study as a user would have it: skin conductance and acceleration of 24 subjects, and tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

SUBJECTS = 24
EDA_HZ, ACC_HZ = 4, 32
FILMS, FILM_S, GAP_S, BEFORE_S = 12, 60, 10, 20
BLOCKS, BLOCK_S = 4, 90
CLIPS, CLIP_S, MOMENT_S = 8, 120, 10
SECONDLY = 0.07
"""Skin conductance responses a second without any effect."""
KINDS = {
    "D1": ("effect", "none", "film", "habituation", "carry_over"),
    "D3": ("effect", "none"),
    "D6": ("effect", "none"),
}
EFFECT = {"D1": 0.28, "D3": 0.25, "D6": 0.40}
"""Change of the log rate of responses with one SD of the label."""
_HEAD = """\
name: {name}
title: Simulated
citation: unpublished
licence: not shared
mains_hz: 50
longest_s: 1440
timezone: UTC
fixed_order: false
labels_public: no
recordings:
  - e4: "{{participant}}"
"""
_DESCRIPTION = {
    "D1": """\
    trials: {table: films.csv, keys: {participant: code}, start: begin, duration: length, stimulus: film}
    signals: [eda, acc]
labels:
  rating: {table: films.csv, keys: {participant: code, stimulus: film}, column: rating, scale: [1, 9]}
targets:
  arousal: {label: rating, kind: binary, cut: 5, ties: low}
""",
    "D3": """\
    signals: [eda, acc]
labels:
  task: {table: blocks.csv, keys: {participant: code}, start: begin, duration: length, column: task, classes: [rest,
  stress]}
targets:
  stress: {label: task, kind: binary, positive: [stress], negative: [rest]}
""",
    "D6": """\
    trials: {table: clips.csv, keys: {participant: code}, start: begin, duration: length, stimulus: clip}
    signals: [eda, acc]
labels:
  joystick: {table: "rating_{participant}_{stimulus}.csv", time: seconds, column: valence, scale: [-1, 1]}
targets:
  valence: {label: joystick, kind: binary, cut: 0, ties: low}
""",
}


def write_study(folder: Path, design: str, kind: str, number: int) -> float:
    """Write a study and return how well the true number of responses in a unit tells its label within subjects:
    AUROC."""
    rng = np.random.default_rng([79, list(KINDS).index(design), KINDS[design].index(kind), number])
    folder.mkdir(parents=True)
    text = _HEAD.format(name=folder.name) + _DESCRIPTION[design]
    (folder / "dataset.yaml").write_text(text, encoding="utf-8")
    write: Callable[[Path, str, np.random.Generator], tuple[np.ndarray, np.ndarray]]
    write = {"D1": _films, "D3": _blocks, "D6": _clips}[design]
    counts, high = write(folder, kind, rng)
    return _auroc(counts, high)


def _films(folder: Path, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Films rated afterwards, in an order of each subject's own."""
    shape = SUBJECTS, FILMS
    orders = rng.random(shape).argsort(1)
    place = np.arange(FILMS) / (FILMS - 1)
    of_film, of_previous = rng.standard_normal((2, FILMS))
    shared = np.sqrt(0.3) * of_film[orders]
    label, rate = shared + np.sqrt(0.7) * rng.standard_normal(shape), np.zeros(shape)
    if kind == "effect":
        own = (label - label.mean(1, keepdims=True)) / label.std(1, keepdims=True)
        rate = EFFECT["D1"] * own
    elif kind == "film":
        rate = EFFECT["D1"] * of_film[orders]
    elif kind == "habituation":
        label = label + rng.normal(-1.0, 1.0, (SUBJECTS, 1)) * place
        rate = rng.normal(-1.0, 0.7, (SUBJECTS, 1)) * place
    elif kind == "carry_over":
        before = np.concatenate([np.zeros((SUBJECTS, 1)), of_previous[orders[:, :-1]]], axis=1)
        label, rate = label + 0.8 * before, EFFECT["D1"] * before
    rating = np.clip(np.rint(5 + 1.8 * label), 1, 9)
    begin = BEFORE_S + (FILM_S + GAP_S) * np.arange(FILMS)
    counts = rng.poisson(SECONDLY * FILM_S * np.exp(rate))
    total = int(begin[-1]) + FILM_S + BEFORE_S
    rows = ["code,film,begin,length,rating"]
    for i in range(SUBJECTS):
        starts = np.repeat(begin, counts[i]) + rng.uniform(1, FILM_S - 2, counts[i].sum())
        _signals(folder / f"P{i:02d}", total, starts, _moves(total, rng), rng)
        shown = zip(orders[i], begin, rating[i], strict=True)
        rows += [f"P{i:02d},film{film:02d},{start},{FILM_S},{value:g}" for film, start, value in shown]
    _table(folder / "films.csv", rows)
    return counts, rating > 5


def _blocks(folder: Path, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Four blocks, two tasks in turn; half of the subjects begin with either, and all move more in the task."""
    first = rng.permutation(np.arange(SUBJECTS) % 2)
    task = (first[:, None] + np.arange(BLOCKS)) % 2
    total = BLOCKS * BLOCK_S
    by_second = np.repeat(task, BLOCK_S, axis=1)
    rate = (EFFECT["D3"] if kind == "effect" else 0.0) * (2 * by_second - 1)
    drift = rng.normal(0, 0.3, (SUBJECTS, 1)) * np.linspace(-1, 1, total)
    happens = rng.poisson(SECONDLY * np.exp(rate + drift))
    rows = ["code,begin,length,task"]
    for i in range(SUBJECTS):
        starts = np.flatnonzero(happens[i]) + rng.random((happens[i] > 0).sum())
        _signals(folder / f"P{i:02d}", total, starts, _moves(total, rng, 0.7 * by_second[i]), rng)
        rows += [f"P{i:02d},{b * BLOCK_S},{BLOCK_S},{('rest', 'stress')[task[i, b]]}" for b in range(BLOCKS)]
    _table(folder / "blocks.csv", rows)
    return happens.reshape(SUBJECTS, -1, MOMENT_S).sum(2), by_second[:, ::MOMENT_S] == 1


def _clips(folder: Path, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Clips rated with a joystick while they play, in an order of each subject's own."""
    moments = CLIP_S // MOMENT_S
    shape = SUBJECTS, CLIPS, moments
    orders = rng.random((SUBJECTS, CLIPS)).argsort(1)
    common, felt = _slow(rng, (1, CLIPS, moments)), _slow(rng, shape)
    label = np.sqrt(0.3) * common[0][orders] + np.sqrt(0.7) * felt
    rate = EFFECT["D6"] * felt if kind == "effect" else EFFECT["D6"] * _slow(rng, shape)
    counts = rng.poisson(SECONDLY * MOMENT_S * np.exp(rate))
    begin = BEFORE_S + (CLIP_S + GAP_S) * np.arange(CLIPS)
    total = int(begin[-1]) + CLIP_S + BEFORE_S
    rows = ["code,clip,begin,length"]
    for i in range(SUBJECTS):
        at = (begin[:, None] + MOMENT_S * np.arange(moments)).ravel()
        starts = np.repeat(at, counts[i].ravel()) + rng.uniform(0, MOMENT_S, counts[i].sum())
        _signals(folder / f"P{i:02d}", total, starts, _moves(total, rng), rng)
        for k, clip in enumerate(orders[i]):
            rows.append(f"P{i:02d},clip{clip},{begin[k]},{CLIP_S}")
            value = np.tanh(0.5 * np.repeat(label[i, k], MOMENT_S))
            lines = [f"{begin[k] + second},{v:.3f}" for second, v in enumerate(value)]
            _table(folder / f"rating_P{i:02d}_clip{clip}.csv", ["seconds,valence", *lines])
    _table(folder / "clips.csv", rows)
    return counts.reshape(SUBJECTS, -1), label.reshape(SUBJECTS, -1) > 0


def _slow(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A stationary AR(1) series with coefficient 0.9 over the last axis, of variance 1."""
    series = rng.standard_normal(shape)
    for at in range(1, shape[-1]):
        series[..., at] = 0.9 * series[..., at - 1] + np.sqrt(1 - 0.81) * series[..., at]
    return series


def _moves(total: int, rng: np.random.Generator, more: np.ndarray | float = 0.0) -> np.ndarray:
    """(total,) size of movement by second."""
    return np.asarray(8 * np.exp(0.7 * (rng.standard_normal(total // 20 + 1).repeat(20)[:total] + more)))


def _signals(folder: Path, total: int, starts: np.ndarray, moves: np.ndarray, rng: np.random.Generator) -> None:
    """Write a subject's files in the form of the Empatica E4."""
    folder.mkdir()
    n = total * EDA_HZ
    eda = rng.uniform(1, 6) + np.linspace(0, rng.normal(0, 0.6), n) + np.cumsum(rng.standard_normal(n)) * 0.004
    seconds = np.arange(0, 20, 1 / EDA_HZ)
    response = np.exp(-seconds / 4) - np.exp(-seconds / 0.8)
    size = rng.uniform(0.1, 0.4) / response.max()
    for start in starts:
        part = eda[int(start * EDA_HZ) :][: len(response)]
        part += size * rng.lognormal(0, 0.5) * response[: len(part)]
    eda = np.maximum(eda + rng.normal(0, 0.01, n), 0.05)
    rest = rng.normal(0, 30, 3) + rng.standard_normal((total * ACC_HZ, 3)) * moves.repeat(ACC_HZ)[:, None]
    began = 1_700_000_000 + int(rng.integers(1_000_000))
    for name, samples, rate, form in (("EDA", eda[:, None], EDA_HZ, "%.4f"), ("ACC", rest, ACC_HZ, "%d")):
        heads = "\n".join(", ".join([f"{value:.6f}"] * samples.shape[1]) for value in (began, rate))
        np.savetxt(folder / f"{name}.csv", samples, form, ",", header=heads, comments="")


def _table(path: Path, rows: list[str]) -> None:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _auroc(counts: np.ndarray, high: np.ndarray) -> float:
    """Mean over subjects of the AUROC of counts (n, J) for labels (n, J)."""
    values = []
    for own, label in zip(counts, high, strict=True):
        if label.any() and not label.all():
            gap = own[label][:, None] - own[~label]
            values.append(((gap > 0) + 0.5 * (gap == 0)).mean())
    return float(np.mean(values))
