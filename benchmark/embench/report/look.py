"""A dataset as one HTML page to look at before anything is trained: `embench data look`. See `write_look`.

The page holds signals, so that whom they are of is hidden as far as a page can: pseudonyms are dealt at random and
nobody keeps whom they stand for, recordings are numbers, and names of stimuli and sessions are shown only where they
are those of a design.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from embench.callbacks import ProgressCallback
from embench.data.faults import FAULTS
from embench.data.find import OWN
from embench.data.label_report import describe_labels
from embench.data.quality import POOR, describe_quality
from embench.errors import EmbenchError, MachineError
from embench.files import PRIVATE, folder_mode, write_whole
from embench.interfaces.dataset import Card, Dataset
from embench.interfaces.recording import Recording
from embench.interfaces.units import Target
from embench.planning.power import ASSUMED_SD, shown_difference, subjects_needed
from embench.protocols import Protocol, UnitId
from embench.records.scores import Scores
from embench.records.wording import format_control, in_words
from embench.report.page import Section, join_parts, paragraph, render_macro, render_page
from embench.report.tracks import LabelTrack, Track, beats_of, clock, draw_signal, label_tracks, time_ticks
from embench.runs.controls import describe_controls
from embench.signals.plausible import signal_size, unit_fault
from embench.statistics.controls import CONTROLS, NOT_TO_CLEAR
from embench.store import Store
from embench.store.reading import recordings

MOST_BYTES = 9_000_000
"""About what the curves of a page take; they have fewer columns where there are more of them."""
_BYTES_OF_COLUMN = 7
_COLUMNS = (100, 2400)
_PARTS = 2
"""A recording's curve, and ten seconds of it."""
_DIFFERENCE = 0.05
_DATE = re.compile(r"\d{4}[-_.]?\d{2}[-_.]?\d{2}|\d{1,2}[.]\d{1,2}[.]\d{2,4}")
NOT_FOR_SHARING = "This file holds participants' signals: not for sharing."

Stage = Callable[[str, str], ProgressCallback]
"""Makes a callback of the next part of the job from what is counted in it, and what is done to these."""


@dataclass(frozen=True)
class LookedAt:
    """What a page is made of. `people`: those whose signals are drawn. `own`: of a folder of one's own."""

    dataset: Dataset
    store: Store
    card: Card
    rules: Protocol
    targets: Sequence[Target]
    people: Sequence[str]
    own: bool = False


@dataclass
class _Sums:
    """Of a modality: its unit, rates, the size of each recording, samples by fault, people and hours."""

    unit: str
    channels: int
    rates: set[float] = field(default_factory=set)
    sizes: list[float] = field(default_factory=list)
    samples: np.ndarray = field(default_factory=lambda: np.zeros(len(FAULTS) + 1, np.int64))
    people: set[str] = field(default_factory=set)
    hours: float = 0.0


@dataclass(frozen=True)
class _Drawn:
    """A recording on the page."""

    title: str
    labels: list[str]
    bands: list[LabelTrack]
    tracks: list[Track]
    close: list[Track]
    ticks: list[tuple[float, str]]


def write_look(of: LookedAt, out: Path, stage: Stage) -> Path:
    """Writes the page. A file of data that may not be shared can be read by its owner alone.

    Raises:
        DataError: files cannot be read. MachineError: the page cannot be written.
    """
    names = pseudonyms(of.store.subjects)
    quality = _quality(of, stage("modalities", "judged"))
    controls = _controls(of, names, stage("folds", "controls fitted"))
    sums, drawn = _drawn(of, names, stage("subjects", "drawn"))
    faults = [text for m, one in sums.items() if (text := unit_fault(m, one.unit, one.sizes))]
    sections = [
        Section("Modalities", "Modalities", _modalities(sums, quality)),
        Section("People", "People", _people(of, names, quality)),
        Section("Controls", "What clock, stimulus and movement reach alone", controls),
        Section("How many", "What this many people can show", _power(of)),
        Section("Signals", "Signals", render_macro("signals", drawn, FAULTS, of_template=_TEMPLATE)),
    ]
    title = "Own recordings" if of.own else of.card.title
    footer = "Written by embench data look. This file is self-contained, and asks no network for anything."
    html = render_page(f"{title}: a look", _header(of, title, faults), sections, footer, _TEMPLATE)

    def put(path: Path) -> None:
        path.write_text(html, encoding="utf-8", newline="\n")
        if of.own or folder_mode(of.card.labels_public) == PRIVATE:
            path.chmod(0o600)

    try:
        write_whole(Path(out), put)
    except OSError as error:
        raise MachineError(f"the page cannot be written: {error.strerror}", where=str(out)) from error
    return Path(out)


