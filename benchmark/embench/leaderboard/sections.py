"""The sections of boards: the rows of a dataset, protocol and target, read from entries or kept from before.

To rank hundreds of entries takes seconds. The sections of a folder are read again from the user's cache where nothing
that they follow from has changed: no file of an entry, by its size and times, and none of embench or of an installed
plugin package.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from embench.checksums import read_checked, write_checked
from embench.leaderboard.attestations import ATTESTATIONS_FOLDER
from embench.leaderboard.chance import above_chance_parts
from embench.leaderboard.entries import LoadEntry, entry_folders, load_leaderboard_entry
from embench.leaderboard.kept import kept_place
from embench.leaderboard.row import Row, ShownEntry
from embench.leaderboard.rows import ranked_rows
from embench.leaderboard.shown import load_shown_entries
from embench.protocols import Design
from embench.records.entry import SHARED_FOLDER
from embench.records.scores import Score
from embench.records.wording import inside_subjects
from embench.statistics.answers import Unanswerable, design_of, unranked
from embench.statistics.many_rows import ManyRows, count_positive, holds_corrected
from embench.statistics.ranking import Ranking

QUESTIONS = ("chance", "movement", "protocol_phase")
"""The questions that a leaderboard answers of each method, by their ids in `statistics.answers`."""
AS_MANY = "number of methods"
"""What makes an answer borderline where chance explains as many."""


@dataclass(frozen=True)
class BoardSection:
    """The rows of one dataset, protocol and target, see `ranked_rows`. Rows that were trained on another dataset
    (`trained_on`) have sections of their own, as have rows on other people.

    Args:
        source: the dataset's full name.
        leaks: whether training has seen part of the test data. `design`: that of the study, None where early records
            do not tell.
        people: of how many people the data are, where a leaderboard has rows on others, too.
        rankings: `class_of` rows -> the ranking of its methods. `counts`: question -> for how many methods the answer
            is *yes*; without questions that are not asked or have no answer.
    """

    dataset: str
    protocol: str
    trained_on: str | None
    target: str
    leaks: bool
    design: Design | None
    rows: tuple[Row, ...]
    rankings: Mapping[str, Ranking]
    counts: Mapping[str, ManyRows] = field(default_factory=dict)
    source: str = ""
    people: int | None = None

    @property
    def methods(self) -> list[Row]:
        """The rows that are methods."""
        return [row for row in self.rows if row.is_method]

    @property
    def controls(self) -> list[Row]:
        """The rows that are confound-only models."""
        return [row for row in self.rows if not row.is_method]

    @property
    def current(self) -> list[Row]:
        """The methods that no other entry took the place of."""
        return [row for row in self.methods if row.superseded is None]

    @property
    def metric(self) -> str:
        """The score shown: the primary metric, or the within-subject one where no method has it."""
        headline = Counter(row.headline for row in self.methods).most_common(1)[0][0]
        return headline if any(row.scored(headline) for row in self.methods) else inside_subjects(headline)

    @property
    def problem(self) -> Unanswerable | None:
        """Why no method has the primary metric; None where one has."""
        problems = [row.problem for row in self.current or self.methods]
        return problems[0] if all(problems) else None

    @property
    def adding(self) -> ManyRows | None:
        """The count given time and movement."""
        return self.counts.get("movement")

    @property
    def fixed_order(self) -> bool:
        """True where all subjects had the tasks in one order."""
        return self.design == "fixed_order"

    @property
    def unranked(self) -> str:
        """Why nothing is ranked, where no row has the primary metric; empty where one has."""
        methods = self.methods
        if self.leaks or any(row.score for row in methods):
            return ""
        headline = methods[0].headline
        inside = inside_subjects(headline)
        known = [(str(row.control), score) for row in self.controls if (score := row.scored(inside))]
        best = max(known, key=lambda each: each[1].mean, default=None)
        return unranked(headline, self.design, best, [s for row in methods if (s := row.scored(inside))])


_KEPT = TypeAdapter(tuple[str, list[BoardSection]])


def leaderboard_sections(root: Path) -> list[BoardSection]:
    """All leaderboards in a folder."""
    place, key = kept_place("sections", str(root.resolve())), _key(root)
    if content := read_checked(place):
        with contextlib.suppress(ValidationError):
            before, sections = _KEPT.validate_json(content)
            if before == key:
                return sections
    sections = sections_of(load_shown_entries(root))
    write_checked(place, _KEPT.dump_json((key, sections), by_alias=True, exclude_unset=True))
    return sections


def sections_of(entries: Sequence[ShownEntry], load: LoadEntry = load_leaderboard_entry) -> list[BoardSection]:
    """All sections of these entries, whose folders `load` reads."""
    sections = []

    def place(entry: ShownEntry) -> tuple[str, bool, str, str]:
        return entry.board, entry.leaks, entry.protocol, entry.trained_on or ""

    keyed = sorted(entries, key=lambda entry: (*place(entry), entry.id))
    for (board, leaks, protocol, other), group in groupby(keyed, key=place):
        for people, alike in _by_people(list(group), divided=not leaks):
            for target in sorted({target for entry in alike for target in entry.rows}):
                about = (board, protocol, other or None, target, leaks, _design(alike))
                rows, rankings = ranked_rows(alike, target, load)
                above = {} if leaks else above_chance_parts([e for e in alike if target in e.rows], target)
                parts = {e.id: {**e.parts.get(target, {}), "chance": above.get(e.id, {})} for e in alike}
                rows, counts = _counted(rows, parts)
                sections.append(BoardSection(*about, tuple(rows), rankings, counts, alike[0].dataset, people))
    return sections


def _by_people(entries: Sequence[ShownEntry], *, divided: bool) -> Iterator[tuple[int | None, list[ShownEntry]]]:
    """The entries on so many people each, most first; all together where they are of as many, or not `divided`."""
    having = sorted({entry.people for entry in entries}, reverse=True)
    if not divided or len(having) == 1:
        yield None, list(entries)
        return
    for people in having:
        yield people, [entry for entry in entries if entry.people == people]


def _counted(
    rows: Sequence[Row], parts: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> tuple[list[Row], dict[str, ManyRows]]:
    """For how many methods without a successor the answer to each question is *yes*, and the rows with what follows
    from the number of methods."""
    counts: dict[str, ManyRows] = {}
    marked = {row.id: row for row in rows if row.is_method}
    for question in QUESTIONS:
        asked = [r for r in rows if r.superseded is None and _has_answer(r, question)]
        yes = [row for row in asked if row.word(question) == "yes"]
        known = [parts[row.id].get(question, {}) for row in asked]
        if not asked:
            continue
        by_chance = count_positive(known, len(yes)) if all(known) else None
        counts[question] = by_chance or ManyRows(len(asked), len(yes))
        if question == "movement" and by_chance:
            effects = [row.answers[question].effect or Score() for row in asked]
            holds = dict(zip((row.id for row in asked), holds_corrected(known, effects), strict=True))
            few = not by_chance.beyond_luck
            marked |= {
                row.id: replace(row, corrected=holds[row.id], borderline=(*row.borderline, *([AS_MANY] * few)))
                for row in yes
            }
    return [marked[row.id] if row.is_method else row for row in rows], counts


def _has_answer(row: Row, question: str) -> bool:
    found = row.answers.get(question)
    return found is not None and found.effect is not None


def _design(entries: Sequence[ShownEntry]) -> Design | None:
    known = next((entry.design for entry in entries if entry.design), None)
    return design_of(known, fixed_order=any(entry.fixed_order for entry in entries))


def _key(root: Path) -> str:
    """A digest of all that sections follow from but the code: the names, sizes and times of every file of the entries,
    since attestations are of whole ones, and of what lies beside them for all of a board."""
    found, folders = hashlib.sha256(), set(entry_folders(root))
    for board in {folder.parents[1] for folder in folders}:
        folders |= {board / SHARED_FOLDER, board / ATTESTATIONS_FOLDER}
    for folder in sorted(folders):
        found.update(f"{folder.relative_to(root)}\n".encode())
        files = os.scandir(folder) if folder.is_dir() else ()
        for file in sorted((each for each in files if each.is_file()), key=lambda each: each.name):
            status = file.stat()  # nobody sets the time of change, which any change of a file moves
            about = file.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
            found.update(f"{about}\n".encode())
    return found.hexdigest()
