"""Published entries: reading, export from runs, attestations, and entries whose labels are withheld."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
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
from embench import registry
from embench.errors import CheckFailed, DataError, EmbenchError, UsageError
from embench.files import (
    aside,
    cached_call,
    parse_json,
    read_text,
    replace_folder,
    saving,
    sha256,
    temporary,
    write_text,
)
from embench.leaderboard.nonces import read_nonces
from embench.leaderboard.withheld import (
    LABEL_HMAC_FILE,
    explain_derivable_labels,
    explain_label_disclosure,
    find_revealing_part,
    hash_labels,
    redact_audit,
    redact_record,
    redact_scores,
    redact_tuning,
)
from embench.records import audit as audits
from embench.records.audit import AUDIT_FILE, read_audit, write_audit
from embench.records.manifest import Line, Manifest, Word, as_model
from embench.records.record import (
    RUN_FILE,
    SHARED_FOLDER,
    TUNING_FILE,
    Record,
    board_name,
    is_own,
    private_fields,
    public_run,
    read_folds,
    read_manifest,
    read_record,
    read_scores,
    shared_files,
    shared_folder,
    write_entry,
)
from embench.records.scores import Score, Scores
from embench.registry import find_releases
from embench.statistics.intervals import Summands
from embench.system import installed_version

# Attestations: checks of an entry by people other than its author.
#
# An attestation is a small file in `<board>/attestations/`, outside the entry's folder, so that editing an entry cannot
# raise its own evidence. The file holds a digest of the entry's whole content and becomes stale when the entry changes.
# Maintainers review each attestation before it is merged.

ATTESTATIONS_FOLDER = "attestations"

Level = Literal["self_reported", "verified", "spot_checked", "reproduced"]
"""Levels of evidence. `self_reported`: only the author's statement. `verified`: files and statements are consistent.
`spot_checked`: some predictions were reproduced. `reproduced`: all predictions were reproduced."""
LEVELS: tuple[Level, ...] = get_args(Level)
RANKED_LEVELS: tuple[Level, ...] = ("spot_checked", "reproduced")
LEVEL_NAMES: Mapping[Level, str] = {level: level.replace("_", "-") for level in LEVELS}


@dataclass(frozen=True)
class Backing:
    """The highest level of evidence that others attest for an entry, the person (`by`) and the date (`on`)."""

    level: Level = "self_reported"
    by: str | None = None
    on: str | None = None
    stages: str | None = None

    @property
    def name(self) -> str:
        """The level in words; for a spot check with the number of stages, as in `2 of 50 stages checked`."""
        return self.stages or LEVEL_NAMES[self.level]

    def __str__(self) -> str:
        return f"{self.name} by {self.by}, {self.on}" if self.by else self.name


PickedFold = tuple[int, int]
"""A seed and a fold."""
_NO_FORMULA = r"[^\r\n\t=+@\x{2d}\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]"
PersonName = Annotated[str, StringConstraints(pattern=rf"^(\w|{_NO_FORMULA}[^\r\n\t]*\w)[^\r\n\t]*$", max_length=100)]
"""A person's name. Spreadsheets open tables with it, so it must not begin a formula."""


