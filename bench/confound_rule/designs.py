"""The designs of simulated studies: who meets what when, and the series that are recorded beside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# All arrays of units are (n, J): subjects, then their units in the order of time.

TRIAL_S, JITTER_S, MINUTE_S, MOMENT_S = 50.0, 3.0, 60.0, 5.0
BLOCK_MINUTES = 6
MORE_IN_TASK = 0.7
DAYS, PROMPTS, ANSWERED = 7, 8, 42
CLIPS, MOMENTS = 8, 12


@dataclass(frozen=True)
class Study:
    """A design with its recorded series.

    Args:
        stimulus, position, previous: (n, J) codes; of one stimulus, 0; `previous` is the number of stimuli in a first
            trial.
        time: (n, J) standardised within the subject. `movement`, `posture`: likewise, as recorded.
        crossed: whether stimuli are shared and in different orders; else position and stimulus are one.
        matched: (n, J) the cell in which each subject has one unit and that the primary metric holds constant, or None
            for the metric within subjects.
        assigned: (n, J) labels 0 and 1 that the design sets, if it does.
        segment: (n, J) parts within which noise is autocorrelated, with the coefficient `ar`.
    """

    stimulus: np.ndarray
    position: np.ndarray
    previous: np.ndarray
    time: np.ndarray
    movement: np.ndarray
    posture: np.ndarray
    crossed: bool = True
    matched: np.ndarray | None = None
    assigned: np.ndarray | None = None
    segment: np.ndarray | None = None
    ar: float = 0.0


def standard(values: np.ndarray) -> np.ndarray:
    """`values` (n, J, ...) with mean 0 and SD 1 within the subject."""
    centred = values - values.mean(1, keepdims=True)
    return np.asarray(centred / (centred.std(1, keepdims=True) + 1e-9))


def autoregressive(rng: np.random.Generator, shape: tuple[int, int], coefficient: float) -> np.ndarray:
    """(n, J) a stationary AR(1) series of variance 1."""
    series = rng.standard_normal(shape)
    for at in range(1, shape[1]):
        series[:, at] = coefficient * series[:, at - 1] + np.sqrt(1 - coefficient**2) * series[:, at]
    return series


def noise_of(study: Study, rng: np.random.Generator, coefficient: float) -> np.ndarray:
    """(n, J) noise of variance 1, autocorrelated within segments."""
    series = rng.standard_normal(study.time.shape)
    if study.segment is None or coefficient == 0:
        return series
    follows = coefficient * (study.segment[:, 1:] == study.segment[:, :-1])
    series[:, 1:] *= np.sqrt(1 - follows**2)
    for at in range(1, series.shape[1]):
        series[:, at] += follows[:, at - 1] * series[:, at - 1]
    return series


def draw_study(design: str, subjects: int, rng: np.random.Generator) -> Study:
    """A study of a design."""
    if design in ("D1", "D2"):
        return _stimuli(subjects, rng, one_order=design == "D2")
    return {"D3": blocks, "D4": _rest_task_rest, "D5": _daily_life, "D6": _clips}[design](subjects, rng)


def _stimuli(subjects: int, rng: np.random.Generator, *, one_order: bool, stimuli: int = 12) -> Study:
    """Stimuli rated afterwards, in an order of its own for each subject or in one."""
    orders = rng.random((subjects, stimuli)).argsort(1)
    if one_order:
        orders = np.broadcast_to(orders[0], orders.shape).copy()
    position = np.broadcast_to(np.arange(stimuli), orders.shape).copy()
    previous = np.concatenate([np.full((subjects, 1), stimuli), orders[:, :-1]], axis=1)
    start = TRIAL_S * position + rng.uniform(-JITTER_S, JITTER_S, orders.shape)
    movement = standard(autoregressive(rng, orders.shape, 0.4))
    posture = standard(autoregressive(rng, orders.shape, 0.8))
    return Study(orders, position, previous, standard(start), movement, posture, not one_order, matched=orders)


def _tasks(task: np.ndarray, rng: np.random.Generator) -> Study:
    """Minutes of tasks (n, J), which are the label; subjects move more in the task."""
    shape = task.shape
    minute = np.broadcast_to(np.arange(shape[1]), shape).copy()
    start = MINUTE_S * minute + rng.uniform(-JITTER_S, JITTER_S, shape)
    movement = standard(autoregressive(rng, shape, 0.4) + MORE_IN_TASK * task)
    posture = standard(autoregressive(rng, shape, 0.8))
    nothing = np.zeros(shape, int)
    return Study(
        nothing, minute, nothing, standard(start), movement, posture, False, matched=minute, assigned=task.astype(float)
    )


def blocks(subjects: int, rng: np.random.Generator, minutes: int = BLOCK_MINUTES) -> Study:
    """Four blocks of so many minutes, two tasks in turn; half of the subjects begin with either."""
    first = rng.permutation(np.arange(subjects) % 2)
    block = np.arange(4 * minutes) // minutes
    return _tasks((first[:, None] + block) % 2, rng)


def _rest_task_rest(subjects: int, rng: np.random.Generator) -> Study:
    block = np.arange(3 * BLOCK_MINUTES) // BLOCK_MINUTES
    return _tasks(np.broadcast_to(block == 1, (subjects, len(block))).astype(int), rng)


def _daily_life(subjects: int, rng: np.random.Generator) -> Study:
    """Prompts over days; those in which a subject moves more are missed more often, a quarter of all."""
    shape = (subjects, DAYS * PROMPTS)
    day, slot = np.divmod(np.arange(shape[1]), PROMPTS)
    activity = autoregressive(rng, shape, 0.4)
    posture = autoregressive(rng, shape, 0.8)
    answered = np.sort((activity + 1.5 * rng.standard_normal(shape)).argsort(1)[:, :ANSWERED], axis=1)
    hours = 24.0 * day + 1.5 * slot + rng.uniform(-0.5, 0.5, shape)
    movement, posture, time = (standard(np.take_along_axis(of, answered, 1)) for of in (activity, posture, hours))
    nothing = np.zeros(answered.shape, int)
    return Study(nothing, slot[answered], nothing, time, movement, posture, False, segment=day[answered], ar=0.5)


def _clips(subjects: int, rng: np.random.Generator) -> Study:
    """Clips rated with a joystick while they play; the stimulus is a moment of a clip."""
    orders = np.repeat(rng.random((subjects, CLIPS)).argsort(1), MOMENTS, axis=1)
    shape = orders.shape
    place = np.broadcast_to(np.arange(shape[1]) // MOMENTS, shape).copy()
    before = np.concatenate([np.full((subjects, MOMENTS), CLIPS), orders[:, :-MOMENTS]], axis=1)
    cell = orders * MOMENTS + np.arange(shape[1]) % MOMENTS
    start = MOMENT_S * np.arange(shape[1]) + 10.0 * place + rng.uniform(0, JITTER_S, (subjects, 1))
    movement = standard(autoregressive(rng, shape, 0.8))
    posture = standard(autoregressive(rng, shape, 0.95))
    return Study(cell, place, before, standard(start), movement, posture, matched=cell, segment=place, ar=0.9)
