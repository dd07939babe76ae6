"""What `run.yaml` must hold, checked when it is written and when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from embench.errors import DataError


class _Part(BaseModel):
    """A part of run.yaml: what is named here must be there, more may be."""

    model_config = ConfigDict(frozen=True, extra="allow")


class DatasetPart(_Part):
    """`synthetic` holds what the generator left in the folder; None for data of real people."""

    name: str
    fingerprint: str
    synthetic: dict[str, Any] | None


class ProtocolPart(_Part):
    name: str
    version: int
    hash: str
    leaks: bool


class CardPart(_Part):
    labels_public: Literal["yes", "no", "unknown"]
    fixed_order: bool
    label_rules_hash: str


class MethodPart(_Part):
    """`encoders`: modality -> full name; `fusion` is None where there is none. `outside`: what somebody called a method
    whose predictions came from a file (`embench score`); nothing else is known of it."""

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
    """People scored, by number or by name, and those left out with their reasons."""

    people: int | list[str]
    left_out: list[Any]

    @property
    def size(self) -> int:
        return self.people if isinstance(self.people, int) else len(self.people)


class CostPart(_Part):
    """Seconds, numbers, megabytes, joules (of the GPU alone); None where not measured. `flops`: of one row's answer."""

    wall_s: float | None
    parameters: int | None
    flops: float | None
    device: str
    peak_memory_mb: float | None
    energy_j: float | None = None


class Manifest(_Part):
    """One run: what was asked for, on whom, with what, at what cost. `pretraining`: the outside sources that were seen,
    with hash, licence, hours and number of people. `videos`: how many recordings of each dataset were seen, which could
    not be decoded and why, and in how many of the stretches in which a face was looked for there was none."""

    id: str
    embench_version: str
    dataset: DatasetPart
    protocol: ProtocolPart
    card: CardPart
    method: MethodPart
    recipe: RecipePart
    targets: list[str] | dict[str, Any]
    seeds: list[int]
    cohort: CohortPart
    videos: list[dict[str, Any]] = []
    target_access: str
    pretrain_overlap: Literal["none", "unlabelled_target", "labelled_target", "unknown"]
    pretraining: list[dict[str, Any]] = []
    dev: bool
    cost: CostPart
    test_looks: int | dict[str, int] | None
    tried: int | dict[str, int] | None
    versions: dict[str, Any]
    device: Any
    config: dict[str, Any]


def check_manifest(content: Any, where: str) -> Manifest:
    """`content` as a manifest. Raises DataError that names every field that is missing or wrong."""
    if not isinstance(content, Mapping):
        raise DataError("the file holds no run", where=where, expected=f"keys {', '.join(Manifest.model_fields)}")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        faults = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]
        raise DataError(
            "the record of the run breaks the schema: " + "; ".join(f"{field}: {what}" for field, what in faults),
            where=where,
            expected=f"{', '.join(dict.fromkeys(field for field, _ in faults))} as written by embench",
        ) from error
