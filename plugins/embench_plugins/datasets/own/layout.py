"""The schema of `dataset.yaml`: own recordings, their participants, and their labels, if any.

It includes path templates with names in braces, such as `{participant}/{session}_eda.csv`.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from embench.interfaces.kinds import KindName
from embench.interfaces.raters import RaterFusion, Raters
from embench.interfaces.recording import MODALITIES
from embench_plugins.datasets.devices import e4
from embench_plugins.datasets.formats.channels import Channels, Part
from embench_plugins.datasets.own.clock import COLUMN, parse_zone
from embench_plugins.datasets.own.tables import Reading, simplify_value

# Path templates: `{participant}/{session}_eda.csv` finds files, and the facts in their names.

_PART = re.compile(r"\{(?P<name>\w+)(?::(?P<form>[^{}]+))?\}|(?P<star>\*+)|(?P<any>\?)")
_UNREADABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and bytes that are not text; joined emojis and wide spaces are allowed."""
_MOST_WILD = 5
"""The most names and stars in one part of a path: more could make matching slow."""


@dataclass(frozen=True)
class Template:
    """A path below the folder, as a pattern. `{name}` matches any text without a slash, `{name:S*}` a text of this
    form, `*` any text without a name. The same name always matches the same text. Of several possible matches, earlier
    names match the shorter texts.

    Raises:
        ValueError: it leads out of the folder, or cannot be read.

    >>> Template("{participant}/eda_{task}.csv").names
    ('participant', 'task')
    """

    text: str

    def __post_init__(self) -> None:
        parts = self.text.split("/")
        if not self.text or self.text.startswith("/") or "\\" in self.text or re.match("[A-Za-z]:", self.text):
            raise ValueError("a path below the folder, with `/` between its parts, is needed")
        if {"", ".", ".."} & set(parts):
            raise ValueError("the path leads out of the folder, or has an empty part")
        for part in parts:
            check_part(part)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names in braces, in their order, each once."""
        return tuple(dict.fromkeys(match["name"] for match in _PART.finditer(self.text) if match["name"]))

    def matches(self, root: Path, known: Mapping[str, str] | None = None) -> Iterator[tuple[Path, dict[str, str]]]:
        """Yield the matching paths below a folder, sorted by name, with name in braces -> its text in the path.

        Args:
            known: name -> its text, for names that are fixed.
        """
        yield from _find_matching_paths(root, self.text.split("/"), dict(known or {}))


def check_part(part: str) -> None:
    """Raise ValueError if a text with names in braces and stars is malformed, or would take long to compare."""
    if len(_PART.findall(part)) > _MOST_WILD:
        raise ValueError(f"over {_MOST_WILD} names and stars in `{part}`")
    if re.search(r"[{}]", _PART.sub("", part)):
        raise ValueError(f"braces in `{part}` do not enclose a name: write `{{participant}}` or `{{participant:S*}}`")


def merge_stars(text: str) -> str:
    """Return a template in which consecutive stars, such as the stars of a date and a time, are one star.

    >>> merge_stars("{participant}_*_*.*.csv")
    '{participant}_*.csv'
    """
    return re.sub(r"\*(?:[_\-. ]+\*)+", "*", text)


def fill(text: str, facts: Mapping[str, str]) -> str:
    """Return a text with the known facts in the place of names in braces; unknown facts become empty.

    >>> fill("clip {clip}", {"clip": "7"})
    'clip 7'
    """
    return re.sub(r"\{(\w+)\}", lambda match: facts.get(match[1], ""), text)


def _find_matching_paths(
    folder: Path, parts: list[str], known: dict[str, str]
) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield paths below `folder` that match the pattern `parts`, one part per level, with the facts that the names
    contain. Facts in `known` (name -> value) are fixed."""
    first, *rest = parts
    if all(match["name"] in known for match in _PART.finditer(first)):
        name = _PART.sub(lambda match: known[match["name"]], first)
        names = [name] if (folder / name).exists() else []
    else:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    pattern = compile_part(first, known)
    for name in names:
        if (found := pattern.fullmatch(name)) and not _UNREADABLE.search(name):
            path, facts = folder / name, {**known, **found.groupdict()}
            if not rest:
                yield path, facts
            elif path.is_dir():
                yield from _find_matching_paths(path, rest, facts)


