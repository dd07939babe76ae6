"""The model of `run.yaml`: a `Manifest`, with which it is written and validated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
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
from embench.vocabulary import has_control, iterate_texts

# Upper bounds on the numbers of a record, for any method: larger ones cannot have been measured.

MOST_EVALUATIONS = 10**9
"""One evaluation a second for thirty years."""
MOST_SUBJECTS = 10**10
"""About all people alive."""
MOST_GIVEN = 10**6
"""Calibration units of a class: more than any session has."""
_DIGITS = 24
"""Number of digits that a message repeats."""

Seconds = Annotated[float, Field(ge=0, le=3.2e9, allow_inf_nan=False)]
"""At most a century."""
Parameters = Annotated[int, Field(ge=0, le=10**15)]
"""At most a thousand times the parameters of the largest networks."""
Operations = Annotated[int | float, Field(ge=0, le=1e21)]
"""For one prediction: at most a million uses of each parameter."""
Megabytes = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""At most a petabyte."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Joules = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
"""At most the energy of a power station of a gigawatt in eleven days."""


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
EARLIER_SCHEMA = 2
_KEY = "schema"


def translate_schema(content: Any, where: str, translate: Callable[[Any], Any]) -> Any:
    """Return a file's content in the names of the present schema, without the key `schema`; content that is not a
    mapping unchanged.

    Args:
        translate: rewrites content of schema 2.

    Raises:
        DataError: it has an unknown schema, or none.
    """
    if not isinstance(content, Mapping):
        return content
    schema, part = content.get(_KEY), {name: part for name, part in content.items() if name != _KEY}
    if schema == EARLIER_SCHEMA and not isinstance(schema, bool):
        return translate(part)
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
"""Ways to combine modalities: not at all, end to end, over frozen unimodal networks, in an estimator."""
Inputs = Literal["tokens", "hidden", "decisions", "features"]
"""Inputs of a fusion: tokens of encoders, hidden layers or decisions of unimodal networks, features of encoders."""

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
RecordedReason = Annotated[InstanceOf[Reason], BeforeValidator(read_reason), PlainSerializer(Reason.json)]
"""A reason as a sentence in memory, and as its id and values in files."""
WithReasons = BeforeValidator(read_values)
"""Of a part with reasons in any place."""
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
    def _remember(cls, data: Any, make: ModelWrapValidatorHandler[Self]) -> Self:
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
    if isinstance(value, list):
        return [_to_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _to_plain(item) for key, item in value.items()}
    return value.content() if isinstance(value, _Part) else plain_values(value)


class AddedModalityPart(_Part):
    """A modality that a package defines; see `embench.registry.ModalityDefinition`."""

    package: Line
    version: Line
    unit: Line | None = None
    limits: list[Number] | None = None
    rate_hz: Number | None = None
    linear: bool = False
    filter: dict[Word, Number] = {}
    read_as: Word | None = None


class DatasetPart(_Part):
    """A dataset. `fingerprint`: digest of the prepared data; `files`: digest of the raw files and the label rules, None
    if not recorded. `synthetic`: what the generator wrote about synthetic data; None for real data. `modalities`:
    definitions of modalities that packages add."""

    name: PluginName
    fingerprint: Word
    files: Word | None = None
    synthetic: dict[str, Any] | None
    verified_on_real: str | dict[str, Any] = "never"
    modalities: dict[Word, AddedModalityPart] = {}


class ProtocolPart(_Part):
    """A protocol. `leaks_by`: see `embench.protocols.count_leaks`; `rules`: the whole protocol."""

    name: Word
    version: int
    hash: Word
    leaks: bool
    leaks_by: dict[Line, dict[Word, list[int]]] = {}
    rules: dict[str, Any] = {}

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

    aggregate: Line = "value"
    cut: Number | Literal["training_mean"] | None = None
    ties: Line = "low"
    dead_band: list[Number] | None = None
    lag_s: Number = 0.0
    annotator: Line = "self"
    positive: list[int] = []
    negative: list[int] = []
    classes: list[int] = []
    edges: list[Number] = []
    centred: bool = False


class RuleOfTargetPart(_Part):
    """A target of the card. `label`: name of its raw values; `n`: number of classes."""

    name: Word
    kind: KindName
    label: Line
    n: int
    rule: RulePart


class CardPart(_Part):
    """The recorded part of a dataset's card. `steps`: target -> `Target.find_step`, for values in version 3."""

    labels_public: Literal["yes", "no", "unknown"]
    fixed_order: bool
    label_rules_hash: str
    label_rules: list[RuleOfTargetPart] = []
    steps: dict[Word, float] = {}


