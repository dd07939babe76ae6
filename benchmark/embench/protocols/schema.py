"""Protocols as frozen records: what a file may hold, how it is read, and the hash that stands in every row."""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from embench.errors import DataError, Fault, UsageError, breaks_schema
from embench.files import MOST_YAML, parse_yaml, read_text
from embench.interfaces.kinds import KINDS, KindName
from embench.interfaces.units import LabelRule, Target
from embench.registry.naming import did_you_mean, latest_version
from embench.registry.trust import refuse_file

FOLDER = Path(__file__).parent

Design = Literal["fixed_order", "shared_stimuli", "free"]
"""What of a study predicts labels without a look at the body: one order of tasks for all subjects, stimuli that
subjects share, or neither."""


_Names = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class _Rules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Split(_Rules):
    """What is kept apart between training and test, and in how many folds; `each` is one fold for each of them.

    With `neighbours`, groups whose sessions are about equally long are tested in one fold where tasks came in a fixed
    order: groups in the order of session length are dealt in blocks of so many. With `deal: in_order`, names are not
    dealt at random: equally many in a row, in the order of their names, go to each fold, and the last takes the rest;
    segments go in the order of time, those of each recording by themselves. With `within: subject`, the units of each
    subject are split by themselves, and a fold trains and tests one subject.
    """

    by: Literal["group", "recording", "segment", "stimulus", "group+stimulus"]
    folds: Annotated[int, Field(ge=2)] | Literal["each"]
    neighbours: Annotated[int, Field(ge=2)] | None = None
    deal: Literal["in_order"] | None = None
    within: Literal["subject"] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.within and self.by in ("group", "group+stimulus"):
            raise ValueError("what is split within a subject is its recordings, segments or stimuli, not its group")
        if self.neighbours and (self.by != "group" or self.deal):
            raise ValueError("`neighbours` are groups that are dealt at random")
        return self


class StimulusRules(_Rules):
    """The stimuli of a dataset that take part, in `parts`. A split by stimulus tests one part in a fold, and trains on
    others. `related` are lists of stimuli, such as clips of one film: where one of a list is tested, none of it is
    trained on, whatever their parts."""

    parts: Annotated[tuple[_Names, ...], Field(strict=False, min_length=1)]
    related: Annotated[tuple[_Names, ...], Field(strict=False, min_length=1)] | None = None

    @model_validator(mode="after")
    def _each_in_one_part(self) -> Self:
        listed = Counter(name for part in self.parts for name in part)
        if several := [name for name, count in listed.items() if count > 1]:
            raise ValueError(f"listed more than once: {', '.join(several)}")
        for together in self.related or ():
            if unlisted := [name for name in together if name not in listed]:
                raise ValueError(f"`related` names stimuli of no part: {', '.join(unlisted)}")
            if len(set(together)) < 2:
                raise ValueError(f"`related` relates {together[0]} to no other stimulus")
        return self

    def kept_apart(self) -> dict[str, frozenset[str]]:
        """Stimulus -> those that are not trained on where it is tested: all of its part, and those related to it."""
        apart = {name: frozenset(part) for part in self.parts for name in part}
        for together in self.related or ():
            apart |= {name: apart[name].union(together) for name in together}
        return apart


class Validation(_Rules):
    """The share of the training side that is held out, and the least number; both 0 where there is none."""

    fraction: float = Field(ge=0, lt=1)
    at_least: int = Field(ge=0)


class UnitRules(_Rules):
    """What is scored: a whole recording where it has one rating (or, with a number, segments of so many seconds, all
    with the recording's rating), else segments of so many seconds. Segments begin every `step_s`, by default one
    where the other ends. With `last_s`, a rating's units lie in the last so many seconds of its recording."""

    rating: Literal["recording"] | Annotated[float, Field(gt=0)]
    continuous_s: float = Field(gt=0)
    condition_s: float = Field(gt=0)
    step_s: Annotated[float, Field(gt=0)] | None = None
    last_s: Annotated[float, Field(gt=0)] | None = None


class Decision(_Rules):
    """How a probability becomes a decision: 1 from `threshold` on; of several classes the most probable."""

    threshold: float = Field(gt=0, lt=1)