def compile_part(part: str, known: Mapping[str, str]) -> re.Pattern[str]:
    """Return a regular expression for a part of a path with names in braces. Known facts are fixed in it, the others
    are groups."""
    done, text, at = set[str](), "", 0
    for match in _PART.finditer(part):
        text += re.escape(part[at : match.start()])
        at, name = match.end(), match["name"]
        if name is None:
            text += "." if match["any"] else ".*"
        elif name in known:
            text += re.escape(known[name])
        elif name in done:
            text += f"(?P={name})"
        else:
            text += f"(?P<{name}>{_compile_form(match['form']) if match['form'] else '.+?'})"
            done.add(name)
    return re.compile(text + re.escape(part[at:]), re.DOTALL)


def _compile_form(form: str) -> str:
    return "".join(".*?" if c == "*" else "." if c == "?" else r"\d" if c == "#" else re.escape(c) for c in form)


# The schema.

ENTITIES = ("participant", "session", "task", "run")
"""The facts in the names of BIDS files."""
SENSED = tuple(m for m in MODALITIES if m not in ("video", "face_au", "eeg_bands"))
PIECE_S = 600.0
"""The default length of the pieces of recordings without labels, in s."""
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}

Text = Annotated[str, Field(min_length=1)]
Origin = Annotated[Text | None, Field(alias="from")]
Zone = Annotated[str, AfterValidator(lambda text: parse_zone(text) and text)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w-]{0,60}$")]


def _parse_template(text: Any) -> Any:
    return Template(text) if isinstance(text, str) else text


def _check_pattern(text: str | None) -> str | None:
    if text is not None:
        check_part(text)
    return text


class Readable(Part):
    """The options for reading a table.

    Args:
        skip_lines: number of lines before the line of column names.
        sheet: the sheet of an Excel file; `*` for all sheets, which must have equal columns; a column `sheet` then has
            their names.
    """

    skip_lines: Annotated[int, Field(ge=0, le=40)] = 0
    sheet: Text | None = None

    @property
    def reading(self) -> Reading:
        """The options as the readers of tables take them."""
        return Reading(self.skip_lines, self.sheet)


class Table(Readable):
    """A table with a line of column names, and its columns of facts on recordings. A column without a name is called by
    its number, from 1.

    Args:
        table: a path below the folder; `{participant}` and other names in braces are the facts in the recording's path.
        keys: name in braces -> the column with its values.
    """

    table: Template
    keys: Mapping[str, str] = {}

    _read = field_validator("table", mode="before")(_parse_template)


class Column(Table):
    """One cell of a recording's row in a table."""

    column: Text


class Trials(Readable):
    """The trials of recordings, each of which becomes a recording, by a table or by markers in the files.

    Args:
        table, keys: as for any table; labels can use its other columns.
        start, end, duration: columns; times are seconds from the start of the files, or dates and times of day. With a
            name in braces, such as `{stimulus}_start`, a row has columns for each stimulus.
        stimulus: the column of stimuli.
        where: column -> the values of the rows that count.
        markers: instead of a table, the markers in the files at which trials begin: text -> stimulus, or one text with
            a name in braces, such as `film_start_{stimulus}`.
        channel: the stream of an XDF file with the markers; or a channel or column of triggers, such as `Status`, whose
            numbers are the markers' texts.
        until: the text of the marker at which a trial ends.
        lasts_s: the length of each trial in s, instead of `until`.
        clock: only in older descriptions, and ignored.
        from_: `from`, the origin of seconds; see `Source`.
    """

    table: Template | None = None
    keys: Mapping[str, str] = {}
    start: Text | None = None
    end: Text | None = None
    duration: Text | None = None
    stimulus: Text | None = None
    where: Mapping[str, tuple[str, ...]] = {}
    markers: Mapping[str, str] | Text | None = None
    channel: Text | None = None
    until: Text | None = None
    lasts_s: Annotated[float, Field(gt=0)] | None = None
    from_: Origin = None
    clock: Literal["files", "absolute"] = "files"

    _read = field_validator("table", mode="before")(_parse_template)
    _patterns = field_validator("until", "start", "end", "duration")(_check_pattern)

    @model_validator(mode="after")
    def _agree(self) -> Trials:
        if isinstance(self.markers, str):
            check_part(self.markers)
        if (self.table is None) == (self.markers is None):
            raise ValueError("when do they begin? give a `table` with its columns, or the `markers` in the files")
        if self.channel and self.markers is None:
            raise ValueError("`channel` says where the `markers` are, which are missing")
        if self.table is not None:
            if self.start is None:
                raise ValueError("when does one begin? give the column of the `start`")
            if (self.end is None) == (self.duration is None):
                raise ValueError("when does it end? give the column of the `end`, or that of the `duration`")
            if self.wide and self.stimulus:
                raise ValueError("`start` has the stimulus in its column's name: leave out `stimulus`")
        elif (self.until is None) == (self.lasts_s is None):
            raise ValueError("when does one end? give the marker `until` which it lasts, or its length, `lasts_s`")
        return self

    @property
    def wide(self) -> bool:
        """True if a row of the table has columns for each stimulus."""
        return bool(self.start and "{stimulus}" in self.start)

    @property
    def columns(self) -> list[str]:
        """The columns that the table must have, by their names in the description."""
        timed = () if self.wide else (self.start, self.end, self.duration)
        return [c for c in (*timed, self.stimulus, *self.where) if c]


