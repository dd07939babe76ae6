"""Findings of `verify` that need all recordings of a dataset: what nothing can be learned from is an error where runs
use it by default."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from embench.data.cohort import choose_targets
from embench.interfaces.dataset import Card, Finding
from embench.interfaces.recording import Label, Signal, names_in
from embench.signals.plausible import known_units, unit_fault

LEAST_ALIKE = 4
"""Recordings of a stimulus, or subjects, from which on one can be unlike the others."""


@dataclass
class LabelValues:
    """The known values of a label: in how many recordings, how many, how many `off` its scale, the least and the
    greatest."""

    recordings: int = 0
    known: int = 0
    off: int = 0
    low: float = float("inf")
    high: float = float("-inf")

    def add(self, label: Label, scale: tuple[float, float] | None) -> None:
        """Adds those of one recording."""
        values = np.asarray(label.values, np.float64)
        values = values[np.isfinite(values)]
        self.recordings += bool(len(values))
        self.known += len(values)
        self.low = min(self.low, float(values.min(initial=np.inf)))
        self.high = max(self.high, float(values.max(initial=-np.inf)))
        if scale is not None and label.classes is None:
            self.off += int(((values < scale[0]) | (values > scale[1])).sum())


def varies(signal: Signal) -> bool:
    """True if any channel has two values that differ."""
    data = np.moveaxis(np.asarray(signal.data), signal.time_axis, -1)
    return any(row.size and row.min() < row.max() for row in (row[np.isfinite(row)] for row in data))


def dead_modalities(card: Card, varying: set[str]) -> Iterator[Finding]:
    """The modalities that runs read by default, and of which no recording has anything."""
    for modality in _read_by_default(card):
        if modality not in varying:
            yield Finding("error", modality, f"{modality} is missing or constant in every recording")


def poor_labels(card: Card, there: set[str], values: Mapping[str, LabelValues]) -> Iterator[Finding]:
    """The labels that nothing can be learned from, which is an error where runs predict them by default."""
    by_default = {target.label for target in choose_targets(card, None)} if card.targets else set()
    for name in dict.fromkeys(target.label for target in card.targets):
        targets = ", ".join(target.name for target in card.targets if target.label == name)
        own, what = values.get(name, LabelValues()), ""
        if name not in there:
            what = f"no recording has this label, and {targets} requires it"
        elif name in values and not own.known:
            what = f"this label has no value in any recording, and {targets} requires it"
        elif own.recordings > 1 and own.low == own.high:
            what = f"this label is {own.low:g} in all {own.recordings} recordings, and {targets} requires it"
        elif own.off > own.known / 2:
            what = f"{own.off} of {own.known} values of this label are outside its scale, and {targets} requires it"
        if what:
            yield Finding("error" if name in by_default else "warning", name, what)


def wrong_units(card: Card, sizes: Mapping[str, Sequence[float]]) -> Iterator[Finding]:
    """The modalities whose values are no body's in the unit that the card states, which is an error where runs read
    them by default and nearly no recording's are; and those whose unit nobody knows here."""
    for modality, own in sizes.items():
        unit = card.modalities[modality].unit if modality in card.modalities else ""
        if fault := unit_fault(modality, unit, own):
            wrong = [bool(unit_fault(modality, unit, [size])) for size in own if np.isfinite(size)]
            unusable = np.mean(wrong) >= 0.8 and modality in _read_by_default(card)
            yield Finding("error" if unusable else "warning", modality, fault)
        known = known_units(modality)
        if known and unit not in (*known, "a.u.") and modality in card.modalities:
            what = (
                f"{unit} is not a known measurement unit for this modality ({', '.join(known)}), so the values "
                "are not checked"
            )
            yield Finding("note", modality, what)


def cut_short(lasting: Mapping[str, Mapping[str, float]]) -> Iterator[Finding]:
    """The recordings that are much shorter than those of the same stimulus, where these are about equally long."""
    for stimulus, lengths in lasting.items():
        low, middle, high = np.quantile(list(lengths.values()), [0.25, 0.5, 0.75])
        if len(lengths) < LEAST_ALIKE or high - low > 0.05 * middle:
            continue
        for recording, length in lengths.items():
            if length < 0.8 * middle:
                yield Finding(
                    "warning",
                    recording,
                    f"the recording lasts {length:.1f} s, but other recordings of {stimulus} last {middle:.1f} s",
                )


def missing_modalities(held: Mapping[str, set[str]]) -> Iterator[Finding]:
    """The subjects without a modality that nearly all others have."""
    for modality in sorted(set().union(*held.values())):
        having = sum(modality in own for own in held.values())
        if len(held) >= LEAST_ALIKE and having >= 0.8 * len(held):
            for subject, own in held.items():
                if modality not in own:
                    yield Finding(
                        "warning",
                        subject,
                        f"the subject has no {modality}, but {having} of {len(held)} subjects have it",
                    )


def alone(shown: Mapping[str, set[str]]) -> Iterator[Finding]:
    """The stimuli of one subject alone, where nearly all are shown to most subjects."""
    people = set().union(*shown.values())
    shared = [stimulus for stimulus, own in shown.items() if len(own) >= 0.5 * len(people)]
    if len(people) >= LEAST_ALIKE and len(shared) >= 0.8 * len(shown):
        for stimulus, own in shown.items():
            if len(own) == 1:
                what = f"only this subject has {stimulus}; most subjects share {len(shared)} other stimuli"
                yield Finding("warning", min(own), what)


def few(counts: Mapping[str, int]) -> Iterator[Finding]:
    """The subjects with fewer recordings than nearly all others, who have equally many."""
    usual, having = Counter(counts.values()).most_common(1)[0] if counts else (0, 0)
    if len(counts) >= LEAST_ALIKE and having >= 0.8 * len(counts):
        for subject, count in counts.items():
            if count < usual:
                yield Finding(
                    "warning",
                    subject,
                    f"the subject has {count} recordings; {having} of {len(counts)} subjects have {usual}",
                )


def _read_by_default(card: Card) -> list[str]:
    """The modalities with samples that runs read where none are named."""
    names = (name for each in card.default_modalities for name in names_in(each))
    return [name for name in dict.fromkeys(names) if name != "video"]
