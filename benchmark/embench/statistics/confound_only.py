"""Confound-only models and constant references: they predict labels without a physiological signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embench.files import digest, sha256
from embench.interfaces import binning
from embench.interfaces.binning import assign_bins, find_bin_thresholds
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target, Unit
from embench.protocols import ReferenceName
from embench.statistics.conditioned import ranges_by_code
from embench.system import fitting, installed_version

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier


TREES_CODE = [sha256(Path(file)) for file in (__file__, binning.__file__)]
"""Digests of the code of these trees, read when this process imported it."""


class BalancedTrees:
    """Boosted trees equal to `HistGradientBoostingClassifier(class_weight="balanced")` to the bit, fitted four times as
    fast."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> BalancedTrees:
        """Fit the trees to `x` (n, features), NaN if unknown, and integer classes `y` (n,)."""
        from sklearn.ensemble import HistGradientBoostingClassifier  # takes a second
        from sklearn.utils.class_weight import compute_sample_weight

        self._thresholds = find_bin_thresholds(x, compute_sample_weight("balanced", y))
        trees = HistGradientBoostingClassifier(early_stopping=False, class_weight="balanced", random_state=0)
        self._trees: HistGradientBoostingClassifier = trees.fit(assign_bins(x, self._thresholds), y)
        self.classes_: np.ndarray = trees.classes_
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (n, classes) probabilities."""
        return np.asarray(self._trees.predict_proba(assign_bins(x, self._thresholds)))


# A new confound-only model is a function here with its name in `CONFOUND_ONLY`, and a higher `SCORING_REVISION`. If it
# needs other data than a `ConfoundTask` holds, `evaluation` adds them.

ConfoundPrediction = tuple[np.ndarray, np.ndarray] | Undefined
"""Score (n,) or (n, K) and decision (n,), or the reason why the model does not apply."""
Keep = Callable[[list[object], Callable[[], np.ndarray]], np.ndarray]


def compute_anew(_: list[object], make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the array that `make` computes, without a cache."""
    return make()


@dataclass(frozen=True)
class ConfoundTask:
    """Input of the confound-only models of one fold.

    Args:
        units: units of all subjects. `y` (n,): their labels, NaN for an unlabelled unit. The values of test labels are
            never read, only whether they are NaN.
        train, test: positions in `units`; all training units have a label.
        durations: recording -> seconds. `sessions`: subject -> length of the session in s.
        movement: (n, features) accelerometer statistics of each unit, NaN if missing; None if the dataset has none.
        seed: seed of the random decisions of the model `prior`.
        keep: function (key, make) that returns the array `make()`, or the cached array of the same key."""

    target: Target
    units: Sequence[Unit]
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray
    durations: Mapping[str, float]
    sessions: Mapping[str, float]
    movement: np.ndarray | None
    seed: int
    keep: Keep = compute_anew

    @cached_property
    def train_labels(self) -> np.ndarray:
        """(k,) labels of the training units: classes as integers, or values."""
        y = self.y[self.train]
        return y.astype(int) if self.target.traits.has_classes else y

    @cached_property
    def class_proportions(self) -> np.ndarray:
        """(K,) proportion of each class among the training units."""
        return np.bincount(self.train_labels, minlength=self.target.n) / len(self.train_labels)

    def column(self, number_of: Callable[[Unit], float]) -> np.ndarray:
        """Return (n,) a number for each unit, as the function `number_of` gives it."""
        return np.fromiter(map(number_of, self.units), float, len(self.units))

    @cached_property
    def start(self) -> np.ndarray:
        """(n,) time since the start of the session in s, NaN if the release hides it."""
        return self.column(lambda unit: unit.start_s)

    @cached_property
    def order(self) -> np.ndarray:
        """(n,) position of the unit's recording in the session, NaN if the release hides it."""
        return self.column(lambda unit: unit.order)

    @cached_property
    def length(self) -> np.ndarray:
        """(n,) length of the session in s, NaN if unknown."""
        return self.column(lambda unit: self.sessions.get(unit.subject, np.nan))

    @cached_property
    def subject(self) -> np.ndarray:
        """(n,) index of each unit's subject among all sorted names."""
        place = {name: k for k, name in enumerate(sorted({unit.subject for unit in self.units}))}
        return self.column(lambda unit: place[unit.subject])

    @property
    def of_one_subject(self) -> bool:
        """True if training and test units are of one subject, so that nothing differs between subjects."""
        return len({self.units[i].subject for i in (*self.train.tolist(), *self.test.tolist())}) == 1

    def stimuli(self) -> np.ndarray | Undefined:
        """Return (n,) the index of each unit's stimulus. Undefined if there is one stimulus, or if a labelled test unit
        has a stimulus without training units."""
        stimulus = np.array([unit.stimulus for unit in self.units])
        names, codes = np.unique(stimulus, return_inverse=True)
        if len(names) < 2:
            return Undefined("one_stimulus")
        scored = self.test[np.isfinite(self.y[self.test])]
        unseen = np.unique(stimulus[scored][~np.isin(codes[scored], codes[self.train])])
        if len(unseen):
            return Undefined("untrained_stimuli", n=len(unseen), names=unseen[:3].tolist())
        return np.asarray(codes)


