"""Worlds: how labels and features of a simulated study arise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from bench.confound_rule.designs import Study, noise_of, standard

STIMULUS_VARIANCE = 0.3
RATING_SD, CUT = 1.8, 5
EFFECTS = {60: 0.219, 62: 0.262, 65: 0.327, 70: 0.433, 72: 0.475, 80: 0.638}
"""AUROC in percent -> the weight of the subject's own signal in the label."""
FEATURES = 6


@dataclass(frozen=True)
class Part:
    """A confound in label and score.

    Args:
        kind: stimulus, position, clock, previous, habituation, movement or interaction (of stimulus and movement).
        variance: of the label.
        kernel: how it follows from time or movement, see `_KERNELS`; a number of each for `numbers`.
        label_gain, score_gain: SD of the log of each subject's own gain; `shared_gain`: the label has the score's.
        noise: in the feature that shows it.
    """

    kind: str
    variance: float = 0.36
    kernel: str = "linear"
    numbers: tuple[float, ...] = ()
    label_gain: float = 0.0
    score_gain: float = 0.0
    shared_gain: bool = False
    noise: float = 0.5


@dataclass(frozen=True)
class World:
    """The causes that label and features share.

    Args:
        kind: null, effect or limit.
        own: weight of the subject's own signal in the label.
        stimulus: variance of the label that stimuli have by themselves. reaction: of the features to stimuli.
        reliability: of recorded movement.
        ar: autocorrelation of noise, if not that of the design.
        days: variance of independent effects of segments on label and signal.
        later: how many units the rating lags behind.
        tilt: weight of the rating in recorded movement, which then moves the features.
    """

    name: str
    kind: str
    parts: tuple[Part, ...] = ()
    own: float = 0.0
    stimulus: float | None = None
    reaction: float = 0.6
    reliability: float = 1.0
    ar: float | None = None
    days: float = 0.0
    later: float = 0.0
    tilt: float = 0.0


@dataclass(frozen=True)
class Drawn:
    """A study in a world: features (n, J, k), kind of label -> (n, J), and the movement that is recorded."""

    features: np.ndarray
    labels: dict[str, np.ndarray]
    movement: np.ndarray


def _scaled(values: np.ndarray) -> np.ndarray:
    """`values` (n, J) with mean 0 within the subject and SD 1 over all units, so that subjects keep their sizes."""
    centred = values - values.mean(1, keepdims=True)
    return np.asarray(centred / (centred.std() + 1e-9))


def shifted(values: np.ndarray, lag: int) -> np.ndarray:
    """`values` (n, J) of `lag` trials before, the ends repeated."""
    at = np.clip(np.arange(values.shape[1]) - lag, 0, values.shape[1] - 1)
    return np.asarray(values[:, at])


def running(values: np.ndarray) -> np.ndarray:
    """(n, J) the proportion of the sum so far of `values` > 0, less its line."""
    sums = values.cumsum(1) / values.sum(1, keepdims=True)
    return np.asarray(sums - np.linspace(0, 1, values.shape[1]))


_KERNELS: dict[str, Callable[[np.ndarray, tuple[float, ...]], np.ndarray]] = {
    "linear": lambda t, _: t,
    "falling": lambda t, _: -t,
    "steps": lambda t, _: np.sign(np.sin(3 * t)),
    "polynomial": lambda t, c: np.polynomial.legendre.legval(t / 1.7, (0.0, *c)),
    "cuts": lambda t, c: sum(
        (np.where(t > cut, height, 0.0) for cut, height in zip(c[::2], c[1::2], strict=True)), 0 * t
    ),
    "sine": lambda t, c: np.sin(c[0] * t + c[1]),
}
_SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda m: m,
    "exp": lambda m: np.exp(0.8 * m),
    "square": lambda m: m**2,
    "threshold": lambda m: (m > 0.7).astype(float),
}


def _filtered(movement: np.ndarray, kernel: str, numbers: tuple[float, ...]) -> np.ndarray:
    """(n, J) what movement sets: `lags` (weights from lag -2 to 2), `leaky` (memory in trials) or `cumulative`, with a
    shape after a colon."""
    how, _, shape = kernel.partition(":")
    if how == "cumulative":
        return running(np.exp(movement))
    if how == "leaky":
        kept, total = np.exp(-1 / numbers[0]), movement.copy()
        for at in range(1, movement.shape[1]):
            total[:, at] += kept * total[:, at - 1]
    elif how == "lags":
        total = sum((w * shifted(movement, lag) for lag, w in zip(range(-2, 3), numbers, strict=True)), 0 * movement)
    else:
        total, shape = movement, how
    return _SHAPES[shape or "linear"](total if how not in ("leaky", "lags") else standard(total))


