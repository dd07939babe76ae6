"""Oracles of synthetic files: who sees the planted truth itself, and how it ranks the units that a reader labels."""

from collections.abc import Callable, Iterator

import numpy as np

from embench.interfaces.dataset import Dataset
from embench_plugins.datasets.amigos import synthetic
from embench_plugins.datasets.amigos import synthetic as amigos_external
from embench_plugins.datasets.amigos.reader import Amigos, AmigosExternal
from embench_plugins.datasets.amigos.release import SHORT, sample_by_second
from embench_plugins.datasets.case import synthetic as case
from embench_plugins.datasets.case.reader import Case
from embench_plugins.datasets.deap import synthetic as deap
from embench_plugins.datasets.deap.reader import Deap
from embench_plugins.datasets.eegmat import synthetic as eegmat
from embench_plugins.datasets.faced import synthetic as faced
from embench_plugins.datasets.faced.release import EMOTIONS, FELT
from embench_plugins.datasets.hku956 import synthetic as hku956
from embench_plugins.datasets.k_emocon import synthetic as k_emocon
from embench_plugins.datasets.k_emocon.reader import KEmoCon
from embench_plugins.datasets.quiroz2018 import synthetic as quiroz2018
from embench_plugins.datasets.stress_predict import synthetic as stress_predict
from embench_plugins.datasets.wearable_stress import synthetic as wearable_stress
from embench_plugins.datasets.wearable_stress import synthetic as wearable_stress_exercise
from embench_plugins.datasets.wesad import synthetic as wesad

UNIT = 10
Oracle = dict[str, tuple[str, np.ndarray, np.ndarray, np.ndarray]]
"""Quantity -> the target it follows, and over all units with a label (n,) its true values, labels and subjects."""


def _labels(reader: type[Dataset], target: str, values: np.ndarray) -> np.ndarray:
    """What the reader's rule makes of each row of values, NaN where it makes nothing."""
    rule = next(found.rule for found in reader.card.targets if found.name == target)
    return np.array([np.nan if (label := rule(row)) is None else label for row in values])


def _of(
    planted: dict[str, str], reader: type[Dataset], values: Callable[[str], np.ndarray], ratings: Callable, people
) -> Oracle:
    found = {}
    for quantity, target in planted.items():
        labels = _labels(reader, target, ratings(target))
        kept = np.isfinite(labels)
        found[quantity] = (target, values(quantity)[kept], labels[kept], people[kept])
    return found


def of_amigos(subjects: int, seed: int, effect: float, videos: tuple[str, ...] = SHORT) -> Oracle:
    rows = synthetic.draw(subjects, seed, effect)
    rows = rows[np.isin(rows["video"], videos)]
    return _of(synthetic.PLANTED, Amigos, rows.__getitem__, lambda name: rows[name][:, None], rows["person"])


def of_amigos_external(subjects: int, seed: int, effect: float) -> Oracle:
    """Units of 10 s of each video."""
    rules = {target.name: target.rule for target in AmigosExternal.card.targets}
    found: dict[str, list[tuple[float, float, int]]] = {quantity: [] for quantity in synthetic.PLANTED}
    rows = amigos_external.draw_external(subjects, seed, effect)
    starts = np.flatnonzero(np.diff(rows["cell"], prepend=-1))
    for own in np.split(rows, starts[1:]):
        duration_s = amigos_external.choose_external_length(
            synthetic.VIDEOS[own["cell"][0]], amigos_external.EXTERNAL_SAMPLE_S
        )
        given = amigos_external.annotate(own, duration_s)
        columns = {"valence": [0, 1], "arousal": [0, 2]}
        labels = {target: sample_by_second(given[:, column], duration_s) for target, column in columns.items()}
        for start in range(0, int(duration_s) - UNIT + 1, UNIT):
            unit = slice(start, start + UNIT)
            for quantity, target in synthetic.PLANTED.items():
                label = rules[target](labels[target].values[unit])
                if label is not None:
                    found[quantity].append((float(own[quantity][unit].mean()), label, own["person"][0]))
    return {quantity: (synthetic.PLANTED[quantity], *np.array(rows).T) for quantity, rows in found.items()}


def of_case(subjects: int, seed: int, effect: float, length_s: float | None = None) -> Oracle:
    rows = case.draw(subjects, seed, effect, length_s=length_s)
    return _of(case.PLANTED, Case, rows.__getitem__, lambda name: rows[name][:, None], rows["person"])


def of_deap(subjects: int, seed: int, effect: float) -> Oracle:
    rows = deap.draw(subjects, seed, effect)
    return _of(deap.PLANTED, Deap, rows.__getitem__, lambda name: rows[name][:, None], rows["person"])


