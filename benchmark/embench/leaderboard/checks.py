"""`embench leaderboard verify`: every check of an entry that needs no training, one by one.

Nothing of an entry is executed: its names resolve among installed packages only, and its files hold numbers and texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from embench.callbacks import ProgressCallback
from embench.data.cohort import Cohort
from embench.errors import EmbenchError, UsageError
from embench.interfaces.metric import Undefined
from embench.leaderboard import verify
from embench.leaderboard.attestations import LEVEL_NAMES
from embench.leaderboard.audited import wrong_audit, wrong_binding
from embench.leaderboard.covered import wrong_coverage
from embench.leaderboard.entries import UNKNOWN_FILES, LeaderboardEntry, entry_folders, load_leaderboard_entry
from embench.leaderboard.export import SUMMANDS_FILE
from embench.leaderboard.history import CheckStatus, EntryCheck, check_history, digest_or_place, entry_name
from embench.leaderboard.own_data import agreed, cohort_of, wrong_adds, wrong_cohort, wrong_labels, wrong_unpredicted
from embench.leaderboard.refitted import wrong_controls
from embench.leaderboard.sealing import SEAL_FILE
from embench.records.audit import AUDIT_FILE
from embench.records.entry import PREDICTIONS_FILE
from embench.records.ledger import looks_at
from embench.records.manifest import Manifest
from embench.records.names import private_fields
from embench.records.record import TUNING_FILE, Record, read_manifest, read_record, read_run
from embench.records.superseded import SUPERSEDED_FILE, read_superseded
from embench.registry.trust import installed_only
from embench.texts import names_code, names_place, texts_in

ENTRY_FILES = frozenset(
    {"run.yaml", "scores.json", PREDICTIONS_FILE, SUMMANDS_FILE, AUDIT_FILE, SEAL_FILE, SUPERSEDED_FILE, TUNING_FILE}
    | {"predictions.csv.gz", "labels.csv.gz", "folds.csv"}  # of entries from before they shared files
)
"""Files that an entry's folder may contain."""


@dataclass(frozen=True)
class _Subject:
    """An entry that is being checked; its files are read once."""

    folder: Path
    data_root: Path | None

    @cached_property
    def run(self) -> Manifest:
        return read_manifest(self.folder)

    @cached_property
    def entry(self) -> LeaderboardEntry:
        return load_leaderboard_entry(self.folder)

    @cached_property
    def record(self) -> Record:
        return read_record(self.folder)


_Found = Iterable[str] | Undefined


def _texts(checked: _Subject) -> Iterator[str]:
    """Checks texts of run.yaml before they are used."""
    for field, text in texts_in(read_run(checked.folder)):
        if names_code(text) or names_place(text):
            yield f"run.yaml: {field} names a file that nobody else has: {text[:60]}"


def _files(checked: _Subject) -> Iterator[str]:
    for path in sorted(checked.folder.iterdir()):
        if path.name not in ENTRY_FILES:
            yield f"{path.name} is not a file of an entry"
        elif path.is_symlink() or not path.is_file():
            yield f"{path.name} is not a regular file"


def _form(checked: _Subject) -> Iterator[str]:
    """Checks that an entry can be read, lies in its place, may be published and, sealed, reveals no labels."""
    for name, content in {"scores.json": checked.entry.scores, AUDIT_FILE: checked.entry.audit}.items():
        if places := private_fields(content):
            yield f"{name} names files that nobody else has: {', '.join(places[:3])}"


def _contents(checked: _Subject) -> _Found:
    """Checks that an entry's tables can be read, and that its shared files exist and match their names."""
    _ = checked.record  # reading it compares them
    return []


def _of_record(check: Callable[[Any], Iterable[str]]) -> Callable[[_Subject], _Found]:
    return lambda checked: check(checked.record)


def _of_run(check: Callable[[Any], Iterable[str]]) -> Callable[[_Subject], _Found]:
    return lambda checked: check(checked.record.run)


def _scores(checked: _Subject) -> _Found:
    if checked.record.labels is None:
        return Undefined("the labels are not public, so that only a reproduction can check this")
    return list(verify.wrong_score_file(checked.record))


