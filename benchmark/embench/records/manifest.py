"""The model of `run.yaml`: a `Manifest`, with which it is written and validated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    InstanceOf,
    ModelWrapValidatorHandler,
    PlainSerializer,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from embench import registry
from embench.errors import DataError, describe_faults, list_faults
from embench.interfaces.kinds import KindName
from embench.interfaces.pretraining_data import DataUse
from embench.protocols import describe_leaks, recorded_protocol
from embench.reasons import Reason, plain_values, read_reason, read_values
from embench.records import TimeContext
from embench.vocabulary import collect_texts, has_control, iterate_texts

# Upper bounds on the numbers of a record, for any method: larger ones cannot have been measured.

MOST_EVALUATIONS = 10**9
"""Maximum number of evaluations: one a second for thirty years."""
MOST_SUBJECTS = 10**10
"""Maximum number of subjects: about all people alive."""
MOST_GIVEN = 10**6
"""Maximum number of calibration units of a class: more than any session has."""
_DIGITS = 24
"""Number of digits that a message repeats."""

Seconds = Annotated[float, Field(ge=0, le=3.2e9, allow_inf_nan=False)]
"""Duration in s: at most a century."""
Parameters = Annotated[int, Field(ge=0, le=10**15)]
"""Number of parameters: at most a thousand times that of the largest networks."""
Operations = Annotated[int | float, Field(ge=0, le=1e21)]
"""Number of operations for one prediction: at most a million for each parameter."""
Megabytes = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""Memory in MB: at most a petabyte."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Joules = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
"""Energy in J: at most that of a power station of a gigawatt in eleven days."""


def _check_counts(counted: Any, info: ValidationInfo) -> Any:
    for name, count in (counted if isinstance(counted, Mapping) else {"": counted}).items():
        if count is not None and not 0 <= count <= MOST_EVALUATIONS:
            field = f"{info.field_name}.{name}".rstrip(".")
            raise ValueError(f"{field}: {shorten_number(count)}, expected 0 to {MOST_EVALUATIONS:,}")
    return counted


def check_subjects(subjects: Any) -> Any:
    """Return the number of subjects, or their names, unchanged. Raises ValueError above `MOST_SUBJECTS`."""
    if isinstance(subjects, int) and not 0 <= subjects <= MOST_SUBJECTS:
        raise ValueError(f"{shorten_number(subjects)}, expected 0 to {MOST_SUBJECTS:,}")
    return subjects


def shorten_number(number: object) -> str:
    """Return a number as text for a message, cut where it is very long."""
    text = str(number)
    return text if len(text) <= _DIGITS else f"{text[:_DIGITS]}.. ({len(text)} characters)"


Counts = Annotated[int | dict[str, int] | None, AfterValidator(_check_counts)]
"""One number for all targets, or target -> number; None if unknown."""


def check_given(given: dict[str, int | str]) -> dict[str, int | str]:
    """Return the calibration data of a record unchanged: empty for none, `labelled: 5` or `unlabelled: 5` for units of
    each class, or `unlabelled: session`. Raises ValueError for other content."""
    known = not given or given == {"unlabelled": "session"}
    if not known and len(given) == 1 and given.keys() <= {"labelled", "unlabelled"}:
        [units] = given.values()
        known = isinstance(units, int) and not isinstance(units, bool) and 1 <= units <= MOST_GIVEN
    if not known:
        raise ValueError("expected {}, {labelled: N}, {unlabelled: N} or {unlabelled: session}")
    return given


# The schema of `run.yaml` and `scores.json`.

SCHEMA = 3
_KEY = "schema"


def without_schema(content: Any, where: str) -> Any:
    """Return a file's content without the key `schema`; content that is not a mapping unchanged. Raises DataError if
    its schema is unknown, or if it has none."""
    if not isinstance(content, Mapping):
        return content
    schema, part = content.get(_KEY), {name: part for name, part in content.items() if name != _KEY}
    if isinstance(schema, bool) or schema != SCHEMA:
        raise DataError(
            f"the file has schema {schema!r}, which is not known here" if _KEY in content else "the file has no schema",
            where=f"{where}, {_KEY}",
            expected=f"{_KEY}: {SCHEMA}",
            hint="run the method again, or read the record with the embench that wrote it",
        )
    return part


# Parts of `run.yaml`. A field with a default may be absent, in early records or in some kinds of records.

M = TypeVar("M", bound=BaseModel)

Overlap = Literal["none", "unlabelled_target", "labelled_target", "unknown"]
"""Kinds of data of test subjects that pretraining may have seen, from the least to the most."""
OVERLAP_OF: Mapping[DataUse, Overlap] = dict(zip(get_args(DataUse), get_args(Overlap), strict=True))
"""What weights saw of a dataset's subjects -> the overlap of a run that tests these subjects."""

