"""The model of `run.yaml`: a `Manifest`, with which it is written and validated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ModelWrapValidatorHandler,
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
from embench.records import TimeContext
from embench.vocabulary import has_control, texts_in

# Upper bounds on the numbers of a record, for any method: larger ones cannot have been measured.

MOST_SECONDS = 3.2e9
"""A century, the stages of a run one after another."""
MOST_PARAMETERS = 10**15
"""A thousand times the largest networks that were ever trained."""
MOST_OPERATIONS = 1e21
"""Bound on the operations of one row's prediction: each of so many parameters used a million times."""
MOST_MEGABYTES = 1e9
"""A petabyte, more than any machine has as memory."""
MOST_JOULES = 1e15
"""A power station of a gigawatt, for eleven days."""
MOST_LOOKS = 10**9
"""A look a second, for thirty years."""
MOST_SUBJECTS = 10**10
"""About all people alive."""
_DIGITS = 24
"""Number of digits that a message repeats."""

MOST_GIVEN = 10**6
"""Units of a class that a subject gives: more than any session has."""

Seconds = Annotated[float, Field(ge=0, le=MOST_SECONDS, allow_inf_nan=False)]
Parameters = Annotated[int, Field(ge=0, le=MOST_PARAMETERS)]
Operations = Annotated[int | float, Field(ge=0, le=MOST_OPERATIONS)]
Megabytes = Annotated[float, Field(ge=0, le=MOST_MEGABYTES, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Joules = Annotated[float, Field(ge=0, le=MOST_JOULES, allow_inf_nan=False)]


def _few_enough(counted: Any, info: ValidationInfo) -> Any:
    for name, count in (counted if isinstance(counted, Mapping) else {"": counted}).items():
        if count is not None and not 0 <= count <= MOST_LOOKS:
            field = f"{info.field_name}.{name}".rstrip(".")
            raise ValueError(f"{field}: {shortened(count)}, expected 0 to {MOST_LOOKS:,}")
    return counted


def check_subjects(subjects: Any) -> Any:
    """The number of subjects, or their names, as they are. Raises ValueError beyond the bound."""
    if isinstance(subjects, int) and not 0 <= subjects <= MOST_SUBJECTS:
        raise ValueError(f"{shortened(subjects)}, expected 0 to {MOST_SUBJECTS:,}")
    return subjects


def shortened(number: object) -> str:
    """A number for a message, cut where it is very long."""
    text = str(number)
    return text if len(text) <= _DIGITS else f"{text[:_DIGITS]}.. ({len(text)} characters)"


Counts = Annotated[int | dict[str, int] | None, AfterValidator(_few_enough)]
"""A number, of each target or of all."""


def check_given(given: dict[str, int | str]) -> dict[str, int | str]:
    """The units of each class that test subjects gave first, under protocols that ask: empty where it was nothing,
    `labelled: 5`, `unlabelled: 5` or `unlabelled: session`. Raises ValueError where it is none of these."""
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


def without_schema(content: Any, where: str, translate: Callable[[Any], Any]) -> Any:
    """Return a file's content without its schema, in the names of the present one; as it is where it is not a mapping.

    Args:
        translate: rewrites a content of schema 2.

    Raises:
        DataError: it has another schema, or none.
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


# The model of `run.yaml`: a `Manifest`, with which it is written and validated.
#
# A field with a default may be absent: records of earlier versions lack it, or not every kind of record has it.

M = TypeVar("M", bound=BaseModel)

Overlap = Literal["none", "unlabelled_target", "labelled_target", "unknown"]
"""Kinds of data of test subjects that pretraining may have seen, from the least to the most."""
OVERLAP_OF: Mapping[DataUse, Overlap] = dict(zip(get_args(DataUse), get_args(Overlap), strict=True))
"""What weights saw of a dataset's people, as the overlap of a run that tests them."""

Joins = Literal["unimodal", "tokens", "hidden", "estimator"]
"""Ways to combine modalities: not at all, end to end, over frozen unimodal networks, in an estimator."""
Inputs = Literal["tokens", "hidden", "decisions", "features"]
"""Inputs of a fusion: tokens of encoders, hidden layers or decisions of unimodal networks, features of encoders."""

Word = Annotated[str, StringConstraints(pattern=r"^[\w][\w.+-]*$", max_length=200)]
"""A name or a number of ours: of a run, a protocol, a target, a recipe."""
_INPUT = r"\w[\w.-]*(\[[\w-]+\])?"
Modality = Annotated[str, StringConstraints(pattern=rf"^{_INPUT}(\+{_INPUT})*$", max_length=200)]
"""A modality of a run, as in `ecg[left]+eda`."""
_INSTALLED = r"^([\w.]+/)?[\w][\w.-]*(/[\w][\w.-]*)?$"
InstalledName = Annotated[str, StringConstraints(pattern=_INSTALLED, max_length=200)]
"""`name` or `package/name`, with a variant or not."""
_OWN_CODE = r"^[^\r\n\t]+\.py:\w+$|^object:[0-9a-f]{20}:[\w-]+$"
PluginName = Annotated[str, StringConstraints(pattern=f"{_INSTALLED}|{_OWN_CODE}", max_length=4096)]
"""An installed name, or `path.py:Class` for a class in a file, or `object:DIGEST:Class` for an object given from
Python; no board accepts the last two."""
Line = Annotated[str, StringConstraints(pattern=r"^[^\r\n\t]*$", max_length=2000)]
"""Any text on one line."""
Ethics = Annotated[str, StringConstraints(pattern=r"^[^\r\n\t]*\S[^\r\n\t]*$", max_length=200)]
"""The approval of an ethics board, by name or number."""
Number = int | FiniteFloat
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Digest of a file's content."""


class _Part(BaseModel):
    """A part of run.yaml: what is named here must be there, more may be."""

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
        """The content of run.yaml: the fields that are present, in their order."""
        values = {name: getattr(self, name) for name in self._present}
        return {name: _plain(value) for name, value in values.items()}

    def unknown_fields(self, place: str = "") -> Iterator[str]:
        """The fields that no version of embench has written, as in `cost.price`."""
        yield from (f"{place}{name}" for name in self.model_extra or {})
        for name in type(self).model_fields:
            yield from _unknown(getattr(self, name), f"{place}{name}")


def _unknown(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, _Part):
        yield from value.unknown_fields(f"{place}.")
    elif isinstance(value, dict) and (known := _PLAIN_PARTS.get(re.sub(r"\.\d+$", ".*", place))):
        yield from (f"{place}.{name}" for name in value if name not in known)
    elif isinstance(value, list | dict):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _unknown(item, f"{place}.{name}")


_PLAIN_PARTS: Mapping[str, frozenset[str]] = {
    "scoring": frozenset({"embench", "revision", "metrics"}),
    "cohort.left_out.*": frozenset({"subject", "reason"}),
    "pretraining.*": frozenset(
        {"dataset", "title", "licence", "labels", "store", "synthetic", "subjects", "recordings", "hours", "channels"}
    ),
}
"""Parts that are plain mappings: their fields."""


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.content() if isinstance(value, _Part) else value


class AddedModalityPart(_Part):
    """The package that defines a modality, and what it says; see `embench.registry.ModalityDefinition`."""

    package: Line
    version: Line
    unit: Line | None = None
    limits: list[Number] | None = None
    rate_hz: Number | None = None
    linear: bool = False
    filter: dict[Word, Number] = {}
    read_as: Word | None = None


class DatasetPart(_Part):
    """`fingerprint`: of the prepared data; `files`: of the raw files and the card's label rules, None in records of
    before. `synthetic` holds what the generator left in the folder; None for real subjects' data. `modalities`: the
    definitions of those that packages add."""

    name: PluginName
    fingerprint: Word
    files: Word | None = None
    synthetic: dict[str, Any] | None
    verified_on_real: str | dict[str, Any] = "never"
    modalities: dict[Word, AddedModalityPart] = {}


class ProtocolPart(_Part):
    """`leaks_by`: see `embench.protocols.count_leaks`; `rules`: all of the protocol."""

    name: Word
    version: int
    hash: Word
    leaks: bool
    leaks_by: dict[Line, dict[Word, list[int]]] = {}
    rules: dict[str, Any] = {}

    @property
    def is_balanced(self) -> bool:
        """True if partitions are such that together they are balanced."""
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
    """A target of the card; `label`: whose raw values; `n`: how many classes it has."""

    name: Word
    kind: KindName
    label: Line
    n: int
    rule: RulePart


class CardPart(_Part):
    """The part of its dataset's card that a record keeps. `steps`: of values in version 3, see `Target.find_step`."""

    labels_public: Literal["yes", "no", "unknown"]
    fixed_order: bool
    label_rules_hash: str
    label_rules: list[RuleOfTargetPart] = []
    steps: dict[Word, float] = {}


class TrainedOnPart(_Part):
    """The dataset that a method was trained on, if another one, whose labels are made by its own card's rules."""

    name: PluginName
    fingerprint: Word
    subjects: int
    label_rules_hash: str
    label_rules: list[RuleOfTargetPart]


class MethodPart(_Part):
    """`encoders`: modality -> full name; `fusion` is None where there is none. `joins`, `inputs`: None in records of
    earlier versions (see `records/manifest.py`). `submission`: the name of a method whose predictions are a submission
    (`embench score`); nothing else is known of it."""

    encoders: dict[Modality, PluginName]
    fusion: PluginName | None
    pretrainers: list[Line]
    modalities: list[Modality]
    joins: Joins | None = None
    inputs: Inputs | None = None
    submission: Line | None = None


class RecipePart(_Part):
    """`on_leaderboard`: whether rows of this recipe may stand on a board; `assumed`: what its paper leaves open;
    `settings`: what was changed by `--set`."""

    preset: Word
    on_leaderboard: bool
    assumed: list[Line]
    settings: list[Line] = []


class CohortPart(_Part):
    """Subjects scored, by number or by name, and those left out with their reasons; `session_s`: subject -> how many s
    the session was long; `design`: see `embench.protocols.Design`; `repaired`: of runs,
    the share of labelled units that rest on bridged or missing samples; see `embench.data.cohort`."""

    subjects: Annotated[int | list[Line], AfterValidator(check_subjects)]
    left_out: list[Any]
    session_s: dict[str, Seconds] | None = None
    design: Literal["fixed_order", "shared_stimuli", "free"] | None = None
    repaired: Share | None = None

    @property
    def size(self) -> int:
        """Number of scored subjects."""
        return self.subjects if isinstance(self.subjects, int) else len(self.subjects)

    @property
    def people(self) -> int:
        """The number of subjects that the data are of."""
        return self.size + len(self.left_out)


class WeightsPart(_Part):
    """Weights that an encoder brings with it. `saw`: what they saw of the tested people; `declared`: only their authors
    say so. See `embench.interfaces.pretraining_data`."""

    name: Line
    licence: Line
    source: Line
    declared: bool
    saw: DataUse


class CostPart(_Part):
    """Seconds, numbers, megabytes, joules (of the GPU alone); None where not measured. `flops`: for one row. `cpu_s`:
    of all cores together. `gpu_s`: how long stages held a GPU. `processor`: the names of the stages' processors."""

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
    """The data, the rules, the subjects and the code, whatever the method. `time_context`: of runs from version 3 on,
    and of files of predictions, whose author declares it. `calibration_data`: see `bounds.check_given`;
    `calibration_split`: in words, which units test subjects may give, and which are scored."""

    embench_version: Line
    dataset: DatasetPart
    protocol: ProtocolPart
    card: CardPart
    targets: list[Word] | dict[Word, Any]
    cohort: CohortPart
    target_access: Line
    calibration_data: Annotated[dict[str, int | str], AfterValidator(check_given)] | None = None
    calibration_split: Line | None = None
    time_context: TimeContext | None = None
    scoring: dict[str, Any] | None = None
    versions: dict[str, Any]


class EntryPart(_Part):
    """Part of a published entry: the version of its format, and the digests of the files that it shares with others;
    None for those that it lacks because its labels are not public."""

    version: int
    rows: Digest | None = None
    labels: Digest | None = None
    folds: Digest
    confound_only: Digest | None = None
    confound_only_scores: Digest


class Manifest(Circumstances):
    """One run: the request, the subjects, the method, the cost. `sites`: modality -> where its sensors were in training
    and in the test, where that was not one place. `weights`: modality -> what is known of the weights that
    its encoder brings. `measurement_units`: modality -> unit and band in which its encoder reads it, where it is not
    standardised. `pretraining`: the external sources that were seen, with hash, licence, hours and number of subjects.
    `videos`: how many recordings of each dataset were seen, which could not be decoded and why, and how many of the
    segments that were searched for a face have none. `submission`: what the file of a submission holds. `ledger`: the
    seal of the ledger's line that `test_evaluations`, `methods_evaluated` and `dev_evaluations` count up to; without
    it, they are not known.
    `conformance`: part of the method whose plugin is not bundled -> `passed`, or which conformance check failed.
    `dropped`: modality -> feature -> why it was dropped in some fold before anything was fitted to it. `objects`: the
    name of a plugin that was given from Python -> its `repr`, and the lines of its `source` where they are known.
    `ethics`: in entries of own data, the approval of an ethics board that their publisher names. `entry`: what a
    published entry shares with others."""

    id: Word
    trained_on: TrainedOnPart | None = None
    sites: dict[Modality, Line] = {}
    method: MethodPart
    submission: dict[str, Any] | None = None
    recipe: RecipePart
    seeds: list[int]
    videos: list[dict[str, Any]] = []
    pretraining_overlap: Overlap
    pretraining: list[dict[str, Any]] = []
    initial_weights: dict[str, Any] | None = None
    weights: dict[Modality, WeightsPart] = {}
    measurement_units: dict[Modality, Line] = {}
    dev: bool
    cost: CostPart
    test_evaluations: Counts
    methods_evaluated: Counts
    dev_evaluations: Counts = None
    ledger: str | None = None
    conformance: dict[Line, Line] = {}
    dropped: dict[Modality, dict[Line, Line]] = {}
    objects: dict[PluginName, dict[str, Any]] = {}
    device: Any
    config: dict[str, Any]
    ethics: Ethics | None = None
    entry: EntryPart | None = None

    @property
    def changed_settings(self) -> list[str]:
        """Settings that differ from the method's own in all folds, and whether each fold chose some."""
        return [*self.recipe.settings, *tuned_in_words(self.config)]

    def most_of(self, counter: Literal["test_evaluations", "methods_evaluated"]) -> int:
        """The looks, or the methods tried, of the target that has most of them; 0 where they are not known."""
        counted = getattr(self, counter)
        return max(counted.values(), default=0) if isinstance(counted, dict) else counted or 0


def tuned_trials(config: Mapping[str, Any]) -> int:
    """The number of trials among which the folds of a run with this configuration chose; 0 if it was not tuned."""
    return int((config.get("tuned") or {}).get("trials", 0))


def tuned_in_words(config: Mapping[str, Any]) -> list[str]:
    """The note that a run with this configuration was tuned, and by how many trials; none if it was not."""
    return [f"tuned, {trials} trials"] if (trials := tuned_trials(config)) else []


def check_manifest(content: Any, where: str) -> Manifest:
    """`content` as a manifest. Raises DataError that names every field that is missing or wrong."""
    if not isinstance(content, Mapping):
        raise DataError(
            "the file does not describe a run", where=where, expected=f"keys {', '.join(Manifest.model_fields)}"
        )
    return as_model(Manifest, content, "the record of the run", where)


def as_model(kind: type[M], content: Any, what: str, where: str, expected: str | None = None) -> M:
    """The content of a record's file as a model. Raises DataError where a text has control characters, or a field is
    missing or wrong; it names all of these, also as what is `expected` where nothing else is."""
    check_texts(content, where)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        found = list_faults(error)
        as_written = f"{', '.join(dict.fromkeys(fault.field for fault in found))} as written by embench"
        raise DataError(describe_faults(what, found), where=where, expected=expected or as_written) from error


def check_texts(content: Any, where: str) -> None:
    """Raises DataError where a text of a record's file, or a key, has a control character."""
    if field := next((field for field, text in texts_in(content) if has_control(text)), None):
        raise DataError("a text has control characters", where=f"{where}, {field}", expected="plain text")


# The facts in which recorded runs agree that differ in what test subjects give first alone.

_OF_WHAT_IS_GIVEN = ("request", "calibration_data", "file", "seeds")


def but_for_given(run: Manifest) -> list[Any]:
    """Facts of a run's method and data, equal in those that differ in what test subjects give, or in seeds, alone."""
    config = {name: value for name, value in run.config.items() if name not in _OF_WHAT_IS_GIVEN}
    return [run.protocol.name, run.dev, run.method.submission, config]


# Kind of a method, features or network, and whether its scores only rank; the same everywhere.

MethodKind = Literal["features", "network"]


def method_kind(method: MethodPart) -> MethodKind:
    """`features` where an estimator is fitted to what encoders compute, and no network is trained; else `network`.

    Records of earlier versions do not say so. There the catalogue decides, from which a plugin may have gone; then it
    counts as a network.
    """
    if method.inputs is not None:
        return "features" if method.inputs == "features" else "network"
    parts = [("fusion", method.fusion), *(("encoder", name) for name in method.encoders.values())]
    return "features" if all(_is_of_features(kind, name) for kind, name in parts) else "network"


def only_ranks(method: MethodPart) -> bool:
    """True if the catalogue says that the scores of a method rank units and are not probabilities. It does not say so
    of a method that it does not know, such as a submission, whose format asks for probabilities."""
    return any(entry.ranks for entry in registry.entries("fusion") if entry.full_name == method.fusion)


def _is_of_features(kind: str, name: str | None) -> bool:
    return any(entry.features for entry in registry.entries(kind) if entry.full_name == name)


def scoring_of(run: Mapping[str, Any]) -> int:
    """Return the version of the rules by which a run is judged, from the content of its run.yaml."""
    return run.get("protocol", {}).get("rules", {}).get("scoring") or 3


# The seeds that a board takes, and that runs have by default; each is a partition of the subjects and an
# initialisation.

SHARED_SEEDS = (0, 1, 2)
"""The seeds that all ranked rows of a board have: rows are compared in these partitions."""

_TEN_SEEDS = tuple(range(10))
_BALANCED_SEEDS = (tuple(range(6)), tuple(range(5)))


def seeds_taken(
    kind: MethodKind, folds: int | Literal["each"], *, balanced: bool = False
) -> tuple[tuple[int, ...], ...]:
    """The lists of seeds that a board takes of methods of a kind; the first is the default of a run.

    Who chooses seeds after looking chooses the luckiest. Estimators cost little, so that they have ten partitions, or
    all that together are `balanced`, of which small studies have one less; all other methods may have as many. Where
    `each` subject is a fold, partitions differ in their validation subjects alone.

    >>> seeds_taken("features", "each"), [len(seeds) for seeds in seeds_taken("network", 5)]
    (((0, 1, 2),), [3, 10])
    """
    if folds == "each":
        return (SHARED_SEEDS,)
    whole = _BALANCED_SEEDS if balanced else (_TEN_SEEDS,)
    return whole if kind == "features" else (SHARED_SEEDS, *whole)


def seeds_not_taken(run: Manifest) -> str | None:
    """The seeds of a run and those that a board wants instead, in words; None where it takes them."""
    taken = seeds_taken(method_kind(run.method), run.protocol.folds, balanced=run.protocol.is_balanced)
    if tuple(sorted(run.seeds)) in taken:
        return None
    wanted = " or ".join(f"0 to {seeds[-1]}" if len(seeds) > 3 else ", ".join(map(str, seeds)) for seeds in taken)
    return f"{', '.join(map(str, run.seeds))} instead of {wanted}"
