"""Entries as pull requests: all checks one by one, the history of a leaderboard, and the files to submit."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any, Literal, NamedTuple

from embench import registry
from embench.data.cohort import Cohort
from embench.errors import CheckFailed, EmbenchError, UsageError
from embench.files import aside, replace_folder, saving, temporary, write_whole
from embench.interfaces.metric import Undefined
from embench.leaderboard import verify
from embench.leaderboard.entries import (
    ATTESTATIONS_FOLDER,
    LEVEL_NAMES,
    SUMMANDS_FILE,
    UNKNOWN_FILES,
    DatasetKey,
    LeaderboardEntry,
    explain_unpublishable,
    get_attestation_folder,
    get_entry_folder,
    hash_entry,
    list_entry_folders,
    load_leaderboard_entry,
    publish_runs,
)
from embench.leaderboard.nonces import NONCES_FILE
from embench.leaderboard.verify import (
    MOST_NAMED,
    find_wrong_audit,
    find_wrong_coverage,
    find_wrong_digests,
)
from embench.leaderboard.verify_data import (
    LocalData,
    Uncompared,
    find_board_differences,
    find_copy,
    find_same_entry,
    find_wrong_associations,
    find_wrong_cohort,
    find_wrong_confound_only,
    find_wrong_labels,
    find_wrong_unpredicted,
    load_local_data,
)
from embench.leaderboard.withheld import LABEL_HMAC_FILE, explain_label_disclosure
from embench.protocols import protocol_names
from embench.records.audit import AUDIT_FILE, list_shown_findings, read_audit
from embench.records.ledger import count_up_to
from embench.records.manifest import Manifest, explain_refused_seeds
from embench.records.predictions import Labels
from embench.records.record import (
    PREDICTIONS_FILE,
    SHARED_FOLDER,
    TUNING_FILE,
    Record,
    is_own,
    private_fields,
    read_folds,
    read_manifest,
    read_record,
    read_run,
    shared_files,
)
from embench.registry.catalogue import installed
from embench.registry.fragments import installed_only
from embench.system import ProgressCallback
from embench.vocabulary import iterate_texts, names_code, names_path

# Checks that leaderboards only grow: published entries are unchanged, and new entries are consistent with them.

CheckStatus = Literal["passed", "failed", "not compared", "not possible"]
"""`not compared`: data to compare with exist, but were not compared. `not possible`: no data to compare with exist."""


class EntryCheck(NamedTuple):
    """The result of one check of an entry, named `board/protocol/id`."""

    entry: str
    check: str
    status: CheckStatus
    reason: str = ""


def get_entry_name(folder: Path) -> str:
    """Return the name of an entry from its folder, `board/protocol/id`."""
    return "/".join(Path(folder).absolute().parts[-3:])


def check_history(boards: Path, earlier: Path) -> Iterator[EntryCheck]:
    """Compare leaderboards with their `earlier` state, and yield the result for each entry. Earlier entries and
    attestations must still exist, and the entries be unchanged. New entries must not come with attestations, or with an
    audit that lacks digests of the audited files."""
    now = {get_entry_name(folder): folder for folder in list_entry_folders(boards)}
    for path in sorted(boards.glob(f"*/{ATTESTATIONS_FOLDER}/*")):
        protocol, _, rest = path.name.partition("--")
        board, id_ = path.parts[-3], rest.rpartition("--")[0]
        if f"{board}/{protocol}/{id_}" not in now or path.suffix != ".json":
            yield EntryCheck(f"{board}/{ATTESTATIONS_FOLDER}/{path.name}", "history", "failed", "it is of no entry")
    if (was := _read_bytes(earlier / NONCES_FILE)) != _read_bytes(boards / NONCES_FILE):
        reason = "only the main branch draws nonces: take the file as it was" if was else "nobody committed to nonces"
        yield EntryCheck(NONCES_FILE, "history", "failed", reason)
    before = {get_entry_name(folder): folder for folder in list_entry_folders(earlier)}
    for name, folder in before.items():
        wrong = _describe_change(now.get(name), folder)
        yield EntryCheck(name, "history", "failed" if wrong else "passed", wrong)
    for name in sorted(now.keys() - before.keys()):
        _, protocol, id_ = name.split("/")
        if attestations := sorted(get_attestation_folder(now[name]).glob(f"{protocol}--{id_}--*.json")):
            reason = f"{attestations[0].name} came with the entry: others attest it once the entry is there"
            yield EntryCheck(name, "history", "failed", reason)
        if lacks := _explain_refusal(now[name]):
            yield EntryCheck(name, "history", "failed", lacks)
        yield _compare_with_others(name, now, before)


def _read_bytes(path: Path) -> bytes | None:
    """Return the content of a file; None if there is no such file."""
    return path.read_bytes() if path.is_file() else None


def _compare_with_others(name: str, now: Mapping[str, Path], before: Mapping[str, Path]) -> EntryCheck:
    """Return the result of comparing a new entry with the earlier entries of its leaderboard; if there are none, with
    the other new entries. `now`, `before`: name -> folder of all current entries, and of all earlier ones."""
    new_entry, board = now[name], f"{name.rpartition('/')[0]}/"
    of_board = {each: folder for each, folder in now.items() if each.startswith(board)}
    others = [folder for each, folder in sorted(of_board.items()) if each in before]
    try:
        found, same = find_board_differences(new_entry, others or of_board.values()), find_same_entry(new_entry, others)
        copy = "" if same else find_copy(new_entry, others)
    except (EmbenchError, OSError) as error:  # other checks report it
        return EntryCheck(name, "alike", "not compared", str(error))
    if same:
        return EntryCheck(name, "alike", "failed", f"{same} is the same entry")
    if copy:
        return EntryCheck(name, "alike", "failed", f"{copy}: a maintainer has to look at both")
    if isinstance(found, Undefined):
        return EntryCheck(name, "alike", "not possible", found.reason)
    return EntryCheck(name, "alike", "failed" if found else "passed", "; ".join(found[:MOST_NAMED]))


def _explain_refusal(folder: Path) -> str:
    """Return the reason why a new entry breaks a rule that earlier entries need not meet; empty if it meets them."""
    with suppress(EmbenchError):
        run = read_manifest(folder)
        public = run.card.labels_public == "yes"
        if not public and (reason := explain_label_disclosure(read_folds(folder, run), folder.parents[1])):
            return reason
        if run.dataset.files is None:
            return "run.yaml: dataset.files: missing, which names the raw files: run it again with this embench"
    return ""


def _describe_change(now: Path | None, before: Path) -> str:
    """Return in words how an earlier entry or its attestations were changed or deleted; empty if they were not.

    Args:
        now: current folder of the entry; None if it was deleted. `before`: folder in the earlier state."""
    if now is None:
        return "the entry was deleted"
    if hash_entry_or_place(now) != hash_entry_or_place(before):
        return "the entry was changed: publish another one"
    protocol, id_ = before.parts[-2:]
    attestations = {path.name for path in get_attestation_folder(now).glob("*.json")}
    for path in sorted(get_attestation_folder(before).glob(f"{protocol}--{id_}--*.json")):
        if path.name not in attestations:
            return f"its attestation {path.name} was deleted"
    return ""


def hash_entry_or_place(folder: Path) -> str:
    """Return the digest of an entry; if the entry cannot be read, a text with its folder, which equals no digest."""
    try:
        return hash_entry(folder, read_manifest(folder))
    except (EmbenchError, OSError):
        return f"unreadable: {folder}"


ONLY_REPRODUCIBLE = "the labels are not public, so that only a reproduction can check this"
_NO_LABELS = "the labels are not public, and the entry contains none"

# `embench leaderboard verify`: all checks of an entry that need no training, one by one.
#
# Nothing in an entry is executed: names resolve to installed packages only, and files hold numbers and texts.

ENTRY_FILES = frozenset(
    {"run.yaml", "scores.json", PREDICTIONS_FILE, SUMMANDS_FILE, AUDIT_FILE, LABEL_HMAC_FILE, TUNING_FILE}
    | {"predictions.csv.gz", "labels.csv.gz", "folds.csv"}  # of entries from before they shared files
)
"""Files that an entry's folder may contain."""


