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
from embench.system import installed_version, limited_threads

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier


# Boosted trees of classes that weigh alike, in a quarter of the time: what confound-only models and nuisances predict
# with.

CODE = [sha256(Path(file)) for file in (__file__, binning.__file__)]
"""Digests of the code of these trees that this process runs, whatever becomes of the files."""


class BalancedTrees:
    """`HistGradientBoostingClassifier(class_weight="balanced")` of the installed scikit-learn, to the bit."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> BalancedTrees:
        """Fits the trees to `x` (n, features), NaN where unknown, and whole `y` (n,)."""
        from sklearn.ensemble import HistGradientBoostingClassifier  # takes a second
        from sklearn.utils.class_weight import compute_sample_weight

        self._thresholds = find_bin_thresholds(x, compute_sample_weight("balanced", y))
        trees = HistGradientBoostingClassifier(early_stopping=False, class_weight="balanced", random_state=0)
        self._trees: HistGradientBoostingClassifier = trees.fit(assign_bins(x, self._thresholds), y)
        self.classes_: np.ndarray = trees.classes_
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """(n, classes) probabilities."""
        return np.asarray(self._trees.predict_proba(assign_bins(x, self._thresholds)))


# Controls, which predict labels without any signal of the body: fitted on training subjects, scored with every run.
#
# A new control is a function here with its name in `CONFOUND_ONLY`, and a higher `REVISION` of scores; where it needs
# other data than a `ConfoundTask` holds, `evaluation` puts them there.

_CODE = [sha256(Path(__file__)), *CODE]
"""Digests of the code that this process runs, whatever becomes of the files."""
ConfoundPrediction = tuple[np.ndarray, np.ndarray] | Undefined
"""(score (n,) or (n, K), decision (n,)), or why the control does not apply."""
Keep = Callable[[list[object], Callable[[], np.ndarray]], np.ndarray]


def made_anew(_: list[object], make: Callable[[], np.ndarray]) -> np.ndarray:
    """Makes the array without keeping it."""
    return make()


@dataclass(frozen=True)
class ConfoundTask:
    """Task of the confound-only models of one fold: what they must predict, and what they may know.

    Args:
        units: of all subjects. `y` (n,): their labels, NaN where there is none; of `test` it is read only whether
            there is one.
        train, test: positions; the training units are those with a label.
        durations: recording -> seconds. `sessions`: subject -> length of the session in s.
        movement: (n, features) statistics of the accelerometer in each unit, NaN where it is missing; None where the
            dataset has none.
        seed: for the random decisions of `prior`.
        keep: returns the array that the function makes, or has made before for these plain values.
    """

    target: Target
    units: Sequence[Unit]
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray
    durations: Mapping[str, float]
    sessions: Mapping[str, float]
    movement: np.ndarray | None
    seed: int
    keep: Keep = made_anew

    @cached_property
    def known(self) -> np.ndarray:
        """(k,) the labels of the training units: classes as whole numbers, or values."""
        y = self.y[self.train]
        return y.astype(int) if self.target.traits.has_classes else y

    @cached_property
    def shares(self) -> np.ndarray:
        """(K,) the share of each class among the training units."""
        return np.bincount(self.known, minlength=self.target.n) / len(self.known)

    def column(self, of: Callable[[Unit], float]) -> np.ndarray:
        """(n,) a number of each unit."""
        return np.fromiter(map(of, self.units), float, len(self.units))

    @cached_property
    def start(self) -> np.ndarray:
        """(n,) the time since the session's start in s, NaN where the release hides it."""
        return self.column(lambda unit: unit.start_s)

    @cached_property
    def order(self) -> np.ndarray:
        """(n,) the place of the unit's recording in the session, NaN where the release hides it."""
        return self.column(lambda unit: unit.order)

    @cached_property
    def length(self) -> np.ndarray:
        """(n,) the length of the session in s, NaN where it is not known."""
        return self.column(lambda unit: self.sessions.get(unit.subject, np.nan))

    @cached_property
    def subject(self) -> np.ndarray:
        """(n,) the place of each unit's subject among the names of all."""
        place = {name: k for k, name in enumerate(sorted({unit.subject for unit in self.units}))}
        return self.column(lambda unit: place[unit.subject])

    @property
    def of_one_subject(self) -> bool:
        """True if training and test are of one subject, so that differences between subjects carry no information."""
        return len({self.units[i].subject for i in (*self.train.tolist(), *self.test.tolist())}) == 1

    def stimuli(self) -> np.ndarray | Undefined:
        """(n,) index of each unit's stimulus; undefined where a labelled test unit has a stimulus that no training unit
        has."""
        stimulus = np.array([unit.stimulus for unit in self.units])
        names, codes = np.unique(stimulus, return_inverse=True)
        if len(names) < 2:
            return Undefined("one_stimulus")
        scored = self.test[np.isfinite(self.y[self.test])]
        unseen = np.unique(stimulus[scored][~np.isin(codes[scored], codes[self.train])])
        if len(unseen):
            return Undefined("untrained_stimuli", n=len(unseen), names=", ".join(unseen[:3].tolist()))
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
    keep: Keep = made_anew,
    moments: bool = False,
    order: bool = False,
) -> dict[str, ConfoundPrediction]:
    """Control -> its predictions for the test units, in the order of `test` (m,); arguments are those of a
    `ConfoundTask`. `moments`: whether `STIMULUS_MOMENT` is one of them; `order`: whether `PREVIOUS_STIMULUS` is."""
    train = np.asarray(train)[np.isfinite(y[train])]
    confound_only = {**CONFOUND_ONLY, STIMULUS_MOMENT: _stimulus_moment} if moments else CONFOUND_ONLY
    confound_only = {**confound_only, PREVIOUS_STIMULUS: _previous_stimulus} if order else confound_only
    if not len(train):
        return dict.fromkeys(confound_only, Undefined("no_training_label"))
    task = ConfoundTask(target, units, y, train, test, durations, sessions, movement, seed, keep)
    return {name: control(task) for name, control in confound_only.items()}


