"""Protocols as frozen records: files, names, schema and hash."""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

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

from embench.errors import DataError, Fault, UsageError, describe_faults
from embench.files import MOST_YAML, cached, parse_yaml, read_text
from embench.interfaces.kinds import KINDS, KindName
from embench.interfaces.units import LabelRule, Target
from embench.registry.fragments import refuse_file
from embench.vocabulary import did_you_mean

Design = Literal["fixed_order", "shared_stimuli", "free"]
"""Property of a study by which labels can be predicted without a signal: one order of tasks for all subjects, stimuli
that subjects share, or neither."""

NORMALISE = "protocol.normalise"
"""Key of `--set` that replaces the protocol's normalisation."""

LONGEST_LAG_S = 60.0
"""Longest allowed lag between signals and labels, in s; longer values are likely typing errors."""

ReferenceName = Literal["others_curve", "subject_mean", "last_value", "recording_label"]
"""Prediction from training labels alone that a protocol reports for reference."""

_Names = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class _Rules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Split(_Rules):
    """Rules for separating training from test data.

    Args:
        by: what folds keep together. `folds`: number of folds; `each` means one fold per subject (group, ...).
        neighbours: if tasks came in a fixed order, number of groups with sessions of similar length that form a block.
            Blocks are assigned to folds.
        deal: with `balanced`, any two groups share a test fold equally often, over all partitions. With `in_order`,
            nothing is random: each fold gets equally many consecutive names, and the last fold the remainder; segments
            go in temporal order within each recording.
        tests: with `last`, there is one fold, which tests the last of these parts and trains on earlier ones.
        within: with `subject`, each subject's units are split separately, and a fold trains and tests one subject."""

    by: Literal["group", "recording", "segment", "stimulus", "group+stimulus"]
    folds: Annotated[int, Field(ge=2)] | Literal["each"]
    neighbours: Annotated[int, Field(ge=2)] | None = None
    deal: Literal["in_order", "balanced"] | None = None
    tests: Literal["last"] | None = None
    within: Literal["subject"] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Return the rules of the split. Raises ValueError if two of the rules exclude each other."""
        if self.within and self.by in ("group", "group+stimulus"):
            raise ValueError("a split within subjects is by recordings, segments or stimuli, not by group")
        if self.neighbours and (self.by != "group" or self.deal == "in_order"):
            raise ValueError("`neighbours` requires a random split by group")
        if self.deal == "balanced" and (self.by != "group" or self.folds == "each"):
            raise ValueError("`deal: balanced` requires a split by group in several folds")
        if self.tests and not (self.by == "segment" and self.deal):
            raise ValueError("`tests: last` requires segments in order of time: by: segment, deal: in_order")
        return self


class StimulusRules(_Rules):
    """Stimuli of a dataset that take part, in `parts`. A split by stimulus tests one part per fold, and trains on
    others. `related`: lists of stimuli, such as excerpts of one video. If one of a list is tested, none of the list is
    trained on."""

    parts: Annotated[tuple[_Names, ...], Field(strict=False, min_length=1)]
    related: Annotated[tuple[_Names, ...], Field(strict=False, min_length=1)] | None = None

    @model_validator(mode="after")
    def _each_in_one_part(self) -> Self:
        """Return the rules. Raises ValueError if a stimulus is in two parts, or if `related` names stimuli without a
        part."""
        listed = Counter(name for part in self.parts for name in part)
        if several := [name for name, count in listed.items() if count > 1]:
            raise ValueError(f"listed more than once: {', '.join(several)}")
        for together in self.related or ():
            if unlisted := [name for name in together if name not in listed]:
                raise ValueError(f"`related` names stimuli that no part contains: {', '.join(unlisted)}")
            if len(set(together)) < 2:
                raise ValueError(f"`related` names only one stimulus: {together[0]}")
        return self

    def separated_stimuli(self) -> dict[str, frozenset[str]]:
        """Return stimulus -> the stimuli that are not trained on if it is tested: its part, and related stimuli."""
        apart = {name: frozenset(part) for part in self.parts for name in part}
        for together in self.related or ():
            apart |= {name: apart[name].union(together) for name in together}
        return apart


class Validation(_Rules):
    """Proportion of the training subjects used for validation, and their least number; both 0 without validation."""

    fraction: float = Field(ge=0, lt=1)
    at_least: int = Field(ge=0)


class UnitRules(_Rules):
    """Rules for scored units.

    A recording with one rating is one unit or, if `rating` is a number of seconds, is cut into segments that share the
    rating. Other recordings are cut into segments. Segments begin every `step_s`, by default back to back. A rating's
    units lie in the last `last_s` seconds of its recording, and after its first `skip_s`, such as a rest before a
    video."""

    rating: Literal["recording"] | Annotated[float, Field(gt=0)]
    continuous_s: float = Field(gt=0)
    condition_s: float = Field(gt=0)
    step_s: Annotated[float, Field(gt=0)] | None = None
    last_s: Annotated[float, Field(gt=0)] | None = None
    skip_s: Annotated[float, Field(gt=0)] | None = None


class PersonalRules(_Rules):
    """Rules on calibration data of test subjects before their scored units, see `embench.protocols.slices`.

    Args:
        gives: `units`: the subject's first units of each class, as many as a run requests, at most `most`. They
            normalise the subject, and a method may adapt to them and their labels. `session`, `blocks`: its first
            session, or the first half of its blocks, which are trained on with their labels.
        guard_s: least number of seconds between calibration data and scored units.
        block_s: length of a block in s, if a subject has one recording without conditions."""

    gives: Literal["units", "session", "blocks"]
    most: int = Field(default=10, ge=1)
    guard_s: float = Field(default=60.0, ge=0)
    block_s: float = Field(default=120.0, gt=0)


class Decision(_Rules):
    """Decision from probabilities: class 1 if its probability is at least `threshold`; else the most probable class."""

    threshold: float = Field(gt=0, lt=1)


class LabelRules(_Rules):
    """A protocol's own rule for one target; `label` names the raw label, by default that of the target's name. The
    other fields are those of `LabelRule`. Either `cut` (two classes) or `edges` (several) is set, with `ties`; with
    `kind: value`, none of the three."""

    label: str | None = None
    kind: Literal["value"] | None = None
    aggregate: Literal["value", "mean", "majority", "unanimous"]
    cut: float | Literal["training_mean"] | None = None
    edges: Annotated[tuple[float, ...], Field(strict=False, min_length=2)] | None = None
    ties: Literal["low", "high", "drop"] | None = None
    centred: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        """Return the rules. Raises ValueError if they do not define exactly one kind of target."""
        decided = [name for name in ("cut", "edges", "ties") if getattr(self, name) is not None]
        if self.kind == "value":
            if decided:
                raise ValueError(f"a continuous target has no {' and no '.join(f'`{name}`' for name in decided)}")
        elif (self.cut is None) == (self.edges is None):
            raise ValueError("use `cut` or `edges` to define classes, or `kind: value` for a continuous target")
        elif self.ties is None:
            raise ValueError("set `ties` to low, high or drop for values at a threshold or an edge")
        return self

    def target(self, name: str) -> Target:
        """Build the target called `name` from these rules."""
        edges = self.edges or ()
        rule = LabelRule(self.aggregate, cut=self.cut, edges=edges, ties=self.ties or "low", centred=bool(self.centred))
        kind: KindName = self.kind or ("classes" if edges else "binary")
        return Target(name, kind, rule, self.label or name, n=max(2, len(edges) + 1))


class Protocol(_Rules):
    """Rules of a comparison, for all methods and datasets.

    Label rules are those of the dataset card, and all subjects take part. Only protocols of papers have their own
    `labels` (dataset -> target -> rule) and `people` (dataset -> participating subjects); `x/all`, which joins the
    recordings of the variants of `x`, uses those of `x`. A protocol with `stimuli` (dataset -> participating stimuli)
    is for these datasets only. `references` are reported next to the confound-only models, for protocols that train on
    test subjects or at tested moments, see `embench.statistics.confound_only`.

    With `folds_of`, names are assigned to folds as in another protocol: `name` and `version` of that protocol decide.

    With `lag_s`, labels that vary within a recording are read this many seconds later than the signals (earlier if
    negative), in every test dataset, whatever the lag of its card; see `at_lag`.

    With `personal`, test subjects give calibration data before they are scored. `normalise: given` normalises by these
    data; in a run without calibration data, by the training subjects' statistics."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: int = Field(ge=1)
    leaks: bool
    split: Split
    validation: Validation
    unit: UnitRules
    preprocess: Literal["standard-v1", "wide-eeg-v1", "vazquez2022", "strizhkova2024", "woo2023", "wu2023", "chen2023"]
    rate_hz: float = Field(gt=0)
    normalise: Literal["none", "baseline", "subject_unlabelled", "recording_unlabelled", "given"]
    select: Literal["recipe", "peak_on_test"]
    aggregate: Literal["mean_probability"]
    decision: Decision
    primary_metric: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    labels: dict[str, dict[str, LabelRules]] | None = None
    people: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] | None = None
    stimuli: Annotated[dict[str, StimulusRules], Field(min_length=1)] | None = None
    references: Annotated[tuple[ReferenceName, ...] | None, Field(strict=False, min_length=1)] = None
    folds_of: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]*-v[1-9][0-9]*$")
    lag_s: float | None = Field(default=None, ge=-LONGEST_LAG_S, le=LONGEST_LAG_S)
    personal: PersonalRules | None = None

    @model_validator(mode="after")
    def _check_calibration(self) -> Self:
        """Return the protocol. Raises ValueError if its rules on calibration data do not fit its other rules."""
        if (self.normalise == "given") != self.requests_calibration:
            raise ValueError("`normalise: given` and `personal: {gives: units}` require each other")
        if self.personal and (self.split.by != "group" or self.leaks or self.split.within):
            raise ValueError("`personal` requires a split by group that does not leak")
        return self

    @field_validator("stimuli")
    @classmethod
    def _parts_fit_the_split(
        cls, stimuli: dict[str, StimulusRules] | None, info: ValidationInfo
    ) -> dict[str, StimulusRules] | None:
        """Return the rules on stimuli. Raises ValueError if the parts of a dataset's stimuli do not fit the split."""
        split: Split | None = info.data.get("split")
        if stimuli is None or split is None:  # which is wrong itself
            return stimuli
        for dataset, rules in stimuli.items():
            where, count = f"those of {dataset}", len(rules.parts)
            if "stimulus" not in split.by and rules.related:
                raise ValueError(f"{where}: a split by {split.by} trains on stimuli related to those that it tests")
            if "stimulus" in split.by and count < 2:
                raise ValueError(f"{where}: a split by {split.by} requires at least two parts")
            if split.by == "stimulus" and split.folds not in ("each", count):
                raise ValueError(f"{where}: {count} parts require {count} folds, but split.folds is {split.folds}")
        return stimuli

    def targets(self, dataset: str) -> tuple[Target, ...]:
        """Return the targets that the protocol defines for a dataset; empty if those on the dataset's card apply."""
        return tuple(rules.target(name) for name, rules in _get_for(self.labels, dataset, {}).items())

    def included_subjects(self, dataset: str) -> frozenset[str] | None:
        """Return the subjects of a dataset who take part; None if all do."""
        included = _get_for(self.people, dataset, None)
        return None if included is None else frozenset(included)

    def included_stimuli(self, dataset: str) -> frozenset[str] | None:
        """Return the stimuli of a dataset that take part; None if all do."""
        rules: StimulusRules | None = _get_for(self.stimuli, dataset, None)
        return None if rules is None else frozenset(name for part in rules.parts for name in part)

    def stimulus_rules(self, dataset: str) -> StimulusRules | None:
        """Return the rules for a test dataset's stimuli; None if the protocol has no `stimuli` at all.

        Raises:
            UsageError: the protocol has `stimuli` of other datasets only."""
        rules: StimulusRules | None = _get_for(self.stimuli, dataset, None)
        if self.stimuli and rules is None:
            raise UsageError(
                f"{self.name} does not define the stimuli of {dataset}",
                where=f"--protocol {self.name}",
                expected=f"--dataset {' or '.join(self.stimuli)}",
                hint="use --protocol subject-stimulus-independent-v4, or a file that extends this protocol with the "
                f"`stimuli` of {dataset}",
            )
        return rules

    def at_lag(self, lag_s: float) -> Protocol:
        """Return the variant with this lag, under its own name and with the same folds.

        Raises:
            UsageError: it is longer than `LONGEST_LAG_S`.

        >>> from embench.protocols import load_protocol
        >>> load_protocol("subject-independent-v4").at_lag(-1.5).name
        'subject-independent-v4-lag-1.5s'
        """
        if not abs(lag_s) <= LONGEST_LAG_S:
            raise UsageError(
                f"a lag of {lag_s:g} s is out of range",
                where="--lag",
                expected=f"-{LONGEST_LAG_S:g} to {LONGEST_LAG_S:g} s",
            )
        return self.model_copy(update={"name": f"{without_lag(self.name)}-lag{lag_s:g}s", "lag_s": lag_s})

    def normalised(self, normalise: str) -> Protocol:
        """Return the variant with another normalisation, under its own name and with the same folds.

        Raises:
            UsageError: the normalisation is unknown, or this protocol normalises by calibration data.

        >>> from embench.protocols import load_protocol
        >>> load_protocol("subject-independent-v4").normalised("none").name
        'subject-independent-v4-normalise-none'
        """
        known = [name for name in get_args(type(self).model_fields["normalise"].annotation) if name != "given"]
        if normalise not in known or self.normalise == "given":
            raise UsageError(
                f"`{normalise}` is not a normalisation of {self.name}",
                where=f"--set {NORMALISE}={normalise}",
                expected="none: units given for calibration decide it" if normalise in known else ", ".join(known),
            )
        if normalise == self.normalise:
            return self
        return self.model_copy(update={"name": f"{self.name}-normalise-{normalise}", "normalise": normalise})

    @property
    def reported_references(self) -> tuple[ReferenceName, ...]:
        """The `references`; if a protocol leaks, by default those that know the tested recording or subject."""
        return self.references or (("recording_label", "subject_mean") if self.leaks else ())

    @property
    def requests_calibration(self) -> bool:
        """True if test subjects give calibration units, as many as each run requests."""
        return self.personal is not None and self.personal.gives == "units"

    @property
    def trains_on_calibration(self) -> bool:
        """True if test subjects give a session or blocks, which are trained on."""
        return self.personal is not None and not self.requests_calibration

    def without_calibration(self) -> Protocol:
        """Return the rules for subjects who are not tested and give no calibration data; unchanged if the protocol has
        no calibration data."""
        if self.personal is None:
            return self
        known = "subject_unlabelled" if self.normalise == "given" else self.normalise
        return self.model_copy(update={"personal": None, "normalise": known})

    @property
    def hash(self) -> str:
        """SHA-256 over the rules, whatever their order or spelling in the file."""
        # Leaving None out lets a later version of the schema add optional rules without moving published hashes.
        return hashlib.sha256(json.dumps(self.content(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def content(self) -> dict[str, Any]:
        """Return the rules as plain values, with the keys of a file."""
        return self.model_dump(mode="json", exclude_none=True)

    def yaml(self) -> str:
        """Return the text of a file with these rules."""
        return yaml.safe_dump(self.content(), sort_keys=False)

    @property
    def dealt_as(self) -> tuple[str, int]:
        """Name and version that decide how names are divided into folds: the protocol's own, or those of `folds_of`.
        Variants by lag have the same folds."""
        if self.folds_of is None:
            return without_variant(self.name), self.version
        return self.folds_of, int(self.folds_of.rpartition("-v")[2])

    @property
    def target_access(self) -> str:
        """Access to test subjects besides the predicted unit: none, their declared rest, all their recordings without
        labels, or labelled calibration data. If each run requests its own amount of calibration units, see
        `Given.access`."""
        without = {"none": "none", "given": "none", "baseline": "baseline"}.get(self.normalise, "unlabelled")
        more = {"session": "labelled_session", "blocks": "labelled_blocks"}
        labelled = more.get(self.personal.gives) if self.personal else None
        return "+".join(filter(None, (without, labelled)))

    @property
    def deviations(self) -> dict[str, str]:
        """Field -> sentence on how its rule lets data of test subjects reach training; empty if no rule does."""
        found = {}
        if self.split.by == "segment":
            found["split.by"] = "other units of a test unit's recording and subject are trained on"
        if self.split.by in ("recording", "stimulus"):
            found["split.by"] = "other recordings of a test recording's subject are trained on"
        if self.select == "peak_on_test":
            found["select"] = "the epoch is chosen by the test score"
        return found

    def primary_metric_for(self, kind: KindName, design: Design, moments: bool = False) -> str:
        """Return the primary metric of a target of this kind in a study of this design. Under `by_design` it is the
        proportion of correctly ordered pairs that neither time nor stimuli alone can predict. `moments`: True if labels
        vary during a stimulus."""
        traits = KINDS[kind]
        if self.primary_metric == "by_design":
            shared = "crossed_moment" if moments else "crossed"
            suffix = {"fixed_order": "crossed_matched", "shared_stimuli": shared, "free": "within"}[design]
            return f"{traits.ranking_family}_{suffix}"
        if self.primary_metric == "auroc_within":
            return traits.time_metric if design == "fixed_order" else traits.within_metric
        return self.primary_metric


def without_lag(protocol: str) -> str:
    """Return the name of the protocol without the suffix of a lag.

    >>> without_lag("subject-independent-v4-lag2.5s")
    'subject-independent-v4'
    """
    return re.sub(r"-lag-?[0-9][-+.e0-9]*s$", "", protocol)


def without_variant(protocol: str) -> str:
    """Return the name of the protocol without the suffixes of a normalisation and a lag.

    >>> without_variant("subject-independent-v4-normalise-none-lag2s")
    'subject-independent-v4'
    """
    return re.sub(r"-normalise-[a-z_]+$", "", without_lag(protocol))


def _get_for(by_dataset: Mapping[str, Any] | None, dataset: str, default: Any) -> Any:
    """Return the value for `dataset`, else `default`. `x/all`, which joins the variants of x, has the value of x."""
    known = by_dataset or {}
    return known.get(dataset, known.get(dataset.removesuffix("/all"), default))


FOLDER = Path(__file__).parent


def protocol_names() -> list[str]:
    """Return the names of the published protocols.

    >>> "subject-independent-v4" in protocol_names()
    True
    """
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def about_protocol(name: str) -> str:
    """Return the purpose of a published protocol: the comment at the head of its file.

    >>> about_protocol("wu2023-last")
    'As wu2023, with the epoch of the recipe, which does not depend on test labels.'
    """
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return " ".join(line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines))


@cached
def load_protocol(name_or_path: str | Path) -> Protocol:
    """Return the protocol of this name, or the one in this YAML file.

    Raises:
        UsageError: the name is unknown; or the file cannot be read, breaks the schema, leaks without declaring it, or
            uses a published name for other rules.

    >>> load_protocol("subject-independent-v4").split.folds
    5
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        refuse_file("protocol", str(path))
        return _refuse_impostor(_refuse_hidden_leak(_read_file(path), path), path)
    if str(name_or_path) not in protocol_names():
        raise UsageError(
            f"no protocol has the name '{name_or_path}'",
            where="--protocol",
            expected=f"one of {', '.join(protocol_names())}, or a path to a YAML file",
            hint=did_you_mean(str(name_or_path), protocol_names()),
        )
    return _read_file(FOLDER / f"{name_or_path}.yaml")


def recorded_protocol(part: Mapping[str, Any]) -> Protocol | None:
    """Return the rules in `protocol` of a record's run.yaml, or else the published rules with that name and hash; None
    if neither exists.

    Raises:
        DataError: the contained rules are invalid."""
    if "rules" in part:
        try:
            return Protocol.model_validate(part["rules"], strict=False)
        except ValidationError as error:
            found = [_to_fault(dict(fault))[0] for fault in error.errors()]
            what = describe_faults("the record's protocol", found)
            raise DataError(what, where="run.yaml, protocol.rules", expected="rules as written by embench") from error
    known = load_protocol(part["name"]) if part["name"] in protocol_names() else None
    return known if known is not None and known.hash == part.get("hash") else None


def _read_file(path: Path) -> Protocol:
    """Return the protocol in a file. Raises UsageError if the file cannot be read or its content is not a protocol."""
    try:
        return _parse_rules(read_text(path, MOST_YAML), path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "the file is not UTF-8 text"
        raise UsageError(f"cannot read the protocol file: {reason}", where=str(path)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "YAML parsing failed"
        raise UsageError(f"the protocol file is not valid YAML: {problem}", where=f"{path}{line}") from error
    except ValidationError as error:
        raise _usage_error(error, path) from error


@cache
def _parse_rules(text: str, path: Path) -> Protocol:
    """Return the protocol in a file with this text, from the cache if the text was parsed before."""
    content = parse_yaml(text)
    if not isinstance(content, dict):
        raise UsageError(
            "the protocol file is not a mapping of rules",
            where=str(path),
            expected=f"keys {', '.join(Protocol.model_fields)}",
        )
    return Protocol.model_validate(_complete_rules(content, path))


def _complete_rules(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the rules in a file, completed by the published protocol that the file `extends`."""
    rules = dict(content)
    base = rules.pop("extends", None)
    if base is None:
        return rules
    if base not in protocol_names():
        raise UsageError(
            f"no published protocol has the name '{base}'",
            where=f"{path}, extends",
            expected=f"one of {', '.join(protocol_names())}",
            hint=did_you_mean(str(base), protocol_names()),
        )
    return {**load_protocol(base).model_dump(exclude_none=True), **rules}


def _usage_error(error: ValidationError, path: Path) -> UsageError:
    """Return one error that lists all wrong fields of a protocol file, with the expected values."""
    found, expected = zip(*(_to_fault(dict(fault)) for fault in error.errors()), strict=True)
    return UsageError(
        describe_faults("the protocol", found),
        where=f"{path}, {', '.join(dict.fromkeys(fault.field for fault in found))}",
        expected="; ".join(dict.fromkeys(expected)),
    )


def _to_fault(fault: dict[str, Any]) -> tuple[Fault, str]:
    """Return the fault in a protocol file that an error of pydantic describes, and a text on the expected value."""
    place = [str(part) for part in fault["loc"]]
    parent: Any = Protocol
    named = []
    for part in place:
        if not (isinstance(parent, type) and issubclass(parent, BaseModel)):
            break  # the rest names a branch of a union, not a field
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
    """Return the protocol. Raises UsageError if it selects models by test data without declaring a leak: the check of
    folds cannot find this."""
    if "select" in protocol.deviations and not protocol.leaks:
        field, what = "select", protocol.deviations["select"]
        raise UsageError(
            f"the protocol '{protocol.name}' declares that it does not leak, but it does: {what}",
            where=f"{path}, {field}",
            expected="split.by: group and select: recipe, or leaks: true (its results are marked and never ranked)",
        )
    return protocol


def _refuse_impostor(protocol: Protocol, path: Path) -> Protocol:
    """Return the protocol. Raises UsageError if it has the name of a published protocol, but other rules."""
    if protocol.name in protocol_names() and protocol.hash != load_protocol(protocol.name).hash:
        raise UsageError(
            f"the rules differ from the published protocol '{protocol.name}'",
            where=f"{path}, name",
            expected="a new name: results are compared by the name of their protocol",
        )
    return protocol