@dataclass(frozen=True)
class _CheckedEntry:
    """An entry that is checked. Each part of the entry is read once, when a check needs it first."""

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

    @cached_property
    def data(self) -> LocalData | Undefined:
        return load_local_data(self.folder, self.run, self.record, self.data_root)


_Outcome = Iterable[str] | Undefined | None
"""Result of a check: a message for each fault; `Undefined` if it is not possible, None if it does not apply."""
_Check = Callable[[_CheckedEntry], _Outcome]


def _check_texts(checked: _CheckedEntry) -> Iterator[str]:
    """Yield a message for each text in run.yaml that names code in a file, or another path on the author's machine."""
    for field, text in iterate_texts(read_run(checked.folder)):
        if names_code(text) or names_path(text):
            yield f"run.yaml: {field} names a file that nobody else has: {text[:60]}"


def _check_files(checked: _CheckedEntry) -> Iterator[str]:
    """Yield a message for each file in an entry's folder that is not a regular file of an entry."""
    for path in sorted(checked.folder.iterdir()):
        if path.name not in ENTRY_FILES:
            yield f"{path.name} is not a file of an entry"
        elif path.is_symlink() or not path.is_file():
            yield f"{path.name} is not a regular file"


def _check_form(checked: _CheckedEntry) -> Iterator[str]:
    """Yield a message for each content that names files on the author's machine. Raises an error if the entry cannot be
    read, is not in its place, may not be published, or reveals labels that are withheld."""
    for name, content in {"scores.json": checked.entry.scores, AUDIT_FILE: checked.entry.audit}.items():
        if places := private_fields(content):
            yield f"{name} names files that nobody else has: {', '.join(places[:3])}"