def _majority(q: ConfoundTask) -> ConfoundPrediction:
    """The commonest class of the training units."""
    if not q.target.traits.has_classes:
        return Undefined("no_common_class")
    chosen = np.full(len(q.test), q.shares.argmax())
    return _score(q.target, np.eye(q.target.n)[chosen]), chosen.astype(float)


def _prior(q: ConfoundTask) -> ConfoundPrediction:
    """The share of each class, decisions drawn by it; of values their mean."""
    if not q.target.traits.has_classes:
        return _same_twice(np.full(len(q.test), q.known.mean()))
    drawn = np.random.default_rng(q.seed).choice(q.target.n, len(q.test), p=q.shares)
    return _score(q.target, np.tile(q.shares, (len(q.test), 1))), drawn.astype(float)


def _stimulus_mean(q: ConfoundTask) -> ConfoundPrediction:
    """The share of each class among the training units of the same stimulus; of values their mean there. Of a stimulus
    at which nobody has a label, so that no unit is scored there, those of all training units."""
    codes = q.stimuli()
    return codes if isinstance(codes, Undefined) else _mean_at(q, codes)


def _stimulus_moment(q: ConfoundTask) -> ConfoundPrediction:
    """Label statistics of the training units at the same moment of the stimulus: bins of a unit's length, from the
    start of the recording on."""
    codes = q.stimuli()
    if isinstance(codes, Undefined):
        return codes
    length = float(np.median(q.column(lambda unit: unit.stop - unit.start)))
    moments = np.floor(q.column(lambda unit: unit.start) / length + 1e-6).astype(int)
    _, own = np.unique(np.stack([q.subject, codes])[:, q.train], axis=1, return_inverse=True)
    least, most = np.full((2, own.max() + 1), q.known[0])
    least[own] = most[own] = q.known
    np.minimum.at(least, own, q.known)
    np.maximum.at(most, own, q.known)
    if not (most > least).any():
        return Undefined("constant_within_stimuli")
    return _mean_at(q, codes * (moments.max() + 1) + moments)


def _previous_stimulus(q: ConfoundTask) -> ConfoundPrediction:
    """Label statistics of the training units after the same stimulus; of those in a first recording, of all first."""
    when = np.where(np.isnan(q.start).all(), q.order, q.start)
    if np.isnan(when).any():
        return Undefined("hidden_times")
    codes, _ = order_codes(q.units, [np.flatnonzero(q.subject == name) for name in np.unique(q.subject)], when)
    return _mean_at(q, codes)


