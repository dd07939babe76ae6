"""Clocks that movement sets. Where all subjects had the tasks in one order the label is a matter of time, and these are
the worst attacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bench.adds.attacks import Attack, bases
from bench.adds.attacks import features as f
from bench.adds.attacks import registration as reg
from bench.adds.attacks.fitting import boosting, crossfit, logistic, network
from bench.adds.study import Study


def attacks(study: Study) -> Iterator[Attack]:
    channels = _channels(study)
    yield from _by_one_channel(study, channels)
    yield from _by_several(study, channels)
    yield from _seen_nearby(study, channels["log SD"])
    yield from _lags(study)


def _channels(study: Study) -> Mapping[str, np.ndarray]:
    size, spectrum = f.size(study), f.spectrum(study)
    return {
        "log SD": reg.trace(study, size["log_sd"]),
        "jerk": reg.trace(study, size["jerk"], 1),
        "jerk of 2 min": reg.trace(study, size["jerk"], 6),
        "range": reg.trace(study, size["range"], 0),
        **{f"posture {axis}": reg.trace(study, size[f"mean_{axis}"]) for axis in "xyz"},
        "centroid": reg.trace(study, spectrum["centroid"]),
        "slow movement": reg.trace(study, size["log_sd"], 9),
        "changes of movement": reg.trace(study, f.per_subject(study, f.z(study, size["log_sd"]), np.gradient), 1),
    }


def _by_one_channel(study: Study, channels: Mapping[str, np.ndarray]) -> Iterator[Attack]:
    m, best = bases.smoothed(study), bases.moving(study)
    for name, trace in channels.items():
        yield Attack(f"registered: by {name}", reg.registered(study, trace))
        yield Attack(f"registered: by {name}, flat weights", reg.registered(study, trace, temperature=10.0))
    amount = channels["log SD"]
    yield Attack("registered: by log SD, to 10 min", reg.registered(study, amount, reach=60))
    yield Attack("registered: by log SD, to 2 min", reg.registered(study, amount, temperature=0.15, reach=12))
    yield Attack("registered: by log SD, every shift", reg.registered(study, amount, temperature=0.05, soft=True))
    yield Attack("registered: by log SD, 2 min around", f.smooth(study, bases.registered(study), 6))
    yield Attack("registered: by log SD, + smoothed movement", bases.registered(study) + m)
    yield Attack("registered: by log SD, + trees on movement", bases.registered(study) + best)
    yield Attack("registered: by log SD, onto the mean trace", reg.read_labels(study, [_onto_mean(study, amount)], 1.0))
    # What is left of it where the movement is another subject's, who was trained on as likely as not.
    strange = np.roll(reg.likeness([amount]), len(study.names) // 2, axis=0)
    match = reg.best_shift(study, strange)
    yield Attack("registered: by another subject's log SD", reg.read_labels(study, [match], 0.08))


def _onto_mean(study: Study, trace: np.ndarray) -> reg.Match:
    """All others moved by one shift, at which a subject's trace is most like the mean of all traces but her own: no
    label is in it."""
    total, count = np.nansum(trace, 0), np.isfinite(trace).sum(0)
    others = (total - np.nan_to_num(trace)) / np.maximum(count - np.isfinite(trace), 1)
    like = np.zeros((len(trace), len(trace), 2 * reg.REACH + 1))
    for shift in range(-reg.REACH, reg.REACH + 1):
        low, high = max(shift, 0), trace.shape[1] + min(shift, 0)
        for p, own in enumerate(trace[:, low:high]):
            mean = others[p, max(-shift, 0) : trace.shape[1] - max(shift, 0)]
            known = np.isfinite(own)
            like[p, :, shift + reg.REACH] = np.corrcoef(own[known], mean[known])[0, 1]
    return reg.best_shift(study, like)


def _by_several(study: Study, channels: Mapping[str, np.ndarray]) -> Iterator[Attack]:
    size, spectrum, turned = f.size(study), f.spectrum(study), f.turns(study)
    several = [channels[name] for name in ("log SD", "jerk", "range", "posture x", "posture y", "posture z")]
    every = f.z(study, reg.registered(study, *several, temperature=0.05))
    bands = [reg.trace(study, spectrum[f"power_{low}_{axis}"]) for low in ("6", "3", "0.4") for axis in "xyz"]
    groups = {
        "bands of frequency": bands,
        "the wrist's turns": [reg.trace(study, turned[name]) for name in ("angle_3", "angle_12")],
        "the axes' SD": [reg.trace(study, size[f"log_sd_{axis}"]) for axis in "xyz"],
    }
    yield Attack("registered: by six channels", every)
    yield Attack("registered: by six channels, flat weights", reg.registered(study, *several, temperature=10.0))
    yield Attack(
        "registered: by six channels, every shift", reg.registered(study, *several, temperature=0.03, soft=True)
    )
    yield Attack("registered: by six channels, the most alike", reg.registered(study, *several, temperature=0.01))
    for name, traces in groups.items():
        yield Attack(f"registered: by {name}", reg.registered(study, *traces, temperature=0.06))
        yield Attack(f"registered: by {name}, every shift", reg.registered(study, *traces, temperature=0.04, soft=True))
    alone = np.stack([f.z(study, reg.registered(study, trace)) for trace in several])
    yield Attack("registered: mean of six", alone.mean(0))
    yield Attack("registered: highest of six", alone.max(0))
    yield Attack("registered: lowest of six", alone.min(0))
    m = bases.smoothed(study)
    joined = np.concatenate([alone, m[None], bases.moving(study)[None]]).transpose(1, 2, 0)
    trees = crossfit(study, joined, boosting)
    yield Attack("registered: trees on six and movement", trees)
    yield Attack("registered: trees on six and movement, a minute around", f.smooth(study, trees, 6))
    lot, chance = bases.lot(study, 21), bases.noise(study, 22)
    unit = np.random.default_rng(23).random(len(study.y))
    made = {
        "2 min around": f.smooth(study, every, 6),
        "flipped in 12 % of subjects": every * np.where(lot < 0.12, -1, 1),
        "flipped in 10 % of units": every * np.where(unit < 0.1, -1, 1),
        "noise in 30 % of subjects": np.where(lot < 0.3, chance, every),
        "saturated": np.tanh(3 * every),
        "ranks": f.ranks(study, every),
        "skewed": np.exp(every),
        "x movement": every * m,
        "+ movement": every + m,
        "where the wrist is still": every * (f.z(study, size["log_sd"]) < 0),
        "+ clock of position": every + f.z(study, f.control(study, "session_position")),
        "negated": -every,
    }
    for name, scores in made.items():
        yield Attack(f"registered: by six channels, {name}", scores)


def _seen_nearby(study: Study, trace: np.ndarray) -> Iterator[Attack]:
    """Registered anew at each unit, by what lies around it alone."""
    for name, back, ahead in (
        ("10 min around", 60, 60),
        ("5 min around", 30, 30),
        ("3 min around", 18, 18),
        ("10 min before", 60, 0),
        ("3 min before", 18, 0),
    ):
        scores = reg.read_labels(study, [reg.nearby(study, trace, back, ahead)], 0.15)
        yield Attack(f"registered: by log SD of {name}", scores)
        yield Attack(f"registered: by log SD of {name}, smoothed", f.smooth(study, scores, 5))


def _lags(study: Study) -> Iterator[Attack]:
    """Models on the course of movement around a unit, which learn to register by themselves."""
    size = f.size(study)
    amount = f.smooth(study, f.z(study, size["log_sd"]), 1)
    near = np.hstack([f.lagged(study, f.z(study, x), 30, 3) for x in (amount, size["jerk"], size["mean_x"])])
    far = np.hstack([f.lagged(study, f.z(study, x), 60, 4) for x in (amount, size["mean_x"])])
    yield Attack("registered: course of 5 min, logistic", crossfit(study, near, logistic))
    yield Attack("registered: course of 10 min, logistic", crossfit(study, far, logistic))
    yield Attack("registered: course of 5 min, network", crossfit(study, near, network))
    timed = np.hstack([near[:, ::2], f.clock(study)])
    yield Attack("registered: course of 5 min and clock, boosting", crossfit(study, timed, boosting))
