"""Reader of `dataset.yaml`: keeps the line of each value, checks the description and makes a card from it."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from embench.errors import DataError
from embench.interfaces.dataset import Baseline, Card, ModalityCard
from embench.interfaces.units import LabelRule, Target
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats.channels import POTENTIALS, find_card_unit
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
    group_raters,
)

# Reading. Each value keeps its line, so that errors can name it.
#
# All values stay texts: `no` is the name of a class and not a truth value, `01` a subject and not a number. The schema
# converts numbers.

DATASET = "dataset.yaml"
HINT = "embench data new FOLDER writes a first one; the page on own data explains each key"
MOST_BYTES = 1 << 20
MOST_DEPTH = 20
MOST_VALUES = 100_000
_NULLS = ("", "~", "null", "Null", "NULL")

Place = tuple[str | int, ...]
"""The path of a value: keys, and positions in lists, from the top."""


class Written:
    """The content of a `dataset.yaml`, and the line of each value.

    Args:
        content: texts, None, lists, and mappings whose keys are texts.
    """

    def __init__(self, path: Path, content: Any, lines: dict[Place, int]) -> None:
        self.path, self.content, self.lines = path, content, lines

    def where(self, *place: str | int) -> str:
        """Return the file and line of a value, or of the closest existing part around it."""
        while place not in self.lines and place:
            place = place[:-1]
        return f"{self.path}, line {self.lines.get(place, 1)}"


def quote_yaml(text: str) -> str:
    """Return a text as YAML, in quotes where they are needed.

    >>> quote_yaml("P01"), quote_yaml('so "calm"')
    ('P01', '"so \\\\"calm\\\\""')
    """
    return text if re.fullmatch(r"[A-Za-z0-9][\w./-]*", text) else json.dumps(text, ensure_ascii=False)


def read_yaml(path: Path) -> Written:
    """Read the description in a file. Raises DataError that names the line at fault."""
    if not path.parent.is_dir():
        raise DataError(
            "there is no such folder", where=str(path.parent), expected=f"a folder with {DATASET}", hint=HINT
        )
    if not path.is_file():
        raise DataError(f"no {path.name} says what the recordings here are", where=str(path), hint=HINT)
    if path.stat().st_size > MOST_BYTES:
        raise DataError("it is over a megabyte long", where=str(path), expected="a short description", hint=HINT)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        _check_events(path, text)
        top = yaml.compose(text, yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise DataError(f"this is not text in UTF-8: {error.reason}", where=str(path), hint=HINT) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).partition("\n")[0]
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        hint = "indent with spaces, and put texts with `: `, `#` or a leading special character into quotes"
        raise DataError(f"not readable as YAML: {what}", where=where, hint=hint) from error
    if top is None:
        raise DataError("the file is empty", where=str(path), expected="name, title, recordings and so on", hint=HINT)
    lines: dict[Place, int] = {}
    return Written(path, _parse_node(path, top, (), lines), lines)


def _check_events(path: Path, text: str) -> None:
    """Raise DataError on parts that could grow or run when they are read: aliases, tags, and deep nesting."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        where = f"{path}, line {event.start_mark.line + 1}" if event.start_mark else str(path)
        if isinstance(event, yaml.AliasEvent):
            what = f"`*{event.anchor}` repeats another part"
            raise DataError(what, where=where, expected="no aliases", hint="write it out in full")
        if tag := getattr(event, "tag", None):
            what = f"`{str(tag)[:60]}` is a tag"
            raise DataError(what, where=where, expected="plain texts, lists and mappings", hint="remove the tag")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise DataError(f"it is nested over {MOST_DEPTH} deep", where=where, hint="correct the indentation")