class TrainedOnPart(_Part):
    """The dataset that a method was trained on, if it is another one, with its own label rules."""

    name: PluginName
    fingerprint: Word
    subjects: int
    label_rules_hash: str
    label_rules: list[RuleOfTargetPart]


class MethodPart(_Part):
    """A method. `encoders`: modality -> full name. `submission`: the name of a method whose predictions are a
    submission (`embench score`); then the other fields are empty or None."""

    encoders: dict[Modality, PluginName]
    fusion: PluginName | None
    pretrainers: list[Line]
    modalities: list[Modality]
    joins: Joins | None = None
    inputs: Inputs | None = None
    submission: Line | None = None


class RecipePart(_Part):
    """The recipe of a method. `preset`: its name; `on_leaderboard`: whether leaderboards accept it; `assumed`: settings
    that papers leave open; `settings`: the values of `--set`."""

    preset: Word
    on_leaderboard: bool
    assumed: list[Line]
    settings: list[Line] = []


class CohortPart(_Part):
    """The subjects of a run. `subjects`: names or number of the scored ones; `left_out`: excluded ones with reasons;
    `session_s`: subject -> length of the session in s; `design`: see `embench.protocols.Design`; `repaired`: proportion
    of labelled units with bridged or missing samples (see `embench.data.cohort`), None if not recorded."""

    subjects: Annotated[int | list[Line], AfterValidator(check_subjects)]
    left_out: Annotated[list[Any], WithReasons]
    session_s: dict[str, Seconds] | None = None
    design: Literal["fixed_order", "shared_stimuli", "free"] | None = None
    repaired: Share | None = None

    @property
    def size(self) -> int:
        """Number of scored subjects."""
        return self.subjects if isinstance(self.subjects, int) else len(self.subjects)

    @property
    def people(self) -> int:
        """Number of subjects in the data, including excluded ones."""
        return self.size + len(self.left_out)


class WeightsPart(_Part):
    """Weights that are part of an encoder. `saw`: what they saw of the test subjects; `declared`: whether only their
    authors say so. See `embench.interfaces.pretraining_data`."""

    name: Line
    licence: Line
    source: Line
    declared: bool
    saw: DataUse


class CostPart(_Part):
    """The cost of a run; None where not measured. `flops`: for one prediction. `energy_j`: of the GPU. `cpu_s`: of all
    cores together. `gpu_s`: while stages held a GPU. `processor`: names of the processors."""

    wall_s: Seconds | None
    parameters: Parameters | None
    flops: Operations | None
    device: Line
    peak_memory_mb: Megabytes | None
    energy_j: Joules | None = None
    cpu_s: Seconds | None = None
    gpu_s: Seconds | None = None
    processor: Line | None = None


class Circumstances(_Part):
    """The data, rules, subjects and code of a run. `time_context`: for a submission, as its author declares.
    `calibration_data`: see `check_given`; `calibration_split`: calibration data and scored units."""

    embench_version: Line
    dataset: DatasetPart
    protocol: ProtocolPart
    card: CardPart
    targets: list[Word] | dict[Word, Any]
    cohort: CohortPart
    target_access: Line
    calibration_data: Annotated[dict[str, int | str], AfterValidator(check_given)] | None = None
    calibration_split: RecordedReason | None = None
    time_context: TimeContext | None = None
    scoring: dict[str, Any] | None = None
    versions: dict[str, Any]


class EntryPart(_Part):
    """The version of an entry's format, and digests of its shared files; None for files that withheld labels
    exclude."""

    version: int
    rows: Digest | None = None
    labels: Digest | None = None
    folds: Digest
    confound_only: Digest | None = None
    confound_only_scores: Digest