_TEMPLATE = "look"


def pseudonyms(subjects: Iterable[str]) -> dict[str, str]:
    """Subject -> pseudonym, dealt anew each time; never one that another subject could be called by."""
    dealt = list(subjects)
    random.SystemRandom().shuffle(dealt)
    ids = [name.casefold() for name in dealt]
    letter = next((c for c in "SPQXYZ" if not any(re.fullmatch(rf"{c.lower()}\d+", id_) for id_ in ids)), "someone-")
    width = max(2, len(str(len(dealt))))
    return {name: f"{letter}{number:0{width}}" for number, name in enumerate(dealt, 1)}


def names_of_design(of_subject: Iterable[tuple[str, str]], subjects: Iterable[str]) -> set[str]:
    """The names, of pairs (subject, name), that say nothing of whom: at least two subjects have them, and they hold
    no subject's id, no date and no path."""
    who: dict[str, set[str]] = {}
    for subject, name in of_subject:
        who.setdefault(name, set()).add(subject)
    ids = [subject.casefold() for subject in subjects]
    return {
        name
        for name, having in who.items()
        if len(having) > 1
        and not _DATE.search(name)
        and not re.search(r"[/\\]", name)
        and not any(id_ in name.casefold() for id_ in ids)
    }


def _header(of: LookedAt, title: str, faults: Sequence[str]) -> Markup:
    public = not of.own and of.card.labels_public == "yes"
    marks = [(False, "Signals of people", f"Passed on only as their licence allows: {of.card.licence}")]
    if not public:
        marks = [(True, "Not for sharing", NOT_FOR_SHARING)]
    if of.store.synthetic is not None:
        marks.append((False, "Synthetic data", "Nothing here says anything about real people."))
    marks += [(True, "Wrong unit", f"{text}. Until it is corrected, no result means anything.") for text in faults]
    everybody, entries = len(of.store.subjects), of.store.recordings
    hours = sum(entry.duration_s for entry in entries) / 3600
    about = f"{everybody} people, {len(entries)} recordings, {hours:.1f} hours"
    if len(of.people) < everybody:
        about += f"; signals are drawn of {len(of.people)} people, all else is of all"
    return render_macro("look_header", title, about, marks, of_template=_TEMPLATE)


def _quality(of: LookedAt, progress: ProgressCallback) -> dict[str, dict[str, float] | str]:
    """Modality -> subject -> the share of sound seconds; or why it is not known."""
    entries = {str(UnitId.of(r.id, 0.0, r.duration_s)): r for r in of.store.recordings}
    found: dict[str, dict[str, float] | str] = {}
    for judged in describe_quality(of.store, list(entries), progress):
        if "undefined" in judged:
            found[judged["modality"]] = judged["undefined"]
            continue
        sums: dict[str, list[float]] = {}
        for unit, index in judged["index"].items():
            sums.setdefault(entries[unit].subject, []).extend([index * entries[unit].duration_s])
        total: dict[str, float] = {}
        for unit in judged["index"]:
            total[entries[unit].subject] = total.get(entries[unit].subject, 0.0) + entries[unit].duration_s
        found[judged["modality"]] = {who: sum(parts) / total[who] for who, parts in sums.items()}
    return found


