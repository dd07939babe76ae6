"""Own recordings under pseudonyms: what is made of them names no participant, session, device or day.

Names are replaced before anything is prepared, since folds follow from the names of subjects: folds that were dealt by
real names would tell them to whoever tries a list of candidates. A pseudonym is a keyed hash of a name. The key is
drawn at random once for a study, lies in its folder (`.embench/pseudonyms.json`), and leaves it in no output.
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
"""A day without marks, a clock's seconds, a serial number."""
_TELLING = re.compile(f"{_DAY}|{_NUMBER}")
_SHORT = 4
"""Names of fewer letters, or of digits alone, are numbers within a study: `1` and `P01` may be those of a film, too."""

Named = Literal["subject", "recording", "group", "session", "stimulus"]
_BEGINS: Mapping[Named, str] = {
    "subject": "P",
    "recording": "R",
    "group": "G",
    "session": "session-",
    "stimulus": "film-",
}


class Names:
    """Pseudonyms of one study; equal names have equal ones."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, kind: Named, name: str) -> str:
        """The pseudonym: letters that tell nothing without the key."""
        found = hmac.new(self._key, f"{kind}\0{name}".encode(), hashlib.sha256).digest()
        return f"{_BEGINS[kind]}{base64.b32encode(found).decode().lower()[:_LETTERS]}"


class OwnName(NamedTuple):
    """A recording's own name, with those of its subject and group."""

    recording: str
    subject: str
    group: str
    stimulus: str


class PseudonymRow(NamedTuple):
    """A recording's participant and own name, with their pseudonyms."""

    participant: str
    pseudonym: str
    recording: str
    recording_pseudonym: str


class Pseudonymous(Dataset):
    """A reader of own recordings whose subjects, groups and recordings have pseudonyms. Names of sessions and stimuli
    stay, unless they hold a date, a long number or a participant's name.

    Raises:
        DataError: from `subjects`, where the study's key is damaged.
    """

    def __init__(self, own: Dataset) -> None:
        super().__init__(own.root)
        self.own = own
        named = tuple(self._harmless("session", name) for name in own.card.sessions)
        self.card = replace(own.card, sessions=named) if named else own.card

    @cached_property
    def secret(self) -> bytes:
        """The study's key, by which its files are hashed too."""
        return read_key(self.root)

    @cached_property
    def names(self) -> Names:
        """The study's pseudonyms."""
        return Names(self.secret)

    @cached_property
    def owners(self) -> Mapping[str, str]:
        """Pseudonym -> own name of each subject, in the order of pseudonyms, which tells nothing."""
        found = {self.names.of("subject", name): name for name in self.own.subjects()}
        return dict(sorted(found.items()))

    def subjects(self) -> list[str]:
        """Pseudonyms of the reader's subjects."""
        return list(self.owners)

    def recordings(self, subject: str) -> Iterator[Recording]:
        """One subject's recordings, renamed."""
        for recording in self.own.recordings(self.owners.get(subject, subject)):
            yield self.renamed(recording)

    def files(self, subject: str) -> list[Path]:
        """The reader's files."""
        return self.own.files(self.owners.get(subject, subject))

    def subject_info(self, subject: str) -> Mapping[str, str]:
        """The facts that the reader has of a subject."""
        return self.own.subject_info(self.owners.get(subject, subject))

    def verify(self) -> list[Finding]:
        """The reader's findings, which name files and participants."""
        return self.own.verify()

    def exclude_faulty(self) -> int:
        """Writes the faulty parts into the reader's description; the number of entries."""
        return self.own.exclude_faulty()

    def own_names(self) -> dict[str, OwnName]:
        """Pseudonym of a recording -> what its owner calls it. Reads all files, since it is kept nowhere."""
        every = (recording for name in self.owners.values() for recording in self.own.recordings(name))
        return {self.names.of("recording", r.id): OwnName(r.id, r.subject, r.group, r.stimulus) for r in every}

    def pseudonyms(self) -> list[PseudonymRow]:
        """A row for each recording, by participant; one without a recording for a participant whose files cannot be
        read. Reads all files, as `own_names` does."""
        rows = []
        for pseudonym, name in self.owners.items():
            try:
                ids = [recording.id for recording in self.own.recordings(name)]
            except DataError:
                ids = []
            rows += [PseudonymRow(name, pseudonym, id_, self.names.of("recording", id_)) for id_ in ids]
            rows += [] if ids else [PseudonymRow(name, pseudonym, "", "")]
        return sorted(rows)

    def pseudonym_of(self, kind: Named, name: str, known: Container[str]) -> str:
        """The pseudonym of an own name; a text that is none, such as a pseudonym, stays.

        Args:
            known: the pseudonyms that there are.
        """
        found = self.names.of(kind, name)
        return found if found in known else name

    def renamed(self, recording: Recording) -> Recording:
        """One of the reader's recordings under pseudonyms."""
        subject, alone = self.names.of("subject", recording.subject), recording.group == recording.subject
        return replace(
            recording,
            id=self.names.of("recording", recording.id),
            subject=subject,
            group=subject if alone else self.names.of("group", recording.group),
            session=self._harmless("session", recording.session),
            stimulus=self._harmless("stimulus", recording.stimulus),
        )

    def _harmless(self, kind: Named, text: str) -> str:
        return self.names.of(kind, text) if self._telling.search(text) else text

    @cached_property
    def _telling(self) -> re.Pattern[str]:
        names = (n for n in self.own.subjects() if len(n) >= _SHORT and not n.isdecimal())
        return re.compile("|".join([_TELLING.pattern, *map(re.escape, names)]), re.IGNORECASE)


def read_key(root: Path) -> bytes:
    """The key of the study in the folder `root`; drawn now, where it has none. Where the folder cannot be written, it
    lies in the cache of this machine.

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
    """Raises DataError where the file is damaged, OSError where it cannot be read."""
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
    """Writes a key where there is none; whoever comes second reads that of the first. Raises OSError."""
    make_folder(path.parent)
    ignore = path.parent / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", "utf-8")  # so that no repository takes the key along
    with temporary(aside(path)) as whole:
        with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({"about": _ABOUT, "key": secrets.token_hex(_BYTES)}, file, indent=1)
        try:
            os.link(whole, path)  # fails where another process was faster
        except FileExistsError:
            pass
        except OSError:  # a disk without links
            if not path.exists():
                whole.replace(path)
    return _read(path)