def predict_confound_only(
    target: Target,
    units: Sequence[Unit],
    y: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    *,
    durations: Mapping[str, float],
    sessions: Mapping[str, float],
    movement: np.ndarray | None,
    seed: int,
    keep: Keep = compute_anew,
    moments: bool = False,
    order: bool = False,
) -> dict[str, ConfoundPrediction]:
    """Return model -> its predictions for the test units, in the order of `test` (m,). Arguments are those of
    `ConfoundTask`. `moments`: whether to add the model `STIMULUS_MOMENT`; `order`: whether to add
    `PREVIOUS_STIMULUS`."""
    train = np.asarray(train)[np.isfinite(y[train])]
    confound_only = {**CONFOUND_ONLY, STIMULUS_MOMENT: _stimulus_moment} if moments else CONFOUND_ONLY
    confound_only = {**confound_only, PREVIOUS_STIMULUS: _previous_stimulus} if order else confound_only
    if not len(train):
        return dict.fromkeys(confound_only, Undefined("no_training_label"))
    task = ConfoundTask(target, units, y, train, test, durations, sessions, movement, seed, keep)
    return {name: model(task) for name, model in confound_only.items()}


def _majority(task: ConfoundTask) -> ConfoundPrediction:
    """Predict the most frequent class of the training units."""
    if not task.target.traits.has_classes:
        return Undefined("no_common_class")
    chosen = np.full(len(task.test), task.class_proportions.argmax())
    return _score_of_proportions(task.target, np.eye(task.target.n)[chosen]), chosen.astype(float)


def _prior(task: ConfoundTask) -> ConfoundPrediction:
    """Predict the proportions of classes, and draw decisions from them; for a continuous target, predict the mean."""
    if not task.target.traits.has_classes:
        return _value_as_decision(np.full(len(task.test), task.train_labels.mean()))
    drawn = np.random.default_rng(task.seed).choice(task.target.n, len(task.test), p=task.class_proportions)
    return _score_of_proportions(task.target, np.tile(task.class_proportions, (len(task.test), 1))), drawn.astype(float)


def _stimulus_mean(task: ConfoundTask) -> ConfoundPrediction:
    """Predict the proportions of classes, or the mean label, among training units of the same stimulus. A stimulus
    without any label gets those of all training units; its test units are not scored."""
    codes = task.stimuli()
    return codes if isinstance(codes, Undefined) else _predict_code_mean(task, codes)


def _stimulus_moment(task: ConfoundTask) -> ConfoundPrediction:
    """Predict from the training units at the same moment of the same stimulus. A moment is a bin as long as a unit,
    counted from the start of the recording."""
    codes = task.stimuli()
    if isinstance(codes, Undefined):
        return codes
    length = float(np.median(task.column(lambda unit: unit.stop - unit.start)))
    moments = np.floor(task.column(lambda unit: unit.start) / length + 1e-6).astype(int)
    _, viewing = np.unique(np.stack([task.subject, codes])[:, task.train], axis=1, return_inverse=True)
    if not ranges_by_code(task.train_labels, viewing).any():  # no subject's label varies during a stimulus
        return Undefined("constant_within_stimuli")
    return _predict_code_mean(task, codes * (moments.max() + 1) + moments)