Joins = Literal["unimodal", "tokens", "hidden", "estimator"]
"""Ways to combine modalities: none, a fusion trained end to end, a fusion of frozen unimodal networks, an estimator."""
Inputs = Literal["tokens", "hidden", "decisions", "features"]
"""Inputs of a fusion: tokens of encoders, hidden layers or decisions of unimodal networks, features of encoders."""

Normalisation = Literal["none", "baseline", "subject", "recording", "calibration_data", "training_subjects"]
"""Data whose mean and SD standardise signals or features: none; the subject's declared rest, or all its recordings;
each recording; the subject's calibration data; the training subjects."""

Word = Annotated[str, StringConstraints(pattern=r"^[\w][\w.+-]*$", max_length=200)]
"""A name without spaces: of a run, a protocol, a target, a recipe."""
_INPUT = r"\w[\w.-]*(\[[\w-]+\])?"
Modality = Annotated[str, StringConstraints(pattern=rf"^{_INPUT}(\+{_INPUT})*$", max_length=200)]
"""A modality of a run, as in `ecg[left]+eda`."""
_INSTALLED = r"^([\w.]+/)?[\w][\w.-]*(/[\w][\w.-]*)?$"
InstalledName = Annotated[str, StringConstraints(pattern=_INSTALLED, max_length=200)]
"""`name` or `package/name`, with a variant or not."""
_OWN_CODE = r"^[^\r\n\t]+\.py:\w+$|^object:[0-9a-f]{20}:[\w-]+$"
PluginName = Annotated[str, StringConstraints(pattern=f"{_INSTALLED}|{_OWN_CODE}", max_length=4096)]
"""An installed name, `path.py:Class`, or `object:DIGEST:Class` from Python; no leaderboard accepts the last two."""
Line = Annotated[str, StringConstraints(pattern=r"^[^\r\n\t]*$", max_length=2000)]
"""Any text on one line."""
RecordedReason = Annotated[InstanceOf[Reason], BeforeValidator(read_reason), PlainSerializer(Reason.to_dict)]
"""A reason as a sentence in memory, and as its id and values in files."""
WithReasons = BeforeValidator(read_values)
"""Validator of a part that may contain reasons at any depth; it reads them as `Reason`."""
Ethics = Annotated[str, StringConstraints(pattern=r"^[^\r\n\t]*\S[^\r\n\t]*$", max_length=200)]
"""The approval of an ethics board, by name or number."""
Number = int | FiniteFloat
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Digest of a file's content."""


class _Part(BaseModel):
    """A part of run.yaml. Fields without a default are required; unknown fields are allowed."""

    model_config = ConfigDict(frozen=True, extra="allow")
    _present: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _remember_fields(cls, data: Any, make: ModelWrapValidatorHandler[Self]) -> Self:
        """Make the part, and remember which fields the file has, for `content`."""
        part = make(data)
        if isinstance(data, Mapping):
            part._present = tuple(data)  # noqa: SLF001  its own
        return part

    def content(self) -> dict[str, Any]:
        """Return the content as in run.yaml: the fields that are present, in their order."""
        values = {name: getattr(self, name) for name in self._present}
        return {name: _to_plain(value) for name, value in values.items()}

    def unknown_fields(self, place: str = "") -> Iterator[str]:
        """Yield the paths of fields that no version of embench has written, such as `cost.price`."""
        yield from (f"{place}{name}" for name in self.model_extra or {})
        for name in type(self).model_fields:
            yield from _list_unknown_fields(getattr(self, name), f"{place}{name}")


def _list_unknown_fields(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, _Part):
        yield from value.unknown_fields(f"{place}.")
    elif isinstance(value, dict) and (known := _PLAIN_PARTS.get(re.sub(r"\.\d+$", ".*", place))):
        yield from (f"{place}.{name}" for name in value if name not in known)
    elif isinstance(value, list | dict):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _list_unknown_fields(item, f"{place}.{name}")