def _check_contents(checked: _CheckedEntry) -> _Outcome:
    """Return no fault. Raises an error if the entry's tables cannot be read, or if a shared file does not exist or does
    not match its name."""
    _ = checked.record  # reading the record compares the files with their names
    return []


def _with_record(check: Callable[[Any], Iterable[str]]) -> _Check:
    """Return a check of entries from a check of records."""
    return lambda checked: check(checked.record)


def _with_run(check: Callable[[Any], Iterable[str]]) -> _Check:
    """Return a check of entries from a check of the content of `run.yaml`."""
    return lambda checked: check(checked.record.run)


def _with_labels(check: Callable[[_CheckedEntry, Labels], Iterable[str]], missing: str = ONLY_REPRODUCIBLE) -> _Check:
    """Return a check of entries from a check that needs labels. `missing`: why the check is not possible for an entry
    without labels."""

    def check_with_labels(checked: _CheckedEntry) -> _Outcome:
        labels = checked.record.labels
        return Undefined(missing) if labels is None else list(check(checked, labels))

    return check_with_labels


def _with_data(
    check: Callable[[Manifest, Record, Cohort], list[str]], part: str | None = None, *, redacted: bool = False
) -> _Check:
    """Return a check of entries from a check that compares an entry with the data on this machine.

    Args:
        part: key of scores.json: the check applies only to entries with this key; None if it applies to all.
        redacted: whether the check is possible for entries without labels.
    """

    def compare(checked: _CheckedEntry) -> _Outcome:
        if part and part not in checked.entry.scores:
            return None
        if checked.record.labels is None and not redacted:
            return Undefined(_NO_LABELS)
        if isinstance(data := checked.data, Undefined):
            return data
        return data.judge(check(checked.run, checked.record, data.cohort))

    return compare


def _check_labels(checked: _CheckedEntry) -> _Outcome:
    """Return differences between the entry's labels, or their HMAC, and the labels of the data on this machine."""
    return _with_data(
        lambda run, record, cohort: find_wrong_labels(checked.folder, run, record, cohort, checked.data_root),
        redacted=True,
    )(checked)