def _parse_node(path: Path, node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    """Return the content of a YAML node, and store the line of each value in `lines`."""
    lines.setdefault(place, node.start_mark.line + 1)
    if len(lines) > MOST_VALUES or len(place) > MOST_DEPTH:
        raise DataError("parts that repeat others make it endless", where=str(path), hint="write them out in full")
    if isinstance(node, yaml.ScalarNode):
        return None if node.style is None and node.value in _NULLS else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_parse_node(path, item, (*place, i), lines) for i, item in enumerate(node.value)]
    content: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise DataError(
                "a key is a list or mapping", where=f"{path}, line {line}", expected="a text before the `:`", hint=HINT
            )
        if key.value in content:
            raise DataError(
                f"`{key.value}` stands here a second time",
                where=f"{path}, line {line}",
                expected=f"each key once; the first one is in line {lines[*place, key.value]}",
                hint="remove one of them",
            )
        lines[*place, key.value] = line
        content[key.value] = _parse_node(path, value, (*place, key.value), lines)
    return content


# Checks: each fault has its line, the expected value, and a remedy.

Disagreement = tuple[Place, str, str | None]
"""The path of a value that contradicts another, the fault, and the remedy."""


def read_description(written: Written, schema: type[Unlabelled] = Description) -> Unlabelled:
    """Return the description in a `dataset.yaml`. Raises DataError with the line of the first fault, and all faults."""
    if unfinished := list(_find_left_open(written.content, ())):
        first_place, *rest = (".".join(map(str, place)) for place in unfinished)
        also = f"; so {'does' if len(rest) == 1 else 'do'} `{'`, `'.join(rest[:8])}`" if rest else ""
        expected = _MISSING.get(str(unfinished[0][-1]))
        raise DataError(
            f"`{first_place}` still says TODO{also}",
            where=written.where(*unfinished[0]),
            expected=expected,
            hint="put in its place what the comment beside it says, or remove what these recordings have not",
        )
    try:
        description = schema.model_validate(written.content)
    except ValidationError as error:
        errors = [(tuple(part for part in one["loc"] if not _is_choice(part)), one) for one in error.errors()]
        # pydantic also reports the list or mapping around a wrong value: report only the value.
        outer = {place[:k] for place, _ in errors for k in range(len(place))}
        faults = sorted(
            (_describe_fault(place, one, written) for place, one in errors if place not in outer), key=itemgetter(0)
        )
        (_, where, first, hint), *others = faults
        further = "; ".join(f"{place.rpartition(', ')[2]}: {what}" for _, place, what, _ in others[:4])
        raise DataError(f"{first}; {further}" if further else first, where=where, hint=hint or HINT) from error
    for place, what, hint in _find_disagreements(description):
        raise DataError(what, where=written.where(*place), hint=hint or HINT)
    return description


def _find_left_open(content: Any, place: Place) -> Iterator[Place]:
    """Yield the paths of values that still begin with TODO."""
    if isinstance(content, str) and re.match("TODO\\b", content):
        yield place
    elif isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from _find_left_open(value, (*place, key))


def _describe_fault(place: Place, found: Any, written: Written) -> tuple[int, str, str, str | None]:
    """Return the line, the file and line as text, the fault, and the remedy."""
    where = written.where(*place)
    key = ".".join(map(str, place))
    message, hint = found["msg"].removeprefix("Value error, "), None
    if found["type"] == "extra_forbidden":
        known = _list_known(place[:-1])
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
    """Return True if a part of an error's path is only the name of a type that pydantic tried."""
    return isinstance(part, str) and bool(re.fullmatch(r"Column|str|(dict|tuple|mapping)\[.*", part))


def _list_known(place: Place) -> list[str]:
    """Return the keys that are allowed at a path."""
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


def _find_disagreements(description: Unlabelled) -> Iterator[Disagreement]:
    """Yield the values that are valid alone but contradict others."""
    yield from _check_signals(description)
    yield from _check_names(description)
    yield from _check_labels(description)
    yield from _check_origins(description)
    for target, rule in description.targets.items():
        yield from _check_target(description, target, rule)
    for key, wanted, known in (
        ("default_modalities", description.default_modalities, description.modalities),
        ("default_targets", description.default_targets, tuple(description.targets)),
    ):
        for name in wanted:
            if name not in known:
                yield (key,), f"`{name}` is none of {', '.join(known)}", None
    if description.baseline and description.baseline.start_s >= description.baseline.stop_s:
        yield ("baseline",), "it ends before it begins", None