def _summands(checked: _Subject) -> _Found:
    if checked.record.labels is None:
        return Undefined("the labels are not public, and the entry contains none")
    return list(verify.wrong_summands(checked.folder, checked.record))


def _covered(checked: _Subject) -> _Found:
    if checked.record.labels is None:
        return Undefined("the labels are not public, so that only a reproduction can check this")
    return list(wrong_coverage(checked.record, checked.record.labels))


def _of_cohort(
    check: Callable[[Manifest, Record, Cohort], list[str]], part: str | None = None
) -> Callable[[_Subject], _Found | None]:
    """A check with the data here, of entries whose scores have this part."""

    def compare(checked: _Subject) -> _Found | None:
        if part and part not in checked.entry.scores:
            return None
        cohort = cohort_of(checked.run, checked.record, checked.data_root)
        if isinstance(cohort, Undefined):
            return cohort
        return agreed(checked.run, cohort, check(checked.run, checked.record, cohort), checked.data_root)

    return compare


def _release(checked: _Subject) -> _Found | None:
    """Compares the raw files that an entry names with those of releases; where they are unknown, others have to have
    them, too."""
    if checked.run.dataset.files is None:
        return None
    return [] if checked.entry.files_known else Undefined(UNKNOWN_FILES)


def _audit(checked: _Subject) -> _Found:
    if checked.entry.audit is None:
        return Undefined("the entry was not audited")
    return list(wrong_audit(checked.entry.audit, checked.run, checked.entry.scores))


def _bound(checked: _Subject) -> _Found | None:
    """Compares the audit with the files that it is of."""
    return None if checked.entry.audit is None else wrong_binding(checked.entry.audit, checked.record)


def _looks(checked: _Subject) -> _Found:
    run = checked.run
    if run.ledger is None or not isinstance(run.test_looks, dict):
        return Undefined("the record has no digest of the evaluation log")
    counted = looks_at(run.ledger, run.dataset.name, run.protocol.name, list(run.test_looks))
    if counted is None:
        return Undefined("only the author's ledger can show it")
    recorded = {"openings": run.test_looks, "tried": run.tried, "dev": run.dev_looks}
    wrong = [name for name, value in recorded.items() if value is not None and getattr(counted, name) != value]
    return [f"run.yaml: the ledger counts other {', '.join(wrong)}"] if wrong else []


def _superseded(checked: _Subject) -> Iterator[str]:
    known = read_superseded(checked.folder)
    if known and not (checked.folder.parent / known.by / "run.yaml").is_file():
        yield f"{SUPERSEDED_FILE}: there is no entry {known.by} beside it"


_READING: dict[str, Callable[[_Subject], _Found]] = {
    "files": _files,
    "texts": _texts,
    "form": _form,
    "contents": _contents,
}
"""Checks without which no other can be made."""
_CHECKS: dict[str, Callable[[_Subject], _Found | None]] = {
    "fields": _of_record(verify.wrong_fields),
    "parts": _of_record(verify.wrong_parts),
    "version": _of_run(verify.wrong_version),
    "card": _of_run(verify.wrong_card),
    "protocol": _of_run(verify.wrong_rules),
    "method": _of_run(verify.wrong_method),
    "design": _of_record(verify.wrong_design),
    "folds": _of_record(verify.wrong_folds),
    "scores": _scores,
    "summands": _summands,
    "labels": lambda checked: wrong_labels(checked.folder, checked.run, checked.record, checked.data_root),
    "release": _release,
    "cohort": _of_cohort(wrong_cohort),
    "covered": _covered,
    "unpredicted": _of_cohort(wrong_unpredicted, "coverage"),
    "controls": lambda checked: wrong_controls(checked.run, checked.record, checked.data_root),
    "adds": _of_cohort(wrong_adds, "adds"),
    "audit": _audit,
    "bound": _bound,
    "looks": _looks,
    "superseded": _superseded,
}


OF_DATA = ("labels", "cohort", "unpredicted", "controls", "adds")
"""Checks that compare an entry with data."""

_ALL = _READING | _CHECKS
_ADDED = {name: _ALL[name] for name in ("files", "texts", "form", "superseded")}
"""Files that may change although an entry did not -> the text for that."""