def _check_release(checked: _CheckedEntry) -> _Outcome:
    """Return no fault if the entry's raw files are of a known release or others have the same files; Undefined if
    neither holds."""
    if checked.run.dataset.files is None:
        return None
    return [] if checked.entry.files_known else Undefined(UNKNOWN_FILES)


def _check_audit(checked: _CheckedEntry) -> _Outcome:
    """Return the faults of the entry's audit; Undefined if the entry was not audited."""
    if checked.entry.audit is None:
        return Undefined("the entry was not audited")
    return list(find_wrong_audit(checked.entry.audit, checked.run, checked.entry.scores))


def _check_binding(checked: _CheckedEntry) -> _Outcome:
    """Return differences between the digests in the audit and the entry's files; None if the entry was not audited."""
    return None if checked.entry.audit is None else find_wrong_digests(checked.entry.audit, checked.record)


def _check_evaluation_log(checked: _CheckedEntry) -> _Outcome:
    """Return differences between the recorded counts of evaluations and the ledger on this machine."""
    run = checked.run
    if run.ledger is None or not isinstance(run.test_evaluations, dict):
        return Undefined("the record has no digest of the evaluation log")
    counted = count_up_to(run.ledger, run.dataset.name, run.protocol.name, list(run.test_evaluations))
    if counted is None:
        return Undefined("only the author's ledger can show it")
    recorded = {
        "test_evaluations": run.test_evaluations,
        "methods_evaluated": run.methods_evaluated,
        "dev_evaluations": run.dev_evaluations,
    }
    wrong = [name for name, value in recorded.items() if value is not None and getattr(counted, name) != value]
    return [f"run.yaml: the ledger counts other {', '.join(wrong)}"] if wrong else []


_READING: dict[str, _Check] = {
    "files": _check_files,
    "texts": _check_texts,
    "form": _check_form,
    "contents": _check_contents,
}
"""Checks of files. All other checks run only if these pass."""
_CHECKS: dict[str, _Check] = {
    "fields": _with_record(verify.find_wrong_fields),
    "parts": _with_record(verify.find_wrong_parts),
    "version": _with_run(verify.find_wrong_version),
    "card": _with_run(verify.find_wrong_card),
    "protocol": _with_run(verify.find_wrong_rules),
    "method": _with_run(verify.find_wrong_method),
    "design": _with_record(verify.find_wrong_design),
    "folds": _with_record(verify.find_wrong_folds),
    "scores": _with_labels(lambda checked, _: verify.find_wrong_score_file(checked.record)),
    "summands": _with_labels(lambda checked, _: verify.find_wrong_summands(checked.folder, checked.record), _NO_LABELS),
    "labels": _check_labels,
    "release": _check_release,
    "cohort": _with_data(find_wrong_cohort),
    "covered": _with_labels(lambda checked, labels: find_wrong_coverage(checked.record, labels)),
    "unpredicted": _with_data(find_wrong_unpredicted, "coverage"),
    "confound_only": _with_data(find_wrong_confound_only, redacted=True),
    "adjusted": _with_data(find_wrong_associations, "adjusted"),
    "audit": _check_audit,
    "bound": _check_binding,
    "looks": _check_evaluation_log,
}


OF_DATA = ("labels", "cohort", "unpredicted", "confound_only", "adjusted")
"""Checks that compare an entry with data."""

_ALL = _READING | _CHECKS
_ADDED = {name: _ALL[name] for name in ("files", "texts", "form")}
"""Checks of files that others may add although the entry is unchanged."""


def check_entry(folder: Path, data_root: Path | None = None, *, unchanged: bool = False) -> Iterator[EntryCheck]:
    """Run all checks of the entry in `folder`, and compare it with data below `data_root` where these exist.

    Args:
        unchanged: whether the entry was checked before; then check only what others have added.
    """
    folder = Path(folder).absolute()
    checked, name, broken = _CheckedEntry(folder, data_root), get_entry_name(folder), ""
    with installed_only(str(folder / "run.yaml")):
        for check, function in (_ADDED if unchanged else _ALL).items():
            if broken:
                yield EntryCheck(name, check, "not possible", f"the check `{broken}` failed")
                continue
            outcome = _run_check(function, checked)
            if outcome is None:
                continue
            status, reason = outcome
            if status == "failed" and check in _READING:
                broken = check
            yield EntryCheck(name, check, status, reason)
        if not broken:
            yield EntryCheck(name, "attestations", "passed", _describe_attestations(checked))


