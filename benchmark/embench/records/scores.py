"""`scores.json`, read and checked in one place: the scores of a run's method and of its confound-only models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from embench import registry
from embench.errors import DataError, EmbenchError, breaks_schema, faults
from embench.protocols import MADE_BY_METHOD
from embench.records.manifest import SCHEMA, InstalledName, Line, Word, without_schema

# `scores.json`, read and checked in one place: the scores of a run's method and of its controls, for each target.


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, frozen=True)


class Score(_Part):
    """A score with its 95 % interval, or the reason why it is undefined.

    `mean` is NaN where it is undefined; the other fields are those of `embench.statistics.intervals.Estimate`, None
    where nothing could vary, or an entry does not publish it. `metric`: which score it is, where `Scores` has read it;
    no part of the file.
    """

    mean: float = math.nan
    std: float | None = None
    low: float | None = None
    high: float | None = None
    subjects: int | None = None
    over: Line | None = None
    shared_variance: float | None = None
    left_out: Sequence[Line] = ()
    comparisons: int | None = None
    undefined: Line | None = None
    metric: str = Field(default="", repr=False)

    @property
    def defined(self) -> bool:
        """True where there is a number."""
        return not math.isnan(self.mean)

    @property
    def ends(self) -> tuple[float, float] | None:
        """The ends of the interval as they are shown: within what the metric can be, which t intervals may leave; None
        where there is no interval."""
        if self.low is None or self.high is None:
            return None
        if not self.metric or 0 <= self.low <= self.high <= 1:
            return self.low, self.high
        least, most = _range_of(self.metric)
        return max(self.low, least), min(self.high, most)

    def as_json(self) -> dict[str, Any]:
        """The score as a part of `Scores.content`."""
        return self.model_dump(exclude_unset=True, exclude={"metric"})


def _range_of(metric: str) -> tuple[float, float]:
    """The least and the greatest value of a metric; anything of one that is not installed."""
    if metric.startswith(("auroc", "concordance")):
        return 0.0, 1.0  # shares of comparisons, most of which are no plugins
    try:
        return registry.load("metric", metric).range
    except EmbenchError:
        return -math.inf, math.inf


class Gap(_Part):
    """A paired difference of scores, method less what it is compared with, and whether its interval lies above 0."""

    difference: Score
    clears: bool


class EnoughData(_Part):
    """The seeds that give enough comparisons for a primary metric that is not estimable; or about how many subjects."""

    seeds: Sequence[int] = ()
    subjects: int = 0


class AddsAt(_Part):
    """An answer to what a method adds to the nuisances of one level.

    `effect`: the partial correlation of score and label. `score`: that of what is left of the scores, or its mean
    difference in SDs, None in a small study; `share_left`: how much of their variance is left. In a small study,
    `label_left`: how much of the label's; `further_p`: p of the test whether the label follows movement in ways that
    are not adjusted for. `adds`: whether all conditions hold. `of_groups`: group of subjects -> what it adds to the
    effect.
    """

    effect: Score
    score: Score | None = None
    share_left: float
    label_left: float | None = None
    further_p: float | None = None
    adds: bool
    of_groups: dict[Line, float] = Field(default_factory=dict)


class Adds(_Part):
    """Answers to what a method adds to clock and movement, or why nothing can be said.

    `score`: the name of the score of what is left; `difference`: whether its mean difference between positive and
    negative units, over the comparisons of that score, takes its place. `movement`: whether an accelerometer was
    recorded. `held`: the modalities that are held constant beside the clock, such as `acc` and `emg`; of `eeg` eyes and
    muscles alone. `levels`: `small_study` in a small study under scoring 4; else `local` and `full`, see
    docs/why/adds.md; each also with `_contact`, where the contact of sensors is held constant too. `judged`: which of
    the first two decides: `local` for methods that provably see one unit at a time. There, `seeds`: seed -> whether it
    adds in this seed alone; `variants`: a variant of the rule -> whether it adds by that; `tasks`: task -> the effect
    over its units and all negative ones, where there are several. `placebo`: axis of the accelerometer -> the partial
    correlation of what it tells with the label, given the other axes and the clock, over `placebo_seeds`; computed
    where it was asked for.
    """

    undefined: Line | None = None
    score: InstalledName | None = None
    difference: bool = False
    movement: bool = False
    held: Sequence[Word] = ()
    judged: Literal["local", "full", "small_study"] = "full"
    levels: dict[Word, AddsAt] = Field(default_factory=dict)
    seeds: dict[str, bool] = Field(default_factory=dict)
    variants: dict[Line, bool] = Field(default_factory=dict)
    tasks: dict[Line, Score] = Field(default_factory=dict)
    placebo: dict[Line, Score] = Field(default_factory=dict)
    placebo_seeds: Sequence[int] = ()

    @property
    def decides(self) -> AddsAt | None:
        """The answer at the level that decides; None where nothing can be said."""
        return self.levels.get(self.judged)

    @property
    def questions(self) -> dict[str, str]:
        """Question -> the level of confounds that answers it."""
        if not self.levels or self.judged == "small_study":
            return dict.fromkeys(("movement",) if self.levels else (), "small_study")
        return {"movement": "local", "protocol_phase": "full"} if self.movement else {"movement": "full"}

    @property
    def confounds(self) -> str:
        """The confounds of the level that decides, in words."""
        if self.judged == "small_study":
            return "stimulus, position and movement" if self.movement else "stimulus and position"
        if not self.movement:
            return "the time since the start"
        return "the protocol phase" if self.judged == "full" else "time and movement"


class Personal(_Part):
    """Gains of a method by what test subjects give first; see `embench.statistics.scores`.

    `over`: what it is compared with -> score -> the gain, of the headline and of `level_score`; `normalising`: score ->
    what the same units without labels gain over nothing; `gains_by`: what the gain is shown to come from. `missing`:
    what it could not be compared with.
    """

    level_score: InstalledName
    over: dict[Word, dict[InstalledName, Gap]]
    normalising: dict[InstalledName, Gap]
    gains_by: Literal["labels", "normalising", "nothing"]
    missing: Sequence[Word] = ()


@dataclass(frozen=True)
class Control:
    """A control on one target.

    `scores`: metric -> score, empty where the control does not apply for the `reason`.
    """

    name: str
    scores: Mapping[str, Score]
    reason: str

    def why_undefined(self, metric: str) -> str:
        """The reason why it has no such score; empty where it has."""
        score = self.scores.get(metric)
        return self.reason or (score.undefined or "" if score else "it was not computed")


class _OfControl(_Part):
    """A control's scores on a target by metric, or why it was not scored there."""

    undefined: Line | None = None
    __pydantic_extra__: dict[InstalledName, Score]


