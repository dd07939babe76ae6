"""What `run.yaml` holds, as one model: who writes one builds a `Manifest`, and who reads one checks it against that.

A field with a default may be absent: records of earlier versions lack it, or not every kind of record has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from embench.errors import DataError, breaks_schema, faults

Overlap = Literal["none", "unlabelled_target", "labelled_target", "unknown"]
"""What pretraining may have seen of the test subjects, from the least to the most."""


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class _Part(BaseModel):
    """A part of run.yaml: what is named here must be there, more may be."""

    model_config = ConfigDict(frozen=True, extra="allow")
    _present: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _remember(cls, data: Any, make: ModelWrapValidatorHandler[Self]) -> Self:
        made = make(data)
        if isinstance(data, Mapping):
            made._present = tuple(data)  # noqa: SLF001  its own
        return made

    def content(self) -> dict[str, Any]:
        """As run.yaml holds it: the fields that are present, in their order."""
        values = {name: getattr(self, name) for name in self._present}
        return {name: value.content() if isinstance(value, _Part) else value for name, value in values.items()}


class DatasetPart(_Part):
    """`synthetic` holds what the generator left in the folder; None for real subjects' data."""

    name: str
    fingerprint: str
    synthetic: dict[str, Any] | None
    verified_on_real: str | dict[str, Any] = "never"


class ProtocolPart(_Part):
    """`gives_up`: what a protocol that leaks gives up, in words; `rules`: all of it."""

    name: str
    version: int
    hash: str
    leaks: bool
    gives_up: dict[str, str] = {}
    rules: dict[str, Any] = {}


class CardPart(_Part):
    """What a record keeps of its dataset's card."""

    labels_public: Literal["yes", "no", "unknown"]
    fixed_order: bool
    label_rules_hash: str
    label_rules: list[dict[str, Any]] = []


class TrainedOnPart(_Part):
    """The other dataset that a method was trained on, whose labels are made by its own card's rules."""

    name: str
    fingerprint: str
    people: int
    label_rules_hash: str
    label_rules: list[dict[str, Any]]


class MethodPart(_Part):
    """`encoders`: modality -> full name; `fusion` is None where there is none. `outside`: the name of a method
    whose predictions are a submission (`embench score`); nothing else is known of it."""

    encoders: dict[str, str]
    fusion: str | None
    pretrainers: list[str]
    modalities: list[str]
    outside: str | None = None


class RecipePart(_Part):
    """`on_board`: whether rows of this recipe may stand on a board; `assumed`: what its paper leaves open;
    `settings`: what was changed by `--set`."""

    preset: str
    on_board: bool
    assumed: list[str]
    settings: list[str] = []


class CohortPart(_Part):
    """Subjects scored, by number or by name, and those left out with their reasons; `session_s`: subject -> how many s
    the session was long; `design`: see `embench.protocols.Design`."""

    people: int | list[str]
    left_out: list[Any]
    session_s: dict[str, float] | None = None
    design: Literal["fixed_order", "shared_stimuli", "free"] | None = None

    @property
    def size(self) -> int:
        """How many subjects were scored."""
        return self.people if isinstance(self.people, int) else len(self.people)


class CostPart(_Part):
    """Seconds, numbers, megabytes, joules (of the GPU alone); None where not measured. `flops`: for one row."""

    wall_s: float | None
    parameters: int | None
    flops: int | float | None
    device: str
    peak_memory_mb: float | None
    energy_j: float | None = None


class Circumstances(_Part):
    """The data, the rules, the subjects and the code, whatever the method."""

    embench_version: str
    dataset: DatasetPart
    protocol: ProtocolPart
    card: CardPart
    targets: list[str] | dict[str, Any]
    cohort: CohortPart
    target_access: str
    scoring: dict[str, Any] | None = None
    versions: dict[str, Any]


class EntryPart(_Part):
    """In a published entry: the version of its format, and the digests of the files that it shares with others; None of
    those that it does not have because its labels are not public."""

    version: int
    rows: Digest | None = None
    labels: Digest | None = None
    folds: Digest
    controls: Digest | None = None
    control_scores: Digest


class Manifest(Circumstances):
    """One run: the request, the subjects, the method, the cost. `pretraining`: the external sources that were seen,
    with hash, licence, hours and number of subjects. `videos`: how many recordings of each dataset were seen, which
    could not be decoded and why, and how many of the segments that were searched for a face have none. `outside`: what
    the file of a submission holds. `entry`: what a published entry shares with others."""

    id: str
    trained_on: TrainedOnPart | None = None
    method: MethodPart
    outside: dict[str, Any] | None = None
    recipe: RecipePart
    seeds: list[int]
    videos: list[dict[str, Any]] = []
    pretrain_overlap: Overlap
    pretraining: list[dict[str, Any]] = []
    started_from: dict[str, Any] | None = None
    dev: bool
    cost: CostPart
    test_looks: int | dict[str, int] | None
    tried: int | dict[str, int] | None
    device: Any
    config: dict[str, Any]
    entry: EntryPart | None = None


def check_manifest(content: Any, where: str) -> Manifest:
    """`content` as a manifest. Raises DataError that names every field that is missing or wrong."""
    if not isinstance(content, Mapping):
        raise DataError("the file holds no run", where=where, expected=f"keys {', '.join(Manifest.model_fields)}")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        found = faults(error)
        raise DataError(
            breaks_schema("the record of the run", found),
            where=where,
            expected=f"{', '.join(dict.fromkeys(fault.field for fault in found))} as written by embench",
        ) from error
