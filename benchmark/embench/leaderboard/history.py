"""Checks that boards have only grown: published entries are unchanged, and new ones are consistent with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from embench.errors import EmbenchError
from embench.leaderboard.alike import already_there, unlike
from embench.leaderboard.attestations import ATTESTATIONS_FOLDER, attestation_folder, entry_digest
from embench.leaderboard.audited import why_unbound
from embench.leaderboard.entries import entry_folders
from embench.leaderboard.verify import MOST_NAMED
from embench.records.audit import read_audit
from embench.records.record import read_manifest
from embench.records.superseded import SUPERSEDED_FILE

CheckStatus = Literal["passed", "failed", "not possible"]


class EntryCheck(NamedTuple):
    """The result of one check of an entry, which is called `board/protocol/id`."""

    entry: str
    check: str
    status: CheckStatus
    reason: str = ""


def entry_name(folder: Path) -> str:
    """The name of an entry in its place, `board/protocol/id`."""
    return "/".join(Path(folder).absolute().parts[-3:])


def check_history(boards: Path, earlier: Path) -> Iterator[EntryCheck]:
    """Checks that every entry and attestation of the boards `earlier` is still there, the entries unchanged but for
    what took their place, and that no entry comes with an attestation of its own, or with an audit that is bound to
    nothing."""
    now = {entry_name(folder): folder for folder in entry_folders(boards)}
    for path in sorted(boards.glob(f"*/{ATTESTATIONS_FOLDER}/*")):
        protocol, _, rest = path.name.partition("--")
        board, id_ = path.parts[-3], rest.rpartition("--")[0]
        if f"{board}/{protocol}/{id_}" not in now or path.suffix != ".json":
            yield EntryCheck(f"{board}/{ATTESTATIONS_FOLDER}/{path.name}", "history", "failed", "it is of no entry")
    before = {entry_name(folder): folder for folder in entry_folders(earlier)}
    for name, folder in before.items():
        wrong = _changed(now.get(name), folder)
        yield EntryCheck(name, "history", "failed" if wrong else "passed", wrong)
    for name in sorted(now.keys() - before.keys()):
        _, protocol, id_ = name.split("/")
        if own := sorted(attestation_folder(now[name]).glob(f"{protocol}--{id_}--*.json")):
            reason = f"{own[0].name} came with the entry: others attest it once the entry is there"
            yield EntryCheck(name, "history", "failed", reason)
        if lacks := _lacks(now[name]):
            yield EntryCheck(name, "history", "failed", lacks)
        yield _alike(name, now, before)


def _alike(name: str, now: Mapping[str, Path], before: Mapping[str, Path]) -> EntryCheck:
    """Compares a new entry with the earlier ones of its board; without any, with the other new ones."""
    new_entry, board = now[name], f"{name.rpartition('/')[0]}/"
    of_board = {each: folder for each, folder in now.items() if each.startswith(board)}
    others = [folder for each, folder in sorted(of_board.items()) if each in before]
    try:
        wrong = unlike(new_entry, others or of_board.values())
        if same := already_there(new_entry, others):
            wrong.append(f"{same} is the same entry")
    except (EmbenchError, OSError) as error:  # which other checks name
        return EntryCheck(name, "alike", "not possible", str(error))
    return EntryCheck(name, "alike", "failed" if wrong else "passed", "; ".join(wrong[:MOST_NAMED]))


def _lacks(folder: Path) -> str:
    """The reason that keeps a new entry from a board though earlier ones have it neither; empty where nothing
    does, or it was not audited, which its row says. What cannot be read is found by other checks."""
    with suppress(EmbenchError):
        if read_manifest(folder).dataset.files is None:
            return "run.yaml: dataset.files: missing, which names the raw files: run it again with this embench"
        audit = read_audit(folder)
        if audit and (reason := why_unbound(audit)):
            return f"{reason}: audit the run again, and submit it"
    return ""


def _changed(now: Path | None, before: Path) -> str:
    if now is None:
        return "the entry was deleted"
    if digest_or_place(now) != digest_or_place(before):
        return "the entry was changed: publish another one, and mark this one with `embench leaderboard supersede`"
    old, new = before / SUPERSEDED_FILE, now / SUPERSEDED_FILE
    if old.is_file() and not (new.is_file() and new.read_bytes() == old.read_bytes()):
        return f"{SUPERSEDED_FILE} was deleted or changed"
    protocol, id_ = before.parts[-2:]
    kept = {path.name for path in attestation_folder(now).glob("*.json")}
    for path in sorted(attestation_folder(before).glob(f"{protocol}--{id_}--*.json")):
        if path.name not in kept:
            return f"its attestation {path.name} was deleted"
    return ""


def digest_or_place(folder: Path) -> str:
    """The digest of an entry that can be read; of another, a text that no digest is equal to."""
    try:
        return entry_digest(folder, read_manifest(folder))
    except (EmbenchError, OSError):
        return f"unreadable: {folder}"