def _run_check(check: _Check, checked: _CheckedEntry) -> tuple[CheckStatus, str] | None:
    """Return the status and text of a check; None where it does not apply."""
    try:
        found = check(checked)
        if found is None:
            return None
        if isinstance(found, Undefined):
            return "not compared" if isinstance(found, Uncompared) else "not possible", found.reason
        wrong = list(found)
    except EmbenchError as error:
        return "failed", f"{error.what} ({error.where})" if error.where else error.what
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:  # not written by embench
        return "failed", f"a field is missing or is not what embench writes: {type(error).__name__}: {error}"
    return ("failed", verify.join_first(wrong)) if wrong else ("passed", "")


def _describe_attestations(checked: _CheckedEntry) -> str:
    """Return the entry's attestations in words. All are valid, since an entry with an invalid one cannot be read."""
    parts = [
        f"{LEVEL_NAMES[a.level]} by {a.by}" + (f" (does not count: {stale})" if stale else "")
        for _, a, stale in checked.entry.attestations
    ]
    return ", ".join(parts) or "none"


def find_entry_folders(path: Path) -> list[Path]:
    """Return the folders of the entries at `path`: an entry, a protocol's folder, a leaderboard, or all leaderboards.

    Raises:
        UsageError: `path` contains no entry.
    """
    found = [path] if (path / "run.yaml").is_file() else list_entry_folders(path)
    for pattern in ("*/*/run.yaml", "*/run.yaml"):  # of a leaderboard, of a protocol
        found = found or [each.parent for each in sorted(path.glob(pattern))]
    if not found:
        raise UsageError("there is no entry", where=str(path), expected="the folder of an entry, or of leaderboards")
    return found


def check_boards(
    path: Path, data_root: Path | None = None, earlier: Path | None = None, progress: ProgressCallback | None = None
) -> Iterator[EntryCheck]:
    """Run all checks of the entry or the leaderboards at `path`.

    Args:
        earlier: an earlier state of the leaderboards, to which entries may only have been added. Of entries that are
            unchanged since then, only the files that others may add later are checked.

    Raises:
        UsageError: `path` contains no entry, or `earlier` is given and `path` is not the folder of all leaderboards.
    """
    folders = find_entry_folders(path)
    if earlier and not list_entry_folders(path):
        raise UsageError(
            "only the folder of all leaderboards has an earlier state", where=str(path), expected="leaderboards"
        )
    before = {get_entry_name(folder): folder for folder in list_entry_folders(earlier)} if earlier else {}
    if earlier:
        yield from check_history(path, earlier)
    for i, folder in enumerate(folders, 1):
        known = before.get(get_entry_name(folder))
        unchanged = known is not None and hash_entry_or_place(folder) == hash_entry_or_place(known)
        yield from check_entry(folder, data_root, unchanged=unchanged)
        if progress:
            progress(i, len(folders), folder.name)


def list_compared_checks(checks: Iterable[EntryCheck], entry: str) -> list[str]:
    """Return the names of the checks that compared this entry with data."""
    return [c.check for c in checks if c.entry == entry and c.check in OF_DATA and c.status == "passed"]


def select_failures(checks: Iterable[EntryCheck]) -> list[EntryCheck]:
    """Return the checks that prevent an entry from passing: failed checks, and comparisons that were not made."""
    return [check for check in checks if check.status in ("failed", "not compared")]


# Packages whose plugins a run uses, and whether others can install them.

NOBODY = "nobody else can install"
PUBLISH = (
    "give the package a version, an author and the address of its repository ([project.urls]) in its pyproject.toml, "
    "publish it there, install it, and run again"
)