class LabelRules(_Rules):
    """A paper's own rule for one target; `label` names the raw label, by default as the target. The other fields
    are those of `LabelRule`; one of `cut` (two classes) and `edges` (several) is set."""

    label: str | None = None
    aggregate: Literal["value", "mean", "majority", "unanimous"]
    cut: float | Literal["training_mean"] | None = None
    edges: Annotated[tuple[float, ...], Field(strict=False, min_length=2)] | None = None
    ties: Literal["low", "high", "drop"]

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.cut is None) == (self.edges is None):
            raise ValueError("one of `cut` and `edges` decides the classes")
        return self

    def target(self, name: str) -> Target:
        """The target of this name."""
        edges = self.edges or ()
        rule = LabelRule(self.aggregate, cut=self.cut, edges=edges, ties=self.ties)
        kind: KindName = "classes" if edges else "binary"
        return Target(name, kind, rule, self.label or name, n=max(2, len(edges) + 1))


class Protocol(_Rules):
    """The rules of a comparison. They hold for every method and dataset. Label rules are the dataset card's, and all of
    its subjects may take part; only a paper's protocol has its own `labels` (dataset -> target -> rule) and `people`
    (dataset -> the subjects who take part), for the datasets that it names; `x/all`, which joins the recordings of the
    variants of `x`, has those of `x`. A protocol with `stimuli` (dataset -> those that take part) is for the datasets
    that it names alone."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: int = Field(ge=1)
    leaks: bool
    split: Split
    validation: Validation
    unit: UnitRules
    preprocess: Literal["standard-v1", "vazquez2022", "strizhkova2024", "woo2023", "wu2023", "chen2023"]
    rate_hz: float = Field(gt=0)
    normalise: Literal["none", "baseline", "subject_unlabelled", "recording_unlabelled"]
    select: Literal["recipe", "peak_on_test"]
    aggregate: Literal["mean_probability"]
    decision: Decision
    headline: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    labels: dict[str, dict[str, LabelRules]] | None = None
    people: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] | None = None
    stimuli: Annotated[dict[str, StimulusRules], Field(min_length=1)] | None = None

    @field_validator("stimuli")
    @classmethod
    def _parts_fit_the_split(
        cls, stimuli: dict[str, StimulusRules] | None, info: ValidationInfo
    ) -> dict[str, StimulusRules] | None:
        split: Split | None = info.data.get("split")
        if stimuli is None or split is None:  # which is wrong itself
            return stimuli
        for dataset, rules in stimuli.items():
            where, count = f"those of {dataset}", len(rules.parts)
            if "stimulus" not in split.by and rules.related:
                raise ValueError(f"{where}: a split by {split.by} trains on the stimuli that it tests, related or not")
            if "stimulus" in split.by and count < 2:
                raise ValueError(f"{where}: a split by {split.by} needs two parts at least")
            if split.by == "stimulus" and split.folds not in ("each", count):
                raise ValueError(f"{where}: {count} parts make {count} folds, and split.folds is {split.folds}")
        return stimuli

    def targets(self, dataset: str) -> tuple[Target, ...]:
        """The protocol's own targets of a dataset; none where the card's hold."""
        return tuple(rules.target(name) for name, rules in _own(self.labels, dataset, {}).items())

    def included_subjects(self, dataset: str) -> frozenset[str] | None:
        """The subjects of a dataset who take part; None: all."""
        included = _own(self.people, dataset, None)
        return None if included is None else frozenset(included)

    def included_stimuli(self, dataset: str) -> frozenset[str] | None:
        """The stimuli of a dataset that take part; None: all."""
        rules: StimulusRules | None = _own(self.stimuli, dataset, None)
        return None if rules is None else frozenset(name for part in rules.parts for name in part)

    def stimulus_rules(self, dataset: str) -> StimulusRules | None:
        """What the protocol says of a tested dataset's stimuli; None where it has `stimuli` of no dataset.

        Raises:
            UsageError: it has those of other datasets alone.
        """
        rules: StimulusRules | None = _own(self.stimuli, dataset, None)
        if self.stimuli and rules is None:
            raise UsageError(
                f"{self.name} does not know the stimuli of {dataset}",
                where=f"--protocol {self.name}",
                expected=f"--dataset {' or '.join(self.stimuli)}",
                hint="--protocol subject-stimulus-independent-v2, or a file that extends this protocol with the "
                f"`stimuli` of {dataset}",
            )
        return rules

    @property
    def hash(self) -> str:
        """SHA-256 over the rules, whatever their order or spelling in the file."""
        # Leaving None out lets a later version of the schema add optional rules without moving published hashes.
        rules = self.model_dump(mode="json", exclude_none=True)
        return hashlib.sha256(json.dumps(rules, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @property
    def target_access(self) -> str:
        """What a method sees of the test subjects besides the unit that it predicts: nothing, their declared rest,
        or all their recordings without labels."""
        return {"none": "none", "baseline": "baseline"}.get(self.normalise, "unlabelled")

    @property
    def deviations(self) -> dict[str, str]:
        """Rules by which test subjects' data reach training: field -> what is given up. Empty where nothing is."""
        found = {}
        if self.split.by == "segment":
            found["split.by"] = "other units of a test unit's recording and person are trained on"
        if self.split.by in ("recording", "stimulus"):
            found["split.by"] = "other recordings of a test recording's person are trained on"
        if self.select == "peak_on_test":
            found["select"] = "the epoch is chosen by the test score"
        return found

    def headline_for(self, kind: KindName, design: Design) -> str:
        """The metric that ranks a target of this kind in a study of this design: `by_design`, one that neither a clock
        nor knowledge of the stimuli can win; `auroc_within`, of version 1, heeds the clock alone."""
        of_kind = KINDS[kind]
        if self.headline == "by_design":
            return {"fixed_order": of_kind.matched, "shared_stimuli": of_kind.crossed, "free": of_kind.within}[design]
        if self.headline == "auroc_within":
            return of_kind.without_clock if design == "fixed_order" else of_kind.within
        return self.headline