def check_entry(folder: Path, data_root: Path | None = None, *, unchanged: bool = False) -> Iterator[EntryCheck]:
    """All checks of the entry in `folder`; its labels are compared with data below `data_root` where they are there.

    Args:
        unchanged: whether the entry was checked before, so that only what others have added is.
    """
    folder = Path(folder).absolute()
    checked, name, broken = _Subject(folder, data_root), entry_name(folder), ""
    with installed_only(str(folder / "run.yaml")):
        for check, function in (_ADDED if unchanged else _ALL).items():
            if broken:
                yield EntryCheck(name, check, "not possible", f"the check `{broken}` failed")
                continue
            outcome = _outcome(function, checked)
            if outcome is None:
                continue
            status, reason = outcome
            if status == "failed" and check in _READING:
                broken = check
            yield EntryCheck(name, check, status, reason)
        if not broken:
            yield EntryCheck(name, "attestations", "passed", _attested(checked))


def _outcome(check: Callable[[_Subject], _Found | None], checked: _Subject) -> tuple[CheckStatus, str] | None:
    """None where there is nothing to check."""
    try:
        found = check(checked)
        if found is None:
            return None
        if isinstance(found, Undefined):
            return "not possible", found.reason
        wrong = list(found)
    except EmbenchError as error:
        return "failed", f"{error.what} ({error.where})" if error.where else error.what
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:  # a document that nobody wrote so
        return "failed", f"a field is missing or is not what embench writes: {type(error).__name__}: {error}"
    more = f"; and {len(wrong) - verify.MOST_NAMED} more" if len(wrong) > verify.MOST_NAMED else ""
    return ("failed", "; ".join(wrong[: verify.MOST_NAMED]) + more) if wrong else ("passed", "")


def _attested(checked: _Subject) -> str:
    """Attestations in words; wrong ones were found when the entry was read."""
    parts = [
        f"{LEVEL_NAMES[a.level]} by {a.by}" + (f" (stale: {stale})" if stale else "")
        for _, a, stale in checked.entry.attestations
    ]
    return ", ".join(parts) or "none"


def folders_at(path: Path) -> list[Path]:
    """The entry at `path`, or all entries of the boards, the board or the protocol there.

    Raises:
        UsageError: there is none.
    """
    found = [path] if (path / "run.yaml").is_file() else entry_folders(path)
    for pattern in ("*/*/run.yaml", "*/run.yaml"):  # of a board, of a protocol
        found = found or [each.parent for each in sorted(path.glob(pattern))]
    if not found:
        raise UsageError("there is no entry", where=str(path), expected="the folder of an entry, or of leaderboards")
    return found


def check_boards(
    path: Path, data_root: Path | None = None, earlier: Path | None = None, progress: ProgressCallback | None = None
) -> Iterator[EntryCheck]:
    """All checks of the entry or the boards at `path`.

    Args:
        earlier: a former state of the boards, to which entries may only have been added. Of those that are as they
            were, only what others have added is checked.

    Raises:
        UsageError: there is no entry at `path`, or `earlier` is given and `path` is not the folder of all boards.
    """
    folders = folders_at(path)
    if earlier and not entry_folders(path):
        raise UsageError(
            "only the folder of all leaderboards has an earlier state", where=str(path), expected="leaderboards"
        )
    before = {entry_name(folder): folder for folder in entry_folders(earlier)} if earlier else {}
    if earlier:
        yield from check_history(path, earlier)
    for i, folder in enumerate(folders, 1):
        known = before.get(entry_name(folder))
        unchanged = known is not None and digest_or_place(folder) == digest_or_place(known)
        yield from check_entry(folder, data_root, unchanged=unchanged)
        if progress:
            progress(i, len(folders), folder.name)


def compared(checks: Iterable[EntryCheck], entry: str) -> list[str]:
    """The checks in which the entry of this name was compared with data."""
    return [c.check for c in checks if c.entry == entry and c.check in OF_DATA and c.status == "passed"]


def failures(checks: Iterable[EntryCheck]) -> list[EntryCheck]:
    """The failed checks."""
    return [check for check in checks if check.status == "failed"]
