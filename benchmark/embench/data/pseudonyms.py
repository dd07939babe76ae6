"""Own recordings under pseudonyms: outputs name no participant, session, device or day.

Names are replaced before preparation, since folds depend on the names of subjects: anybody with a list of candidates
could find the real names from the folds. A pseudonym is a keyed hash of a name. The key is drawn at random once per
study, is stored in its folder (`.embench/pseudonyms.json`), and is part of no output.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from embench.errors import DataError, MachineError
from embench.files import aside, cache_root, make_folder, read_text, temporary
from embench.interfaces.dataset import Dataset, Finding
from embench.interfaces.recording import Recording

KEY_FILE = Path(".embench", "pseudonyms.json")
_ABOUT = (
    "This is the key of the study's pseudonyms. With the key and a list of names, anyone can identify "
    "participants: do not share it."
)
_BYTES = 32
_LETTERS = 10
_DAY = r"(19|20)?\d\d[-_. /](0?[1-9]|1[0-2])[-_. /](\d{4}|\d\d?)|\d{1,2}[-_. /]\d{1,2}[-_. /](19|20)?\d\d"
_NUMBER = r"\d{5,}"
"""Pattern of a date without separators, a timestamp in seconds, or a serial number."""
_TELLING = re.compile(f"{_DAY}|{_NUMBER}")
_SHORT = 4
"""Least length of a subject's name that is searched for in other names: `P01` may also name a stimulus."""

Named = Literal["subject", "recording", "group", "session", "stimulus"]
_PREFIXES: Mapping[Named, str] = {
    "subject": "P",
    "recording": "R",
    "group": "G",
    "session": "session-",
    "stimulus": "film-",
}
"""Kind of name -> prefix of its pseudonyms."""


class Names:
    """Pseudonyms of one study; equal names have equal pseudonyms."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def pseudonymise(self, kind: Named, name: str) -> str:
        """Return the pseudonym of a name: letters that reveal nothing without the key."""
        found = hmac.new(self._key, f"{kind}\0{name}".encode(), hashlib.sha256).digest()
        return f"{_PREFIXES[kind]}{base64.b32encode(found).decode().lower()[:_LETTERS]}"


class OriginalName(NamedTuple):
    """Original names of a recording, its subject, its group and its stimulus."""

    recording: str
    subject: str
    group: str
    stimulus: str


class PseudonymRow(NamedTuple):
    """Original names of a participant and a recording, with their pseudonyms."""

    participant: str
    pseudonym: str
    recording: str
    recording_pseudonym: str


class Pseudonymous(Dataset):
    """A reader of a user's own recordings that gives pseudonyms to subjects, groups and recordings. Names of sessions
    and stimuli stay, unless they hold a date, a long number or a participant's name.

    Raises:
        DataError: from `subjects`, where the study's key is damaged.
    """

    def __init__(self, own: Dataset) -> None:
        super().__init__(own.root)
        self.own = own
        named = tuple(self._replace_telling("session", name) for name in own.card.sessions)
        self.card = replace(own.card, sessions=named) if named else own.card

    @cached_property
    def secret(self) -> bytes:
        """Key of the study, which also keys the hashes of its files."""
        return read_key(self.root)

    @cached_property
    def names(self) -> Names:
        """Pseudonyms of the study."""
        return Names(self.secret)

    @cached_property
    def owners(self) -> Mapping[str, str]:
        """Pseudonym -> original name of each subject, ordered by pseudonym so that the order reveals nothing."""
        found = {self.names.pseudonymise("subject", name): name for name in self.own.subjects()}
        return dict(sorted(found.items()))

    def subjects(self) -> list[str]:
        """Return the pseudonyms of the reader's subjects."""
        return list(self.owners)

    def recordings(self, subject: str) -> Iterator[Recording]:
        """Yield one subject's recordings, renamed."""
        for recording in self.own.recordings(self.owners.get(subject, subject)):
            yield self.rename(recording)

    def files(self, subject: str) -> list[Path]:
        """Return the files of the subject with this pseudonym."""
        return self.own.files(self.owners.get(subject, subject))

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """Return the reader's facts on the subject with this pseudonym."""
        return self.own.subject_info(self.owners.get(subject, subject))

    def verify(self) -> list[Finding]:
        """Return the reader's findings, which name files and participants."""
        return self.own.verify()

    def exclude_faulty(self) -> int:
        """Exclude faulty parts in the folder's own description; return the number of entries."""
        return self.own.exclude_faulty()

    def original_names(self) -> dict[str, OriginalName]:
        """Return pseudonym -> original name of each recording. Reads all files, since the mapping is not stored."""
        all_recordings = (recording for name in self.owners.values() for recording in self.own.recordings(name))
        return {
            self.names.pseudonymise("recording", r.id): OriginalName(r.id, r.subject, r.group, r.stimulus)
            for r in all_recordings
        }

    def pseudonyms(self) -> list[PseudonymRow]:
        """Read all files; return a row for each recording, and one for each participant with unreadable files."""
        rows = []
        for pseudonym, name in self.owners.items():
            try:
                ids = [recording.id for recording in self.own.recordings(name)]
            except DataError:
                ids = []
            rows += [PseudonymRow(name, pseudonym, id_, self.names.pseudonymise("recording", id_)) for id_ in ids]
            rows += [] if ids else [PseudonymRow(name, pseudonym, "", "")]
        return sorted(rows)

    def to_pseudonym(self, kind: Named, name: str, known: Container[str]) -> str:
        """Return the pseudonym of an original name. Other text, such as a pseudonym, is returned unchanged.

        Args:
            known: all pseudonyms of the study, by which an original name is recognised.
        """
        found = self.names.pseudonymise(kind, name)
        return found if found in known else name

    def rename(self, recording: Recording) -> Recording:
        """Return one of the reader's recordings under pseudonyms."""
        subject, alone = self.names.pseudonymise("subject", recording.subject), recording.group == recording.subject
        return replace(
            recording,
            id=self.names.pseudonymise("recording", recording.id),
            subject=subject,
            group=subject if alone else self.names.pseudonymise("group", recording.group),
            session=self._replace_telling("session", recording.session),
            stimulus=self._replace_telling("stimulus", recording.stimulus),
        )

    def _replace_telling(self, kind: Named, text: str) -> str:
        """Return a name, or its pseudonym if it contains a date, a long number or a participant's name."""
        return self.names.pseudonymise(kind, text) if self._telling.search(text) else text

    @cached_property
    def _telling(self) -> re.Pattern[str]:
        names = (n for n in self.own.subjects() if len(n) >= _SHORT and not n.isdecimal())
        return re.compile("|".join([_TELLING.pattern, *map(re.escape, names)]), re.IGNORECASE)