_PLAIN_PARTS: Mapping[str, frozenset[str]] = {
    "scoring": frozenset({"embench", "revision", "metrics"}),
    "cohort.left_out.*": frozenset({"subject", "reason"}),
    "pretraining.*": frozenset(
        {"dataset", "title", "licence", "labels", "store", "synthetic", "subjects", "recordings", "hours", "channels"}
    ),
}
"""Path of a part that is a plain mapping -> its fields."""


def _to_plain(value: Any) -> Any:
    if type(value) in _SCALARS:  # most values
        return value
    if isinstance(value, list):
        return [_to_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _to_plain(item) for key, item in value.items()}
    return value.content() if isinstance(value, _Part) else plain_values(value)


_SCALARS = frozenset({str, float, int, bool, type(None)})


class AddedModalityPart(_Part):
    """A modality that a package defines; see `embench.registry.ModalityDefinition`."""

    package: Line = Field(description="Package that defines the modality.")
    version: Line = Field(description="Version of the package.")
    unit: Line | None = Field(default=None, description="Measurement unit that dataset cards must use; null for any.")
    limits: list[Number] | None = Field(
        default=None, description="Least and greatest possible value of a sensor, in `unit`."
    )
    rate_hz: Number | None = Field(
        default=None, description="Rate after resampling in Hz; null for the protocol's rate."
    )
    linear: bool = Field(
        default=False, description="Whether it is a derived series, which is interpolated and not filtered."
    )
    filter: dict[Word, Number] = Field(default={}, description="Filter: `high`, `low` (edges in Hz), `order`, `notch`.")
    read_as: Word | None = Field(
        default=None, description="Bundled modality as which encoders read it.", examples=["eda"]
    )


class DatasetPart(_Part):
    """The dataset that was scored."""

    name: PluginName = Field(description="Full name of the dataset.", examples=["embench_plugins/amigos"])
    fingerprint: Word = Field(description="Digest of the prepared data.")
    files: Word | None = Field(
        default=None, description="Digest of the raw files and of the dataset card's label rules."
    )
    synthetic: dict[str, Any] | None = Field(description="Settings of the generator; null for data of real subjects.")
    verified_on_real: str | dict[str, Any] = Field(
        default="never", description="Who tested the reader on the real files, and when; `never` if nobody did."
    )
    modalities: dict[Word, AddedModalityPart] = Field(default={}, description="Modalities that packages define.")


class ProtocolPart(_Part):
    """The protocol of the run."""

    name: Word = Field(description="Name of the protocol.", examples=["subject-independent-v4"])
    version: int = Field(description="Version of the protocol.")
    hash: Word = Field(description="SHA-256 of the rules.")
    leaks: bool = Field(description="Whether training sees data of test subjects.")
    leaks_by: dict[Line, dict[Word, list[int]]] = Field(
        default={},
        description="Rule by which test data reach training -> how many test `subjects` and `recordings` it concerns, "
        "of how many.",
    )
    rules: dict[str, Any] = Field(default={}, description="All rules of the protocol, as its file has them.")

    @property
    def is_balanced(self) -> bool:
        """True if the partitions of all seeds together are balanced."""
        return bool(self.rules.get("split", {}).get("deal") == "balanced")

    @property
    def folds(self) -> int | Literal["each"]:
        """Number of folds of a partition; `each` is one for each group of subjects."""
        folds: int | Literal["each"] = self.rules.get("split", {}).get("folds", "each")
        return folds

    def leaks_in_words(self) -> list[str]:
        """Return a sentence for each field by which the protocol leaks; empty where it does not."""
        return describe_leaks(recorded_protocol(self.content()), self.leaks_by)


class RulePart(_Part):
    """Rule by which labels were made; see `embench.interfaces.units.LabelRule`."""

    aggregate: Line = Field(default="value", description="Way in which a unit's raw labels become one value.")
    cut: Number | Literal["training_mean"] | None = Field(default=None, description="Threshold between two classes.")
    ties: Line = Field(default="low", description="Class of a value at the threshold: `low`, `high` or `drop`.")
    dead_band: list[Number] | None = Field(default=None, description="Values between which a unit has no label.")
    lag_s: Number = Field(default=0.0, description="Seconds by which labels are read later than the signals.")
    annotator: Line = Field(default="self", description="Whose labels: the subject's own (`self`), or an observer's.")
    positive: list[int] = Field(default=[], description="Conditions of class 1.")
    negative: list[int] = Field(default=[], description="Conditions of class 0.")
    classes: list[int] = Field(default=[], description="Conditions of several classes, in their order.")
    edges: list[Number] = Field(default=[], description="Edges between several classes.")
    centred: bool = Field(default=False, description="Whether the mean of the subject's values is subtracted first.")