def _check_names(description: Unlabelled) -> Iterator[Disagreement]:
    """Yield the names in braces that no path has."""
    for i, source in enumerate(description.recordings):
        known = (*source.names, *(["stimulus", "trial"] if source.trials else []))
        for key in ("stimulus", "session", "order", "start_s"):
            text = getattr(source, key)
            for name in re.findall(r"\{(.*?)\}", text) if isinstance(text, str) else ():
                if name not in known:
                    yield ("recordings", i, key), f"`{key}`: `{{{name}}}` is none of {', '.join(known)}", None
        for label in source.labels or ():
            if label not in description.labels:
                yield (
                    ("recordings", i, "labels"),
                    f"there is no label `{label}`",
                    f"labels: {', '.join(description.labels)}",
                )
    group, names = description.participants.group, {name for source in description.recordings for name in source.names}
    if group and not description.participants.table and group not in names:
        what = f"`{group}` is not a name in braces in the paths, and there is no table of participants"
        yield ("participants", "group"), what, None


def _check_labels(description: Unlabelled) -> Iterator[Disagreement]:
    """Yield the labels whose names, files, trials or keys contradict other parts."""
    names = sorted({name for source in description.recordings for name in source.names})
    trials = any(source.trials for source in description.recordings)
    known = (*names, *(["stimulus", "trial"] if trials else []))
    for label, raters in group_raters(description.labels).items():
        for taken in set(raters.labels) & set(description.labels):
            yield ("labels", taken), f"`{taken}` is also the label of one rater of {label}", "give it another name"
    for label, spec in description.labels.items():
        if not spec.table:
            yield from _check_channels(description, label, (*spec.columns, *filter(None, [spec.column])))
        if spec.file and spec.file not in known:
            hint = f"put `{{{spec.file}}}` into the path of the files"
            what = f"`{spec.file}` is not one of the names in braces in the paths: {', '.join(names)}"
            yield ("labels", label, "file"), what, hint
        if spec.trial and not trials:
            yield ("labels", label, "trial"), "no recordings have `trials`", None
        unknown = [k for k in (*spec.keys, *(spec.table.names if spec.table else ())) if k not in known]
        if unknown:
            hint = f"put `{{{unknown[0]}}}` into the path of the files, if their names say it"
            yield ("labels", label, "keys"), f"`{unknown[0]}` is none of {', '.join(known)}", hint


def _check_origins(description: Unlabelled) -> Iterator[Disagreement]:
    """Yield each `from` that names no file of its recordings."""
    for i, source in enumerate(description.recordings):
        signals = source.signals if isinstance(source.signals, Mapping) else {}
        origins: list[tuple[Place, str | None]] = [(("recordings", i), source.from_)]
        origins += [(("recordings", i, "trials"), source.trials.from_)] if source.trials else []
        origins += [
            (("labels", name), label.from_)
            for name, label in description.labels.items()
            if source.labels is None or name in source.labels
        ]
        allowed = [*source.modalities, COLUMN]
        for place, text in origins:
            if text and source.find_origin(text) is None:
                yield (
                    (*place, "from"),
                    f"`from: {text}` is none of {', '.join(allowed)}",
                    f"from: {allowed[0]}, for example",
                )
        for m, channels in signals.items():
            other = source.find_origin(channels.from_)
            candidates = [name for name in signals if name != m and not signals[name].from_]
            if channels.from_ and other not in candidates:
                what = f"`from: {channels.from_}` of {m} is none of {', '.join(candidates)}"
                yield ("recordings", i, "signals", m, "from"), what, "name a modality whose own file says when it began"


