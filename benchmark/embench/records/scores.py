"""`scores.json`, read and checked in one place: the scores of a run's method and of its confound-only models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from embench import registry
from embench.errors import DataError, EmbenchError, describe_faults, list_faults
from embench.protocols import MADE_BY_METHOD
from embench.reasons import Reason
from embench.records.manifest import SCHEMA, InstalledName, Line, RecordedReason, Word

NO_REASON = Reason.make("")
"""The empty reason, for a number that is defined."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, frozen=True)


class Score(_Part):
    """A score with its 95 % interval, or the reason why it is undefined."""

    mean: float = Field(default=math.nan, description="Value of the score; absent where it is undefined.")
    std: float | None = Field(default=None, description="Standard deviation over what `over` names.")
    low: float | None = Field(default=None, description="Lower end of the interval; null where nothing can vary.")
    high: float | None = Field(default=None, description="Upper end of the interval.")
    subjects: int | None = Field(default=None, description="Number of subjects behind the score.")
    over: Line | None = Field(
        default=None,
        description="What the standard deviation is over.",
        examples=["subjects", "subjects_and_stimuli", "folds", "jackknife"],
    )
    training_overlap: float | None = Field(default=None, description="Added variance from shared training subjects.")
    left_out: Sequence[RecordedReason] = Field(default=(), description="Reasons why parts of the data do not count.")
    comparisons: int | None = Field(default=None, description="Number of comparisons, in the seed with the fewest.")
    undefined: RecordedReason | None = Field(default=None, description="Reason why the number is missing.")
    metric: str = Field(default="", repr=False, description="")  # not in files
    """Name of the metric; empty in a score that `Scores` did not read."""

    @property
    def is_defined(self) -> bool:
        """True where there is a number."""
        return not math.isnan(self.mean)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The ends of the interval, or None. They are limited to the metric's range, which t intervals may exceed."""
        if self.low is None or self.high is None:
            return None
        if not self.metric or 0 <= self.low <= self.high <= 1:
            return self.low, self.high
        least, most = _get_range(self.metric)
        return max(self.low, least), min(self.high, most)

    def to_dict(self) -> dict[str, Any]:
        """Return the score as in `scores.json`."""
        return self.model_dump(exclude_unset=True, exclude={"metric"})


def _get_range(metric: str) -> tuple[float, float]:
    """Return the least and greatest possible value of a metric; infinite for a metric that is not installed."""
    if metric.startswith(("auroc", "concordance")):
        return 0.0, 1.0  # proportions of comparisons; most of these metrics are not plugins
    try:
        return registry.load_plugin("metric", metric).range
    except EmbenchError:
        return -math.inf, math.inf


class Gap(_Part):
    """A paired difference of scores, the method's minus the other's, and whether its interval lies above 0."""

    difference: Score = Field(description="The difference.")
    above_zero: bool = Field(description="Whether the interval of the difference lies above 0.")


class EnoughData(_Part):
    """The data that would make a primary metric estimable."""

    seeds: Sequence[int] = Field(default=(), description="Seeds that give enough comparisons.")
    subjects: int = Field(default=0, description="Approximate number of subjects that would be enough; 0 if seeds are.")


class AdjustedAt(_Part):
    """The association of score and label, adjusted for the confounds of one level; see `docs/why/adjusted.md`."""

    partial_r: Score = Field(description="Correlation of the parts that models of the confounds leave unexplained.")
    residual_score: Score | None = Field(
        default=None, description="Metric of the adjusted scores, or their mean difference in SDs."
    )
    residual_proportion: float = Field(description="Proportion of the scores' variance that the confounds leave.")
    label_residual_proportion: float | None = Field(
        default=None, description="Proportion of the label's variance that they leave, in a small study."
    )
    extra_movement_p: float | None = Field(
        default=None, description="In a small study, p of the test whether movement predicts the label in other ways."
    )
    associated: bool = Field(description="Whether all conditions of the test hold.")
    by_group: dict[Line, float] = Field(
        default_factory=dict, description="Group of subjects -> its contribution to `partial_r`."
    )