def _previous_stimulus(task: ConfoundTask) -> ConfoundPrediction:
    """Predict from the training units that follow the same stimulus. First recordings are predicted from first
    recordings."""
    when = np.where(np.isnan(task.start).all(), task.order, task.start)
    if np.isnan(when).any():
        return Undefined("hidden_times")
    codes, _ = order_codes(task.units, [np.flatnonzero(task.subject == name) for name in np.unique(task.subject)], when)
    return _predict_code_mean(task, codes)


def order_codes(
    units: Sequence[Unit], of_subjects: Sequence[np.ndarray], when: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) codes of the stimulus before each unit's recording, 0 for a subject's first recording, and (n,) the
    recording's position among the subject's recordings, from 0.

    Args:
        of_subjects: positions of each subject's units. `when`: (n,) times or numbers that order the units."""
    names = {name: 1 + k for k, name in enumerate(sorted({unit.stimulus for unit in units}))}
    previous, place = np.zeros((2, len(units)), int)
    for rows in of_subjects:
        recording, position, previous_code, code = "", -1, 0, 0
        for i in rows[np.argsort(when[rows], kind="stable")].tolist():
            if units[i].recording != recording:
                recording, position = units[i].recording, position + 1
                previous_code, code = code, names[units[i].stimulus]
            previous[i], place[i] = previous_code, position
    return previous, place


def _predict_code_mean(task: ConfoundTask, codes: np.ndarray) -> ConfoundPrediction:
    """Predict the proportions of classes, or the mean label, among the training units with the same code (n,)."""
    sizes = np.bincount(codes[task.train], minlength=codes.max() + 1)
    if not task.target.traits.has_classes:
        sums = np.bincount(codes[task.train], task.train_labels, len(sizes))
        means = np.where(sizes > 0, sums / np.maximum(sizes, 1), task.train_labels.mean())
        return _value_as_decision(means[codes[task.test]])
    counts = np.zeros((len(sizes), task.target.n))
    np.add.at(counts, (codes[task.train], task.train_labels), 1)
    counts[sizes == 0] = task.class_proportions
    return predict_from_proportions(
        task.target, counts[codes[task.test]] / counts[codes[task.test]].sum(1, keepdims=True)
    )


def _elapsed_time(task: ConfoundTask) -> ConfoundPrediction:
    """Predict from the time since the start of the session, or the order of recordings."""
    clock = np.stack([task.start, task.order], axis=1)
    if np.isnan(clock).all():
        return Undefined("hidden_times")
    return predict_with_trees(task, clock)


def _session_position(task: ConfoundTask) -> ConfoundPrediction:
    """Predict from the position in the session: time since its start, proportion elapsed, time to its end, session
    length, and the recording's number in the session, absolute and as a proportion. Hidden values are NaN."""
    if task.of_one_subject:
        return Undefined("one_subject_elapsed_time")
    start, order, length, subject = task.start, task.order, task.length, task.subject.astype(int)
    if np.isnan(start).all() and np.isnan(order).all():
        return Undefined("hidden_times")
    last = np.zeros(len(subject))
    np.maximum.at(last, subject, np.nan_to_num(order))
    most = last[subject]
    share = np.divide(order, most, out=np.full(len(order), np.nan), where=most > 0)
    return predict_with_trees(task, np.stack([start, start / length, length - start, length, order, share], axis=1))


def _study_drift(task: ConfoundTask) -> ConfoundPrediction:
    """Predict from the time since the start of the session, its length and the subject's number. Subjects are often
    numbered in the order of recording, and a study changes while it runs."""
    if task.of_one_subject:
        return Undefined("one_subject")
    if np.isnan(task.start).all():
        return Undefined("hidden_times")
    return predict_with_trees(task, np.stack([task.start, task.length, task.subject], axis=1))


def _recording_length(task: ConfoundTask) -> ConfoundPrediction:
    """Predict from the length of the recording."""
    length = task.column(lambda unit: task.durations[unit.recording])[:, None]
    return Undefined("equal_lengths") if np.ptp(length) < 1e-3 else predict_with_trees(task, length)


def _movement(task: ConfoundTask) -> ConfoundPrediction:
    """Predict from accelerometer statistics of the unit."""
    if task.movement is None:
        return Undefined("no_accelerometer")
    if np.isnan(task.movement[task.train]).all() or np.isnan(task.movement[task.test]).all():
        return Undefined("no_accelerometer_in_part")
    return predict_with_trees(task, task.movement)