def _modalities(sums: Mapping[str, _Sums], quality: Mapping[str, Any]) -> Markup:
    rows = []
    for name, one in sums.items():
        shares = one.samples / max(1, one.samples.sum())
        good = quality.get(name, {})
        index = "-" if isinstance(good, str) or not good else f"{100 * float(np.median(list(good.values()))):.0f} %"
        rates = " to ".join(dict.fromkeys(f"{rate:g}" for rate in (min(one.rates), max(one.rates))))
        faults = [f"{100 * share:.2f} %" if share else "none" for share in shares[1:]]
        size = float(np.nanmedian(one.sizes)) if np.isfinite(one.sizes).any() else math.nan
        usual = "-" if math.isnan(size) else f"{size:.3g}"
        cells = (str(one.channels), f"{rates} Hz", one.unit, usual, str(len(one.people)), f"{one.hours:.1f}")
        rows.append((name, [*cells, index, *faults]))
    heads = ("modality", "channels", "rate", "unit", "usual size", "people", "hours", "good", *FAULTS)
    return render_macro("modalities", heads, rows, of_template=_TEMPLATE)


def _people(of: LookedAt, names: Mapping[str, str], quality: Mapping[str, Any]) -> Markup:
    known = {m: good for m, good in quality.items() if not isinstance(good, str)}
    silent = [f"{m}: {why}" for m, why in quality.items() if isinstance(why, str)]
    described = describe_labels(of.store, of.card, of.targets, of.rules)
    balance = {d["target"]: {row["subject"]: _balance(row) for row in d.get("per_person", ())} for d in described}
    classes = {d["target"]: [c["name"] for c in d.get("classes", ())] for d in described}
    entries: dict[str, list[float]] = {}
    for entry in of.store.recordings:
        entries.setdefault(entry.subject, []).append(entry.duration_s)
    rows = [
        (names[who], who in of.people, len(entries.get(who, ())), f"{sum(entries.get(who, ())) / 3600:.2f}",
         [good.get(who) for good in known.values()], [balance[t].get(who) for t in balance])
        for who in sorted(of.store.subjects, key=lambda who: names[who])
    ]  # fmt: skip
    warned = [f"{d['target']}: {text}" for d in described for text in d["warnings"]]
    return render_macro("people", list(known), classes, rows, POOR, silent, warned, of_template=_TEMPLATE)


def _balance(row: Mapping[str, Any]) -> dict[str, Any]:
    of = row.get("values")
    text = f"{of['mean']:.3g} ± {of['sd']:.2g}, {row['labelled']} units" if of else ""
    return {"values_of": text, "classes": row.get("classes", ()), "labelled": row["labelled"]}


def _controls(of: LookedAt, names: Mapping[str, str], progress: ProgressCallback) -> Markup:
    if not of.targets:
        return paragraph("The data have no targets, only recordings.")
    parts = []
    for target in of.targets:
        try:
            found = describe_controls(of.store, of.card, [target], of.rules, [0], progress)
        except EmbenchError as error:
            parts.append(paragraph(f"{target.name}: not scored: {_without_names(error.what, names)}."))
            continue
        scored = Scores.none(headlines=found["headlines"], controls=found["controls"])
        by_name, headline = {c.name: c for c in scored.controls(target.name)}, scored.headlines[target.name]
        best = found["to_beat"][target.name].get(headline, {}).get("control")
        rows = []
        for name in dict.fromkeys([*CONTROLS, *by_name]):
            if name in by_name and not (why := by_name[name].why_undefined(headline)):
                score = format_control(by_name[name].scores.get(headline))
                rows.append((in_words(name), score, name == best, name in NOT_TO_CLEAR))
            elif name in by_name:
                rows.append((in_words(name), f"not applicable: {_without_names(why, names)}", False, False))
        caption = f"{target.name}: {headline}, {found['people'][target.name]} people, {found['protocol']}, seed 0"
        parts.append(render_macro("controls", caption, rows, of_template=_TEMPLATE))
    return join_parts([paragraph(_CONTROLS_NOTE), *parts])