def _check_channels(description: Unlabelled, label: str, columns: Sequence[str]) -> Iterator[Disagreement]:
    """Yield the labels from columns that are also channels of signals."""
    for source in description.recordings:
        for m, own in source.signals.items() if isinstance(source.signals, Mapping) else ():
            for column in set(columns) & set(own.channels.values()):
                what = f"`{column}` is a channel of {m}: a label made of a signal scores methods on their own input"
                yield ("labels", label), what, "a label comes from ratings alone, or from what the experimenter did"


def _check_signals(description: Unlabelled) -> Iterator[Disagreement]:
    """Yield the modalities with different channels or measurement units in several sources, or without a unit."""
    first: dict[str, OwnChannels] = {}
    for i, source in enumerate(description.recordings):
        for m in source.modalities:
            spec = source.signals[m] if isinstance(source.signals, Mapping) else None
            spec = spec or OwnChannels(channels=dict.fromkeys(e4.CARDS[m].channels, ""), unit=e4.CARDS[m].unit)
            other = first.setdefault(m, spec)
            place = ("recordings", i, "signals", m)
            if other.standard != spec.standard:
                what = (
                    f"{m} has channels {', '.join(other.standard)} in one source, {', '.join(spec.standard)} in another"
                )
                yield place, what, "name them `standard: name in the file`, with the same standard names everywhere"
            if find_card_unit(m, other.unit) != find_card_unit(m, spec.unit):
                yield place, f"{m} has units {other.unit} and {spec.unit}", "bring the files to one unit"
            if m not in POTENTIALS and spec.unit is None and not source.bids:
                hint = f"unit: {'uS' if m == 'eda' else 'degC' if m == 'temp' else 'a.u., if nobody knows it'}"
                yield place, f"`unit` of {m} is missing", hint


def _check_target(description: Unlabelled, target: str, rule: TargetRule) -> Iterator[Disagreement]:
    """Yield the faults in a target."""

    def locate(key: str) -> Place:
        return ("targets", target, key)

    if rule.label not in description.labels:
        near = difflib.get_close_matches(rule.label, description.labels, 1)
        what = f"there is no label `{rule.label}`" + (f"; did you mean `{near[0]}`?" if near else "")
        yield locate("label"), what, f"labels: {', '.join(description.labels) or 'none'}"
        return
    classes = description.labels[rule.label].class_names
    for key in ("positive", "negative", "classes"):
        for name in getattr(rule, key):
            if name not in classes:
                yield (
                    locate(key),
                    f"`{name}` is not a class of {rule.label}",
                    f"its classes: {', '.join(classes) or 'none'}",
                )
    if set(rule.positive) & set(rule.negative):
        yield locate("positive"), "a class is positive and negative", None
    if rule.dead_band and not rule.dead_band[0] < rule.dead_band[1]:
        yield locate("dead_band"), "it ends before it begins", "dead_band: [4.5, 5.5], for example"
    if list(rule.edges) != sorted(set(rule.edges)):
        yield locate("edges"), "they do not rise", "edges: [3.5, 6.5], for example"
    if rule.step and rule.kind != "value":
        yield locate("step"), "a step is one of values", "kind: value"
    yield from _check_classes(description, target, rule) if classes else _check_numbers(target, rule)


def _check_classes(description: Unlabelled, target: str, rule: TargetRule) -> Iterator[Disagreement]:
    """Yield the faults in a target whose label has classes."""
    place, classes = ("targets", target, "kind"), description.labels[rule.label].class_names
    if rule.cut is not None or rule.edges or rule.dead_band or rule.centred:
        yield place, "`cut`, `edges`, `dead_band` and `centred` are of numbers, and the label has classes", None
    if rule.kind == "binary" and not (rule.positive and rule.negative):
        hint = f"positive: [{classes[-1]}] and negative: [{classes[0]}]"
        yield place, "which classes are `positive`, and which are `negative`?", hint
    if rule.kind == "classes" and len(rule.classes or classes) < 3:
        yield place, f"{len(rule.classes or classes)} classes", "two are `kind: binary`"
    if rule.kind == "value":
        yield place, "`kind: value` needs numbers, and this label has classes", "kind: binary or classes"