def _own(by_dataset: Mapping[str, Any] | None, dataset: str, default: Any) -> Any:
    """What a protocol holds for a dataset; for one that joins the variants of another, what it holds for that."""
    known = by_dataset or {}
    return known.get(dataset, known.get(dataset.removesuffix("/all"), default))


def protocol_names() -> list[str]:
    """The names of the published protocols.

    >>> "subject-independent-v2" in protocol_names()
    True
    """
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def superseded_by(name: str) -> str | None:
    """The published protocol that took the place of the published one of this name; None where none did.

    >>> superseded_by("subject-independent-v1")
    'subject-independent-v2'
    """
    latest = latest_version(name, protocol_names())
    return None if name == latest or name not in protocol_names() else latest


def load_protocol(name_or_path: str | Path) -> Protocol:
    """The protocol of this name, or the one in this YAML file.

    Raises:
        UsageError: there is none of that name; or the file cannot be read, breaks the schema, leaks while it says that
            it does not, or takes a published name for other rules.

    >>> load_protocol("subject-independent-v2").split.folds
    5
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        refuse_file("protocol", str(path))
        return _refuse_impostor(_refuse_hidden_leak(_read(path), path), path)
    if str(name_or_path) not in protocol_names():
        raise UsageError(
            f"there is no protocol named '{name_or_path}'",
            where="--protocol",
            expected=f"one of {', '.join(_current_names())}, or a path to a YAML file",
            hint=did_you_mean(str(name_or_path), _current_names()),
        )
    return _read(FOLDER / f"{name_or_path}.yaml")


def load_current_protocol(name_or_path: str | Path) -> Protocol:
    """The same for a new run. Raises UsageError also where a later version took the protocol's place."""
    protocol = load_protocol(name_or_path)
    if successor := superseded_by(protocol.name):
        raise UsageError(
            f"{protocol.name} is superseded by {successor} and takes no new run",
            where="--protocol",
            expected="a protocol that is not superseded; what was run before can still be read, compared and audited",
            hint=f"--protocol {successor}",
        )
    return protocol


def _current_names() -> list[str]:
    return [name for name in protocol_names() if not superseded_by(name)]


