"""Claims of papers as small YAML files: the two sides of a comparison, the rules, and the published numbers.

Any package can provide some, as `claims/<paper>/<id>.yaml` next to its `registry.yaml`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar, get_type_hints

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model, model_validator

from embench import registry
from embench.claims.measures import MEASURES
from embench.claims.subjects import SUBJECT_MEASURES
from embench.errors import UsageError, breaks_schema, faults
from embench.files import MOST_YAML, parse_yaml, read_text
from embench.planning.request import OPTIONS, Request
from embench.registry.naming import did_you_mean
from embench.texts import has_control, names_code, names_place, texts_in


def _texts(value: Any) -> Any:
    """A single text is a list of one."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Identity = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]


class Strict(BaseModel):
    """Base of what a package states in files: no other fields than these, and of their types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Stated(Strict):
    """Options of a run, by the names that they have on the command line: those that a claim may state."""

    @property
    def stated(self) -> dict[str, Any]:
        """The options that the claim states; no defaults."""
        return self.model_dump(exclude_unset=True)


if TYPE_CHECKING:
    Configuration = _Stated
else:
    _HINTS = get_type_hints(Request)
    Configuration = create_model(
        "Configuration",
        __base__=_Stated,
        **{
            option.name.replace("-", "_"): ((Texts if _HINTS[option.field] == tuple[str, ...] else str) | None, None)
            for option in OPTIONS
            if option.claimed
        },
    )


class ClaimDataset(Strict):
    """A dataset that a claim is tested on: its targets (none: those of a run that names none), what differs there, and
    the published difference of each target, a less b, as a share (.05 for 5 points)."""

    targets: Texts = ()
    both: Configuration = Configuration()
    a: Configuration = Configuration()
    b: Configuration = Configuration()
    published: dict[str, float] = {}

    @model_validator(mode="after")
    def _of_its_targets(self) -> Self:
        if other := sorted(set(self.published) - set(self.targets)):
            raise ValueError(f"`published` names {', '.join(other)}, which `targets` does not contain")
        return self


class Claim(Strict):
    """A comparison of two configurations: `direction` says how a's score lies to b's if the claim is right.

    `protocol` and `metric` are the paper's own. `datasets` are the paper's; `elsewhere` says what differs on others, on
    which the claim is only tested on request. A configuration is `both`, then the dataset's `both`, then the side, then
    the dataset's side; a later field takes an earlier one's place.
    """

    id: Identity
    paper: Identity
    claim: str
    both: Configuration = Configuration()
    a: Configuration = Configuration()
    b: Configuration = Configuration()
    direction: Literal["higher", "lower"]
    protocol: str
    metric: str
    datasets: dict[str, ClaimDataset] = Field(min_length=1)
    elsewhere: dict[str, ClaimDataset] = {}
    remarks: str = ""

    @model_validator(mode="after")
    def _two_that_differ(self) -> Self:
        for dataset in (*self.datasets, *self.elsewhere):
            one, other = (self.options(side, dataset) for side in ("a", "b"))
            if not one.get("encoder") or not other.get("encoder"):
                raise ValueError(f"a or b has no encoder on {dataset}")
            if one == other:
                raise ValueError(f"a and b are equal on {dataset}")
        if also := sorted(set(self.datasets) & set(self.elsewhere)):
            raise ValueError(f"{', '.join(also)} is in `datasets` and in `elsewhere`")
        return self

    def place(self, dataset: str) -> ClaimDataset:
        """The fields of a dataset, whether the file names it or not."""
        return self.datasets.get(dataset) or self.elsewhere.get(dataset) or ClaimDataset()

    def options(self, side: Literal["a", "b"], dataset: str) -> dict[str, Any]:
        """The options of one side on a dataset, without those that are not stated."""
        place = self.place(dataset)
        own, local = (self.a, place.a) if side == "a" else (self.b, place.b)
        return self.both.stated | place.both.stated | own.stated | local.stated


class MeasuredRun(Configuration):
    """Options of a run that a claim measures; another protocol or target than the claim's where it names one."""

    protocol: str | None = None
    target: str | None = None


class MeasuredDataset(Strict):
    """A dataset that a claim is measured on: its targets, and what differs there."""

    targets: Texts = ()
    both: Configuration = Configuration()


class MeasuredClaim(Strict):
    """A claim about something else than two scores, which finished runs can answer.

    Args:
        measure: what is asked of the runs, see `embench.claims.measures`. `runs` stand in the order in which it takes
            them. The claim is right where the measured value lies above `reference`, or no further than `margin` from
            it.
        by: the target whose two classes divide the units, for `gap_by_label`; other measures of subjects count only
            the units that have a label of it.
        metric: the score of measures of scores.
        published: what is printed, each number with its name, as a share: one, or two of which the first less the
            second is what is measured.
    """

    id: Identity
    paper: Identity
    claim: str
    measure: str
    runs: dict[str, MeasuredRun] = Field(min_length=1)
    by: str | None = None
    reference: float = 0.0
    margin: float | None = Field(default=None, gt=0)
    protocol: str
    metric: str
    datasets: dict[str, MeasuredDataset] = Field(min_length=1)
    published: dict[str, float] = Field(default={}, max_length=2)
    remarks: str = ""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.measure not in MEASURES:
            raise ValueError(f"`measure` is {self.measure}, expected one of {', '.join(MEASURES)}")
        if len(self.runs) != MEASURES[self.measure][1]:
            raise ValueError(
                f"{self.measure} takes {MEASURES[self.measure][1]} runs, but the claim has {len(self.runs)}"
            )
        if self.by and self.measure not in SUBJECT_MEASURES:
            raise ValueError(f"`by` applies only to {', '.join(SUBJECT_MEASURES)}, but the measure is {self.measure}")
        if self.measure == "gap_by_label" and not self.by:
            raise ValueError("`by` is missing: name the target whose classes divide the units")
        if wrong := [name for name, run in self.runs.items() if not run.stated.get("encoder")]:
            raise ValueError(f"run {wrong[0]} has no encoder")
        return self

    @property
    def published_value(self) -> float | None:
        """The published value of the measure; None where none was published."""
        first, *second = self.published.values() or (None,)
        return first - second[0] if first is not None and second else first


