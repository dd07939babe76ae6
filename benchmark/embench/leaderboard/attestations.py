"""Attestations: what other people than its author have checked of an entry.

An attestation is a small file in `<board>/attestations/`, apart from the entry, so that no edit of an entry raises its
own evidence. It names the entry's whole content by a digest: once the entry changes, it is stale. It is a statement of
a person, which maintainers review before it is merged.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

import embench
from embench.errors import CheckFailed, DataError, EmbenchError, UsageError
from embench.files import parse_json, read_text, saving, sha256, write_text
from embench.records.entry import shared_files
from embench.records.manifest import Line, Manifest, Word, as_model
from embench.records.record import read_folds, read_manifest
from embench.records.superseded import SUPERSEDED_FILE
from embench.system import version_of

ATTESTATIONS_FOLDER = "attestations"

Level = Literal["self_reported", "verified", "spot_checked", "reproduced"]
"""Levels of evidence, from the weakest to the strongest: nobody but the author says so; the entry's files and
statements fit together; some of its predictions were made again; all were."""
LEVELS: tuple[Level, ...] = get_args(Level)
RANKED_LEVELS: tuple[Level, ...] = ("spot_checked", "reproduced")
LEVEL_NAMES: Mapping[Level, str] = {level: level.replace("_", "-") for level in LEVELS}


@dataclass(frozen=True)
class Backing:
    """The highest level of evidence that others attest of an entry, with who and when."""

    level: Level = "self_reported"
    by: str | None = None
    on: str | None = None

    def __str__(self) -> str:
        name = LEVEL_NAMES[self.level]
        return f"{name} by {self.by}, {self.on}" if self.by else name


PickedFold = tuple[int, int]
"""A seed and a fold."""
_NO_FORMULA = r"[^\r\n\t=+@\x{2d}\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]"
PersonName = Annotated[str, StringConstraints(pattern=rf"^(\w|{_NO_FORMULA}[^\r\n\t]*\w)[^\r\n\t]*$", max_length=100)]
"""A name in tables, which spreadsheets open, so it must not begin a formula."""


class Attestation(BaseModel):
    """A record of what `by` checked of an entry, and with what.

    `digest`: see `entry_digest`. `stages`: the (seed, fold) that were run again, which follow from the digest and the
    `nonce`; None where all were, or none. `tolerances` and `greatest`: the allowed differences, and the largest ones
    found. `files` and `compared`: the raw files and label rules that the entry was compared with (see
    `embench.data.find.files_digest`), None without data, and the checks in which it was.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    protocol: Word
    entry: Word
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    level: Literal["verified", "spot_checked", "reproduced"]
    by: PersonName
    on: dt.date
    versions: dict[Word, Line]
    device: Line | None = None
    nonce: Line | None = None
    stages: Annotated[list[PickedFold], Field(min_length=1)] | None = None
    tolerances: dict[Word, FiniteFloat] = {}
    greatest: dict[Word, FiniteFloat] = {}
    files: Word | None = None
    compared: list[Word] = []

    @model_validator(mode="after")
    def _fits_its_level(self) -> Self:
        if {self.nonce is not None, self.stages is not None} != {self.level == "spot_checked"}:
            raise ValueError("a spot check has a nonce and the stages that follow from it, and nothing else has")
        return self


class FoundAttestation(NamedTuple):
    """An attestation's file; `stale` says why it no longer counts, empty where it does."""

    path: Path
    attestation: Attestation
    stale: str


def attestations_of(folder: Path, run: Manifest) -> list[FoundAttestation]:
    """The attestations of the entry in `folder`, by name.

    Raises:
        DataError: a file breaks its schema. CheckFailed: it is of another entry than its name says, or the stages of a
            spot check do not follow from the entry and the nonce.
    """
    found = []
    for path in sorted(attestation_folder(folder).glob(f"{run.protocol.name}--{run.id}--*.json")):
        known = _read(path)
        if path.name != attestation_name(known.protocol, known.entry, known.by):
            raise CheckFailed(
                "an attestation is not what its file name says",
                where=str(path),
                expected=attestation_name(known.protocol, known.entry, known.by),
            )
        stale = "" if known.digest == entry_digest(folder, run) else "the entry has changed since"
        if not stale and known.stages is not None:
            expected = picked_stages(known.digest, str(known.nonce), len(known.stages), stages_of(folder, run))
            if known.stages != expected:
                raise CheckFailed(
                    "the stages of a spot check do not follow from the entry and the nonce",
                    where=str(path),
                    expected=f"stages: {json.dumps(expected)}",
                    hint="make it with `embench leaderboard reproduce`",
                )
        found.append(FoundAttestation(path, known, stale))
    return found


def best_attestation(found: Iterable[FoundAttestation]) -> Attestation | None:
    """The first of the valid attestations of the highest level; None where none is valid."""
    valid = [each.attestation for each in found if not each.stale]
    return min(valid, key=lambda a: (-LEVELS.index(a.level), a.on, a.by), default=None)