class RuleOfTargetPart(_Part):
    """A target of the dataset card, with the rule of its labels."""

    name: Word = Field(description="Name of the target.", examples=["arousal"])
    kind: KindName = Field(description="Kind of the target: two classes, several classes, or continuous values.")
    label: Line = Field(description="Raw label from which it is made.")
    n: int = Field(description="Number of classes.")
    rule: RulePart = Field(description="Rule by which the raw label becomes a class or a value.")


class CardPart(_Part):
    """The part of the dataset card that decides what may be published, and how labels are made."""

    labels_public: Literal["yes", "no", "unknown"] = Field(description="Whether the licence allows sharing labels.")
    fixed_order: bool = Field(description="Whether all subjects had the tasks in one order.")
    label_rules_hash: str = Field(description="Digest of the label rules.")
    label_rules: list[RuleOfTargetPart] = Field(default=[], description="Targets with the rules of their labels.")
    steps: dict[Word, float] = Field(default={}, description="Target -> least difference of values that counts.")


class TrainedOnPart(_Part):
    """The dataset that a method was trained on, if another one."""

    name: PluginName = Field(description="Full name of the training dataset.")
    fingerprint: Word = Field(description="Digest of its prepared data.")
    subjects: int = Field(description="Number of its subjects.")
    label_rules_hash: str = Field(description="Digest of its label rules.")
    label_rules: list[RuleOfTargetPart] = Field(description="Targets with the label rules of its own dataset card.")


class MethodPart(_Part):
    """The method: encoders, fusion and pretrainers."""

    encoders: dict[Modality, PluginName] = Field(description="Modality -> full name of its encoder.")
    fusion: PluginName | None = Field(description="Full name of the fusion or estimator; null in a submission.")
    pretrainers: list[Line] = Field(description="Pretrainers as `--pretrainer` names them.")
    modalities: list[Modality] = Field(description="Modalities in the order in which the method reads them.")
    joins: Joins | None = Field(default=None, description="Way in which modalities are combined.")
    inputs: Inputs | None = Field(default=None, description="Inputs of the fusion or estimator.")
    query: Modality | None = Field(
        default=None, description="Modality that provides the queries of attention; null for a fusion without queries."
    )
    submission: Line | None = Field(default=None, description="Name of the method behind a file of predictions.")


class DepartsPart(_Part):
    """A setting that differs from the paper's."""

    field: Line = Field(description="Path of the setting, as in `--set`.", examples=["encoder.lr", "protocol.rate_hz"])
    source: Line = Field(description="The paper, by its key or as the plugin cites it.", examples=["strizhkova2024"])
    paper: Any = Field(description="Value in the paper; null where the paper leaves it open.")
    used: Any = Field(description="Value in this run.")


class RecipePart(_Part):
    """The recipe and its changes."""

    preset: Word = Field(description="Name of the recipe.", examples=["paper", "small", "quick"])
    on_leaderboard: bool = Field(description="Whether leaderboards accept the recipe.")
    assumed: list[Line] | None = Field(
        description="Settings that the papers of the plugins leave open, whatever the recipe; null where not recorded."
    )
    settings: list[Line] = Field(default=[], description="Changes by `--set`.", examples=[["encoder.lr=1e-4"]])
    departs: list[DepartsPart] | None = Field(
        default=None,
        description="Settings that differ from the plugins' recipe `paper`, and rules of preparation and split that "
        "differ from the protocol named after the paper. Empty if nothing differs; null if no plugin has a paper.",
    )


