"""The inbox: each submission is read once, accepted or refused by name, and answered; one fault stops nothing."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from embench.challenge.commitment import read_document, write_secret
from embench.challenge.form import FORM_FILE, ChallengePart, Form, read_form
from embench.challenge.hosting import TEAM_COLUMNS, TEAMS_FILE, Layout
from embench.challenge.ladder import choose_step, describe_bound, release_score
from embench.challenge.results import STATUS_FILE
from embench.challenge.scoring import Reference, primary_score, read_reference, score_rows
from embench.challenge.submissions import Expected, Submission, parse_files, read_expected, read_files
from embench.errors import DataError, EmbenchError, UsageError
from embench.files import read_text, saving, write_text
from embench.records.record import format_csv
from embench.records.wording import counted
from embench.statistics import metric_facts
from embench.vocabulary import escape_control

TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
FINAL_CHOICE = "final.txt"
STATUS_COLUMNS = ("team", "submission", "state", "reason")
State = Literal["valid", "invalid", "refused"]


class Team(NamedTuple):
    """A registered team. `affiliated`: whether the host belongs or is close to it, so that it gets no rank."""

    name: str
    members: tuple[str, ...]
    affiliated: bool


class InboxEntry(ChallengePart):
    """The facts on a submission that was read.

    Args:
        number: from 1, in the order of arrival within the team. `file`: its name in the inbox. `arrived`: time of its
            last change. `reason`: for the team, why it does not count. `feedback`: released value of the Ladder.
    """

    team: str
    file: str
    sha256: str
    state: State
    reason: str = ""
    number: int = 0
    arrived: dt.datetime
    method: str = ""
    feedback: float | None = None
    after_close: bool = False


class Ledger(ChallengePart):
    """All submissions that were read, in that order."""

    entries: tuple[InboxEntry, ...] = ()


def read_teams(path: Path) -> dict[str, Team]:
    """Return name -> registered team. Raises UsageError if the table is wrong or a person is in two teams."""
    try:
        table = csv.DictReader(io.StringIO(read_text(path).removeprefix("\ufeff")))
        rows, columns = list(table), table.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"the table of teams cannot be read: {error}", where=str(path)) from error
    if set(columns) != set(TEAM_COLUMNS):
        raise UsageError(
            "the first line of the table of teams is another one", where=f"{path}, line 1",
            expected=f"{','.join(TEAM_COLUMNS)}: commas between columns",
        )  # fmt: skip
    teams: dict[str, Team] = {}
    team_of: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        where = f"{path}, line {number}"
        if not TEAM.fullmatch(row["team"] or ""):
            raise UsageError(
                "the line does not register a team",
                where=where,
                expected=f"{','.join(TEAM_COLUMNS)}: letters, digits, - and _; members divided by `;`; yes or no",
            )
        members = tuple(name.strip().lower() for name in (row["members"] or "").split(";") if name.strip())
        if (row["affiliated"] or "").strip().lower() not in ("yes", "no") or not members:
            raise UsageError("members or `affiliated` are missing", where=where, expected="members; yes or no")
        for person in members:
            if (other := team_of.setdefault(person, row["team"])) != row["team"]:
                raise UsageError(
                    f"{person} is in two teams, {other} and {row['team']}", where=where, expected="one team"
                )
        if row["team"] in teams:
            raise UsageError(f"{row['team']} is registered twice", where=where, expected="one line for each team")
        teams[row["team"]] = Team(row["team"], members, row["affiliated"].strip().lower() == "yes")
    return teams


class Inbox:
    """The inbox of a challenge: reads new submissions, and remembers what was read.

    Args:
        place: the challenge's folders. `root`: folder with one subfolder for each team.
        is_closed: whether the final scores are known already, so that further submissions get no rank.
    """

    def __init__(self, place: Layout, root: Path, *, is_closed: bool = False) -> None:
        self.place, self.root, self.is_closed = place, root, is_closed
        self.form: Form = read_form(place.holder / FORM_FILE)
        self.teams = read_teams(place.holder / TEAMS_FILE)
        self.expected: Expected = read_expected(place.public)
        self.path = place.holder / "submissions.json"
        self.entries = list(read_inbox_ledger(self.path).entries)

    def read_new(self, now: dt.datetime, on_read: Callable[[InboxEntry], None] | None = None) -> list[InboxEntry]:
        """Read each submission that was not read before, answer it, and return the new entries. State is on the disk
        after each one, so that an interrupted command can be repeated.

        Raises:
            DataError: the inbox is not a folder.
        """
        if not self.root.is_dir():
            raise DataError("the inbox is not a folder", where=str(self.root), expected="INBOX/TEAM/SUBMISSION.zip")
        known, new = {(each.team, each.file) for each in self.entries}, []
        reference = self._feedback_reference()
        for team, path in sorted(self._find(), key=lambda each: (_arrival(each[1]), each[0], each[1].name)):
            if (team, path.name) in known:
                continue
            entry = self._answer(team, path, now, reference)
            self.entries.append(entry)
            new.append(entry)
            write_secret(self.path, Ledger(entries=tuple(self.entries)))
            if on_read:
                on_read(entry)
        self.publish()
        return new

    def _feedback_reference(self) -> Reference | None:
        if self.form.feedback != "ladder" or self.is_closed:
            return None
        return read_reference(self.place.reference("feedback"))

    def _find(self) -> Iterator[tuple[str, Path]]:
        """Yield (team, path) of each item in the folders of teams."""
        for folder in sorted(self.root.iterdir()):
            if folder.name.startswith(".") or folder.is_symlink() or not folder.is_dir():
                continue
            for path in sorted(folder.iterdir()):
                if not path.name.startswith(".") and path.name != FINAL_CHOICE:
                    yield folder.name, path

    def list_ignored(self) -> list[str]:
        """Return the names of files beside the folders of teams."""
        return [path.name for path in sorted(self.root.iterdir()) if path.is_file() and not path.name.startswith(".")]

    def _answer(self, team: str, path: Path, now: dt.datetime, reference: Reference | None) -> InboxEntry:
        about: dict[str, Any] = {"team": team, "file": path.name, "arrived": _arrival(path)}
        if team not in self.teams:
            return InboxEntry(**about, sha256="", state="refused", reason="the team is not registered")
        if not self.is_closed and about["arrived"] > self.form.deadline:
            return InboxEntry(**about, sha256="", state="refused", reason="it arrived after the deadline")
        valid = [e for e in self.entries if e.team == team and e.state == "valid" and e.after_close == self.is_closed]
        if len(valid) >= self.form.submissions_per_team:
            return InboxEntry(
                **about,
                sha256="",
                state="refused",
                reason=f"the team has {counted(len(valid), 'valid submission')} already",
            )
        try:
            found = parse_files(read_files(path), path, self.expected)
        except EmbenchError as error:
            return InboxEntry(**about, sha256="", state="invalid", reason=self._clean(str(error)))
        except Exception as error:  # noqa: BLE001  a hostile file must not stop the others
            return InboxEntry(**about, sha256="", state="invalid", reason=f"it cannot be read: {type(error).__name__}")
        if any(e.sha256 == found.sha256 for e in valid):
            return InboxEntry(
                **about, sha256=found.sha256, state="refused", reason="the same submission was read before"
            )
        return InboxEntry(
            **about, sha256=found.sha256, state="valid", number=len(valid) + 1, method=found.method.method,
            after_close=self.is_closed,
            feedback=None if reference is None else self._release(valid, found, reference),
        )  # fmt: skip

    def _release(self, valid: Sequence[InboxEntry], found: Submission, reference: Reference) -> float | None:
        """Return the value that the Ladder releases: higher is better. None while no score is defined."""
        metric, score = primary_score(score_rows(reference, found.rows, confounds=False))
        best = next((e.feedback for e in reversed(valid) if e.feedback is not None), None)
        if not score.is_defined:
            return best
        value = score.mean if metric_facts(metric).higher else -score.mean
        return release_score(value, best, choose_step(self.form.feedback_subjects))

    def _clean(self, text: str) -> str:
        """Return a message for the team: one line without control characters and without paths of this machine."""
        return escape_control("; ".join(map(str.strip, text.replace(f"{self.root}/", "").splitlines())))[:500]

    def publish(self) -> None:
        """Write the answers: a public table of states, and a file for each team that only this team should get."""
        folder = self.place.feedback
        rows = [
            {"team": e.team, "submission": k, "state": e.state, "reason": _public_reason(e)}
            for team in sorted({e.team for e in self.entries if TEAM.fullmatch(e.team)})
            for k, e in enumerate((e for e in self.entries if e.team == team), 1)
        ]
        with saving("the answers", folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / STATUS_FILE, format_csv(rows, STATUS_COLUMNS))
            self.place.answers.mkdir(exist_ok=True)
            for team in sorted(self.teams):
                if own := [e for e in self.entries if e.team == team]:
                    write_text(self.place.answers / f"{team}.txt", self._tell(own))

    def _tell(self, entries: Sequence[InboxEntry]) -> str:
        """Return the answer to a team: each submission with its state, and the Ladder's value with its bound."""
        lines = []
        for entry in entries:
            told = f"feedback {abs(entry.feedback):g}" if entry.feedback is not None else entry.reason
            lines.append(": ".join(part for part in (escape_control(entry.file)[:100], entry.state, told) if part))
        if any(entry.feedback is not None for entry in entries):
            lines.append(describe_bound(self.form.feedback_subjects, self.form.submissions_per_team))
            lines.append("A value changes only if a submission is better than the best so far by more than a step.")
        return "\n".join(lines) + "\n"

    def find_final(self, team: str) -> InboxEntry | None:
        """Return a team's final submission: the one named in `final.txt`, else the last valid one; None without any.

        Raises:
            DataError: `final.txt` names no valid submission.
        """
        valid = {e.file: e for e in self.entries if e.team == team and e.state == "valid" and not e.after_close}
        choice = self.root / team / FINAL_CHOICE
        if not valid or not choice.is_file() or choice.is_symlink():
            return list(valid.values())[-1] if valid else None
        name = read_text(choice, 10_000).strip()
        if name not in valid:
            raise DataError(
                "the file names no valid submission", where=str(choice), expected=f"one of {', '.join(sorted(valid))}"
            )
        return valid[name]

    def load(self, entry: InboxEntry) -> Submission:
        """Return the content of a valid submission again. Raises DataError if it was changed since it was read."""
        path = self.root / entry.team / entry.file
        found = parse_files(read_files(path), path, self.expected)
        if found.sha256 != entry.sha256:
            raise DataError("the submission was changed after it was read", where=str(path), expected=entry.sha256)
        return found


def read_inbox_ledger(path: Path) -> Ledger:
    """Return the submissions that were read so far. Raises DataError if the file is damaged."""
    return read_document(path, Ledger, "the list of submissions") if path.exists() else Ledger()


def _arrival(path: Path) -> dt.datetime:
    """Return the time of the last change of a submission."""
    return dt.datetime.fromtimestamp(path.lstat().st_mtime, dt.UTC).replace(microsecond=0)


def _public_reason(entry: InboxEntry) -> str:
    """Return a reason in embench's own words; a refused file's name and content are not repeated in public."""
    return "format; the team has the details" if entry.state == "invalid" else entry.reason


def count_states(rows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Return state -> number of submissions of a table of answers."""
    counts = Counter(row["state"] for row in rows)
    return {state: counts[state] for state in get_args(State)}