def recorded_protocol(part: Mapping[str, Any]) -> Protocol | None:
    """The rules that a record names in `protocol` of its run.yaml: those that it holds, else the published ones of that
    name and hash; None where there are none.

    Raises:
        DataError: the rules that it holds are none.
    """
    if "rules" in part:
        try:
            return Protocol.model_validate(part["rules"], strict=False)
        except ValidationError as error:
            found = [_fault(dict(fault))[0] for fault in error.errors()]
            what = breaks_schema("the record's protocol", found)
            raise DataError(what, where="run.yaml, protocol.rules", expected="rules as written by embench") from error
    known = load_protocol(part["name"]) if part["name"] in protocol_names() else None
    return known if known is not None and known.hash == part["hash"] else None


def _read(path: Path) -> Protocol:
    try:
        content = parse_yaml(read_text(path, MOST_YAML))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"the protocol file cannot be read: {reason}", where=str(path)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it does not parse"
        raise UsageError(f"the protocol file is not valid YAML: {problem}", where=f"{path}{line}") from error
    if not isinstance(content, dict):
        raise UsageError(
            "the protocol file is not a mapping of rules",
            where=str(path),
            expected=f"keys {', '.join(Protocol.model_fields)}",
        )
    try:
        return Protocol.model_validate(_extended(content, path))
    except ValidationError as error:
        raise _usage_error(error, path) from error


def _extended(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The rules of a file, with those of the published protocol that it `extends` wherever it has none itself."""
    own = dict(content)
    base = own.pop("extends", None)
    if base is None:
        return own
    if base not in protocol_names():
        raise UsageError(
            f"there is no published protocol named '{base}'",
            where=f"{path}, extends",
            expected=f"one of {', '.join(_current_names())}",
            hint=did_you_mean(str(base), _current_names()),
        )
    return {**load_protocol(base).model_dump(exclude_none=True), **own}


def _usage_error(error: ValidationError, path: Path) -> UsageError:
    """One message for all fields that are wrong: the first as the message's head, the others below it."""
    found, expected = zip(*(_fault(dict(fault)) for fault in error.errors()), strict=True)
    return UsageError(
        breaks_schema("the protocol", found),
        where=f"{path}, {', '.join(dict.fromkeys(fault.field for fault in found))}",
        expected="; ".join(dict.fromkeys(expected)),
    )


def _fault(fault: dict[str, Any]) -> tuple[Fault, str]:
    """One of pydantic's findings, and what is expected."""
    place = [str(part) for part in fault["loc"]]
    parent: Any = Protocol
    named = []
    for part in place:
        if not (isinstance(parent, type) and issubclass(parent, BaseModel)):
            break  # what follows names a branch of a union, which is no field
        named.append(part)
        parent = parent.model_fields[part].annotation if part in parent.model_fields else None
    model: Any = Protocol.model_fields[named[0]].annotation if len(named) > 1 else Protocol
    if place[0] == "labels":  # then come a dataset, a target and the rule's own field
        named, model = place[:4], LabelRules
    if place[0] == "stimuli":  # then come a dataset and the rules' own field
        named, model = place[:3], StimulusRules
    field = ".".join(named)
    if fault["type"] == "extra_forbidden":
        known = list(model.model_fields)
        return Fault(field, "unknown key"), did_you_mean(named[-1], known) or f"only {', '.join(known)}"
    if fault["type"] == "missing":
        return Fault(field, "missing"), f"a value for {field}"
    message = fault["msg"]
    return Fault(field, f"found {reprlib.repr(fault['input'])}"), f"{field}: {message[0].lower()}{message[1:]}"


def _refuse_hidden_leak(protocol: Protocol, path: Path) -> Protocol:
    """Refuses what no proof on folds would find; a split that leaks is refused there, with the ids that it shares."""
    if "select" in protocol.deviations and not protocol.leaks:
        field, what = "select", protocol.deviations["select"]
        raise UsageError(
            f"the protocol '{protocol.name}' leaks but declares that it does not: {what}",
            where=f"{path}, {field}",
            expected="split.by: group and select: recipe, or leaks: true (its rows are marked and never ranked)",
        )
    return protocol


def _refuse_impostor(protocol: Protocol, path: Path) -> Protocol:
    if protocol.name in protocol_names() and protocol.hash != load_protocol(protocol.name).hash:
        raise UsageError(
            f"the rules differ from those published as '{protocol.name}'",
            where=f"{path}, name",
            expected="a name of its own: results are compared by protocol name",
        )
    return protocol