class _File(_Part):
    headlines: dict[Word, InstalledName]
    level: float = 0.95
    scores: dict[Word, dict[InstalledName, Score]]
    controls: dict[Word, dict[Word, _OfControl]]
    differences: dict[Word, Any] = Field(max_length=0)  # as the next two: published files have the key, empty
    not_cleared: list[Line] = Field(max_length=0)
    cleared_all: Literal[False]
    adds: dict[Word, Adds] = Field(default_factory=dict)
    personal: dict[Word, Personal] = Field(default_factory=dict)
    coverage: dict[Word, float] = Field(default_factory=dict)
    enough_data: dict[Word, EnoughData] = Field(default_factory=dict)
    folds: Sequence[Mapping[str, Any]] = ()


class Scores(Mapping[str, Any]):
    """The content of `scores.json`, as a mapping and as objects.

    >>> found = Scores({
    ...     "headlines": {"stress": "auroc"},
    ...     "scores": {"stress": {"auroc": {"mean": 0.7, "low": 0.6, "high": 0.8}, "mcc": {"undefined": "one class"}}},
    ...     "controls": {"prior": {"stress": {"auroc": {"mean": 0.5}}}},
    ...     "differences": {},
    ...     "not_cleared": [],
    ...     "cleared_all": False,
    ... })
    >>> found.score("stress", "auroc").low, found.score("stress", "mcc"), found.why_undefined("stress", "mcc")
    (0.6, None, 'one class')
    >>> [(control.name, control.scores["auroc"].mean) for control in found.controls("stress")]
    [('prior', 0.5)]
    """

    def __init__(self, content: Mapping[str, Any], where: str = "scores.json") -> None:
        """Raises DataError that names every field of `content` that is missing or wrong, or its unknown schema."""
        if not isinstance(content, Mapping):
            raise DataError("the file has no scores", where=where, expected=f"keys {', '.join(_File.model_fields)}")
        self.content = {"schema": SCHEMA, **without_schema(content, where, SCHEMA)}
        try:
            self._file = _File.model_validate(self.content)
        except ValidationError as error:
            found = faults(error)
            fields = ", ".join(dict.fromkeys(fault.field for fault in found))
            raise DataError(
                breaks_schema("the file of scores", found[:5]),
                where=f"{where}, {fields[:200]}",
                expected="as written by embench",
            ) from error
        controls = (found.__pydantic_extra__ for of in self._file.controls.values() for found in of.values())
        for scores in (*self._file.scores.values(), *controls):
            for name, score in scores.items():
                scores[name] = score.model_copy(update={"metric": name})

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)

    @property
    def headlines(self) -> Mapping[str, str]:
        """Target -> the metric that ranks runs on it, for every target that was scored."""
        return self._file.headlines

    @property
    def level(self) -> float:
        """The level of the intervals, 0 to 1."""
        return self._file.level

    @property
    def folds(self) -> Sequence[Mapping[str, Any]]:
        """A row for each method, target, seed and fold; none in a published entry."""
        return self._file.folds

    @cached_property
    def control_names(self) -> list[str]:
        """The names of all controls, in order."""
        return sorted(self._file.controls)

    @classmethod
    def none(cls, **parts: Any) -> Scores:
        """The scores of a record without predictions, except for these `parts` of the content."""
        nothing: dict[str, Any] = {name: {} for name in ("headlines", "scores", "controls", "differences")}
        return cls({"schema": SCHEMA, **nothing, "not_cleared": [], "cleared_all": False, **parts})

    def of(self, target: str) -> Mapping[str, Score]:
        """Metric -> the method's score on a target, undefined ones too; empty where nothing was scored."""
        return self._file.scores.get(target, {})

    def score(self, target: str, metric: str, control: str | None = None) -> Score | None:
        """A score of the method, or of a control; None where it is undefined or was not computed."""
        scores = self.of(target) if control is None else self._of_control(control, target)[0]
        found = scores.get(metric)
        return found if found is not None and found.defined else None

    def why_undefined(self, target: str, metric: str) -> str:
        """The reason why the method has no such score; empty where it has."""
        found = self.of(target).get(metric)
        return "it was not computed" if found is None else found.undefined or ""

    def adds(self, target: str) -> Adds | None:
        """The answers to what the method adds to clock and movement; None where the protocol does not ask."""
        return self._file.adds.get(target)

    def enough_data(self, target: str) -> EnoughData | None:
        """What gives enough comparisons for the primary metric; None where it is estimable, or that is not known."""
        return self._file.enough_data.get(target)

    def personal(self, target: str) -> Personal | None:
        """The gains of the method by what test subjects give first; None where they give nothing."""
        return self._file.personal.get(target)

    def coverage(self, target: str) -> float | None:
        """The share of the labelled units of eligible subjects that the method predicts, 0 to 1; None where it was not
        recorded."""
        return self._file.coverage.get(target)

    def controls(self, target: str) -> list[Control]:
        """The controls of a target, in the order of their scoring; with those that do not apply to it."""
        return [
            Control(name, *self._of_control(name, target))
            for name, by_target in self._file.controls.items()
            if target in by_target
        ]

    def control_scores(self, target: str, control: str) -> Mapping[str, Score]:
        """Metric -> a control's score on a target; empty where it does not apply."""
        return self._of_control(control, target)[0]

    def strongest(self, target: str, metric: str) -> tuple[str, Score] | None:
        """The control with the highest score on a target, the first by name of equals; None where none has one. The
        method itself, given less, is none."""
        names = [name for name in self.control_names if name not in MADE_BY_METHOD]
        known = [(name, score) for name in names if (score := self.score(target, metric, name))]
        return max(known, key=lambda each: each[1].mean, default=None)

    def _of_control(self, name: str, target: str) -> tuple[Mapping[str, Score], str]:
        found = self._file.controls.get(name, {}).get(target)
        return ({}, "") if found is None else (found.__pydantic_extra__, found.undefined or "")