class Adjusted(_Part):
    """The association of scores and labels after adjustment for measured confounds."""

    undefined: RecordedReason | None = Field(default=None, description="Reason why the test cannot be done.")
    metric: InstalledName | None = Field(default=None, description="Metric of the adjusted scores.")
    mean_difference: bool = Field(
        default=False, description="Whether a mean difference of positive and negative units takes its place."
    )
    has_movement: bool = Field(default=False, description="Whether an accelerometer was recorded.")
    adjusted_for: Sequence[Word] = Field(
        default=(), description="Modalities that are adjusted for besides time.", examples=[["acc", "emg"]]
    )
    decisive_level: Literal["movement", "protocol_phase", "small_study"] = Field(
        default="protocol_phase", description="Level whose result counts."
    )
    levels: dict[Word, AdjustedAt] = Field(
        default_factory=dict,
        description="Level of confounds -> the result.",
        examples=["movement", "movement_signal_quality", "protocol_phase", "small_study"],
    )
    seeds: dict[str, bool] = Field(
        default_factory=dict, description="Seed -> whether the association holds in this seed alone."
    )
    variants: dict[Word, bool] = Field(
        default_factory=dict, description="Variant of the rule -> whether the association holds under it."
    )
    tasks: dict[Line, Score] = Field(
        default_factory=dict, description="Task -> partial r over its units and all negative ones."
    )
    placebo: dict[Line, Score] = Field(
        default_factory=dict,
        description="Axis of the accelerometer -> partial r of its movement with the label, given the other axes.",
    )
    placebo_seeds: Sequence[int] = Field(default=(), description="Seeds of the placebo.")

    @property
    def decides(self) -> AdjustedAt | None:
        """The result at the decisive level; None where there is none."""
        return self.levels.get(self.decisive_level)

    @property
    def questions(self) -> dict[str, str]:
        """Question -> the level of confounds that answers it."""
        if not self.levels or self.decisive_level == "small_study":
            return dict.fromkeys(("movement",) if self.levels else (), "small_study")
        if not self.has_movement:
            return {"movement": "protocol_phase"}
        return {"movement": "movement", "protocol_phase": "protocol_phase"}

    @property
    def confounds(self) -> str:
        """The confounds of the decisive level, in words."""
        return confounds_in_words(self.decisive_level, has_movement=self.has_movement)


def confounds_in_words(level: str, *, has_movement: bool) -> str:
    """Return the names of the confounds of a decisive level. `has_movement`: whether an accelerometer was recorded."""
    if level == "small_study":
        return "stimulus, position and movement" if has_movement else "stimulus and position"
    if not has_movement:
        return "the time since the start"
    return "the protocol phase" if level == "protocol_phase" else "time and movement"


class CalibrationGain(_Part):
    """Gains of a method from calibration data of the test subjects; see `embench.statistics.scores`."""

    level_metric: InstalledName = Field(description="Metric by which a shift of a subject's level can gain.")
    compared_with: dict[Word, dict[InstalledName, Gap]] = Field(
        description="Method or confound-only model -> metric -> gain over it."
    )
    normalisation: dict[InstalledName, Gap] = Field(
        description="Metric -> gain of the same units without labels over no calibration data."
    )
    source: Literal["labels", "normalisation", "not_shown"] = Field(description="Origin of the gain, as far as shown.")
    missing: Sequence[Word] = Field(default=(), description="Methods with which it could not be compared.")


@dataclass(frozen=True)
class ConfoundOnlyModel:
    """A confound-only model on one target. `scores`: metric -> score; empty, with a `reason`, if it does not apply."""

    name: str
    scores: Mapping[str, Score]
    reason: Reason | None

    def explain_undefined(self, metric: str) -> Reason:
        """Return the reason why the model has no score of this metric; `NO_REASON` if it has one."""
        score = self.scores.get(metric)
        return self.reason or (score.undefined or NO_REASON if score else Reason.make("not_computed"))


class ConfoundOnlyScores(_Part):
    """The scores of a confound-only model on a target: metric -> score."""

    undefined: RecordedReason | None = Field(default=None, description="Reason why the model does not apply.")
    __pydantic_extra__: dict[InstalledName, Score]