class OwnChannels(Channels, Readable):
    """The channels of a modality, and their files.

    Args:
        file: the files with this modality, if they are not the `files` of the recording.
        time: the column with the time of each row, which places the samples and checks the rate.
        time_unit: unit of numbers in `time`.
        missing: numbers that mark lost samples, such as -9999.
        from_: `from`, the modality whose file begins with this file, or is the origin of its times.
    """

    missing: tuple[float, ...] = ()
    from_: Origin = None
    file: Template | None = None
    time: Text | None = None
    time_unit: Literal["s", "ms", "us"] = "s"

    @field_validator("rate", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        """Return a text as a number if it is one; else unchanged, as the path of a number in a MATLAB file."""
        try:
            return float(value)
        except (TypeError, ValueError):
            return value

    _read = field_validator("file", mode="before")(_parse_template)


class FromHeader(OwnChannels):
    """Channels whose measurement unit is in the files; `unit` is the unit after conversion."""


UNITS = {"eda": "uS", "temp": "degC"}
"""Modality -> its unit after conversion, if only the files state a unit."""


class Source(Part):
    """Recordings of one kind.

    Args:
        files: template of their files, such as `{participant}/{session}.csv`.
        e4: instead of `files`, template of the folders of Empatica E4 exports.
        bids: instead of `files`, the task of a BIDS dataset.
        signals: modality -> channels; for an E4 the names of modalities, by default all.
        stimulus, session: texts, in which `{name}` is the fact in the file's path.
        order, start_s: position in the session, and seconds from the session's start.
        trials: the trials in each file, which become recordings.
        labels: the labels of these recordings; None for all.
        from_: `from`, the origin of seconds in tables if files begin at different times: a modality, for the start of
            its file, or `time`, for 0 in the columns of times, which then all count from the same moment.
    """

    files: Template | None = None
    e4: Template | None = None
    bids: Text | None = None
    signals: Mapping[str, OwnChannels] | tuple[str, ...] = ()
    stimulus: Text | None = None
    session: Text | None = None
    order: str | Column | None = None
    start_s: str | Column | None = None
    trials: Trials | None = None
    labels: tuple[str, ...] | None = None
    from_: Origin = None

    _read = field_validator("files", "e4", mode="before")(_parse_template)

    @field_validator("signals")
    @classmethod
    def _by_header(cls, signals: Any, info: ValidationInfo) -> Any:
        if not isinstance(signals, Mapping) or info.data.get("bids"):
            return signals
        return {
            m: FromHeader(**own.model_dump(exclude_unset=True) | {"unit": UNITS[m]})
            if own.unit is None and m in UNITS
            else own
            for m, own in signals.items()
        }

    @property
    def template(self) -> Template | None:
        """Path of the files or folders; None if each modality has its own, or for BIDS."""
        return self.files or self.e4

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names of the modalities."""
        return tuple(self.signals) or (tuple(e4.FILES) if self.e4 else ())

    def find_origin(self, text: str | None) -> str | None:
        """Return the modality whose file `from` names, directly or by its path, or `time`; None if it names neither."""
        if text is None or text == COLUMN or text in self.modalities:
            return text
        paths = {m: self.find_template(m) for m in self.modalities}
        return next((m for m, path in paths.items() if path and path.text == text), None)

    def find_template(self, modality: str) -> Template | None:
        """Return the path of a modality's files."""
        channels = self.signals.get(modality) if isinstance(self.signals, Mapping) else None
        return channels.file if channels and channels.file else self.template

    @model_validator(mode="after")
    def _agree(self) -> Source:
        if sum(given is not None for given in (self.files, self.e4, self.bids)) > 1:
            raise ValueError("`files`, `e4` and `bids` exclude each other: make a source of each")
        for m in self.signals:
            if m not in SENSED:
                near = difflib.get_close_matches(m, SENSED, 1)
                raise ValueError(
                    f"`{m}` is none of {', '.join(SENSED)}" + (f"; did you mean {near[0]}?" if near else "")
                )
        if self.e4:
            if isinstance(self.signals, Mapping) or set(self.signals) - set(e4.FILES):
                raise ValueError(f"`signals` of an E4 is a list of {', '.join(e4.FILES)}; units and rates are known")
        elif not isinstance(self.signals, Mapping) or not self.signals:
            raise ValueError("`signals` is missing: modality, then `channels`, `unit` and so on")
        elif not self.bids:
            self._check_files(self.signals)
        if "participant" not in self.names:
            raise ValueError("whose recording is it? put `{participant}` in the place of the subject into the path")
        return self

    def _check_files(self, signals: Mapping[str, OwnChannels]) -> None:
        if bare := [m for m in signals if self.find_template(m) is None]:
            raise ValueError(
                f"where are the files? `files` of the recordings, or `file` of {', '.join(bare)}, is missing"
            )
        named = {m: set(template.names) for m in signals if (template := self.find_template(m))}
        if len({frozenset(names) for names in named.values()}) > 1:
            said = ", ".join(f"{m} {' and '.join(sorted(names)) or 'none'}" for m, names in named.items())
            raise ValueError(f"the files of one recording need the same names in braces, but have: {said}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names in braces in the template of a recording's files."""
        if self.bids:
            return ENTITIES
        template = self.template or next(iter(filter(None, map(self.find_template, self.modalities))), None)
        return template.names if template else ()


class LabelSource(Readable):
    """The place of a label: the `file` name, or a `column`. The column is in a table's rows (with `keys`), its
    stretches of time (with `start`) or its moments (with `time`), in the table of trials (`trial`), or in the signals'
    file.

    Args:
        classes: value in the data -> class, or a list of classes if the data contain their names; None for numbers.
        scale: the lowest and highest number.
        missing: numbers that mark a missing label, such as 99.
        columns: the columns of several raters, instead of `column`.
        raters: the rule that fuses the numbers of several raters.
        from_: `from`, the origin of seconds; see `Source`.
    """

    file: Text | None = None
    trial: Text | None = None
    table: Template | None = None
    keys: Mapping[str, str] = {}
    column: Text | None = None
    start: Text | None = None
    end: Text | None = None
    duration: Text | None = None
    time: Text | None = None
    from_: Origin = None
    clock: Literal["files", "absolute"] = "files"  # of older descriptions
    classes: Mapping[str, str] | None = None
    scale: tuple[float, float] | None = None
    missing: tuple[float, ...] = ()
    columns: tuple[Text, ...] = ()
    raters: RaterFusion | None = None

    _read = field_validator("table", mode="before")(_parse_template)

    @field_validator("classes", mode="before")
    @classmethod
    def _named(cls, classes: Any) -> Any:
        if isinstance(classes, list):
            if len(set(map(str, classes))) < len(classes):
                raise ValueError("a class is named twice")
            classes = {str(name): str(name) for name in classes}
        if isinstance(classes, Mapping) and len(set(classes.values())) < 2:
            raise ValueError("two classes are needed at least")
        known: dict[str, str] = {}
        for raw, named in classes.items() if isinstance(classes, Mapping) else ():
            other = known.setdefault(simplify_value(str(raw)), str(raw))
            if classes.get(other, named) != named:
                why = "case, spaces, leading zeros and endings of video files do not count; rename one in the data"
                raise ValueError(f"`{other}` and `{raw}` are one value, but two classes: {why}")
        return classes

    @model_validator(mode="after")
    def _agree(self) -> LabelSource:
        places = [name for name in ("file", "trial", "column", "columns") if getattr(self, name)]
        if len(places) != 1:
            raise ValueError(f"one of `file`, `trial` and `column` says where the label is; here: {places or 'none'}")
        if (self.columns or self.raters) and not (self.raters and 1 < len(self.columns) == len(set(self.columns))):
            raise ValueError("several raters have two `columns` at least, each once, and `raters: mean`, median or ewe")
        if self.columns and self.classes:
            raise ValueError("several raters give numbers, of which one is made: leave out `classes`")
        if self.table is None and (self.start or self.time or self.keys):
            raise ValueError("`start`, `time` and `keys` are columns of a `table`, which is missing")
        if self.table is not None and not (self.column or self.columns):
            raise ValueError("which `column` of the table holds the label?")
        if self.start and (self.end is None) == (self.duration is None):
            raise ValueError("when does it end? give the column of the `end`, or that of the `duration`")
        if (self.end or self.duration) and not self.start:
            raise ValueError("when does it begin? give the column of the `start`")
        if self.start and self.time:
            raise ValueError("`start` is of stretches, `time` of moments: one of them")
        if self.scale and not self.scale[0] < self.scale[1]:
            raise ValueError("`scale` is the least and the greatest value")
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes without duplicates, in the order of the file."""
        return tuple(dict.fromkeys((self.classes or {}).values()))

    @property
    def kind(self) -> Literal["rating", "continuous", "condition"]:
        """The kind of label in the terms of `embench.interfaces`."""
        if self.classes:
            return "condition"
        timed = self.start or self.time or (not self.table and (self.column or self.columns))
        return "continuous" if timed else "rating"


class TargetRule(Part):
    """The rule of a target, as in `embench.interfaces.units`, but with classes by name."""

    label: Text
    kind: KindName
    cut: float | None = None
    edges: tuple[float, ...] = ()
    ties: Literal["low", "high", "drop"] = "low"
    dead_band: tuple[float, float] | None = None
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    aggregate: Literal["value", "mean", "majority", "unanimous"] | None = None
    lag_s: float = 0.0
    annotator: str = "self"
    step: Annotated[float, Field(gt=0)] | None = None
    centred: bool = False


class People(Readable):
    """The facts on subjects: a `table`, its column with their `id`, and columns of `info` (name -> column).

    Args:
        group: the column, or the name in braces, of the group that subjects were recorded in.
        exclude: subjects to leave out.
    """

    table: Template | None = None
    id: Text = "participant"
    group: Text | None = None
    info: Mapping[str, str] = {}
    exclude: tuple[str, ...] = ()

    _read = field_validator("table", mode="before")(_parse_template)

    @model_validator(mode="after")
    def _agree(self) -> People:
        if self.info and self.table is None:
            raise ValueError("`info` names columns of a `table`, which is missing")
        return self


class Faulty(Part):
    """A recording, or a trial with its number (`P07@3`), to leave out because of its files; with a `modality`, only
    that is left out. `why` is for readers."""

    recording: Text
    modality: Text | None = None
    why: str = ""


class Rest(Part):
    """The rest period in every recording, in s from its start."""

    start_s: Annotated[float, Field(ge=0)]
    stop_s: Annotated[float, Field(gt=0)]
    in_unit: bool = True


class Unlabelled(Part):
    """A `dataset.yaml` of recordings for pretraining. Recordings longer than `longest_s` are divided into pieces.
    `timezone` is the zone of dates and times of day without one."""

    name: Name = "corpus"
    title: Text
    citation: Text
    licence: Text
    doi: str = ""
    mains_hz: Annotated[float, Field(gt=0)]
    timezone: Zone = "UTC"
    longest_s: Annotated[float, Field(ge=1)] = PIECE_S
    fixed_order: bool = False
    labels_public: Literal["yes", "no", "unknown"] = "unknown"
    participants: People = People()
    faulty: tuple[Faulty, ...] = ()
    recordings: Annotated[tuple[Source, ...], Field(min_length=1)]
    labels: Mapping[Name, LabelSource] = {}
    targets: Mapping[Name, TargetRule] = {}
    default_modalities: tuple[str, ...] = ()
    default_targets: tuple[str, ...] = ()
    baseline: Rest | None = None
    skip_s: Annotated[float, Field(ge=0)] = 0.0
    sessions: tuple[Text, ...] = ()

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities of all sources, in the order of `SENSED`."""
        return tuple(m for m in SENSED if any(m in source.modalities for source in self.recordings))


class Description(Unlabelled):
    """A `dataset.yaml` of recordings with labels, none longer than `longest_s`."""

    name: Name
    longest_s: Annotated[float, Field(gt=0)]
    fixed_order: bool
    labels_public: Literal["yes", "no", "unknown"]
    labels: Mapping[Name, LabelSource]
    targets: Annotated[Mapping[Name, TargetRule], Field(min_length=1)]


# Labels of several raters: one for each column, and one that fuses them.


def group_raters(labels: Mapping[str, LabelSource]) -> dict[str, Raters]:
    """Return label -> its raters, as a card has them, for labels of several raters. Their labels are `calm_r1` and so
    on, in the order of columns."""
    return {
        name: Raters(tuple(f"{name}_r{k}" for k, _ in enumerate(spec.columns, 1)), spec.raters)
        for name, spec in labels.items()
        if spec.raters
    }


def read_labels(labels: Mapping[str, LabelSource]) -> dict[str, dict[str, LabelSource]]:
    """Return label -> the labels to read for it, by name: one for each rater, or only itself."""
    fused = group_raters(labels)
    made = {}
    for name, spec in labels.items():
        one = {"columns": (), "raters": None}
        made[name] = {
            rater: spec.model_copy(update={**one, "column": column})
            for rater, column in zip(fused[name].labels if name in fused else (), spec.columns, strict=True)
        } or {name: spec}
    return made