def order_codes(
    units: Sequence[Unit], of_subjects: Sequence[np.ndarray], when: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return codes (n,) of the stimulus before each unit's recording, 0 before the first, and of the recording's place.

    Args:
        of_subjects: the positions of each subject's units. `when`: (n,) in whose order they were recorded.
    """
    names = {name: 1 + k for k, name in enumerate(sorted({unit.stimulus for unit in units}))}
    previous, place = np.zeros((2, len(units)), int)
    for rows in of_subjects:
        last, at, before, shown = "", -1, 0, 0
        for i in rows[np.argsort(when[rows], kind="stable")].tolist():
            if units[i].recording != last:
                last, at, before, shown = units[i].recording, at + 1, shown, names[units[i].stimulus]
            previous[i], place[i] = before, at
    return previous, place


def _mean_at(q: ConfoundTask, codes: np.ndarray) -> ConfoundPrediction:
    """The share of each class among the training units with the same code (n,); of values their mean there."""
    sizes = np.bincount(codes[q.train], minlength=codes.max() + 1)
    if not q.target.traits.has_classes:
        sums = np.bincount(codes[q.train], q.known, len(sizes))
        means = np.where(sizes > 0, sums / np.maximum(sizes, 1), q.known.mean())
        return _same_twice(means[codes[q.test]])
    counts = np.zeros((len(sizes), q.target.n))
    np.add.at(counts, (codes[q.train], q.known), 1)
    counts[sizes == 0] = q.shares
    return from_shares(q.target, counts[codes[q.test]] / counts[codes[q.test]].sum(1, keepdims=True))


def _elapsed_time(q: ConfoundTask) -> ConfoundPrediction:
    """Prediction from the time since the session's start, or the order of recordings."""
    clock = np.stack([q.start, q.order], axis=1)
    if np.isnan(clock).all():
        return Undefined("hidden_times")
    return boosted(q, clock)


def _session_position(q: ConfoundTask) -> ConfoundPrediction:
    """Prediction from the place in the session: the time since its start, to its end and as a share of it, and its
    length; or, where the release hides times, the order of recordings and its share."""
    if q.of_one_subject:
        return Undefined("one_subject_elapsed_time")
    start, order, length, subject = q.start, q.order, q.length, q.subject.astype(int)
    if np.isnan(start).all() and np.isnan(order).all():
        return Undefined("hidden_times")
    last = np.zeros(len(subject))
    np.maximum.at(last, subject, np.nan_to_num(order))
    most = last[subject]
    share = np.divide(order, most, out=np.full(len(order), np.nan), where=most > 0)
    return boosted(q, np.stack([start, start / length, length - start, length, order, share], axis=1))


def _study_drift(q: ConfoundTask) -> ConfoundPrediction:
    """Prediction from the time since the session's start, its length and the subject's number: subjects are often
    numbered as they came, and a study changes while it runs."""
    if q.of_one_subject:
        return Undefined("one_subject")
    if np.isnan(q.start).all():
        return Undefined("hidden_times")
    return boosted(q, np.stack([q.start, q.length, q.subject], axis=1))


def _recording_length(q: ConfoundTask) -> ConfoundPrediction:
    """Prediction from the length of the recording."""
    length = q.column(lambda unit: q.durations[unit.recording])[:, None]
    return Undefined("equal_lengths") if np.ptp(length) < 1e-3 else boosted(q, length)


def _movement(q: ConfoundTask) -> ConfoundPrediction:
    """Prediction from the accelerometer."""
    if q.movement is None:
        return Undefined("no_accelerometer")
    if np.isnan(q.movement[q.train]).all() or np.isnan(q.movement[q.test]).all():
        return Undefined("no_accelerometer_in_part")
    return boosted(q, q.movement)


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
"""Control -> the function that predicts; records list confound-only models in this order."""
PROTOCOL_PHASE = "protocol_phase"
"""The control that reads labels at the time at which a session's movements fit those of training subjects. It needs a
whole session, and is shown under the scores of version 3."""
STIMULUS_MOMENT = "stimulus_moment"
"""The control that knows what training subjects felt at the same moment of a stimulus. It is shown under the scores of
version 3, where subjects share stimuli."""
PREVIOUS_STIMULUS = "previous_stimulus"
"""The control that knows which stimulus came before. It is shown under scoring 4, where subjects share stimuli."""
FOR_COMPARISON = frozenset({"study_drift", PROTOCOL_PHASE, STIMULUS_MOMENT, PREVIOUS_STIMULUS})
"""Controls that a method need not be above: they know the tested subject, the time after the unit, or what the
primary metric holds constant."""


def boosted(q: ConfoundTask, x: np.ndarray) -> ConfoundPrediction:
    """Prediction of boosted trees from `x` (n, features) of the units."""
    train, test, has_classes = q.train, q.test, q.target.traits.has_classes
    if has_classes and (q.shares == 1).any():
        return Undefined("one_training_class")
    x = x[:, np.isfinite(x[train]).any(0)]  # the trees can't bin a column of which nothing is known
    if not x.shape[1]:
        return Undefined("unknown_in_training")
    # Methods of one split share confound-only models, and most of a scoring's time goes into these trees.
    libraries = [installed_version(name) for name in ("numpy", "scikit-learn")]
    known = [digest(np.ascontiguousarray(part)) for part in (x[train], q.known, x[test])]
    key: list[object] = ["trees", _CODE, libraries, q.target.kind, q.target.n, known]
    predicted = q.keep(key, lambda: _fitted(q, x))
    return from_shares(q.target, predicted) if has_classes else _same_twice(predicted)


def _fitted(q: ConfoundTask, x: np.ndarray) -> np.ndarray:
    """(m, K) probabilities, or (m,) values, of trees fitted on the training rows of `x`."""
    from sklearn.ensemble import HistGradientBoostingRegressor  # takes a second

    # Without early stopping, which would hold out units of training subjects at random. One thread, so that sums are
    # added in one order whatever the machine. Nothing is drawn below 200,000 rows, so that seeds share what is kept.
    with limited_threads(1):
        if not q.target.traits.has_classes:
            values = HistGradientBoostingRegressor(early_stopping=False, random_state=0)
            return np.asarray(values.fit(x[q.train], q.known).predict(x[q.test]))
        fitted = BalancedTrees().fit(x[q.train], q.known)
        share = np.zeros((len(q.test), q.target.n))
        share[:, fitted.classes_] = fitted.predict_proba(x[q.test])
    return share


def from_shares(target: Target, share: np.ndarray) -> ConfoundPrediction:
    """The prediction of probabilities (n, K)."""
    score = _score(target, share)
    return score, target.traits.decide(score, 0.5)


def _score(target: Target, share: np.ndarray) -> np.ndarray:
    """The score of predictions from probabilities (n, K): those of all classes, or that of class 1 alone."""
    return share if target.traits.has_score_per_class else share[:, 1]


def _same_twice(values: np.ndarray) -> ConfoundPrediction:
    return values, values.copy()


# Predictions of values from training labels alone, which a protocol shows beside its controls (`references`).
#
# They know what a protocol gives away that trains on the tested subjects, or on others at the tested moments: how
# others felt then, how this subject usually feels, and how it felt last. Who scores no better shows nothing about the
# body.


def reference_scores(
    names: Sequence[ReferenceName],
    target: Target,
    units: Sequence[Unit],
    y: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
) -> dict[str, ConfoundPrediction]:
    """Reference -> its predictions for the test units (m,), or why it does not apply: it knows nothing of most of them.
    The others get the mean of the training labels.

    Args:
        units: of all subjects. `y` (n,): their values, NaN where there is none; those of test units are not read.
        train, test: positions.
    """
    train = train[np.isfinite(y[train])]
    if target.traits.has_classes:
        return dict.fromkeys(names, Undefined("only_values"))
    if not len(train):
        return dict.fromkeys(names, Undefined("no_training_label"))
    task = ConfoundTask(target, units, y, train, test, {}, {}, None, 0)
    made: dict[str, ConfoundPrediction] = {}
    for name in names:
        why, predict = _REFERENCES[name]
        values = predict(task)
        known = np.isfinite(values)
        filled = np.where(known, values, task.known.mean())
        # Units of people who started a film at other moments reach a little beyond what was trained on.
        made[name] = (filled, filled.copy()) if 2 * known.sum() >= len(known) else Undefined(why)
    return made


def _others_curve(task: ConfoundTask) -> np.ndarray:
    """(m,) the mean label of other subjects at the same moment of the same stimulus, to the nearest unit."""
    length = float(np.median(task.column(lambda unit: unit.stop - unit.start)))
    moment = np.round(task.column(lambda unit: unit.start) / length)
    _, stimulus = np.unique([unit.stimulus for unit in task.units], return_inverse=True)
    sums, counts = _sums(task, np.stack([stimulus, moment]))
    own_sums, own_counts = _sums(task, np.stack([stimulus, moment, task.subject]))
    return _divided(sums - own_sums, counts - own_counts)


def _subject_mean(task: ConfoundTask) -> np.ndarray:
    """(m,) the mean of the subject's own training labels."""
    return _divided(*_sums(task, task.subject[None]))


def _last_value(task: ConfoundTask) -> np.ndarray:
    """(m,) the last training label before the unit in its recording."""
    _, recording = np.unique([unit.recording for unit in task.units], return_inverse=True)
    start = task.column(lambda unit: unit.start)
    order = task.train[np.lexsort((start[task.train], recording[task.train]))]
    values = np.full(len(task.test), np.nan)
    for k, unit in enumerate(task.test):
        of_recording = order[recording[order] == recording[unit]]
        before = np.searchsorted(start[of_recording], start[unit])
        if before:
            values[k] = task.y[of_recording[before - 1]]
    return values


def _sums(task: ConfoundTask, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each test unit (m,) the sum of the training labels with the same `keys` (k, n), and how many there are."""
    _, code = np.unique(keys, axis=1, return_inverse=True)
    code = code.ravel()
    size = code.max() + 1
    sums, counts = np.bincount(code[task.train], task.known, size), np.bincount(code[task.train], minlength=size)
    return sums[code[task.test]], counts[code[task.test]]


def _divided(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The means, NaN of none."""
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


_REFERENCES: Mapping[ReferenceName, tuple[str, Callable[[ConfoundTask], np.ndarray]]] = {
    "others_curve": ("no_others_at_moments", _others_curve),
    "subject_mean": ("no_label_of_subjects", _subject_mean),
    "last_value": ("no_earlier_label", _last_value),
}
"""Reference -> why it does not apply where it knows nothing of most test units, and the function."""