def list_packages(run: Manifest) -> dict[str, str | None]:
    """Return package -> version (None if not recorded) of a run's plugins that are not bundled."""
    method = run.method
    names = [
        *([] if is_own(run.dataset.name) else [run.dataset.name]),
        *method.encoders.values(),
        *([method.fusion] if method.fusion else []),
        *method.pretrainers,
    ]
    packages = dict.fromkeys(name.partition("/")[0] for name in names if "/" in name)
    return {name: run.versions.get(name) for name in packages if name.isidentifier() and name != registry.BUNDLED}


def list_uninstallable_packages(run: Manifest) -> Iterator[str]:
    """Yield a sentence for each package that others cannot install, with the missing metadata."""
    for name in list_packages(run):
        package = installed().get(name)
        distribution = package.distribution if package else None
        lacks = ["an installation here"] if distribution is None else list(_list_missing_metadata(distribution))
        if lacks:
            version = f" {distribution.version}" if distribution and distribution.version else ""
            yield f"{NOBODY} the package {name}{version} of its plugins, which lacks {', '.join(lacks)}"


def _list_missing_metadata(distribution: Distribution) -> Iterator[str]:
    """Yield the metadata that a package lacks for others to install it."""
    about = distribution.metadata.json
    if not distribution.version or distribution.version == "0.0.0":
        yield "a version"
    author = f"{about.get('author', '')}{about.get('author_email', '')}"
    if "TODO" in author:
        yield f"an author (it says `{author}`)"
    # Written where a package was not installed from an index.
    source = json.loads(distribution.read_text("direct_url.json") or '{"url": "https://index"}')["url"]
    project = [line.partition(", ")[2] for line in about.get("project_url", ())]
    urls = [source, str(about.get("home_page", "")), *project]
    if not any(re.match(r"(git\+)?https?://", url) for url in urls):
        yield "a public address"


# Preparation of a pull request from finished runs; entries are checked before they are written.


def explain_unsubmittable(run: Manifest, boards: Path, *, leaking: bool = False) -> list[str]:
    """Return the reasons why a run cannot be submitted, if any, as far as they are visible without an audit.

    Args:
        leaking: whether the author knows that the protocol leaks.
    """
    if run.entry is not None:
        return ["it is an entry already; submit takes the folder of a run"]
    return _list_obstacles(run, boards, leaking)


def _list_obstacles(run: Manifest, boards: Path, leaking: bool) -> list[str]:
    """Return the reasons why a leaderboard does not accept a run; `leaking` as for `explain_unsubmittable`."""
    reasons, protocol = explain_unpublishable(run), run.protocol.name
    if get_entry_folder(boards, run).exists():
        reasons.append(f"{boards} has this entry already")
    if protocol not in protocol_names():
        reasons.append(f"its protocol {protocol} is not one of the published ones")
    if run.protocol.leaks and not leaking:
        reasons.append(f"its protocol {protocol} leaks; with --allow-leakage it is listed all the same, without a rank")
    if seeds := explain_refused_seeds(run):
        reasons.append(f"its seeds are {seeds}")
    if run.config.get("pretrained"):
        reasons.append("it starts from weights that nobody else has")
    return [*reasons, *list_uninstallable_packages(run)]


def describe_other_subjects(run: Manifest, boards: Path) -> str | None:
    """Return a sentence if the leaderboard has other entries, but none with the run's number of subjects; else None."""
    counts = Counter(read_manifest(entry).cohort.people for entry in _list_other_entries(run, boards))
    size = run.cohort.people
    if not counts or size in counts:
        return None
    usual, n = counts.most_common(1)[0]
    return f"{run.id} is of {size} people, and {n} of {counts.total()} entries of {usual}: it gets its own leaderboard"


def _list_other_entries(run: Manifest, boards: Path) -> list[Path]:
    """Return the folders of the other entries of a run's leaderboard."""
    folder = get_entry_folder(boards, run)
    return [path.parent for path in sorted(folder.parent.glob("*/run.yaml")) if path.parent != folder]


def list_severe_findings(audit: Mapping[str, Any] | None) -> list[str]:
    """Return a sentence for each severe finding of an audit; a run with one cannot be published."""
    severe = [found for found in list_shown_findings(audit) if found.severity == "severe"]
    return [f"its audit is severe: {found.what} [{found.check}]" for found in severe]