def read_key(root: Path) -> bytes:
    """Return the study's key, stored in the folder `root`; a missing key is created. If the folder cannot be written,
    the key is stored in this machine's cache.

    Raises:
        DataError: the file is damaged. MachineError: it cannot be read or written.
    """
    root = root.resolve()
    beside = root / KEY_FILE
    instead = cache_root() / "pseudonyms" / f"{hashlib.sha256(str(root).encode()).hexdigest()[:16]}.json"
    for path in (beside, instead):
        try:
            if path.is_file():
                return _read(path)
        except OSError as error:
            raise MachineError(
                f"cannot read the key of the study's pseudonyms: {error.strerror}",
                where=str(path),
                expected="read permission; another key would create pseudonyms that do not match other runs",
                hint=f"ask the owner of {root} for permission",
            ) from error
    try:
        return _draw(beside)
    except OSError:
        try:
            return _draw(instead)
        except OSError as error:
            raise MachineError(
                f"cannot write the key of the study's pseudonyms: {error.strerror}",
                where=f"{beside}, {instead}",
                expected="a folder that you can write to",
            ) from error


def _read(path: Path) -> bytes:
    """Read the key. Raises DataError if the file is damaged, OSError if it cannot be read."""
    try:
        key = bytes.fromhex(json.loads(read_text(path))["key"])
    except (ValueError, KeyError, TypeError):
        key = b""
    if len(key) != _BYTES:
        raise DataError(
            "the key of the study's pseudonyms is damaged",
            where=str(path),
            expected=f"`key`, {2 * _BYTES} hexadecimal digits, as embench wrote it",
            hint="restore a copy of the file; if you delete it, new pseudonyms will not match earlier runs",
        )
    return key


def _draw(path: Path) -> bytes:
    """Write a new key unless the file exists; return the stored key, maybe of another process. Raises OSError."""
    make_folder(path.parent)
    ignore = path.parent / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", "utf-8")  # so that no repository takes the key along
    with temporary(aside(path)) as whole:
        with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({"about": _ABOUT, "key": secrets.token_hex(_BYTES)}, file, indent=1)
        try:
            os.link(whole, path)  # fails if another process was faster
        except FileExistsError:
            pass
        except OSError:  # a disk without links
            if not path.exists():
                whole.replace(path)
    return _read(path)