class CohortPart(_Part):
    """The scored and the excluded subjects."""

    subjects: Annotated[int | list[Line], AfterValidator(check_subjects)] = Field(
        description="Scored subjects, by name, or only their number."
    )
    left_out: Annotated[list[Any], WithReasons] = Field(description="Excluded subjects, each with the `reason`.")
    session_s: dict[str, Seconds] | None = Field(default=None, description="Subject -> length of the session in s.")
    design: Literal["fixed_order", "shared_stimuli", "free"] | None = Field(
        default=None, description="Property of the study by which labels can be predicted without a signal."
    )
    repaired: Share | None = Field(
        default=None, description="Proportion of labelled units that rest on interpolated or missing samples."
    )

    @property
    def size(self) -> int:
        """Number of scored subjects."""
        return self.subjects if isinstance(self.subjects, int) else len(self.subjects)

    @property
    def people(self) -> int:
        """Number of subjects in the data, including excluded ones."""
        return self.size + len(self.left_out)


class WeightsPart(_Part):
    """Pretrained weights that come with an encoder."""

    name: Line = Field(description="Name of the weights.")
    licence: Line = Field(description="Their licence.")
    source: Line = Field(description="Address from which they come.")
    declared: bool = Field(description="Whether only their authors state what they were trained on.")
    saw: DataUse = Field(description="Data of the test subjects that they were trained on.")


class CostPart(_Part):
    """The cost of all stages; null where it was not measured."""

    wall_seconds: Seconds | None = Field(description="Sum of the durations of all stages, one after another.")
    parameters: Parameters | None = Field(description="Parameters of the method in one fold.")
    flops: Operations | None = Field(description="Operations for the prediction of one row.")
    device: Line = Field(description="Device of the stages.", examples=["cpu", "cuda"])
    peak_memory_mb: Megabytes | None = Field(
        description="Highest memory use of a stage in MB; of the GPU if it has one."
    )
    energy_j: Joules | None = Field(default=None, description="Energy that the GPU used, in J.")
    cpu_seconds: Seconds | None = Field(default=None, description="Seconds that all cores together computed.")
    gpu_seconds: Seconds | None = Field(
        default=None, description="Seconds for which stages held a GPU; null without a GPU."
    )
    processor: Line | None = Field(default=None, description="Name of the processor; several if stages ran on several.")
    gpu: Line | None = Field(default=None, description="Name of the GPU; null without a GPU.", examples=["NVIDIA H200"])


class Circumstances(_Part):
    """The parts of `run.yaml` that do not depend on the method: data, rules, subjects and code."""

    embench_version: Line = Field(description="Version of embench that wrote the record.")
    dataset: DatasetPart = Field(description="The dataset that was scored.")
    protocol: ProtocolPart = Field(description="The protocol.")
    card: CardPart = Field(description="Facts of the dataset card.")
    targets: list[Word] | dict[Word, Any] = Field(description="Targets that were scored.")
    cohort: CohortPart = Field(description="The subjects.")
    target_access: Line = Field(
        description="Data of test subjects that a method may read besides the predicted unit.",
        examples=["none", "baseline", "unlabelled"],
    )
    calibration_data: Annotated[dict[str, int | str], AfterValidator(check_given)] | None = Field(
        default=None, description="Units of each class that test subjects gave first.", examples=[{"labelled": 5}, {}]
    )
    calibration_split: RecordedReason | None = Field(
        default=None, description="Units that test subjects may give, and those that are scored, as an id with values."
    )
    time_context: TimeContext | None = Field(
        default=None, description="Other units of a test session that a prediction may depend on."
    )
    scoring: dict[str, Any] | None = Field(
        default=None,
        description="Code that scored: version of `embench`, `revision` of scoring, identity of `metrics`.",
    )
    versions: dict[str, Any] = Field(description="Versions of Python, libraries and packages.")


class EntryPart(_Part):
    """Digests in the names of the files that a published entry shares; null for files that reveal withheld labels."""

    version: int = Field(description="Version of the format of entries.")
    rows: Digest | None = Field(default=None, description="Digest in the name of the file of predicted rows.")
    labels: Digest | None = Field(default=None, description="Digest in the name of the file of labels.")
    folds: Digest = Field(description="Digest in the name of the file of folds.")
    confound_only: Digest | None = Field(default=None, description="Digest of the confound-only models' predictions.")
    confound_only_scores: Digest = Field(description="Digest of the confound-only models' scores.")