class Manifest(Circumstances):
    """The content of run.yaml.

    Args:
        sites: modality -> sensor sites in training and test, where they differ.
        weights: modality -> weights that are part of its encoder. `measurement_units`: modality -> unit and band, where
            its encoder reads signals that are not standardised.
        pretraining: external sources of pretraining, with hash, licence, hours and number of subjects.
        videos: for each dataset, the number of recordings, those that could not be decoded with reasons, and the number
            of segments without a face.
        submission: facts on the file of a submission.
        ledger: hash of the ledger's line up to which `test_evaluations`, `methods_evaluated` and `dev_evaluations`
            count; without it, they are not known.
        conformance: part of the method with a plugin that is not bundled -> `passed`, or the failed check.
        dropped: modality -> feature -> why it was dropped in some fold before anything was fitted to it.
        objects: plugin from Python -> its `repr`, and the lines of its `source` if known.
        ethics: for own data, the approval of an ethics board. `entry`: for published entries, the shared files.
    """

    id: Word
    trained_on: TrainedOnPart | None = None
    sites: dict[Modality, RecordedReason] = {}
    method: MethodPart
    submission: Annotated[dict[str, Any] | None, WithReasons] = None
    recipe: RecipePart
    seeds: list[int]
    videos: Annotated[list[dict[str, Any]], WithReasons] = []
    pretraining_overlap: Overlap
    pretraining: list[dict[str, Any]] = []
    initial_weights: dict[str, Any] | None = None
    weights: dict[Modality, WeightsPart] = {}
    measurement_units: dict[Modality, RecordedReason] = {}
    dev: bool
    cost: CostPart
    test_evaluations: Counts
    methods_evaluated: Counts
    dev_evaluations: Counts = None
    ledger: str | None = None
    conformance: dict[Line, RecordedReason] = {}
    dropped: dict[Modality, dict[Line, RecordedReason]] = {}
    objects: dict[PluginName, dict[str, Any]] = {}
    device: Any
    config: dict[str, Any]
    ethics: Ethics | None = None
    entry: EntryPart | None = None

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
    """Return the content of a file as a model. `what`: the file's name in messages; `expected`: the expectation in
    messages. Raises DataError where a text has control characters, or that names every missing or wrong field."""
    check_texts(content, where)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        found = list_faults(error)
        as_written = f"{', '.join(dict.fromkeys(fault.field for fault in found))} as written by embench"
        raise DataError(describe_faults(what, found), where=where, expected=expected or as_written) from error


def check_texts(content: Any, where: str) -> None:
    """Raise DataError where a text or key of a file's content has a control character."""
    if field := next((field for field, text in iterate_texts(content) if has_control(text)), None):
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


def scoring_of(run: Mapping[str, Any]) -> int:
    """Return the version of the rules by which a run is judged, from the content of its run.yaml."""
    return run.get("protocol", {}).get("rules", {}).get("scoring") or 3


SHARED_SEEDS = (0, 1, 2)
"""The seeds that all ranked entries of a leaderboard have, in whose partitions they are compared."""
_TEN_SEEDS = tuple(range(10))
_BALANCED_SEEDS = (tuple(range(6)), tuple(range(5)))


def seeds_taken(
    kind: MethodKind, folds: int | Literal["each"], *, balanced: bool = False
) -> tuple[tuple[int, ...], ...]:
    """Return the lists of seeds that a leaderboard accepts from methods of a kind; the first is the default of a run.
    Each seed is a partition of the subjects into folds, and an initialisation.

    Free seeds would allow choosing the luckiest. Estimators cost little, so that they have ten partitions, or all that
    together are `balanced` (in small studies one less); networks may have as many. Where `each` subject is a fold,
    partitions differ only in their validation subjects.

    >>> seeds_taken("features", "each"), [len(seeds) for seeds in seeds_taken("network", 5)]
    (((0, 1, 2),), [3, 10])
    """
    if folds == "each":
        return (SHARED_SEEDS,)
    whole = _BALANCED_SEEDS if balanced else (_TEN_SEEDS,)
    return whole if kind == "features" else (SHARED_SEEDS, *whole)


def explain_refused_seeds(run: Manifest) -> str | None:
    """Return a clause with the seeds of a run and those that a leaderboard accepts instead; None if it accepts them."""
    taken = seeds_taken(method_kind(run.method), run.protocol.folds, balanced=run.protocol.is_balanced)
    if tuple(sorted(run.seeds)) in taken:
        return None
    wanted = " or ".join(f"0 to {seeds[-1]}" if len(seeds) > 3 else ", ".join(map(str, seeds)) for seeds in taken)
    return f"{', '.join(map(str, run.seeds))} instead of {wanted}"
