"""Checks of a `dataset.yaml`: each fault with its line, what was expected, and the remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from pydantic import ValidationError

from embench.errors import DataError
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats.channels import POTENTIALS, card_unit
from embench_plugins.datasets.own.clock import COLUMN
from embench_plugins.datasets.own.layout import (
    Column,
    Description,
    LabelSource,
    OwnChannels,
    People,
    Rest,
    Source,
    TargetRule,
    Trials,
    Unlabelled,
)
from embench_plugins.datasets.own.raters import raters_of
from embench_plugins.datasets.own.yaml import HINT, Place, Written

Disagreement = tuple[Place, str, str | None]
"""Where, what is wrong, and the remedy."""


def read_description(written: Written, schema: type[Unlabelled] = Description) -> Unlabelled:
    """The description that a `dataset.yaml` holds. Raises DataError with the line of what is wrong first, and all
    faults."""
    if left := list(_left_open(written.content, ())):
        open_, *rest = (".".join(map(str, place)) for place in left)
        also = f"; so {'does' if len(rest) == 1 else 'do'} `{'`, `'.join(rest[:8])}`" if rest else ""
        expected = _MISSING.get(str(left[0][-1]))
        raise DataError(
            f"`{open_}` still says TODO{also}",
            where=written.where(*left[0]),
            expected=expected,
            hint="put in its place what the comment beside it says, or remove what these recordings have not",
        )
    try:
        description = schema.model_validate(written.content)
    except ValidationError as error:
        found = [(tuple(part for part in of["loc"] if not _is_choice(part)), of) for of in error.errors()]
        # A list is called too short if what stands in it is wrong, and a mapping no list.
        deep = {place[:k] for place, _ in found for k in range(len(place))}
        faults = sorted((_fault(place, of, written) for place, of in found if place not in deep), key=itemgetter(0))
        (_, where, first, hint), *others = faults
        more = "; ".join(f"{place.rpartition(', ')[2]}: {what}" for _, place, what, _ in others[:4])
        raise DataError(f"{first}; {more}" if more else first, where=where, hint=hint or HINT) from error
    for place, what, hint in _disagreements(description):
        raise DataError(what, where=written.where(*place), hint=hint or HINT)
    return description


def _left_open(content: Any, place: Place) -> Iterator[Place]:
    """The places where a person has not yet decided."""
    if isinstance(content, str) and re.match("TODO\\b", content):
        yield place
    elif isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from _left_open(value, (*place, key))


def _fault(place: Place, found: Any, written: Written) -> tuple[int, str, str, str | None]:
    """Line, file and line, what is wrong, and the remedy."""
    where = written.where(*place)
    key = ".".join(map(str, place))
    message, hint = found["msg"].removeprefix("Value error, "), None
    if found["type"] == "extra_forbidden":
        known = _known(place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, 1)
        message = f"unknown key `{key}`" + (f"; did you mean `{near[0]}`?" if near else "")
        hint = f"known here: {', '.join(known)}" if known else None
    elif found["type"] == "missing":
        message, hint = f"`{key}` is missing", _MISSING.get(str(place[-1]))
    elif found["input"] is None and found["type"] != "value_error":
        message, hint = f"`{key}` has no value", _MISSING.get(str(place[-1]))
    else:
        shown = f", not `{found['input']}`" if isinstance(found["input"], str) else ""
        message = f"`{key}`: {message}{shown}" if key else message
    return int(where.rpartition(" ")[2]), where, message, hint


_MISSING = {
    "fixed_order": "fixed_order: true, if all subjects had the tasks in one order, so that a clock can tell the label",
    "labels_public": "labels_public: yes, if the licence allows to publish labels; else no",
    "mains_hz": "mains_hz: 50, or 60 in America and parts of Asia",
    "longest_s": "longest_s: the length of the longest recording in seconds, rounded up",
    "licence": "licence: under which others may use the data, or `not shared`",
    "citation": "citation: what to cite, or `unpublished`",
    "name": "name: a short word, which records and leaderboards have",
    "labels": "labels: NAME: {table: ratings.csv, keys: {participant: code}, column: rating}, for example",
    "targets": "targets: NAME: {label: LABEL, kind: binary, cut: 5}; without labels too, it is a corpus",
    "kind": "kind: binary, classes or value",
}


def _is_choice(part: str | int) -> bool:
    """True if pydantic only says which of several types it tried."""
    return isinstance(part, str) and bool(re.fullmatch(r"Column|str|(dict|tuple|mapping)\[.*", part))


def _known(place: Place) -> list[str]:
    """The keys that may stand at a place."""
    kinds: Any = {
        (): Description, ("participants",): People, ("baseline",): Rest, ("recordings", 0): Source,
        ("recordings", 0, "trials"): Trials, ("recordings", 0, "signals", ""): OwnChannels,
        ("recordings", 0, "order"): Column, ("recordings", 0, "start_s"): Column,
        ("labels", ""): LabelSource, ("targets", ""): TargetRule,
    }  # fmt: skip
    plain = tuple(0 if isinstance(part, int) else part for part in place)
    for end in (plain, (*plain[:-1], "")):
        if end in kinds:
            return [field.alias or name for name, field in kinds[end].model_fields.items()]
    return []


def _disagreements(of: Unlabelled) -> Iterator[Disagreement]:
    """The parts that are right by themselves and do not fit another."""
    yield from _of_signals(of)
    yield from _of_names(of)
    yield from _of_labels(of)
    yield from _of_origins(of)
    for target, rule in of.targets.items():
        yield from _of_target(of, target, rule)
    for key, wanted, there in (
        ("default_modalities", of.default_modalities, of.modalities),
        ("default_targets", of.default_targets, tuple(of.targets)),
    ):
        for name in wanted:
            if name not in there:
                yield (key,), f"`{name}` is none of {', '.join(there)}", None
    if of.baseline and of.baseline.start_s >= of.baseline.stop_s:
        yield ("baseline",), "it ends before it begins", None


def _of_names(of: Unlabelled) -> Iterator[Disagreement]:
    """Names in braces that no path has."""
    for i, source in enumerate(of.recordings):
        known = (*source.names, *(["stimulus", "trial"] if source.trials else []))
        for key in ("stimulus", "session", "order", "start_s"):
            text = getattr(source, key)
            for name in re.findall(r"\{(.*?)\}", text) if isinstance(text, str) else ():
                if name not in known:
                    yield ("recordings", i, key), f"`{key}`: `{{{name}}}` is none of {', '.join(known)}", None
        for label in source.labels or ():
            if label not in of.labels:
                yield ("recordings", i, "labels"), f"there is no label `{label}`", f"labels: {', '.join(of.labels)}"
    group, names = of.participants.group, {name for source in of.recordings for name in source.names}
    if group and not of.participants.table and group not in names:
        what = f"`{group}` is no name in braces in the paths, and there is no table of participants"
        yield ("participants", "group"), what, None


def _of_labels(of: Unlabelled) -> Iterator[Disagreement]:
    names = sorted({name for source in of.recordings for name in source.names})
    trials = any(source.trials for source in of.recordings)
    known = (*names, *(["stimulus", "trial"] if trials else []))
    for label, raters in raters_of(of.labels).items():
        for taken in set(raters.labels) & set(of.labels):
            yield ("labels", taken), f"`{taken}` is also the label of one rater of {label}", "give it another name"
    for label, spec in of.labels.items():
        if not spec.table:
            yield from _of_channels(of, label, (*spec.columns, *filter(None, [spec.column])))
        if spec.file and spec.file not in known:
            hint = f"put `{{{spec.file}}}` into the path of the files"
            what = f"`{spec.file}` is no name in braces in the paths: {', '.join(names)}"
            yield ("labels", label, "file"), what, hint
        if spec.trial and not trials:
            yield ("labels", label, "trial"), "no recordings have `trials`", None
        unknown = [k for k in (*spec.keys, *(spec.table.names if spec.table else ())) if k not in known]
        if unknown:
            hint = f"put `{{{unknown[0]}}}` into the path of the files, if their names say it"
            yield ("labels", label, "keys"), f"`{unknown[0]}` is none of {', '.join(known)}", hint


def _of_origins(of: Unlabelled) -> Iterator[Disagreement]:
    """Each `from` that names no file of its recordings."""
    for i, source in enumerate(of.recordings):
        own = source.signals if isinstance(source.signals, Mapping) else {}
        at: list[tuple[Place, str | None]] = [(("recordings", i), source.from_)]
        at += [(("recordings", i, "trials"), source.trials.from_)] if source.trials else []
        at += [
            (("labels", name), label.from_)
            for name, label in of.labels.items()
            if source.labels is None or name in source.labels
        ]
        there = [*source.modalities, COLUMN]
        for place, text in at:
            if text and source.origin(text) is None:
                yield (
                    (*place, "from"),
                    f"`from: {text}` is none of {', '.join(there)}",
                    f"from: {there[0]}, for example",
                )
        for m, channels in own.items():
            other = source.origin(channels.from_)
            others = [name for name in own if name != m and not own[name].from_]
            if channels.from_ and other not in others:
                what = f"`from: {channels.from_}` of {m} is none of {', '.join(others)}"
                yield ("recordings", i, "signals", m, "from"), what, "name a modality whose own file says when it began"


def _of_channels(of: Unlabelled, label: str, columns: Sequence[str]) -> Iterator[Disagreement]:
    """The columns beside the signals that are a signal themselves."""
    for source in of.recordings:
        for m, own in source.signals.items() if isinstance(source.signals, Mapping) else ():
            for column in set(columns) & set(own.channels.values()):
                what = f"`{column}` is a channel of {m}: a label made of a signal scores methods on their own input"
                yield ("labels", label), what, "a label comes from ratings alone, or from what the experimenter did"


def _of_signals(of: Unlabelled) -> Iterator[Disagreement]:
    first: dict[str, OwnChannels] = {}
    for i, source in enumerate(of.recordings):
        for m in source.modalities:
            own = source.signals[m] if isinstance(source.signals, Mapping) else None
            own = own or OwnChannels(channels=dict.fromkeys(e4.CARDS[m].channels, ""), unit=e4.CARDS[m].unit)
            before = first.setdefault(m, own)
            place = ("recordings", i, "signals", m)
            if before.standard != own.standard:
                what = (
                    f"{m} has channels {', '.join(before.standard)} in one source, {', '.join(own.standard)} in another"
                )
                yield place, what, "name them `standard: name in the file`, with the same standard names everywhere"
            if card_unit(m, before.unit) != card_unit(m, own.unit):
                yield place, f"{m} has units {before.unit} and {own.unit}", "bring the files to one unit"
            if m not in POTENTIALS and own.unit is None and not source.bids:
                hint = f"unit: {'uS' if m == 'eda' else 'degC' if m == 'temp' else 'a.u., if nobody knows it'}"
                yield place, f"`unit` of {m} is missing", hint


def _of_target(of: Unlabelled, target: str, rule: TargetRule) -> Iterator[Disagreement]:
    def at(key: str) -> Place:
        return ("targets", target, key)

    if rule.label not in of.labels:
        near = difflib.get_close_matches(rule.label, of.labels, 1)
        what = f"there is no label `{rule.label}`" + (f"; did you mean `{near[0]}`?" if near else "")
        yield at("label"), what, f"labels: {', '.join(of.labels) or 'none'}"
        return
    classes = of.labels[rule.label].class_names
    for key in ("positive", "negative", "classes"):
        for name in getattr(rule, key):
            if name not in classes:
                yield at(key), f"`{name}` is no class of {rule.label}", f"its classes: {', '.join(classes) or 'none'}"
    if set(rule.positive) & set(rule.negative):
        yield at("positive"), "a class is positive and negative", None
    if rule.dead_band and not rule.dead_band[0] < rule.dead_band[1]:
        yield at("dead_band"), "it ends before it begins", "dead_band: [4.5, 5.5], for example"
    if list(rule.edges) != sorted(set(rule.edges)):
        yield at("edges"), "they do not rise", "edges: [3.5, 6.5], for example"
    if rule.step and rule.kind != "value":
        yield at("step"), "a step is one of values", "kind: value"
    yield from _of_classes(of, target, rule) if classes else _of_numbers(target, rule)


def _of_classes(of: Unlabelled, target: str, rule: TargetRule) -> Iterator[Disagreement]:
    """The faults in a target of a label with classes."""
    place, classes = ("targets", target, "kind"), of.labels[rule.label].class_names
    if rule.cut is not None or rule.edges or rule.dead_band or rule.centred:
        yield place, "`cut`, `edges`, `dead_band` and `centred` are of numbers, and the label has classes", None
    if rule.kind == "binary" and not (rule.positive and rule.negative):
        hint = f"positive: [{classes[-1]}] and negative: [{classes[0]}]"
        yield place, "which classes are `positive`, and which are `negative`?", hint
    if rule.kind == "classes" and len(rule.classes or classes) < 3:
        yield place, f"{len(rule.classes or classes)} classes", "two are `kind: binary`"
    if rule.kind == "value":
        yield place, "classes are no values", "kind: binary or classes"


def _of_numbers(target: str, rule: TargetRule) -> Iterator[Disagreement]:
    """The faults in a target of a label without classes."""
    place = ("targets", target, "kind")
    if rule.kind == "binary" and rule.cut is None:
        yield place, "above which number is it positive?", "cut: 5, for example"
    if rule.kind == "classes" and len(rule.edges) < 2:
        yield place, f"{len(rule.edges) + 1} classes", "edges: [3.5, 6.5], for example; two are `kind: binary`"
    if rule.kind == "value" and (rule.cut is not None or rule.edges):
        yield place, "a value has no `cut` or `edges`", "kind: binary or classes"