class Manifest(Circumstances):
    """The content of `run.yaml`, for a run or for a submitted file of predictions."""

    id: Word = Field(description="Id of the run, which is also the name of its folder.")
    trained_on: TrainedOnPart | None = Field(default=None, description="The training dataset, if another one.")
    sites: dict[Modality, RecordedReason] = Field(
        default={}, description="Modality -> sites of its sensors in training and test, if they differ."
    )
    method: MethodPart = Field(description="The method.")
    submission: Annotated[dict[str, Any] | None, WithReasons] = Field(
        default=None, description="Facts of a file of predictions: name, size, SHA-256."
    )
    recipe: RecipePart = Field(description="The recipe and its changes.")
    normalisation: dict[Modality, Normalisation] | None = Field(
        default=None,
        description="Modality -> data whose mean and SD standardise its signals or features; null if unknown.",
    )
    seeds: list[int] = Field(description="Seeds, each a partition of the subjects and an initialisation.")
    videos: Annotated[list[dict[str, Any]], WithReasons] = Field(
        default=[],
        description="For each dataset: videos that were read, those that were not decoded, segments without a face.",
    )
    pretraining_overlap: Overlap = Field(description="Data of test subjects that pretraining may have seen.")
    pretraining: list[dict[str, Any]] = Field(
        default=[],
        description="Sources of pretraining: `dataset`, `title`, `licence`, `labels`, `store`, `synthetic`, "
        "`subjects`, `recordings`, `hours`, `channels`.",
    )
    initial_weights: dict[str, Any] | None = Field(
        default=None, description="Weights that `--pretrained` named, with digests."
    )
    weights: dict[Modality, WeightsPart] = Field(default={}, description="Modality -> weights that its encoder brings.")
    measurement_units: dict[Modality, RecordedReason] = Field(
        default={},
        description="Modality -> unit and band of signals that are not standardised.",
        examples=[{"eeg": "uV"}],
    )
    dev: bool = Field(description="Whether validation subjects were scored (`--dev`).")
    cost: CostPart = Field(description="The cost.")
    test_evaluations: Counts = Field(
        description="Target -> number of times that methods were scored on these test labels."
    )
    methods_evaluated: Counts = Field(
        description="Target -> number of methods that were scored on these labels, with this one."
    )
    dev_evaluations: Counts = Field(default=None, description="Target -> number of evaluations on validation subjects.")
    ledger: str | None = Field(
        default=None,
        description="Digest of the last counted line of the ledger; null if the number of evaluations is unknown.",
    )
    conformance: dict[Line, RecordedReason] = Field(
        default={}, description="Plugin that is not bundled -> `passed`, or the conformance check that failed."
    )
    dropped: dict[Modality, dict[Line, RecordedReason]] = Field(
        default={}, description="Modality -> feature -> reason why it was dropped in a fold."
    )
    objects: dict[PluginName, dict[str, Any]] = Field(
        default={}, description="Plugin that was passed from Python -> its `repr` and lines of `source`."
    )
    device: Any = Field(description="Name of the device.")
    config: dict[str, Any] = Field(
        description="All settings: the `request` as typed, and under `parts` the resolved recipe of every plugin."
    )
    ethics: Ethics | None = Field(default=None, description="Approval of an ethics board, in entries of own data.")
    entry: EntryPart | None = Field(default=None, description="Shared files of a published entry.")

    @property
    def changed_settings(self) -> list[str]:
        """Settings that differ from the method's own, and a note if each fold chose some by tuning."""
        return [*self.recipe.settings, *describe_tuning(self.config)]

    def most_of(self, counter: Literal["test_evaluations", "methods_evaluated"]) -> int:
        """Return the highest count of any target; 0 where counts are not known."""
        counted = getattr(self, counter)
        return max(counted.values(), default=0) if isinstance(counted, dict) else counted or 0


def tuned_trials(config: Mapping[str, Any]) -> int:
    """Return the number of trials of a tuned run, from its configuration; 0 if it was not tuned."""
    return int((config.get("tuned") or {}).get("trials", 0))


def describe_tuning(config: Mapping[str, Any]) -> list[str]:
    """Return a note with the number of trials of a tuned run, from its configuration; nothing if it was not tuned."""
    return [f"tuned, {trials} trials"] if (trials := tuned_trials(config)) else []


def check_manifest(content: Any, where: str) -> Manifest:
    """Return the content of run.yaml as a manifest. Raises DataError that names every missing or wrong field."""
    if not isinstance(content, Mapping):
        raise DataError(
            "the file does not describe a run", where=where, expected=f"keys {', '.join(Manifest.model_fields)}"
        )
    return as_model(Manifest, content, "the record of the run", where)