def _confound(
    part: Part, study: Study, movement: np.ndarray, effect: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(n, J) the confound of a part; `movement` is what really moved."""
    subjects, units = study.time.shape
    if part.kind == "stimulus":
        return _scaled(effect[study.stimulus])
    if part.kind == "interaction":
        return standard(effect[study.stimulus] * movement)
    if part.kind == "previous":
        carried = np.append(rng.standard_normal(study.stimulus.max() + 1), 0.0)
        return standard(carried[study.previous])
    if part.kind == "position":
        return standard(_effect(rng, int(study.position.max()) + 1)[study.position])
    if part.kind == "clock":
        return standard(_KERNELS[part.kernel](study.time, part.numbers))
    if part.kind == "movement":
        return standard(_filtered(movement, part.kernel, part.numbers))
    mean, sd, *rest = part.numbers  # habituation: each subject's own size
    own = sd * rng.standard_normal((subjects, 1))
    if part.kernel == "startle":
        return _scaled(np.exp(own) * np.exp(-0.5 * ((study.time + 1.2) / 0.4) ** 2))
    size = mean + own
    shape = study.time if part.kernel == "linear" else np.exp(-np.arange(units) / rest[0])
    return _scaled(size * shape)


def draw_world(world: World, study: Study, rng: np.random.Generator) -> Drawn:
    """Labels and features of a world."""
    shape = study.time.shape
    subjects, kinds = shape[0], int(study.stimulus.max()) + 1

    def noise() -> np.ndarray:
        return noise_of(study, rng, study.ar if world.ar is None else world.ar)

    moved, recorded = study.movement, study.movement
    if world.reliability < 1:  # the recorded series is drawn with the study, what really moved follows from it
        moved = standard(np.sqrt(world.reliability) * recorded + np.sqrt(1 - world.reliability) * noise())
    reacted, liked = _effect(rng, kinds), _effect(rng, kinds)
    own = noise()
    if study.assigned is not None:
        own = world.own * standard(study.assigned) + np.sqrt(1 - world.own**2) * own
    label, shown, spread = world.own * own, np.zeros(shape), 1.0
    for part in world.parts:
        confound = _confound(part, study, moved, reacted, rng)
        of_score = np.exp(part.score_gain * rng.standard_normal((subjects, 1)))
        of_label = of_score if part.shared_gain else np.exp(part.label_gain * rng.standard_normal((subjects, 1)))
        scale = np.exp(part.score_gain**2 if part.shared_gain else part.label_gain**2)
        label = label + np.sqrt(part.variance) * of_label / scale * confound
        shown = shown + of_score * confound
        spread = part.noise
    label = label + _rest_of_label(world, study, liked, noise, rng)
    if world.days:
        own = np.sqrt(1 - world.days) * own + np.sqrt(world.days) * _by_segment(study, rng)
    if world.later:
        low = int(world.later)
        label = (1 - world.later + low) * shifted(label, low) + (world.later - low) * shifted(label, low + 1)
    if world.tilt:
        moved = recorded = standard(world.tilt * standard(label) + np.sqrt(1 - world.tilt**2) * recorded)
        shown = moved
    drift = rng.normal(0.8, 0.5, (subjects, 1)) * study.time
    first = own + world.reaction * reacted[study.stimulus] + 0.4 * moved + 0.2 * drift + 0.3 * noise()
    features = [
        first,
        shown + spread * noise() if world.parts or world.tilt else noise(),
        0.6 * first + 0.8 * noise(),
        drift + 0.5 * noise() + 0.15 * first,
        noise(),
        noise(),
    ]
    rating = np.clip(np.round(CUT + RATING_SD * label), 1, 9)
    labels = {"binary": (rating > CUT).astype(float), "continuous": rating}
    if study.assigned is not None:
        labels = {"binary": study.assigned}
    return Drawn(standard(np.stack(features, axis=2)), labels, recorded)


def _rest_of_label(
    world: World, study: Study, liked: np.ndarray, noise: Callable[[], np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """(n, J) the part of the label that stimuli have by themselves, and noise, so that its variance is 1."""
    taken = world.own**2 + sum(part.variance for part in world.parts)
    stimulus = world.stimulus
    if stimulus is None:
        stimulus = min(STIMULUS_VARIANCE, 0.6 * (1 - world.own**2)) if world.own else STIMULUS_VARIANCE
    stimulus = min(stimulus, 0.9 * (1 - taken)) if len(liked) > 1 else 0.0
    days = world.days * (1 - taken - stimulus)
    rest = np.sqrt(stimulus) * liked[study.stimulus] + np.sqrt(1 - taken - stimulus - days) * noise()
    return rest + np.sqrt(days) * _by_segment(study, rng) if days else rest


def _by_segment(study: Study, rng: np.random.Generator) -> np.ndarray:
    """(n, J) an effect of each segment of each subject."""
    segment = np.zeros(study.time.shape, int) if study.segment is None else study.segment
    effects = rng.standard_normal((len(segment), int(segment.max()) + 1))
    return np.take_along_axis(effects, segment, 1)


def _effect(rng: np.random.Generator, kinds: int) -> np.ndarray:
    """(K,) effects of stimuli, standardised."""
    effect = rng.standard_normal(kinds)
    return np.asarray((effect - effect.mean()) / (effect.std() + 1e-9))


def _film(**changes: float | bool) -> Part:
    return replace(Part("stimulus", variance=0.6), **changes)  # type: ignore[arg-type]


_THIRD, _FIFTH = 1 / 3, 1 / 5
_WORLDS = (
    World("none", "null"),
    World("film", "null", (_film(),), stimulus=0.0),
    World("film_strong", "null", (_film(),), stimulus=0.0, reaction=1.5),
    World("film_person", "null", (_film(label_gain=0.5, score_gain=0.5),), stimulus=0.0, reaction=1.0),
    World("clock_linear", "null", (Part("clock", kernel="falling"),)),
    World("clock_steps", "null", (Part("clock", kernel="steps"),)),
    World("previous", "null", (Part("previous"),)),
    World("habituation", "null", (Part("habituation", kernel="linear", numbers=(-0.6, 0.6)),)),
    World("habituation_curved", "null", (Part("habituation", kernel="exp", numbers=(1.0, 0.7, 4.0)),)),
    World("movement", "null", (Part("movement"),)),
    World("movement_nonlinear", "null", (Part("movement", kernel="exp"),)),
    World("movement_gain", "null", (Part("movement", score_gain=1.0),)),
    World("movement_lagged", "null", (Part("movement", kernel="lags", numbers=(0, 0, 0, 1, 0)),)),
    World("movement_cumulative", "null", (Part("movement", kernel="cumulative"),)),
    World("movement_smooth1", "null", (Part("movement", kernel="lags", numbers=(0, _THIRD, _THIRD, _THIRD, 0)),)),
    World("movement_smooth2", "null", (Part("movement", kernel="lags", numbers=(_FIFTH,) * 5),)),
    World("startle", "null", (Part("habituation", kernel="startle", numbers=(0.0, 0.5)),)),
    *(World(f"effect_{percent}", "effect", own=weight) for percent, weight in EFFECTS.items()),
    World("reliability_90", "limit", (Part("movement"),), reliability=0.9),
    World("reliability_70", "limit", (Part("movement"),), reliability=0.7),
    World("gain_shared", "limit", (_film(score_gain=1.0, shared_gain=True),), stimulus=0.0),
    World("film_movement", "limit", (Part("interaction"),)),
)
WORLDS = {world.name: world for world in _WORLDS}
"""The development worlds."""
_OF_ONE_ORDER = (
    "none", "film", "clock_linear", "habituation", "movement", "movement_nonlinear", "movement_lagged",
    "movement_cumulative", "effect_62", "effect_72",
)  # fmt: skip


_EFFECTS = ("effect_62", "effect_72")
_OF_TASKS = (
    "none", "clock_linear", "clock_steps", "habituation", "movement", "movement_nonlinear", "movement_lagged",
    "startle", *_EFFECTS,
)  # fmt: skip
_DAILY = (
    *(WORLDS[name] for name in ("none", "habituation", "movement", "movement_nonlinear", "movement_lagged", *_EFFECTS)),
    World("autocorrelated_80", "null", ar=0.8),
    World("days", "null", days=0.5),
    World("time_of_day", "null", (Part("position"),)),
)
_MOMENTS = (
    *(WORLDS[name] for name in ("none", "film", "clock_linear", "habituation", "movement", *_EFFECTS)),
    World("autocorrelated_95", "null", ar=0.95),
    replace(WORLDS["effect_72"], name="later_1s", later=0.2),
    replace(WORLDS["effect_72"], name="later_5s", later=1.0),
    World("joystick", "null", tilt=0.6),
)
_OF_DESIGN = {
    "D1": _WORLDS,
    "D2": tuple(WORLDS[name] for name in _OF_ONE_ORDER),
    "D3": tuple(WORLDS[name] for name in _OF_TASKS),
    "D4": tuple(WORLDS[name] for name in _OF_TASKS),
    "D5": _DAILY,
    "D6": _MOMENTS,
}


def worlds_of(design: str) -> dict[str, World]:
    """The development worlds of a design, in the order in which they are drawn; last, all effects (for power)."""
    worlds = {world.name: world for world in _OF_DESIGN[design]}
    return worlds | {f"effect_{percent}": WORLDS[f"effect_{percent}"] for percent in EFFECTS}


def kind_of(world: str) -> str:
    """Return null, effect or limit, of the name of a development or confirmation world."""
    for design in _OF_DESIGN:
        if world in worlds_of(design):
            return worlds_of(design)[world].kind
    return world.partition("_")[0]


def confirmation_worlds(seed: int, nulls: int = 18, effects: int = 6) -> dict[str, World]:
    """Worlds drawn from a seed, without regard to the development worlds."""
    rng = np.random.default_rng(seed)
    worlds = [
        World(
            f"null_{k:02d}",
            "null",
            _random_parts(rng, int(rng.integers(1, 3)), float(rng.uniform(0.1, 0.5))),
            reaction=float(rng.uniform(0, 1.5)),
        )
        for k in range(nulls)
    ]
    for k in range(effects):
        percent = float(rng.uniform(60, 80))
        parts = _random_parts(rng, 1, float(rng.uniform(0.1, 0.3))) if k < 2 else ()
        own = float(np.interp(percent, list(EFFECTS), list(EFFECTS.values())))
        worlds.append(World(f"effect_{k}_{percent:.0f}", "effect", parts, own, reaction=float(rng.uniform(0, 1.5))))
    return {world.name: world for world in worlds}


def _random_parts(rng: np.random.Generator, count: int, variance: float) -> tuple[Part, ...]:
    cuts = np.sort(rng.uniform(0.2, 0.8, count - 1))
    return tuple(_random_part(rng, variance * float(of)) for of in np.diff([0.0, *cuts, 1.0]))


def _random_part(rng: np.random.Generator, variance: float) -> Part:
    kind = str(rng.choice(["stimulus", "stimulus", "clock", "previous", "habituation", "movement", "startle"]))
    gain, noise = float(rng.uniform(0, 1)), float(rng.uniform(0.2, 1))
    if kind == "clock":
        kernel = str(rng.choice(["polynomial", "cuts", "sine"]))
        numbers: Iterable[float] = rng.standard_normal(int(rng.integers(1, 5)))
        if kernel == "cuts":
            numbers = np.stack([rng.uniform(-1.4, 1.4, 3), rng.standard_normal(3)], axis=1).ravel()
        elif kernel == "sine":
            numbers = (rng.uniform(1, 5), rng.uniform(0, 6.28))
    elif kind == "habituation":
        kernel = str(rng.choice(["linear", "exp"]))
        numbers = (rng.normal(0, 1), rng.uniform(0.2, 1), rng.uniform(2, 10))
    elif kind == "movement":
        kernel = str(rng.choice(["lags", "leaky"])) + ":" + str(rng.choice(list(_SHAPES)))
        numbers = rng.standard_normal(5) if kernel.startswith("lags") else (rng.uniform(2, 10),)
    elif kind == "startle":
        kind, kernel, numbers = "habituation", "startle", (0.0, rng.uniform(0.2, 0.8))
    else:
        kernel, numbers = "linear", ()
    own = 0.0 if kind == "habituation" else gain  # it has sizes of its own
    label_gain = float(rng.uniform(0, 1)) if kind == "stimulus" else 0.0
    return Part(kind, variance, kernel, tuple(float(v) for v in numbers), label_gain, own, noise=noise)