_CONTROLS_NOTE = (
    "These know no signal but the accelerometer's. A method has to lie above the highest one that is marked; where it is "
    "high already, clock, stimulus or movement give the label away. Those in brackets are shown for comparison."
)


def _without_names(reason: str, names: Mapping[str, str]) -> str:
    """A reason without what it lists, and none that names a subject."""
    text = reason.partition(":")[0]
    return "there are too few data" if any(re.search(rf"\b{re.escape(name)}\b", text) for name in names) else text


def _power(of: LookedAt) -> Markup:
    groups = len({entry.group for entry in of.store.recordings})
    text = [
        f"Two methods are compared on the same people, by a paired test at .05. With 80 % power a difference of "
        f"{_DIFFERENCE:g} in AUROC needs {subjects_needed(_DIFFERENCE)} people, if differences vary over people with an "
        f"SD of {ASSUMED_SD:.2f}, which is assumed; {subjects_needed(_DIFFERENCE, ASSUMED_SD / 2)} people with half that "
        f"SD, {subjects_needed(_DIFFERENCE, 1.5 * ASSUMED_SD)} with one and a half times.",
        f"These {groups} people, or groups recorded together, show a difference of {shown_difference(groups):.3f}."
        if groups > 1
        else "One person, or one group recorded together, shows no difference of methods on others.",
    ]
    return join_parts([paragraph(one) for one in text])


def _drawn(
    of: LookedAt, names: Mapping[str, str], progress: ProgressCallback
) -> tuple[dict[str, _Sums], list[tuple[str, str, list[_Drawn]]]]:
    """What is known of each modality, and (pseudonym, about, recordings) of the people."""
    entries = of.store.recordings
    rows = sum(
        len(of.card.modalities[m].channels) for e in entries if e.subject in of.people for m in e.spans if m != "video"
    )
    columns = int(np.clip(MOST_BYTES / (_BYTES_OF_COLUMN * _PARTS * max(1, rows)), *_COLUMNS))
    shown = names_of_design(
        ((e.subject, name) for e in entries for name in (e.stimulus, e.session)), of.store.subjects
    )
    sums: dict[str, _Sums] = {}
    people = []
    for done, who in enumerate(of.people):
        made = [
            _recording(of, recording, number, shown, columns, sums)
            for number, recording in enumerate(recordings(of.dataset, of.store.name, who), 1)
        ]
        hours = sum(e.duration_s for e in entries if e.subject == who) / 3600
        people.append((names[who], f"{len(made)} recordings, {hours:.2f} hours", made))
        progress(done + 1, len(of.people), "drawn")
    return sums, sorted(people)


def _recording(
    of: LookedAt, recording: Recording, number: int, shown: set[str], columns: int, sums: dict[str, _Sums]
) -> _Drawn:
    tracks, close = [], []
    for modality, signal in recording.signals.items():
        beats = beats_of(of.store, recording.id, modality)
        track, part, counts = draw_signal(modality, signal, recording.duration_s, columns, beats)
        tracks.append(track)
        close += [part] if part else []
        one = sums.setdefault(modality, _Sums(signal.unit, len(signal.channels)))
        one.rates.add(signal.rate)
        one.sizes.append(signal_size(modality, signal))
        one.samples += counts
        one.people.add(recording.subject)
        one.hours += signal.duration_s / 3600
    whole, bands = label_tracks(recording, [target.label for target in of.targets], columns)
    sessions = {entry.session for entry in of.store.recordings}
    parts = [f"Recording {number}"]
    parts += [f"stimulus {recording.stimulus}"] if recording.stimulus in shown else []
    parts += [f"session {recording.session}"] if recording.session in shown and len(sessions) > 1 else []
    parts += [f"{clock(recording.duration_s)} long"]
    parts += [f"begins {clock(recording.start_s)} into the session"] if recording.start_s else []
    parts += ["with a video, which is not shown"] if recording.video else []
    return _Drawn(", ".join(parts), whole, bands, tracks, close, time_ticks(recording.duration_s))