class Nonce(BaseModel):
    """The text that, with the entry's digest, decides which folds a spot check runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Line = Field(description="The nonce itself.")
    source: Line = Field(description="File that revealed it.")
    time: dt.datetime = Field(description="Time at which it was revealed, in UTC.")


class Attestation(BaseModel):
    """A record of the checks of an entry by another person, with the data and the tolerances of these checks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[2] = Field(default=2, description="Version of the format.")
    protocol: Word = Field(description="Protocol of the entry.")
    entry: Word = Field(description="Id of the entry.")
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="SHA-256 of the entry's own and shared files; it shows whether the entry changed since."
    )
    level: Literal["verified", "spot_checked", "reproduced"] = Field(description="What was checked.")
    by: PersonName = Field(description="Name of the checker.")
    on: dt.date = Field(description="Day of the check.")
    versions: dict[Word, Line] = Field(description="Versions of embench and of libraries on that machine.")
    device: Line | None = Field(default=None, description="Device of the repeated stages.")
    nonce: Nonce | None = Field(default=None, description="Nonce of a spot check.")
    stages: Annotated[list[PickedFold], Field(min_length=1)] | None = Field(
        default=None,
        description="Pairs of seed and fold that a spot check ran again; they follow from digest and nonce.",
    )
    total: int | None = Field(default=None, description="Number of such pairs in the entry.")
    tolerances: dict[Word, FiniteFloat] = Field(
        default={}, description="Largest allowed difference, by kind of number."
    )
    greatest: dict[Word, FiniteFloat] = Field(default={}, description="Largest difference that was found.")
    files: Word | None = Field(default=None, description="Digest of the raw files and label rules; null without data.")
    compared: list[Word] = Field(default=[], description="Checks that read the data.")

    @model_validator(mode="after")
    def _fits_its_level(self) -> Self:
        """Return the attestation. Raises ValueError if a spot check lacks a field, or another level has one of its
        fields."""
        # A spot check has all of these fields, every other attestation none.
        own = self.nonce, self.stages, self.total
        if {each is not None for each in own} != {self.level == "spot_checked"}:
            raise ValueError("a spot check has a nonce and the stages that follow, and nothing else has")
        return self


class FoundAttestation(NamedTuple):
    """An attestation that was read from a file. `stale`: why the attestation no longer counts; empty if it counts."""

    path: Path
    attestation: Attestation
    stale: str


def read_attestations(folder: Path, run: Manifest) -> list[FoundAttestation]:
    """Return the attestations of the entry in `folder`, sorted by file name.

    Raises:
        DataError: a file breaks its schema. CheckFailed: a file name does not match its content, or the stages of a
            spot check do not follow from the entry and the nonce.
    """
    found = []
    for path in sorted(get_attestation_folder(folder).glob(f"{run.protocol.name}--{run.id}--*.json")):
        attestation = read_attestation(path)
        name = name_attestation(attestation.protocol, attestation.entry, attestation.by)
        if path.name != name:
            raise CheckFailed("an attestation is not what its file name says", where=str(path), expected=name)
        stale = "" if attestation.digest == hash_entry(folder, run) else "the entry has changed since"
        if not stale and attestation.stages is not None and (nonce := attestation.nonce):
            all_stages = list_test_stages(folder, run)
            expected = pick_stages(attestation.digest, nonce.value, len(attestation.stages), all_stages)
            stated = nonce.value, nonce.time, attestation.total
            if stated != (*_find_nonce(folder, attestation.digest), len(all_stages)):
                raise CheckFailed("the nonce of a spot check is not the one revealed for the entry", where=str(path))
            if attestation.stages != expected:
                raise CheckFailed(
                    "the stages of a spot check do not follow from the entry and the nonce",
                    where=str(path),
                    expected=f"stages: {json.dumps(expected)}",
                    hint="make it with `embench leaderboard reproduce`",
                )
        found.append(FoundAttestation(path, attestation, stale))
    return found


def _find_nonce(folder: Path, digest: str) -> tuple[str | None, dt.datetime | None]:
    """Return (nonce, time of its reveal) for the entry with this digest; (None, None) if there is none."""
    nonces = read_nonces(Path(folder).absolute().parents[2])
    reveal = nonces and nonces.find_reveal(digest)
    return (reveal.nonce, reveal.revealed) if reveal else (None, None)


def attest(folder: Path, level: Level, by: str, *, out: Path | None = None, **figures: Any) -> Path:
    """Write an attestation, dated today, that `by` checked the entry in `folder`; return the path of the file.

    Args:
        by: see `check_name`.
        out: file to write; by default its place next to the leaderboard's entries.
        figures: further fields of `Attestation`.

    Raises:
        MachineError: the file cannot be written.
    """
    run = read_manifest(folder)
    versions = {"embench": embench.__version__} | {name: installed_version(name) for name in ("torch", "numpy")}
    stated = {"protocol": run.protocol.name, "entry": run.id, "digest": hash_entry(folder, run), "level": level}
    content = {**stated, "by": check_name(by), "on": dt.datetime.now(dt.UTC).date(), "versions": versions, **figures}
    return write_attestation(folder, run, Attestation.model_validate(content), out)


