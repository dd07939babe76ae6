"""EmoEEG-MC (Xu et al. 2025): EEG of 60 people while films and their own imagery evoked seven emotions, rated.

Reads the BIDS release, OpenNeuro ds005540: `sub-01/beh/..` and `sub-01/eeg/..`. A recording is what the authors use of
a trial, its last 30 s before the ratings. Its stimulus is another one in each context, such as `film_joy4`: three of
each emotion in each. Triggers in the EDF files, one or two a person, tell when a trial was, with other codes for each
person; which stimulus it had follows from the order in `orders.tsv`. Without any EDF file there are labels alone.

Quirks: sub-01 has no EDF file, and is no subject beside others. Ratings of sub-57 to sub-60 are copies of those of
sub-21 to sub-24, and are not read. Of 26 people, ratings do not say in which context a trial was: only the triggers do.
PPG and EDA have Unix times, and are read where the EDF file's header has a time that the README confirms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from embench.errors import DataError
from embench.interfaces.dataset import Dataset, Finding
from embench.interfaces.recording import Recording, Signal
from embench_plugins.datasets.emoeeg_mc import files as own
from embench_plugins.datasets.emoeeg_mc.card import CARD, OBTAIN, SCALE, labels
from embench_plugins.datasets.emoeeg_mc.layout import CONTEXTS, COPIED, LENGTH_S, WRIST, Person, Trial, people
from embench_plugins.datasets.formats import edf_notes, files

GUESSED = "IF" * 7
EXPECTED = "sub-01/beh/sub-01_task-emotion_beh.tsv to sub-60"


class Placed(NamedTuple):
    """A trial and where its EEG is, None where there is none; `order` and `start_s` in the session."""

    trial: Trial
    shown: own.Shown | None
    order: int
    start_s: float | None


class EmoEegMc(Dataset):
    """The reader. A recording is the end of a trial, such as `sub-07_film_joy4`, in the order of play."""

    card = CARD

    def subjects(self) -> list[str]:
        """The people with all of their EDF files; where nobody has them, those with ratings."""
        known = {name: own.paths(self.root, person) for name, person in people().items()}
        recorded = [name for name, paths in known.items() if paths.recorded]
        found = recorded or [name for name, paths in known.items() if paths.ratings.is_file()]
        return files.some(found, self.root, self.card.title, expected=EXPECTED, hint=OBTAIN)

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Sex and age band, where the release's table says them."""
        return self._info.get(subject, {})

    def files(self, subject: str) -> list[Path]:
        """The person's ratings, EDF files, and PPG and EDA, as far as they are there."""
        return self._paths(subject).present()

    def recordings(self, subject: str) -> Iterator[Recording]:
        """The trials that are not missing."""
        paths, heads = self._paths(subject), self._heads(subject)
        placed = self._placed(subject, heads)
        rated = self._rated(subject, placed)
        clocks = self._clocks(subject, heads)
        there = {kind: path for kind, path in paths.wrist.items() if path.is_file() and clocks}
        wrist = {kind: own.timed_rows(path, WRIST[kind][0]) for kind, path in there.items()}
        for run in range(max(len(heads), 1)):
            parts = [one for one in placed if one.shown is None or one.shown.run == run]
            shown = [one.shown for one in parts if one.shown]
            signals = own.eeg(paths.runs[run], shown) if shown else iter(())
            for one in parts:
                found: dict[str, Signal] = {}
                if one.shown:
                    found["eeg"] = next(signals)
                    for kind, (times, values) in wrist.items():
                        began, length_s = clocks[run] + one.shown.start_s, found["eeg"].duration_s
                        piece = own.piece(times, values, kind, began, length_s)
                        found |= {kind: piece} if piece else {}
                yield Recording(
                    id=f"{subject}_{one.trial.stimulus}",
                    subject=subject,
                    stimulus=one.trial.stimulus,
                    session="session",
                    duration_s=found["eeg"].duration_s if found else LENGTH_S,
                    group=subject,
                    start_s=one.start_s,
                    order=one.order,
                    signals=found,
                    labels=labels(one.trial, rated.get(one.trial)),
                )

    def known(self, subject: str) -> tuple[dict[Trial, Placed], dict[Trial, tuple[float, ...]]]:
        """Times and ratings of trials, as far as the folder says them."""
        placed = self._placed(subject, self._heads(subject))
        return {one.trial: one for one in placed}, self._rated(subject, placed)

    def verify(self) -> list[Finding]:
        """Findings on who is missing, and what is missing or odd in each person's files."""
        return files.look_over(self.subjects(), list(people()), self.root, self._look)

    def _look(self, subject: str) -> Iterator[Finding]:
        person, paths = people()[subject], self._paths(subject)
        heads = self._heads(subject)
        placed = self._placed(subject, heads)
        where = str(self.root / subject)
        if not heads:
            yield Finding("warning", where, "no EEG, but labels alone: not all EDF files are here")
        elif person.wrist and not self._clocks(subject, heads):
            yield Finding("warning", where, "no PPG and EDA: the EDF header's time is not the one of the README")
        shown = [one.shown for one in placed if one.shown]
        played = [one.trial for one in placed]
        known = person.sequence(person.pairs)
        if heads and played[: len(known)] != known and subject not in COPIED:
            yield Finding("warning", where, "triggers and ratings contradict each other on the order of contexts")
        if short := sum(one.stop_s - one.start_s < LENGTH_S - 1 for one in shown):
            yield Finding("note", where, f"{short} of {len(shown)} trials last under {LENGTH_S:g} s")
        if subject in COPIED:
            yield Finding("note", str(paths.ratings), f"those of {COPIED[subject]}: its own ratings are not released")
        else:
            yield from self._look_ratings(paths.ratings, self._rated(subject, placed), placed)
        for kind, path in paths.wrist.items():
            if not path.is_file():
                yield Finding("warning", str(path), f"there is no {kind}")
        for _ in self.recordings(subject):
            pass

    @staticmethod
    def _look_ratings(path: Path, rated: Mapping[Trial, tuple[float, ...]], placed: list[Placed]) -> Iterator[Finding]:
        scores = [value for row in rated.values() for value in row]
        if off := sum(value < SCALE[0] or value > SCALE[1] for value in scores):
            yield Finding("warning", str(path), f"{off} ratings are off the scale {SCALE[0]:g} to {SCALE[1]:g}")
        if not path.is_file():
            yield Finding("warning", str(path), "the ratings are missing")
        elif lacking := sum(one.trial not in rated for one in placed):
            what = f"{lacking} trials without ratings: which ones are theirs, only triggers of the EDF files say"
            yield Finding("warning", str(path), what)

    def _paths(self, subject: str) -> own.Paths:
        files.known(subject, people(), self.root, expected=EXPECTED, hint=OBTAIN)
        return own.paths(self.root, people()[subject])

    def _heads(self, subject: str) -> list[edf_notes.Header]:
        """The headers of the person's EDF files; none where any of them is not there."""
        paths = self._paths(subject)
        return [edf_notes.header(path, own.CHINA) for path in paths.runs] if paths.recorded else []

    def _clocks(self, subject: str, heads: list[edf_notes.Header]) -> list[float]:
        """The time at which each EDF file began, in Unix s; none where any header contradicts the README."""
        found = [own.clock(head, end) for head, end in zip(heads, people()[subject].ends, strict=bool(heads))]
        return [began for began in found if began is not None] if None not in found else []

    def _placed(self, subject: str, heads: list[edf_notes.Header]) -> list[Placed]:
        """The trials in the order of play: to three places where neither EDF files nor ratings tell the contexts'."""
        person, paths = people()[subject], self._paths(subject)
        if not heads:
            trials = person.sequence(person.pairs if len(person.pairs) > 1 else GUESSED)
            return [Placed(trial, None, order, None) for order, trial in enumerate(trials)]
        shown = [
            one
            for run, (path, head) in enumerate(zip(paths.runs, heads, strict=True))
            for one in own.shown(edf_notes.notes(path, head), run, person.codes)
        ]
        # To the minute, the README's times are right for whoever has two files.
        ended = [end.timestamp() - head.seconds for head, end in zip(heads, person.ends, strict=True)]
        began = self._clocks(subject, heads) or ended
        waiting = {context: iter(_named(person, context, shown, paths.runs[0])) for context in CONTEXTS}
        found = []
        for order, one in enumerate(shown):
            if name := next(waiting[one.context]):
                found.append(Placed(Trial(one.context, name), one, order, began[one.run] - began[0] + one.start_s))
        return found

    def _rated(self, subject: str, placed: list[Placed]) -> dict[Trial, tuple[float, ...]]:
        """The ratings of each trial, as far as it is known whose they are."""
        path, person = self._paths(subject).ratings, people()[subject]
        if subject in COPIED or not path.is_file():
            return {}
        known = any(one.shown for one in placed) or len(person.pairs) > 1
        return own.ratings(own.rated(path), [one.trial for one in placed] if known else None)

    @cached_property
    def _info(self) -> Mapping[str, dict[str, str]]:
        return files.who(self.root / "participants.tsv", ("participant_id", "age", "gender"), "\t")


def _named(person: Person, context: str, shown: list[own.Shown], path: Path) -> list[str | None]:
    """The stimuli of a context's trials in the EDF files, in the order of play; None for one that is called missing."""
    count = sum(one.context == context for one in shown)
    places = list(person.orders[context])
    present: list[str | None] = [name for name in places if name]
    if count not in (len(present), len(places)):
        raise DataError(
            f"triggers of {count} {context} trials",
            where=str(path),
            expected=f"{len(present)} trials, as the release lists, or {len(places)} with those that it calls missing",
            hint=f"{own.AGAIN}; if it is whole, report the triggers of {person.name}",
        )
    return places if count == len(places) else present