class ScoresFile(_Part):
    """The content of `scores.json`."""

    model_config = ConfigDict(extra="forbid")

    schema_: Literal[3] = Field(alias="schema", description="Version of the schema.")
    primary_metrics: dict[Word, InstalledName] = Field(description="Target -> metric that ranks methods.")
    level: float = Field(default=0.95, description="Level of the intervals.")
    scores: dict[Word, dict[InstalledName, Score]] = Field(description="Target -> metric -> score of the method.")
    confound_only: dict[Word, dict[Word, ConfoundOnlyScores]] = Field(
        description="Confound-only model -> target -> its scores."
    )
    adjusted: dict[Word, Adjusted] = Field(
        default_factory=dict, description="Target -> association after adjustment for measured confounds."
    )
    calibration_gain: dict[Word, CalibrationGain] = Field(
        default_factory=dict, description="Target -> gain from calibration data."
    )
    coverage: dict[Word, float] = Field(
        default_factory=dict, description="Target -> proportion of the labelled units that the method predicts."
    )
    enough_data: dict[Word, EnoughData] = Field(
        default_factory=dict, description="Target -> what would make its primary metric estimable."
    )
    absent: dict[Word, int] = Field(default_factory=dict, description="Target -> number of units without a prediction.")
    cuts: Sequence[Mapping[str, Any]] = Field(
        default=(), description="Thresholds between classes that folds took from their training labels."
    )
    picked_epochs: Sequence[Mapping[str, Any]] = Field(
        default=(), description="Epoch of each target, seed and fold, under protocols that select it by its test score."
    )
    folds: Sequence[Mapping[str, Any]] = Field(
        default=(), description="Scores of each method, target, seed and fold; not in entries."
    )


class Scores(Mapping[str, Any]):
    """The content of `scores.json`, as a mapping and as objects.

    >>> found = Scores({
    ...     "primary_metrics": {"stress": "auroc"},
    ...     "scores": {
    ...         "stress": {"auroc": {"mean": 0.7, "low": 0.6, "high": 0.8}, "mcc": {"undefined": {"id": "one_class"}}}
    ...     },
    ...     "confound_only": {"prior": {"stress": {"auroc": {"mean": 0.5}}}},
    ... })
    >>> found.get_score("stress", "auroc").low, found.explain_undefined("stress", "mcc")
    (0.6, 'one class only')
    >>> [(control.name, control.scores["auroc"].mean) for control in found.get_confound_only_models("stress")]
    [('prior', 0.5)]
    """

    def __init__(self, content: Mapping[str, Any], where: str = "scores.json") -> None:
        """Check the content; `where`: file name for messages. Raises DataError that names every wrong field."""
        if not isinstance(content, Mapping):
            raise DataError(
                "the file has no scores", where=where, expected=f"keys {', '.join(ScoresFile.model_fields)}"
            )
        self.content = {**content, "schema": SCHEMA}
        try:
            self._file = ScoresFile.model_validate(self.content)
        except ValidationError as error:
            found = list_faults(error)
            fields = ", ".join(dict.fromkeys(fault.field for fault in found))
            raise DataError(
                describe_faults("the file of scores", found[:5]),
                where=f"{where}, {fields[:200]}",
                expected="as written by embench",
            ) from error
        models = (model for by_target in self._file.confound_only.values() for model in by_target.values())
        for scores in (*self._file.scores.values(), *(model.__pydantic_extra__ for model in models)):
            for name, score in scores.items():
                scores[name] = score.model_copy(update={"metric": name})

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)

    @property
    def primary_metrics(self) -> Mapping[str, str]:
        """Target -> the metric that ranks runs on it, for every target that was scored."""
        return self._file.primary_metrics

    @property
    def level(self) -> float:
        """The level of the intervals, 0 to 1."""
        return self._file.level

    @property
    def folds(self) -> Sequence[Mapping[str, Any]]:
        """The scores of folds: a row for each method, target, seed and fold; none in a published entry."""
        return self._file.folds

    @cached_property
    def confound_only_names(self) -> list[str]:
        """The names of all confound-only models, in order."""
        return sorted(self._file.confound_only)

    @classmethod
    def make_empty(cls, **parts: Any) -> Scores:
        """Return the scores of a record without predictions, with these `parts` of the content."""
        nothing: dict[str, Any] = {name: {} for name in ("primary_metrics", "scores", "confound_only")}
        return cls({**nothing, **parts})

    def get_scores(self, target: str) -> Mapping[str, Score]:
        """Return metric -> the method's score on a target, including undefined ones; empty where nothing was scored."""
        return self._file.scores.get(target, {})

    def get_score(self, target: str, metric: str, model: str | None = None) -> Score | None:
        """Return a score of the method, or of a confound-only model; None where it is undefined or was not computed."""
        scores = self.get_scores(target) if model is None else self.get_model_scores(target, model)
        found = scores.get(metric)
        return found if found is not None and found.is_defined else None

    def explain_undefined(self, target: str, metric: str) -> Reason:
        """Return the reason why the method has no score of this metric; `NO_REASON` if it has one."""
        found = self.get_scores(target).get(metric)
        return Reason.make("not_computed") if found is None else found.undefined or NO_REASON

    def get_adjusted(self, target: str) -> Adjusted | None:
        """Return the confound analysis of a target; None where the protocol does not require one."""
        return self._file.adjusted.get(target)

    def get_enough_data(self, target: str) -> EnoughData | None:
        """Return what would make the primary metric estimable; None where it is estimable, or where that is unknown."""
        return self._file.enough_data.get(target)

    def get_calibration_gain(self, target: str) -> CalibrationGain | None:
        """Return the method's gains from calibration data; None without calibration data."""
        return self._file.calibration_gain.get(target)

    def get_coverage(self, target: str) -> float | None:
        """Return the proportion (0 to 1) of labelled units that the method predicts; None where it was not recorded."""
        return self._file.coverage.get(target)

    def get_confound_only_models(self, target: str) -> list[ConfoundOnlyModel]:
        """Return the confound-only models of a target in the order of the file, including those that do not apply."""
        return [
            ConfoundOnlyModel(name, *self._find_confound_only(name, target))
            for name, by_target in self._file.confound_only.items()
            if target in by_target
        ]

    def get_model_scores(self, target: str, model: str) -> Mapping[str, Score]:
        """Return metric -> score of a confound-only model on a target; empty where the model does not apply."""
        return self._find_confound_only(model, target)[0]

    def find_strongest_model(self, target: str, metric: str) -> tuple[str, Score] | None:
        """Return (name, score) of the confound-only model with the highest score on a target; None without any score.
        Comparisons of the method with less calibration data do not count. Of equal scores, the first name wins."""
        names = [name for name in self.confound_only_names if name not in MADE_BY_METHOD]
        known = [(name, score) for name in names if (score := self.get_score(target, metric, name))]
        return max(known, key=lambda each: each[1].mean, default=None)

    def _find_confound_only(self, name: str, target: str) -> tuple[Mapping[str, Score], Reason | None]:
        found = self._file.confound_only.get(name, {}).get(target)
        return ({}, None) if found is None else (found.__pydantic_extra__, found.undefined)


