"""Units of prediction and scoring: targets with their label rules, units of time, views, and joined results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from embench.interfaces.kinds import KINDS, Kind, KindName


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Rule that makes a label from the raw values inside a unit. It belongs to the dataset card.

    Args:
        aggregate: `value` (the single rating), `mean`, `majority`, or `unanimous` (None if values disagree).
        cut: binary targets are 1 above it and 0 below it; None if values are classes already. `training_mean`, allowed
            in protocols only: the mean of a fold's training labels, see `fit`.
        edges: limits between several classes, ascending: the class is the number of edges below a value.
        ties: side of values on the cut or on an edge.
        dead_band: closed interval of values without a label.
        lag_s: labels are read this many seconds later than the signals (earlier if negative), since annotators react
            late. The page of a dataset whose card has a lag names its source.
        annotator: source of the values.
        positive: for conditions made binary, the raw class indices that count as 1; those in `negative` count as 0,
            others have no label.
        classes: for selected conditions, the raw class indices in the order of the target's classes, others have no
            label; empty: the raw classes are the target's.
        centred: True to subtract the mean of all of the subject's values first; the mean covers the subject's values in
            all folds and parts.

    >>> rule = LabelRule(cut=5.0)
    >>> rule(np.array([7.0])), rule(np.array([5.0]))
    (1.0, 0.0)
    >>> LabelRule(aggregate="mean", cut=5.0, dead_band=(4.5, 5.5))(np.array([4.0, 6.0])) is None
    True
    """

    aggregate: Literal["value", "mean", "majority", "unanimous"] = "value"
    cut: float | Literal["training_mean"] | None = None
    ties: Literal["low", "high", "drop"] = "low"
    dead_band: tuple[float, float] | None = None
    lag_s: float = 0.0
    annotator: str = "self"
    positive: tuple[int, ...] = ()
    negative: tuple[int, ...] = ()
    classes: tuple[int, ...] = ()
    edges: tuple[float, ...] = ()
    centred: bool = False

    def fit(self, training_mean: float) -> LabelRule:
        """Return the rule with `training_mean` as its cut, if training labels decide the cut; otherwise unchanged."""
        return replace(self, cut=training_mean) if self.cut == "training_mean" else self

    def __call__(self, raw: np.ndarray) -> float | None:
        """Return the label of a unit from its raw values (n,); None without a label.

        Raises:
            ValueError: the cut is not set yet."""
        value = self.summarise(raw)
        if value is None:
            return None
        if self.positive:
            return 1.0 if value in self.positive else 0.0 if value in self.negative else None
        if self.classes:
            return float(self.classes.index(int(value))) if value in self.classes else None
        if self.dead_band and self.dead_band[0] <= value <= self.dead_band[1]:
            return None
        if self.cut == "training_mean":
            raise ValueError("a rule whose cut the training labels decide makes no label before it is fitted")
        edges = self.edges if self.cut is None else (self.cut,)
        if not edges:
            return value
        if value in edges and self.ties == "drop":
            return None
        return float(sum(value > edge or (value == edge and self.ties == "high") for edge in edges))

    def summarise(self, raw: np.ndarray) -> float | None:
        """Return one value from the raw values (n,) of a unit, before any threshold; None if all are NaN, or tie."""
        raw = np.asarray(raw, np.float64)
        raw = raw[np.isfinite(raw)]
        if raw.size == 0:
            return None
        if self.aggregate == "mean":
            return float(raw.mean())
        if self.aggregate == "value" or (raw == raw[0]).all():
            return float(raw[0])
        values, counts = np.unique(raw, return_counts=True)
        if self.aggregate == "unanimous" and len(values) > 1:
            return None
        if (counts == counts.max()).sum() > 1:
            return None
        return float(values[counts.argmax()])