def submit_runs(
    folders: Sequence[Path], boards: Path, key: DatasetKey, data_root: Path | None = None, ethics: str | None = None
) -> list[Path]:
    """Check audited runs and, if all of them pass every check, write their entries; return the new files.

    Args:
        key, ethics: see `embench.leaderboard.entries.export_entry`.

    Raises:
        CheckFailed: a run is refused; nothing is written. MachineError: the files cannot be written.
    """
    reasons = {folder: list_severe_findings(read_audit(folder)) for folder in folders}
    refuse({folder: found for folder, found in reasons.items() if found})
    with tempfile.TemporaryDirectory(prefix="embench-submit-") as trial:
        refuse(publish_runs(folders, Path(trial), key, ethics)[1])
        drafts = {folder: get_entry_folder(Path(trial), read_manifest(folder)) for folder in folders}
        wrong = {folder: _explain_rejection(entry, boards, data_root) for folder, entry in drafts.items()}
        refuse({folder: found for folder, found in wrong.items() if found})
        return [path for entry in drafts.values() for path in _copy_entry(entry, boards)]


def submit_entry(
    entry: Path, boards: Path, data_root: Path | None = None, *, leaking: bool = False
) -> list[Path] | None:
    """Check an entry that was made elsewhere as `submit_runs` does, and write it; return the new files, or None where
    the leaderboards have it already.

    Raises:
        CheckFailed: the entry is refused; nothing is written. DataError: the entry is damaged. MachineError: the files
            cannot be written.
    """
    run, audit = read_manifest(entry), read_audit(entry)
    place = get_entry_folder(boards, run)
    if place.exists() and hash_entry_or_place(place) == hash_entry_or_place(entry):
        return None
    reasons = [*_list_obstacles(run, boards, leaking), *list_severe_findings(audit)]
    reasons += [] if audit else ["it was not audited"]
    if reasons := reasons or _explain_rejection(entry, boards, data_root):
        refuse({entry: reasons})
    return _copy_entry(entry, boards)


def _explain_rejection(entry: Path, boards: Path, data_root: Path | None) -> list[str]:
    """Return the reasons why a new entry cannot be added to the leaderboards. They follow from its files and from other
    entries."""
    others = _list_other_entries(read_manifest(entry), boards)
    if same := find_same_entry(entry, others):
        return [f"already there: {same}"]
    if wrong := select_failures(check_boards(entry, data_root)):
        return [f"{check.check}: {check.reason}" for check in wrong]
    found = find_board_differences(entry, others)
    return [] if isinstance(found, Undefined) else found


def _copy_entry(entry: Path, boards: Path) -> list[Path]:
    """Copy an entry and its shared files below `boards`; return the new files."""
    run = read_manifest(entry)
    place = get_entry_folder(boards, run)
    shared = place.parents[1] / SHARED_FOLDER  # as `boards` is written
    with saving("the entry", place), temporary(aside(place)) as whole:
        common = shared_files(entry, run.entry) if run.entry else ()
        needed = [path for path in common if not (shared / path.name).exists()]
        shared.mkdir(parents=True, exist_ok=True)
        for path in needed:
            write_whole(shared / path.name, partial(shutil.copyfile, path))
        shutil.copytree(entry, whole, copy_function=shutil.copyfile)
        replace_folder(place, whole)
    return [*sorted(place.iterdir()), *(shared / path.name for path in needed)]


def refuse(reasons: Mapping[Path, Sequence[str]]) -> None:
    """Raise CheckFailed where `reasons` (folder of a run -> reasons against it) is not empty."""
    if reasons:
        raise CheckFailed(
            "; ".join(f"{folder.name}: {reason}" for folder, found in reasons.items() for reason in found),
            where=", ".join(map(str, reasons)),
            expected="finished runs that a leaderboard takes; nothing was written",
            hint=PUBLISH if any(NOBODY in reason for found in reasons.values() for reason in found) else None,
        )