# Differences between a recorded document of scores and a recomputed one.

TOLERANCE = 1e-6
"""Largest difference of numbers that count as equal; above 1, relative to the number. Processors differ by so much."""
NUISANCES_DIFFER = 1e-3
"""Tolerance of numbers that depend on refitted models of confounds."""
ABSENT = "nothing"
"""Placeholder for a value that one document does not have."""


class Difference(NamedTuple):
    """A value that differs between two documents. `place`: path of the field, with dots between the levels."""

    place: str
    recorded: Any
    recomputed: Any

    def __str__(self) -> str:
        return f"{self.place}: {_shorten(self.recorded)}, but it follows {_shorten(self.recomputed)}"


def differences(recorded: Any, recomputed: Any, place: str = "", tolerance: float = TOLERANCE) -> Iterator[Difference]:
    """Yield the values that differ, or that one document lacks, in the order of the recorded document. `place`: path of
    the two values; `tolerance`: largest difference of equal numbers."""
    if isinstance(recorded, Mapping) and isinstance(recomputed, Mapping):
        for name in dict.fromkeys([*recorded, *recomputed]):
            one, other = recorded.get(name, ABSENT), recomputed.get(name, ABSENT)
            if not (type(one) is type(other) is float and one == other):  # most values
                at = f"{place}.{name}" if place else str(name)
                yield from differences(one, other, at, tolerance)
    elif isinstance(recorded, list) and isinstance(recomputed, list) and len(recorded) == len(recomputed):
        for i, (one, other) in enumerate(zip(recorded, recomputed, strict=True)):
            yield from differences(one, other, f"{place}[{i}]", tolerance)
    elif not _is_equal(recorded, recomputed, tolerance):
        yield Difference(place, recorded, recomputed)


def _is_equal(one: Any, other: Any, tolerance: float) -> bool:
    numbers = [value for value in (one, other) if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < 2:
        return type(one) is type(other) and bool(one == other)
    return abs(one - other) <= tolerance * max(1.0, abs(other)) or (math.isnan(one) and math.isnan(other))


def _shorten(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:60]