def of_k_emocon(subjects: int, seed: int, effect: float, length_s: float | None = None) -> Oracle:
    """Units of two windows of 5 s each."""
    rows = k_emocon.draw(subjects, seed, effect, length_s)
    first = np.flatnonzero((rows["window"][:-1] % 2 == 0) & (np.diff(rows["window"]) == 1))
    return _of(
        k_emocon.QUANTITIES,
        KEmoCon,
        lambda name: (rows[name][first] + rows[name][first + 1]) / 2,
        lambda name: np.stack([rows[f"{name}_rating"][first], rows[f"{name}_rating"][first + 1]], 1),
        rows["person"][first],
    )


def of_hku956(subjects: int, seed: int, effect: float) -> Oracle:
    rows, found = hku956.draw(subjects, seed, effect), {}
    for rate, axis in (("heart_rate", "arousal"), ("scr_per_min", "valence")):
        kept = rows[rows[axis] != 0]
        found[rate] = (axis, kept[rate], kept[axis] > 0, kept["person"])
    return found


def of_eegmat(subjects: int, seed: int, effect: float) -> Oracle:
    rows = eegmat.draw(subjects, seed, effect)
    whole = [
        (unit["asymmetry"].mean(), unit["task"][0], unit["person"][0])
        for person in range(subjects)
        for task in (0, 1)
        for unit in _units(rows[(rows["person"] == person) & (rows["task"] == task)])
    ]
    return {"asymmetry": ("task", *np.array(whole).T)}


def of_quiroz2018(subjects: int, seed: int, effect: float) -> Oracle:
    rows = quiroz2018.draw(subjects, seed, effect)
    whole = [
        (unit["swing"].mean(), unit["emotion"][0] > 0, quiroz2018.PEOPLE.index(person))
        for person in quiroz2018.PEOPLE[:subjects]
        for emotion in (-1, 1)
        for unit in _units(rows[(rows["person"] == person) & (rows["emotion"] == emotion)])
    ]
    return {"swing": ("happy", *np.array(whole).T)}


def of_stress_predict(subjects: int, seed: int, effect: float) -> Oracle:
    rows = []
    for unit in _units_of_people(stress_predict.draw(subjects, seed, effect)):
        share = unit["stress"][unit["second"] >= stress_predict.FIRST_LABEL_S].mean()
        if unit["person"][0] not in stress_predict.UNLABELLED and share != 0.5:
            rows.append((unit, share > 0.5))
    return _under_stress(rows)


def of_wearable_stress(subjects: int, seed: int, effect: float) -> Oracle:
    """Units most of which are stress or rest."""
    rows = []
    for unit in _units_of_people(wearable_stress.draw(subjects, seed, effect)):
        kind = wearable_stress.find_stress(unit)
        rest, stress, none = (int((kind == value).sum()) for value in (0, 1, -1))
        if max(rest, stress) > none and rest != stress:
            rows.append((unit, stress > rest))
    return _under_stress(rows)


def of_wearable_stress_exercise(subjects: int, seed: int, effect: float) -> Oracle:
    """Units of one state."""
    units = _units_of_people(wearable_stress_exercise.draw_exercise(subjects, seed, effect))
    return _under_stress([(unit, unit["exercise"][0] == 1) for unit in units if np.ptp(unit["exercise"]) == 0])


def of_wesad(subjects: int, seed: int, effect: float) -> Oracle:
    rows = []
    for unit in _units_of_people(wesad.draw(subjects, seed, effect)):
        codes = unit["code"][np.isin(unit["code"], (1, 2, 3))]
        if len(codes):
            rows.append((unit, codes[0] == 2))
    return _under_stress(rows)


def of_faced(subjects: int, seed: int, effect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of all clips that are not neutral (n,): how much of the pattern of each of `FELT` their true powers have (n, 8),
    the index in `FELT` of the emotion felt, and the subject."""
    rows = faced.draw(subjects, seed, effect)
    rows = rows[rows["felt"] != EMOTIONS.index("neutral")]
    patterns = faced.draw_patterns(seed, "emotion", EMOTIONS)[[EMOTIONS.index(name) for name in FELT]]
    share = np.einsum("ncb,kcb->nk", rows["power"], patterns) / patterns[0].size
    return share, np.array([FELT.index(EMOTIONS[k]) for k in rows["felt"]]), rows["person"]


def _units(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Whole units of 10 s, from the seconds of a recording."""
    return (rows[start : start + UNIT] for start in range(0, len(rows) - UNIT + 1, UNIT))


def _units_of_people(rows: np.ndarray) -> Iterator[np.ndarray]:
    for person in dict.fromkeys(rows["person"].tolist()):
        yield from _units(rows[rows["person"] == person])


def _under_stress(units: list[tuple[np.ndarray, bool]]) -> Oracle:
    """Both rates of units, labelled by whether they are under stress."""
    labels, people = np.array([label for _, label in units]), np.array([unit["person"][0] for unit, _ in units])
    rates = ("heart_rate", "scr_per_min")
    return {rate: ("stress", np.array([unit[rate].mean() for unit, _ in units]), labels, people) for rate in rates}