@dataclass(frozen=True, slots=True)
class Target:
    """A prediction target. `label` names its raw label; `kind` decides loss, decision and metrics, see
    `embench.interfaces.kinds`: `binary` has two classes, `classes` has `n` (at least three), `value` none.

    Args:
        scale: least and greatest value of the raw label, if defined.
        step: for values, the least difference at which one is higher: see `find_step`.

    Raises:
        ValueError: unknown kind; fewer than three classes (two are a binary target); `step` is not positive, or set for
            classes; or centred conditions.

    >>> Target("mood", "classes", LabelRule(), label="mood", n=3).columns
    ('score_0', 'score_1', 'score_2')
    """

    name: str
    kind: KindName
    rule: LabelRule
    label: str
    n: int = 2
    scale: tuple[float, float] | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"target {self.name} is of kind {self.kind!r}, which is none of {', '.join(KINDS)}")
        if self.traits.has_score_per_class and self.n < 3:
            raise ValueError(f"target {self.name} has {self.n} classes: two are a binary target, and one is none")
        if self.step is not None and (self.traits.has_classes or not self.step > 0):
            raise ValueError(f"target {self.name}: a step is one of values, above 0")
        if self.rule.centred and (self.rule.positive or self.rule.classes):
            raise ValueError(f"target {self.name}: conditions have no mean to be centred at")

    def find_step(self, labels: np.ndarray) -> float:
        """Return the least difference at which one value counts as higher than another; 0 for classes. It is `step`,
        else a tenth of the scale, else a tenth of the range of all `labels` (n,), ignoring NaN.

        >>> Target("calm", "value", LabelRule(), "calm", scale=(1, 9)).find_step(np.array([]))
        0.8
        """
        if self.traits.has_classes:
            return 0.0
        if self.step is not None:
            return self.step
        known = np.asarray(self.scale or labels, float)
        known = known[np.isfinite(known)]
        return float(np.ptp(known)) / 10 if len(known) else 0.0

    @property
    def traits(self) -> Kind:
        """Properties of all targets of its kind."""
        return KINDS[self.kind]

    @property
    def outputs(self) -> int:
        """Number of logits of a network for this target."""
        return self.traits.outputs(self.n)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the score columns in tables of predictions: one per class, or a single one."""
        return tuple(f"score_{k}" for k in range(self.n)) if self.traits.has_score_per_class else ("score",)


@dataclass(frozen=True, slots=True)
class View:
    """Part of a unit that a method reads: all of it, windows inside it, or a segment that ends with the unit.

    >>> View("window", length_s=10.0, step_s=5.0)  # 10 s windows every 5 s
    View(kind='window', length_s=10.0, step_s=5.0, length='native')
    """

    kind: Literal["unit", "window", "context"] = "unit"
    length_s: float | None = None
    step_s: float | None = None
    length: Literal["native", "common"] = "native"


@dataclass(frozen=True, slots=True)
class Unit:
    """A scored part of a recording, from `start` to `stop` in s. `start_s` counts from the session's start (NaN if the
    release hides it); `id` depends on the recording and the grid only, never on labels."""

    id: str
    recording: str
    subject: str
    stimulus: str
    group: str
    start: float
    stop: float
    start_s: float
    order: float


@dataclass(frozen=True)
class Units:
    """Predictions of one target joined with labels, as arrays over units (n,).

    `score` is the probability of the positive class, (n, K) probabilities for `classes`, the value itself for `value`.
    Metrics receive units with a prediction. Only proportions of comparisons won also count units without a prediction:
    with the score NaN, a unit loses its comparisons; with inf, it ties, because the data have no signal there.
    `length_s` is the nominal length of a unit in s, NaN if units are whole recordings. `session_s` (n,) is the length
    of the unit's session in s, `moment_s` (n,) the time in s since the unit's recording (stimulus) began, `recording`
    (n,) the number of that recording, from 0; None if unknown. One value is higher than another if they differ by
    `step`; `whole_numbers` is True if all labels of the target, in all folds, are integers, such as ratings.

    >>> from embench.testing.require import units
    >>> binary = units("binary")
    >>> binary.score.shape, binary.take(binary.subject == "p00").y_true.mean()
    ((72,), np.float64(0.5))
    """

    kind: KindName
    y_true: np.ndarray
    score: np.ndarray
    decision: np.ndarray
    subject: np.ndarray
    stimulus: np.ndarray
    start_s: np.ndarray
    fold: np.ndarray
    group: np.ndarray
    length_s: float = float("nan")
    session_s: np.ndarray | None = None
    moment_s: np.ndarray | None = None
    recording: np.ndarray | None = None
    step: float = 0.0
    whole_numbers: bool = False

    def __len__(self) -> int:
        return len(self.y_true)

    def take(self, index: np.ndarray | slice) -> Units:
        """Return the units at `index`: positions (m,), possibly repeated, a boolean mask (n,) or a slice."""
        return replace(self, **{name: getattr(self, name)[index] for name in self._columns()})

    @cached_property
    def subjects(self) -> tuple[np.ndarray, np.ndarray]:
        """The sorted names of the subjects (P,), and the position of each unit's subject among them (n,)."""
        names, code = np.unique(self.subject, return_inverse=True)
        return names, code

    @cached_property
    def stimuli(self) -> tuple[np.ndarray, np.ndarray]:
        """The sorted names of the stimuli (K,), and the position of each unit's stimulus among them (n,)."""
        names, code = np.unique(self.stimulus, return_inverse=True)
        return names, code

    def with_score(self, score: np.ndarray) -> Units:
        """Return the same units with other scores (n,) or (n, K)."""
        units = replace(self, score=score)
        # Not found again, as texts are slow to sort.
        units.__dict__.update(subjects=self.subjects, stimuli=self.stimuli)
        return units

    def join(self, *others: Units) -> Units:
        """Return these units followed by those of `others`, for the same target."""
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in (self, *others)]) for name in self._columns()
        }
        units, parts = replace(self, **columns), [part.subjects for part in (self, *others)]
        names = np.unique(np.concatenate([own for own, _ in parts]))
        codes = np.concatenate([np.searchsorted(names, own)[code] for own, code in parts])
        units.__dict__["subjects"] = names, codes  # not found again, as texts are slow to sort
        return units

    def _columns(self) -> list[str]:
        known = ["y_true", "score", "decision", "subject", "stimulus", "start_s", "fold", "group"]
        return [*known, *(name for name in ("session_s", "moment_s", "recording") if getattr(self, name) is not None)]