def check_name(by: str) -> str:
    """Return `by` unchanged if it is a valid name of a person. Raises UsageError if it is not."""
    try:
        return TypeAdapter(PersonName).validate_python(by)
    except ValidationError as error:
        raise UsageError(
            f"`{by}` is not a name", where="--attester", expected="your name, on one line, without = + - or @ before it"
        ) from error


def is_attested_by(folder: Path, by: str, level: Level) -> bool:
    """Return True if the person `by` attests the current content of the entry at this level or a higher one. Return
    False if a file cannot be read."""
    with suppress(EmbenchError):
        valid = [f.attestation for f in read_attestations(folder, read_manifest(folder)) if not f.stale]
        return any(a.by == by and LEVELS.index(a.level) >= LEVELS.index(level) for a in valid)
    return False


def write_attestation(folder: Path, run: Manifest, attestation: Attestation, out: Path | None = None) -> Path:
    """Write an attestation of the entry in `folder`, by default next to the leaderboard's entries; return its path. An
    existing attestation of a higher level by the same person is not replaced.

    Raises:
        MachineError: the file cannot be written.
    """
    path = out or get_attestation_folder(folder) / name_attestation(
        attestation.protocol, attestation.entry, attestation.by
    )
    before = [f.attestation for f in read_attestations(folder, run) if f.path == path and not f.stale]
    if before and LEVELS.index(before[0].level) > LEVELS.index(attestation.level):
        return path
    with saving("the attestation", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(attestation.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")
    return path


def get_attestation_folder(folder: Path) -> Path:
    """Return the folder of attestations for the entry `<board>/<protocol>/<id>`."""
    return Path(folder).absolute().parent.parent / ATTESTATIONS_FOLDER


def name_attestation(protocol: str, entry: str, by: str) -> str:
    """Return the file name of an attestation: one for each person and entry."""
    return f"{protocol}--{entry}--{re.sub(r'[^a-z0-9]+', '-', by.lower()).strip('-') or 'someone'}.json"


def hash_entry(folder: Path, run: Manifest) -> str:
    """Return the SHA-256 of an entry's whole content: of the files in the entry's folder and of the shared files."""
    return hash_content(folder, shared_files(folder, run.entry) if run.entry else ())


def hash_content(folder: Path, shared: Iterable[Path]) -> str:
    """Return the digest of an entry from the entry's folder and the paths of the shared files."""
    own = [path for path in sorted(folder.iterdir()) if path.is_file()]
    return hash_contents((*own, *shared))


def hash_contents(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of the names and contents of files. A missing file counts as missing."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {_hash_file(path) if path.is_file() else 'missing'}\n".encode())
    return digest.hexdigest()


def list_test_stages(folder: Path, run: Manifest) -> list[PickedFold]:
    """Return the (seed, fold) pairs in which an entry has test subjects, sorted. Entries with the same
    folds share the list within a snapshot."""
    rows = read_folds(folder, run)
    key = list_test_stages, rows
    return cached_call(key, lambda: sorted({(int(r["seed"]), int(r["fold"])) for r in rows if r["role"] == "test"}))


def pick_stages(digest: str, nonce: str, count: int, stages: Sequence[PickedFold]) -> list[PickedFold]:
    """Return the `count` stages that a spot check runs again. The author of an entry cannot predict them, since they
    follow from the entry's digest and from a nonce that is chosen later."""

    def hash_stage(stage: PickedFold) -> str:
        return hashlib.sha256(f"{digest}/{nonce}/{stage[0]}/{stage[1]}".encode()).hexdigest()

    return sorted(sorted(stages, key=hash_stage)[:count])


def _hash_file(path: Path) -> str:
    """Return the SHA-256 of a file. It is cached until the file's size or times change, since entries share most of
    their files."""
    status = path.stat()
    return _hash_file_cached(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@cache
def _hash_file_cached(path: Path, _size: int, _modified: int, _changed: int) -> str:
    return sha256(path)


def read_attestation(path: Path) -> Attestation:
    """Return the attestation in a file. Raises DataError if the content breaks the schema of attestations."""
    try:
        content = parse_json(read_text(path, 1 << 16))
    except (OSError, ValueError) as error:
        raise DataError(f"the attestation cannot be read: {error}", where=str(path)) from error
    expected = "a file as `embench leaderboard reproduce` writes it"
    return as_model(Attestation, content, "the attestation", str(path), expected)


# Export of finished runs as leaderboard entries, which hold the publishable part of a run only.

SUMMANDS_FILE = "summands.json"
"""File with the contributions of groups of subjects to the primary metrics; rows are compared by these."""

DatasetKey = Callable[[str], bytes]
"""Full name of a dataset -> a secret digest of its raw files, which is not published."""


NO_CONSENT = "it is of own data, which leave only with the participants' consent and an approval by name"
"""Reason why a run on the user's own recordings is not published."""
HOW_TO_CONSENT = "embench leaderboard submit RUN, which asks for both"


def find_finished_runs(runs: Path, dataset: str | None = None) -> list[Path]:
    """Return the folders of all finished runs below `runs`/<dataset>/, sorted; with `dataset`, only its runs."""
    found = sorted(path.parent for path in Path(runs).glob("*/*/run.yaml") if not path.parent.name.startswith("."))
    return found if dataset is None else [each for each in found if read_manifest(each).dataset.name == dataset]


def publish_runs(
    folders: Iterable[Path], boards: Path, key: DatasetKey, ethics: str | None = None
) -> tuple[list[Path], dict[Path, list[str]]]:
    """Export runs as entries; return the folders of the entries, and the refused runs with the reasons.

    Args:
        key, ethics: see `export_entry`.

    Raises:
        DataError: a run's folder is incomplete. MachineError: an entry cannot be written.
    """
    entries, refused = [], {}
    for folder in folders:
        if reasons := explain_unpublishable(read_manifest(folder)):
            refused[folder] = reasons
            continue
        try:
            entries.append(export_entry(folder, boards, key=key, ethics=ethics))
        except CheckFailed as error:  # its labels could be derived, or a file was edited, or names a path
            refused[folder] = [error.what]
    return entries, refused


def export_entry(run_folder: Path, boards: Path, *, key: DatasetKey, ethics: str | None = None) -> Path:
    """Export a run to the folder `boards`/<dataset>/<protocol>/<run-id>, which is replaced if it exists; return its
    path. Content that it has in common with other entries of the dataset goes to `boards`/<dataset>/shared.

    Labels and predictions are exported only where the dataset's card says that labels are public. Otherwise the labels
    are withheld (see `embench.leaderboard.withheld`): holders of the raw files compare their labels with `labels.hmac`.

    Args:
        key: called only where labels are not public, so that public labels need no raw files.
        ethics: for own data, the ethics board that approved the publication; recorded in the entry.

    Raises:
        CheckFailed: the run may not be published (see `explain_unpublishable`), or labels could be derived from its
            scores. DataError: the run's folder is incomplete. MachineError: the entry cannot be written.
    """
    run_folder = Path(run_folder)
    record = read_record(run_folder)
    manifest = Manifest.model_validate(record.run)
    if reasons := explain_unpublishable(manifest):
        raise CheckFailed(f"the run cannot be published: {'; '.join(reasons)}", where=str(run_folder))
    if is_own(manifest.dataset.name):
        if not ethics:
            raise CheckFailed(f"the run cannot be published: {NO_CONSENT}", where=str(run_folder), hint=HOW_TO_CONSENT)
        record = replace(record, run={**record.run, "ethics": ethics})
    labels = record.labels
    if labels is None:
        raise DataError("the run's labels are missing", where=str(run_folder / "labels.csv.gz"))
    record = _without_own_metrics(replace(record, run=public_run(record.run)))
    audit, label_hash = read_audit(run_folder), ""
    tuning = parse_json(read_text(run_folder / TUNING_FILE)) if manifest.config.get("tuned") else None
    if manifest.card.labels_public != "yes":
        leaderboard = get_entry_folder(boards, manifest).parents[1]
        if reason := explain_derivable_labels(record.predictions, labels) or explain_label_disclosure(
            record.folds, leaderboard
        ):
            raise CheckFailed(f"the run cannot be published: {reason}", where=str(run_folder))
        label_hash = hash_labels(labels, key(manifest.dataset.name))
        record, audit = redact_record(record), audit and redact_audit(audit)
        tuning = tuning and redact_tuning(tuning)
    _refuse_private(run_folder, {"scores.json": record.scores, AUDIT_FILE: audit, TUNING_FILE: tuning})
    entry = get_entry_folder(boards, manifest)
    with saving("the entry", entry), temporary(aside(entry)) as whole:
        write_entry(whole, record, shared_folder(entry))
        if label_hash:
            write_text(whole / LABEL_HMAC_FILE, label_hash)
        else:
            write_summands(whole, record)
        if audit:
            write_audit(whole, audit)
        if tuning:
            write_text(whole / TUNING_FILE, json.dumps(tuning, indent=1) + "\n")
        replace_folder(entry, whole)
    return entry


def _without_own_metrics(record: Record) -> Record:
    """Return the record without scores by metrics of packages that are not bundled; primary metrics stay."""
    metrics = (record.run.get("scoring") or {}).get("metrics", {})
    primary_metrics = set(record.scores.primary_metrics.values())
    foreign = {name for name, code in metrics.items() if not code.startswith(f"{registry.BUNDLED} ")} - primary_metrics
    if not foreign:
        return record

    def drop_foreign(targets: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        return {
            target: {m: score for m, score in scores.items() if m not in foreign} for target, scores in targets.items()
        }

    confound_only = {model: drop_foreign(targets) for model, targets in record.scores["confound_only"].items()}
    scores = Scores({**record.scores, "scores": drop_foreign(record.scores["scores"]), "confound_only": confound_only})
    scoring = {**record.run["scoring"], "metrics": {m: code for m, code in metrics.items() if m not in foreign}}
    return replace(record, run={**record.run, "scoring": scoring}, scores=scores)


def _refuse_private(run_folder: Path, files: Mapping[str, Any]) -> None:
    """Raise CheckFailed where the content of a file (by name) contains a path on this machine."""
    for name, content in files.items():
        if fields := private_fields(content):
            raise CheckFailed(
                f"{name} names places on this machine, which nobody else has",
                where=f"{run_folder / name}, {', '.join(fields[:5])}",
                hint="audit the run again, or remove audit.json" if name == AUDIT_FILE else None,
            )


def write_summands(folder: Path, record: Record) -> None:
    """Write `SUMMANDS_FILE`: for each target, the contributions of groups of subjects to the primary metric."""
    from embench.statistics.gains import primary_metric_summands  # imports scipy, which readers do not need

    found = {target: primary_metric_summands(record, target) for target in record.scores.primary_metrics}
    content = {target: summands.to_dict() for target, summands in found.items() if summands}
    write_text(folder / SUMMANDS_FILE, json.dumps(content) + "\n")


def explain_unpublishable(run: Manifest) -> list[str]:
    """Return the reasons why a run cannot be published. A run under a leaking protocol can, but has no rank."""
    reasons = []
    if run.dataset.synthetic is not None:
        reasons.append("its data are synthetic")
    if any(source.get("synthetic") for source in run.pretraining):
        reasons.append("it was pretrained on synthetic data")
    if run.dev:
        reasons.append("it scored validation subjects (--dev)")
    failed = {part: result for part, result in run.conformance.items() if result != "passed"}
    reasons += [f"its {part} does not pass the conformance checks ({result})" for part, result in failed.items()]
    if run.method.submission is not None:
        reasons.append("its predictions are a submission, which embench cannot reproduce")
    elif run.recipe.preset == "quick" or not run.recipe.on_leaderboard:
        reasons.append(f"the recipe {run.recipe.preset} never enters a leaderboard")
    if places := private_fields(public_run(run.content())):
        reasons.append(f"it names code or files that nobody else has: {', '.join(places)} of run.yaml")
    return reasons


def get_entry_folder(boards: Path, run: Manifest) -> Path:
    """Return the path of a run's entry in the folder of leaderboards: `<board>/<protocol>/<run id>`."""
    return Path(boards) / board_name(run.dataset.name) / run.protocol.name / run.id


# Entries of the leaderboards, read from their folders.

LoadEntry = Callable[[Path], "LeaderboardEntry"]
"""Loads an entry, or a finished run, from its folder."""
CONFIRMATIONS = 2
"""Number of people who must have the same raw files as an entry's author, where these are not of a known release."""
UNCONFIRMED = "models without a signal not confirmed"
"""Mark of an entry whose confound-only models occur in no other entry and were not fitted again by anyone."""
UNKNOWN_FILES = f"raw files of no known release, which {CONFIRMATIONS} others have to confirm"


@dataclass(frozen=True)
class LeaderboardEntry:
    """A published run. `audit` is None where it was not audited. `summands`: target -> contributions of groups of
    subjects to the primary metric, empty where the entry has none. `attestations`: the checks by other people."""

    folder: Path
    run: Manifest
    scores: Scores
    audit: dict[str, Any] | None = None
    summands: Mapping[str, Summands] = field(default_factory=dict)
    attestations: Sequence[FoundAttestation] = ()

    @property
    def evidence(self) -> Backing:
        """The highest attested level of evidence, with the person and the date; `self_reported` without
        attestations."""
        valid = [each.attestation for each in self.attestations if not each.stale]
        best = min(valid, key=lambda a: (-LEVELS.index(a.level), a.on, a.by), default=None)
        if best is None:
            return Backing()
        stages = f"{len(best.stages)} of {best.total} stages checked" if best.stages else None
        return Backing(best.level, best.by, best.on.isoformat(), stages)

    @property
    def ranked(self) -> bool:
        """True if others ran the entry or parts of it again."""
        return self.evidence.level in RANKED_LEVELS

    @property
    def files_known(self) -> bool:
        """True if the raw files are of a known release, not recorded, or equal to those of `CONFIRMATIONS` people."""
        files = self.run.dataset.files
        confirming = {each.by for _, each, stale in self.attestations if each.files == files and not stale}
        return files is None or files in find_releases(self.run.dataset.name) or len(confirming) >= CONFIRMATIONS

    @property
    def confound_only_fitted(self) -> bool:
        """True if somebody attests that the entry's confound-only models equal models refitted on the data."""
        return any("confound_only" in each.compared for _, each, stale in self.attestations if not stale)

    @property
    def board(self) -> str:
        """The name of the folder of the entry's leaderboard."""
        return board_name(self.run.dataset.name)

    @property
    def targets(self) -> list[str]:
        """The names of the targets scored."""
        return list(self.scores.primary_metrics)

    def score(self, target: str, metric: str) -> Score | None:
        """Return the method's score on a target; None if the score is undefined or was not computed."""
        return self.scores.get_score(target, metric)


def load_entries(root: Path) -> list[LeaderboardEntry]:
    """Return all entries below `root`/<dataset>/<protocol>/<run-id>/, sorted by these names.

    Raises:
        DataError: an entry is damaged, or lies in a folder of another dataset, protocol or run. CheckFailed: an entry
            may not be published.
    """
    return [load_leaderboard_entry(folder) for folder in list_entry_folders(root)]


def list_entry_folders(root: Path) -> list[Path]:
    """Return the folders of all entries below `root`, sorted, without folders whose writing was interrupted."""
    return [p.parent for p in sorted(Path(root).glob("*/*/*/run.yaml")) if not p.parent.name.startswith(".")]


def load_leaderboard_entry(folder: Path) -> LeaderboardEntry:
    """Return the entry in `folder`, whose path ends with <board>/<protocol>/<run-id>. Raises the errors of
    `load_entries`."""
    run = read_manifest(folder)
    scores, audit = read_scores(folder, run.entry), audits.read_audit(folder)
    named = board_name(run.dataset.name), run.protocol.name, run.id
    if folder.absolute().parts[-3:] != named:
        raise DataError("an entry lies in the wrong folder", where=str(folder), expected="/".join(named))
    if places := private_fields(run.content()):
        raise CheckFailed(
            "an entry names files that nobody else has",
            where=f"{folder / RUN_FILE}, {', '.join(places)}",
            expected="no such field",
        )
    if is_own(run.dataset.name) and not run.ethics:
        raise CheckFailed(
            f"this entry cannot be on a leaderboard: {NO_CONSENT}", where=str(folder), hint=HOW_TO_CONSENT
        )
    if reasons := explain_unpublishable(run):
        raise CheckFailed(f"this entry cannot be on a leaderboard: {'; '.join(reasons)}", where=str(folder))
    _check_labels(folder, run, scores, audit)
    return LeaderboardEntry(folder, run, scores, audit, load_summands(folder), read_attestations(folder, run))


def load_run(folder: Path, *, redacted: bool = True) -> LeaderboardEntry:
    """Return a finished run as an entry, whether or not the run may be published. Raises DataError, or CheckFailed if a
    file was edited.

    Args:
        redacted: whether parts that reveal labels are removed if the labels are withheld, as in a published entry."""
    run, scores, audit = read_manifest(folder), read_scores(folder), audits.read_audit(folder)
    if redacted and run.card.labels_public != "yes":
        scores, audit = Scores(redact_scores(scores)), audit and redact_audit(audit)
    return LeaderboardEntry(folder, run, scores, audit)


def drop_unshared(root: Path, used: Collection[Path]) -> None:
    """Delete the files below `root`/<dataset>/shared except the `used` ones. Raises OSError."""
    for path in Path(root).resolve().glob(f"*/{SHARED_FOLDER}/*-*.*"):
        if path not in used and not path.name.startswith("."):
            path.unlink()


def _check_labels(folder: Path, run: Manifest, scores: Mapping[str, Any], audit: Mapping[str, Any] | None) -> None:
    """Check that an entry holds labels if, and only if, they are public."""
    if run.card.labels_public != "yes":
        if found := find_revealing_part(folder, run, scores, audit):
            raise CheckFailed(
                f"the labels of this dataset are not public, and the entry contains {found}",
                where=str(folder),
                hint="delete the entry, also from the history, and publish the run again",
            )
    elif run.entry is not None and not run.entry.labels:
        raise CheckFailed(
            "the labels are public, but the entry does not contain them",
            where=str(folder / "run.yaml"),
            expected="entry: labels",
            hint="publish the run again",
        )


class SummandsPart(BaseModel):
    """The content of `summands.json` for each target: contributions of groups of subjects to the primary metric."""

    fits: str = Field(description="Digest that is equal for methods that predicted the same units in the same folds.")
    contributions: list[float] = Field(description="Contribution of each group; they add up to the score.")
    by_seed: list[list[float | None]] = Field(description="Contribution of each group in each seed, null if undefined.")
    trained: list[list[str]] = Field(
        description="For each seed and group a text of `0` and `1`: the groups on which its model was trained."
    )


def read_summands(folder: Path) -> Any:
    """Return the content of an entry's file of contributions; empty if there is no such file. Raises DataError if the
    file is damaged."""
    path = folder / SUMMANDS_FILE
    try:
        return {**parse_json(read_text(path))} if path.is_file() else {}
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(path) from error


def load_summands(folder: Path) -> dict[str, Summands]:
    """Return target -> contributions of groups of subjects to the primary metric, from `SUMMANDS_FILE` in the folder.
    Raises DataError if the file is damaged."""
    try:
        found = {target: SummandsPart.model_validate(kept) for target, kept in read_summands(folder).items()}
        return {target: Summands.of_json(kept.model_dump()) for target, kept in found.items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise _damaged(folder / SUMMANDS_FILE) from error


def _damaged(path: Path) -> DataError:
    return DataError("the file is damaged", where=str(path), expected="as `embench` wrote it")