CONFOUND_ONLY: Mapping[str, Callable[[ConfoundTask], ConfoundPrediction]] = {
    "majority": _majority,
    "prior": _prior,
    "stimulus_mean": _stimulus_mean,
    "elapsed_time": _elapsed_time,
    "session_position": _session_position,
    "study_drift": _study_drift,
    "recording_length": _recording_length,
    "movement": _movement,
}
"""Name of a model -> the function that predicts. Records list the models in this order."""
PROTOCOL_PHASE = "protocol_phase"
"""Name of the model that aligns a session with training sessions by movement, and predicts the labels there. It needs a
whole session."""
STIMULUS_MOMENT = "stimulus_moment"
"""Name of the model that knows training labels at the same moment of a stimulus. It is reported if subjects share
stimuli."""
PREVIOUS_STIMULUS = "previous_stimulus"
"""Name of the model that knows the previous stimulus; reported if subjects share stimuli."""
FOR_COMPARISON = frozenset({"study_drift", PROTOCOL_PHASE, STIMULUS_MOMENT, PREVIOUS_STIMULUS})
"""Models that a method need not exceed. They know the tested subject, the session after the unit, or a confound that
the primary metric holds constant."""


def predict_with_trees(task: ConfoundTask, x: np.ndarray) -> ConfoundPrediction:
    """Predict with boosted trees from `x` (n, features) of the units."""
    train, test, has_classes = task.train, task.test, task.target.traits.has_classes
    if has_classes and (task.class_proportions == 1).any():
        return Undefined("one_training_class")
    x = x[:, np.isfinite(x[train]).any(0)]  # the trees can't bin a column without training values
    if not x.shape[1]:
        return Undefined("unknown_in_training")
    # Methods of one split share confound-only models, and these trees take most of the time of scoring.
    libraries = [installed_version(name) for name in ("numpy", "scikit-learn")]
    inputs = [digest(np.ascontiguousarray(part)) for part in (x[train], task.train_labels, x[test])]
    key: list[object] = ["trees", TREES_CODE, libraries, task.target.kind, task.target.n, inputs]
    predicted = task.keep(key, lambda: _fit_and_predict(task, x))
    return predict_from_proportions(task.target, predicted) if has_classes else _value_as_decision(predicted)


def _fit_and_predict(task: ConfoundTask, x: np.ndarray) -> np.ndarray:
    """Return (m, K) probabilities, or (m,) values, of trees fitted on the training rows of `x`."""
    from sklearn.ensemble import HistGradientBoostingRegressor  # takes a second

    # Without early stopping, which would hold out units of training subjects at random. One thread, so that sums are
    # added in one order whatever the machine. Nothing is drawn below 200,000 rows, so that seeds share what is kept.
    with fitting(1):
        if not task.target.traits.has_classes:
            values = HistGradientBoostingRegressor(early_stopping=False, random_state=0)
            return np.asarray(values.fit(x[task.train], task.train_labels).predict(x[task.test]))
        fitted = BalancedTrees().fit(x[task.train], task.train_labels)
        share = np.zeros((len(task.test), task.target.n))
        share[:, fitted.classes_] = fitted.predict_proba(x[task.test])
    return share


def predict_from_proportions(target: Target, share: np.ndarray) -> ConfoundPrediction:
    """Return the score and the decision that follow from class probabilities (n, K)."""
    score = _score_of_proportions(target, share)
    return score, target.traits.decide(score, 0.5)


def _score_of_proportions(target: Target, share: np.ndarray) -> np.ndarray:
    """Return the score of class probabilities (n, K): all columns, or for a binary target the column of class 1."""
    return share if target.traits.has_score_per_class else share[:, 1]


def _value_as_decision(values: np.ndarray) -> ConfoundPrediction:
    return values, values.copy()


# References (`references` of a protocol) predict from training labels alone. Some protocols train on the tested
# subjects, or on other subjects at the tested moments. A reference uses only what this reveals: other subjects' labels
# at that moment, the subject's mean label, or its last one. A method that scores no better shows nothing about signals.