# Differences between two documents of scores: a recorded one, and one that is computed again.

TOLERANCE = 1e-6
"""Numbers that lie further apart, as shares of 1 or of their own size, are not the same: libraries and processors
differ in the last digits."""
NUISANCES_DIFFER = 1e-3
"""Tolerance of numbers that depend on nuisances, whose models are fitted again."""
ABSENT = "nothing"
"""Placeholder for a value that one document does not have."""


class Difference(NamedTuple):
    """`place` names the field, with dots between the levels."""

    place: str
    recorded: Any
    recomputed: Any

    def __str__(self) -> str:
        return f"{self.place}: {_short(self.recorded)}, but it follows {_short(self.recomputed)}"


def differences(recorded: Any, recomputed: Any, place: str = "", tolerance: float = TOLERANCE) -> Iterator[Difference]:
    """The values that differ, or that one document lacks, in the order of the recorded one."""
    if isinstance(recorded, Mapping) and isinstance(recomputed, Mapping):
        for name in dict.fromkeys([*recorded, *recomputed]):
            at = f"{place}.{name}" if place else str(name)
            yield from differences(recorded.get(name, ABSENT), recomputed.get(name, ABSENT), at, tolerance)
    elif isinstance(recorded, list) and isinstance(recomputed, list) and len(recorded) == len(recomputed):
        for i, (one, other) in enumerate(zip(recorded, recomputed, strict=True)):
            yield from differences(one, other, f"{place}[{i}]", tolerance)
    elif not _same(recorded, recomputed, tolerance):
        yield Difference(place, recorded, recomputed)


def _same(one: Any, other: Any, tolerance: float) -> bool:
    numbers = [value for value in (one, other) if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < 2:
        return type(one) is type(other) and bool(one == other)
    return abs(one - other) <= tolerance * max(1.0, abs(other)) or (math.isnan(one) and math.isnan(other))


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:60]