def as_model(kind: type[M], content: Any, what: str, where: str, expected: str | None = None) -> M:
    """Return the content of a file as a `kind`. For messages, `what` is a phrase for the file, `where` its path, and
    `expected` what it should contain. Raises DataError if a text has control characters, or if fields are missing or
    wrong; the message names them."""
    check_texts(content, where)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        found = list_faults(error)
        as_written = f"{', '.join(dict.fromkeys(fault.field for fault in found))} as written by embench"
        raise DataError(describe_faults(what, found), where=where, expected=expected or as_written) from error


def check_texts(content: Any, where: str) -> None:
    """Raise DataError where a text or key of a file's content has a control character."""
    if has_control("\n".join(collect_texts(content))):
        field = next(field for field, text in iterate_texts(content) if has_control(text))
        raise DataError("a text has control characters", where=f"{where}, {field}", expected="plain text")


_NOT_COMPARED = ("request", "calibration_data", "file", "seeds")


def get_comparable_facts(run: Manifest) -> list[Any]:
    """Return facts on a run's method and data that are equal for runs differing only in calibration data or seeds."""
    config = {name: value for name, value in run.config.items() if name not in _NOT_COMPARED}
    return [run.protocol.name, run.dev, run.method.submission, config]


MethodKind = Literal["features", "network"]


def method_kind(method: MethodPart) -> MethodKind:
    """Return `features` if an estimator is fitted to features and no network is trained; else `network`."""
    return "features" if method.inputs == "features" else "network"


def only_ranks(method: MethodPart) -> bool:
    """True if a method's scores only rank units and are not probabilities, by its registry entry; False if unknown."""
    return any(entry.ranks for entry in registry.entries("fusion") if entry.full_name == method.fusion)


SHARED_SEEDS = (0, 1, 2)
"""The seeds that all ranked entries of a leaderboard have. Entries are compared on the partitions of these seeds."""
_TEN_SEEDS = tuple(range(10))
_BALANCED_SEEDS = (tuple(range(6)), tuple(range(5)))


def seeds_taken(
    kind: MethodKind, folds: int | Literal["each"], *, balanced: bool = False
) -> tuple[tuple[int, ...], ...]:
    """Return the lists of seeds that a leaderboard accepts from methods of a kind; the first is the default of a run.
    Each seed is a partition of the subjects into folds, and an initialisation.

    The seeds are fixed, since authors could choose lucky ones. Estimators, which cost little, have ten seeds, or six or
    five if these partitions together are `balanced`. Networks have three, or as many as estimators. If `each` subject
    is a fold, partitions differ only in their validation subjects, so three seeds are enough.

    >>> seeds_taken("features", "each"), [len(seeds) for seeds in seeds_taken("network", 5)]
    (((0, 1, 2),), [3, 10])
    """
    if folds == "each":
        return (SHARED_SEEDS,)
    whole = _BALANCED_SEEDS if balanced else (_TEN_SEEDS,)
    return whole if kind == "features" else (SHARED_SEEDS, *whole)


_PAPER = re.compile(r"[a-z]+(19|20)\d\d(-|$)")
"""Name of a protocol that follows a paper: author and year, then a variant if there is one."""


def default_seeds(
    kind: MethodKind, protocol: str, folds: int | Literal["each"], *, balanced: bool = False
) -> tuple[int, ...]:
    """Return the seeds of a run that names none: those that a leaderboard accepts, but seed 0 under the protocol of a
    paper, whose folds were run once.

    >>> default_seeds("network", "woo2023-group", 10), default_seeds("network", "subject-independent-v4", 5)
    ((0,), (0, 1, 2))
    """
    return (0,) if _PAPER.match(protocol) else seeds_taken(kind, folds, balanced=balanced)[0]


def explain_refused_seeds(run: Manifest) -> str | None:
    """Return a clause with the seeds of a run and those that a leaderboard accepts instead; None if it accepts them."""
    taken = seeds_taken(method_kind(run.method), run.protocol.folds, balanced=run.protocol.is_balanced)
    if tuple(sorted(run.seeds)) in taken:
        return None
    wanted = " or ".join(f"0 to {seeds[-1]}" if len(seeds) > 3 else ", ".join(map(str, seeds)) for seeds in taken)
    return f"{', '.join(map(str, run.seeds))} instead of {wanted}"