def reference_scores(
    names: Sequence[ReferenceName],
    target: Target,
    units: Sequence[Unit],
    y: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
) -> dict[str, ConfoundPrediction]:
    """Return reference -> its predictions for the test units (m,), or the reason why it does not apply. A reference
    must have values for at least half of the units; the others get the mean of the training labels. Classes are
    predicted as proportions.

    Args:
        units: units of all subjects. `y` (n,): their labels, NaN if unlabelled; labels of test units are not read.
        train, test: positions in `units`."""
    train = train[np.isfinite(y[train])]
    if not len(train):
        return dict.fromkeys(names, Undefined("no_training_label"))
    labels = y[:, None]
    if target.traits.has_classes:
        labels = np.where(np.isfinite(labels), labels == np.arange(target.n), np.nan)
    tasks = [ConfoundTask(target, units, of_class, train, test, {}, {}, None, 0) for of_class in labels.T]
    made: dict[str, ConfoundPrediction] = {}
    for name in names:
        why, predict = _REFERENCES[name]
        values = np.stack([predict(task) for task in tasks], axis=1)
        known = np.isfinite(values[:, 0])
        filled = np.where(known[:, None], values, labels[train].mean(0))
        # If subjects started a video at different moments, some moments have no training unit.
        if 2 * known.sum() < len(known):
            made[name] = Undefined(why)
        elif target.traits.has_classes:
            made[name] = predict_from_proportions(target, filled)
        else:
            made[name] = _value_as_decision(filled[:, 0])
    return made


def _others_curve(task: ConfoundTask) -> np.ndarray:
    """Return (m,) the mean label of other subjects at the same moment of the same stimulus, to the nearest unit."""
    length = float(np.median(task.column(lambda unit: unit.stop - unit.start)))
    moment = np.round(task.column(lambda unit: unit.start) / length)
    _, stimulus = np.unique([unit.stimulus for unit in task.units], return_inverse=True)
    sums, counts = _label_sums(task, np.stack([stimulus, moment]))
    own_sums, own_counts = _label_sums(task, np.stack([stimulus, moment, task.subject]))
    return _divide(sums - own_sums, counts - own_counts)


def _subject_mean(task: ConfoundTask) -> np.ndarray:
    """Return (m,) the mean of the subject's own training labels."""
    return _divide(*_label_sums(task, task.subject[None]))


def _last_value(task: ConfoundTask) -> np.ndarray:
    """Return (m,) the last training label before the unit in its recording."""
    return _labels_in_recording(task, lambda distance: distance == distance[distance < 0].max(initial=-np.inf))


def _recording_label(task: ConfoundTask) -> np.ndarray:
    """Return (m,) the training label nearest in time in the unit's recording; the mean of two that are equally near."""
    return _labels_in_recording(task, lambda distance: np.abs(distance) == np.abs(distance).min(initial=np.inf))


def _labels_in_recording(task: ConfoundTask, select: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return for each test unit (m,) the mean label of the selected training units of its recording; NaN if none is.

    Args:
        select: which of them (k,) are used, from their distances (k,) to the unit in s, negative if earlier."""
    _, recording = np.unique([unit.recording for unit in task.units], return_inverse=True)
    start, values = task.column(lambda unit: unit.start), np.full(len(task.test), np.nan)
    train = task.train[np.argsort(recording[task.train], kind="stable")]
    first = np.searchsorted(recording[train], np.arange(recording.max() + 2))  # of each recording, in `train`
    for k, unit in enumerate(task.test):
        others = train[first[recording[unit]] : first[recording[unit] + 1]]
        chosen = others[select(start[others] - start[unit])]
        if len(chosen):
            values[k] = task.y[chosen].mean()
    return values


def _label_sums(task: ConfoundTask, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each test unit (m,) the sum and the number of the training labels with the same `keys` (k, n)."""
    _, code = np.unique(keys, axis=1, return_inverse=True)
    code = code.ravel()
    size = code.max() + 1
    sums, counts = np.bincount(code[task.train], task.train_labels, size), np.bincount(code[task.train], minlength=size)
    return sums[code[task.test]], counts[code[task.test]]


def _divide(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the means, NaN if the count is 0."""
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


_REFERENCES: Mapping[ReferenceName, tuple[str, Callable[[ConfoundTask], np.ndarray]]] = {
    "others_curve": ("no_others_at_moments", _others_curve),
    "subject_mean": ("no_label_of_subjects", _subject_mean),
    "last_value": ("no_earlier_label", _last_value),
    "recording_label": ("no_label_in_recordings", _recording_label),
}
"""Reference -> the reason if it has values for fewer than half of the test units, and the function that predicts."""