AnyClaim = Claim | MeasuredClaim


class UntestedClaim(Strict):
    """A claim that runs of embench cannot answer yet, and why."""

    id: Identity
    paper: Identity
    claim: str
    not_tested: str


S = TypeVar("S", bound=Strict)
_PROSE = frozenset({"claim", "remarks", "not_tested", "row", "what", "why"})
"""Fields that hold sentences, in which a name of a file runs nothing."""


def read_stated(path: Path, what: str, kind_of: Callable[[Mapping[str, Any]], type[S]]) -> S:
    """The content of a file that a package ships: plain text that names no files.

    Args:
        what: it is, for messages. kind_of: the schema that a content is to have.

    Raises:
        UsageError: it cannot be read, or breaks the schema.
    """
    try:
        content = parse_yaml(read_text(path, MOST_YAML))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the file of {what}: {' '.join(str(error).split())}", where=str(path)) from error
    if not isinstance(content, dict):
        expected = ", ".join(kind_of({}).model_fields)
        raise UsageError(
            f"the file of {what} is not a YAML mapping (`key: value` lines)", where=str(path), expected=expected
        )
    named = [(field, text) for field, text in texts_in(content) if field.rpartition(".")[2] not in _PROSE]
    if wrong := [field for field, text in named if names_code(text) or names_place(text)]:
        raise UsageError(
            f"{what} names a file: {', '.join(wrong)}", where=str(path), expected="names of installed plugins"
        )
    if wrong := [field for field, text in texts_in(content) if has_control(text)]:
        raise UsageError(
            f"{what} contains control characters: {', '.join(wrong)}", where=str(path), expected="plain text"
        )
    kind = kind_of(content)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        found = faults(error)
        hint = did_you_mean(found[0].field.rpartition(".")[2], list(kind.model_fields))
        raise UsageError(breaks_schema(what, found), where=str(path), hint=hint) from error


def read_claim(path: Path) -> AnyClaim | UntestedClaim:
    """The claim of a file, whose folder and name are its paper and id.

    Raises:
        UsageError: it cannot be read, or breaks the schema.
    """

    def kind_of(content: Mapping[str, Any]) -> type[Claim | MeasuredClaim | UntestedClaim]:
        return UntestedClaim if "not_tested" in content else MeasuredClaim if "measure" in content else Claim

    claim = read_stated(path, "a claim", kind_of)
    if (claim.paper, claim.id) != (path.parent.name, path.stem):
        raise UsageError(
            f"this is claim {claim.id} of {claim.paper}",
            where=str(path),
            expected=f"{claim.paper}/{claim.id}.yaml",
        )
    return claim


def installed_claims() -> list[AnyClaim | UntestedClaim]:
    """The claims of all packages, by paper and id; a file that cannot be used is excluded with a warning."""
    found: list[AnyClaim | UntestedClaim] = []
    for path in registry.shipped("claims/*/*.yaml"):
        try:
            found.append(read_claim(path))
        except UsageError as error:
            warnings.warn(f"a claim is excluded: {error}", stacklevel=2)
    return sorted(found, key=lambda claim: (claim.paper, _counted(claim.id)))


def _counted(text: str) -> list[tuple[int, str]]:
    """Sorts S2 before S10."""
    return [(int(part or 0), rest) for rest, part in re.findall(r"(\D*)(\d*)", text)]


def select_claims(paper: str | None, ids: tuple[str, ...]) -> list[AnyClaim | UntestedClaim]:
    """The claims of a paper, or of all, and those of these ids only where some are given.

    Raises:
        UsageError: no claim is of this paper or id.
    """
    claims = installed_claims()
    for what, wanted, known in (
        ("paper", (paper,) if paper else (), {claim.paper for claim in claims}),
        ("claim", ids, {claim.id for claim in claims if paper in (None, claim.paper)}),
    ):
        for name in wanted:
            if name not in known:
                raise UsageError(
                    f"no {what} with testable claims has the name `{name}`"
                    if what == "paper"
                    else f"no claim has the id `{name}`",
                    where="embench claims",
                    expected=f"one of {', '.join(sorted(known))}",
                    hint=did_you_mean(name, sorted(known)),
                )
    return [claim for claim in claims if paper in (None, claim.paper) and (not ids or claim.id in ids)]