def attest(folder: Path, level: Level, by: str, *, out: Path | None = None, **figures: Any) -> Path:
    """Writes what `by` checked today of the entry in `folder`; the path of the file.

    Args:
        by: see `check_name`.
        out: the file to write; by default in its place beside the leaderboard's entries.
        figures: further fields of `Attestation`.

    Raises:
        MachineError: the file cannot be written.
    """
    run = read_manifest(folder)
    versions = {"embench": embench.__version__} | {name: version_of(name) for name in ("torch", "numpy")}
    stated = {"protocol": run.protocol.name, "entry": run.id, "digest": entry_digest(folder, run), "level": level}
    content = {**stated, "by": check_name(by), "on": dt.datetime.now(dt.UTC).date(), "versions": versions, **figures}
    return write_attestation(folder, run, Attestation.model_validate(content), out)


def check_name(by: str) -> str:
    """The name of a person, before anything is run for it. Raises UsageError where it is none."""
    try:
        return TypeAdapter(PersonName).validate_python(by)
    except ValidationError as error:
        raise UsageError(
            f"`{by}` is not a name", where="--by", expected="your name, on one line, without = + - or @ before it"
        ) from error


def attested_by(folder: Path, by: str, level: Level) -> bool:
    """True if this person attests the entry in `folder` as it is, at this level or a higher one; False where the entry
    or an attestation cannot be read."""
    with suppress(EmbenchError):
        valid = [f.attestation for f in attestations_of(folder, read_manifest(folder)) if not f.stale]
        return any(a.by == by and LEVELS.index(a.level) >= LEVELS.index(level) for a in valid)
    return False


def write_attestation(folder: Path, run: Manifest, attestation: Attestation, out: Path | None = None) -> Path:
    """Writes an attestation of the entry in `folder`, by default beside the leaderboard's entries. One by the same
    person of a higher level stays as it is.

    Raises:
        MachineError: it cannot be written.
    """
    path = out or attestation_folder(folder) / attestation_name(attestation.protocol, attestation.entry, attestation.by)
    before = [f.attestation for f in attestations_of(folder, run) if f.path == path and not f.stale]
    if before and LEVELS.index(before[0].level) > LEVELS.index(attestation.level):
        return path
    with saving("the attestation", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(attestation.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")
    return path


def attestation_folder(folder: Path) -> Path:
    """The folder of attestations of the entry `<board>/<protocol>/<id>`."""
    return Path(folder).absolute().parent.parent / ATTESTATIONS_FOLDER


def attestation_name(protocol: str, entry: str, by: str) -> str:
    """The name of the file: one for each person and entry."""
    return f"{protocol}--{entry}--{re.sub(r'[^a-z0-9]+', '-', by.lower()).strip('-') or 'someone'}.json"


def entry_digest(folder: Path, run: Manifest) -> str:
    """The SHA-256 of an entry's whole content: its own files and those that it shares. The later note that it is
    superseded is not among them."""
    return content_digest(folder, shared_files(folder, run.entry) if run.entry else ())


def content_digest(folder: Path, shared: Iterable[Path]) -> str:
    """The digest of an entry whose shared files are known."""
    own = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != SUPERSEDED_FILE]
    return digest_of_files((*own, *shared))


def digest_of_files(paths: Iterable[Path]) -> str:
    """The SHA-256 of files' names and contents."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {_sha256_of(path) if path.is_file() else 'missing'}\n".encode())
    return digest.hexdigest()


def stages_of(folder: Path, run: Manifest) -> list[PickedFold]:
    """The (seed, fold) in which an entry has test subjects."""
    return sorted({(int(row["seed"]), int(row["fold"])) for row in read_folds(folder, run) if row["role"] == "test"})


def picked_stages(digest: str, nonce: str, count: int, stages: Sequence[PickedFold]) -> list[PickedFold]:
    """The `count` of these stages that a spot check runs again: whoever made the entry cannot know them, since they
    follow from its digest and a nonce that is chosen later."""

    def lot(stage: PickedFold) -> str:
        return hashlib.sha256(f"{digest}/{nonce}/{stage[0]}/{stage[1]}".encode()).hexdigest()

    return sorted(sorted(stages, key=lot)[:count])


def _sha256_of(path: Path) -> str:
    """SHA-256 of a file, cached until its size or times change: entries share most of their files."""
    status = path.stat()
    return _kept_sha256(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@cache
def _kept_sha256(path: Path, _size: int, _modified: int, _changed: int) -> str:
    return sha256(path)


def _read(path: Path) -> Attestation:
    try:
        content = parse_json(read_text(path, 1 << 16))
    except (OSError, ValueError) as error:
        raise DataError(f"the attestation cannot be read: {error}", where=str(path)) from error
    expected = "a file as `embench leaderboard reproduce` writes it"
    return as_model(Attestation, content, "the attestation", str(path), expected)