def _check_numbers(target: str, rule: TargetRule) -> Iterator[Disagreement]:
    """Yield the faults in a target whose label has numbers."""
    place = ("targets", target, "kind")
    if rule.kind == "binary" and rule.cut is None:
        yield place, "above which number is it positive?", "cut: 5, for example"
    if rule.kind == "classes" and len(rule.edges) < 2:
        yield place, f"{len(rule.edges) + 1} classes", "edges: [3.5, 6.5], for example; two are `kind: binary`"
    if rule.kind == "value" and (rule.cut is not None or rule.edges):
        yield place, "a value has no `cut` or `edges`", "kind: binary or classes"


# The card.

USUAL: Mapping[str, Literal["value", "mean", "majority"]] = {
    "rating": "value",
    "continuous": "mean",
    "condition": "majority",
}
"""Kind of label -> the default rule that reduces a unit's values to one."""


def make_card(description: Unlabelled) -> Card:
    """Return the card of a described folder."""
    rest = description.baseline
    return Card(
        name=description.name,
        title=description.title,
        citation=description.citation,
        doi=description.doi,
        licence=description.licence,
        obtain=HINT,
        modalities={m: _make_modality(description, m) for m in description.modalities},
        default_modalities=description.default_modalities or description.modalities,
        targets=tuple(_make_target(description, name, rule) for name, rule in description.targets.items()),
        mains_hz=description.mains_hz,
        longest_s=description.longest_s,
        labels_public=description.labels_public,
        fixed_order=description.fixed_order,
        baseline=Baseline(rest.start_s, rest.stop_s, rest.in_unit) if rest else None,
        skip_s=description.skip_s,
        default_targets=description.default_targets,
        raters=group_raters(description.labels),
        sessions=description.sessions,
    )


def _make_modality(description: Unlabelled, m: str) -> ModalityCard:
    """Return the card of a modality; its rate is NaN unless it is stated and equal in all sources."""
    own = [s.signals[m] for s in description.recordings if isinstance(s.signals, Mapping) and m in s.signals]
    is_worn = any(source.e4 and m in source.modalities for source in description.recordings)
    rates = {float(c.rate) if isinstance(c.rate, int | float) else math.nan for c in own}
    rates |= {e4.CARDS[m].rate} if is_worn else set()
    rate = rates.pop() if len(rates) == 1 else math.nan
    if not own:
        return e4.CARDS[m]
    lows, highs = zip(*(c.applied for c in own), strict=True)
    low, high = [e for e in lows if e is not None], [e for e in highs if e is not None]
    # Only filters that all files have gone through count; a filter of some files is applied to all.
    applied = (min(low) if len(low) == len(own) else None, max(high) if len(high) == len(own) else None)
    return ModalityCard(own[0].standard, rate, find_card_unit(m, own[0].unit), applied)


def _make_target(description: Unlabelled, name: str, rule: TargetRule) -> Target:
    """Return a target, with its classes as indices."""
    label = description.labels[rule.label]
    classes = label.class_names

    def numbers(named: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(classes.index(one) for one in named)

    made = LabelRule(
        aggregate=rule.aggregate or USUAL[label.kind],
        cut=rule.cut,
        ties=rule.ties,
        dead_band=rule.dead_band,
        lag_s=rule.lag_s,
        annotator=rule.annotator,
        positive=numbers(rule.positive),
        negative=numbers(rule.negative),
        classes=numbers(rule.classes),
        edges=rule.edges,
        centred=rule.centred,
    )
    n = len(rule.classes or classes) if classes else len(rule.edges) + 1
    return Target(name, rule.kind, made, rule.label, n if rule.kind == "classes" else 2, label.scale, rule.step)
