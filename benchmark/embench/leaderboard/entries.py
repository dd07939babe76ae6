"""Published entries: read from folders, exported from runs, attested, without labels where a licence forbids them."""

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
from embench.files import aside, parse_json, read_text, replace_folder, saving, sha256, temporary, write_text
from embench.leaderboard.nonces import read_nonces
from embench.leaderboard.withheld import (
    SEAL_FILE,
    seal_labels,
    sealed,
    sealed_audit,
    sealed_scores,
    sealed_tuning,
    what_tells_labels,
    why_a_difference_shows,
    why_labels_show,
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
from embench.registry import releases_of
from embench.statistics.intervals import Summands
from embench.system import version_of

# Attestations: what other people than its author have checked of an entry.
#
# An attestation is a small file in `<board>/attestations/`, apart from the entry, so that no edit of an entry raises
# its own evidence. It names the entry's whole content by a digest: once the entry changes, it is stale. It is a
# statement of a person, which maintainers review before it is merged.

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
    stages: str | None = None

    @property
    def name(self) -> str:
        """The level in words; of a spot check, the number of stages, as in `2 of 50 stages checked`."""
        return self.stages or LEVEL_NAMES[self.level]

    def __str__(self) -> str:
        return f"{self.name} by {self.by}, {self.on}" if self.by else self.name


PickedFold = tuple[int, int]
"""A seed and a fold."""
_NO_FORMULA = r"[^\r\n\t=+@\x{2d}\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]"
PersonName = Annotated[str, StringConstraints(pattern=rf"^(\w|{_NO_FORMULA}[^\r\n\t]*\w)[^\r\n\t]*$", max_length=100)]
"""A name in tables, which spreadsheets open, so it must not begin a formula."""


VERSION_2_SINCE = dt.date(2026, 11, 30)
OWN_NONCE = "its folds follow from a nonce that its checker chose"


class Attestation(BaseModel):
    """A record of what `by` checked of an entry, and with what.

    `digest`: see `entry_digest`. `stages`: the (seed, fold) that were run again, of `total`; None where all were, or
    none. They follow from the digest and the `nonce`, which its `source` `revealed` at that time; of version 1, from
    one that the checker chose. `tolerances` and `greatest`: the allowed differences, and the largest ones found.
    `files` and `compared`: the raw files and label rules that the entry was compared with (see
    `embench.data.find.files_digest`), None without data, and the checks in which it was.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1, 2] = 2
    protocol: Word
    entry: Word
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    level: Literal["verified", "spot_checked", "reproduced"]
    by: PersonName
    on: dt.date
    versions: dict[Word, Line]
    device: Line | None = None
    nonce: Line | None = None
    source: Line | None = None
    revealed: dt.datetime | None = None
    stages: Annotated[list[PickedFold], Field(min_length=1)] | None = None
    total: int | None = None
    tolerances: dict[Word, FiniteFloat] = {}
    greatest: dict[Word, FiniteFloat] = {}
    files: Word | None = None
    compared: list[Word] = []

    @model_validator(mode="after")
    def _fits_its_level(self) -> Self:
        drawn = [self.source, self.revealed, self.total] if self.version > 1 else []
        if {each is not None for each in (self.nonce, self.stages, *drawn)} != {self.level == "spot_checked"}:
            raise ValueError("a spot check has a nonce, its source and the stages that follow, and nothing else has")
        if self.version == 1 and self.on >= VERSION_2_SINCE:
            raise ValueError("embench writes no such attestation any more: check the entry again")
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
        known = read_attestation(path)
        if path.name != attestation_name(known.protocol, known.entry, known.by):
            raise CheckFailed(
                "an attestation is not what its file name says",
                where=str(path),
                expected=attestation_name(known.protocol, known.entry, known.by),
            )
        stale = "" if known.digest == entry_digest(folder, run) else "the entry has changed since"
        if not stale and known.stages is not None:
            every = stages_of(folder, run)
            expected = picked_stages(known.digest, str(known.nonce), len(known.stages), every)
            if known.version == 1:
                stale = OWN_NONCE
            elif (known.nonce, known.revealed, known.total) != (*_drawn_for(folder, known.digest), len(every)):
                raise CheckFailed("the nonce of a spot check is not the one revealed for the entry", where=str(path))
            if known.stages != expected:
                raise CheckFailed(
                    "the stages of a spot check do not follow from the entry and the nonce",
                    where=str(path),
                    expected=f"stages: {json.dumps(expected)}",
                    hint="make it with `embench leaderboard reproduce`",
                )
        found.append(FoundAttestation(path, known, stale))
    return found


def _drawn_for(folder: Path, digest: str) -> tuple[str | None, dt.datetime | None]:
    """The nonce that was revealed for an entry, and when."""
    nonces = read_nonces(Path(folder).absolute().parents[2])
    drawn = nonces and nonces.of(digest)
    return (drawn.nonce, drawn.revealed) if drawn else (None, None)


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
    """The SHA-256 of an entry's whole content: its own files and those that it shares."""
    return content_digest(folder, shared_files(folder, run.entry) if run.entry else ())


def content_digest(folder: Path, shared: Iterable[Path]) -> str:
    """The digest of an entry whose shared files are known."""
    own = [path for path in sorted(folder.iterdir()) if path.is_file()]
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


def read_attestation(path: Path) -> Attestation:
    """The content of an attestation's file. Raises DataError where it breaks its schema."""
    try:
        content = parse_json(read_text(path, 1 << 16))
    except (OSError, ValueError) as error:
        raise DataError(f"the attestation cannot be read: {error}", where=str(path)) from error
    expected = "a file as `embench leaderboard reproduce` writes it"
    return as_model(Attestation, content, "the attestation", str(path), expected)


# Export of runs' folders to leaderboard entries: the subset that may be published.

SUMMANDS_FILE = "summands.json"
"""Contributions of groups of subjects to the headlines, by which rows are compared."""

DatasetKey = Callable[[str], bytes]
"""Dataset's full name -> a digest of its raw files that is not published itself."""


NO_CONSENT = "it is of own data, which leave only with the participants' consent and an approval by name"
"""Why a run stays."""
HOW_TO_CONSENT = "embench leaderboard submit RUN, which asks for both"


def finished_runs(runs: Path, dataset: str | None = None) -> list[Path]:
    """Return the folders of all finished runs below `runs`/<dataset>/, by name; those of one `dataset`, by its full
    name."""
    found = sorted(path.parent for path in Path(runs).glob("*/*/run.yaml") if not path.parent.name.startswith("."))
    return found if dataset is None else [each for each in found if read_manifest(each).dataset.name == dataset]


def publish_runs(
    folders: Iterable[Path], boards: Path, key: DatasetKey, ethics: str | None = None
) -> tuple[list[Path], dict[Path, list[str]]]:
    """The entries made of these runs, and the runs that cannot be on a leaderboard, with the reasons.

    Args:
        key, ethics: see `export_entry`.

    Raises:
        DataError: a run's folder is incomplete. MachineError: an entry cannot be written.
    """
    entries, refused = [], {}
    for folder in folders:
        if reasons := why_not_publishable(read_manifest(folder)):
            refused[folder] = reasons
            continue
        try:
            entries.append(export_entry(folder, boards, key=key, ethics=ethics))
        except CheckFailed as error:  # its labels could be told, or a file was edited, or names a place
            refused[folder] = [error.what]
    return entries, refused


def export_entry(run_folder: Path, boards: Path, *, key: DatasetKey, ethics: str | None = None) -> Path:
    """The folder `boards`/<dataset>/<protocol>/<run-id>, made from a run's; one that is there is replaced. What it has
    in common with other entries of the dataset lies in `boards`/<dataset>/shared.

    Labels and predictions go along only where the dataset's card says that labels are public. Otherwise the entry is
    sealed (see `embench.leaderboard.entries`): `labels.hmac` is what a holder of the raw files compares labels with.

    Args:
        key: called only where labels are not public, so that public ones need no raw files.
        ethics: of own data, which board has approved their publication; the entry holds it.

    Raises:
        CheckFailed: the run may not be published (see `why_not_publishable`), or its labels could be told from its
            scores. DataError: its folder is incomplete. MachineError: the entry cannot be written.
    """
    run_folder = Path(run_folder)
    record = read_record(run_folder)
    manifest = Manifest.model_validate(record.run)
    if reasons := why_not_publishable(manifest):
        raise CheckFailed(f"the run cannot be published: {'; '.join(reasons)}", where=str(run_folder))
    if is_own(manifest.dataset.name):
        if not ethics:
            raise CheckFailed(f"the run cannot be published: {NO_CONSENT}", where=str(run_folder), hint=HOW_TO_CONSENT)
        record = replace(record, run={**record.run, "ethics": ethics})
    labels = record.labels
    if labels is None:
        raise DataError("the run's labels are missing", where=str(run_folder / "labels.csv.gz"))
    record = _without_own_metrics(replace(record, run=public_run(record.run)))
    audit, seal = read_audit(run_folder), ""
    tuning = parse_json(read_text(run_folder / TUNING_FILE)) if manifest.config.get("tuned") else None
    if manifest.card.labels_public != "yes":
        leaderboard = entry_folder(boards, manifest).parents[1]
        if reason := why_labels_show(record.predictions, labels) or why_a_difference_shows(record.folds, leaderboard):
            raise CheckFailed(f"the run cannot be published: {reason}", where=str(run_folder))
        seal = seal_labels(labels, key(manifest.dataset.name))
        record, audit = sealed(record), audit and sealed_audit(audit)
        tuning = tuning and sealed_tuning(tuning)
    _refuse_private(run_folder, {"scores.json": record.scores, AUDIT_FILE: audit, TUNING_FILE: tuning})
    entry = entry_folder(boards, manifest)
    with saving("the entry", entry), temporary(aside(entry)) as whole:
        write_entry(whole, record, shared_folder(entry))
        if seal:
            write_text(whole / SEAL_FILE, seal)
        else:
            write_summands(whole, record)
        if audit:
            write_audit(whole, audit)
        if tuning:
            write_text(whole / TUNING_FILE, json.dumps(tuning, indent=1) + "\n")
        replace_folder(entry, whole)
    return entry


def _without_own_metrics(record: Record) -> Record:
    """The record without the scores by metrics of packages that its author happens to have installed; a headline's
    metric, which the protocol names, stays."""
    metrics = (record.run.get("scoring") or {}).get("metrics", {})
    headlines = set(record.scores.headlines.values())
    own = {name for name, code in metrics.items() if not code.startswith(f"{registry.BUNDLED} ")} - headlines
    if not own:
        return record

    def kept(targets: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        return {target: {m: score for m, score in scores.items() if m not in own} for target, scores in targets.items()}

    controls = {control: kept(targets) for control, targets in record.scores["controls"].items()}
    scores = Scores({**record.scores, "scores": kept(record.scores["scores"]), "controls": controls})
    scoring = {**record.run["scoring"], "metrics": {m: code for m, code in metrics.items() if m not in own}}
    return replace(record, run={**record.run, "scoring": scoring}, scores=scores)


def _refuse_private(run_folder: Path, files: Mapping[str, Any]) -> None:
    """Raises CheckFailed where a file that goes along as it is names a place on its author's machine."""
    for name, content in files.items():
        if places := private_fields(content):
            raise CheckFailed(
                f"{name} names places on this machine, which nobody else has",
                where=f"{run_folder / name}, {', '.join(places[:5])}",
                hint="audit the run again, or remove audit.json" if name == AUDIT_FILE else None,
            )


def write_summands(folder: Path, record: Record) -> None:
    """Writes, of each target that has some, the headline's summands."""
    from embench.statistics.gains import headline_summands  # loads scipy, which those who read boards don't need

    found = {target: headline_summands(record, target) for target in record.scores.headlines}
    kept = {target: summands.as_json() for target, summands in found.items() if summands}
    write_text(folder / SUMMANDS_FILE, json.dumps(kept) + "\n")


def why_not_publishable(run: Manifest) -> list[str]:
    """The reasons why a run cannot be on a leaderboard, if any. Under a protocol that leaks it can, without a rank."""
    reasons = []
    if run.dataset.synthetic is not None:
        reasons.append("its data are synthetic")
    if any(source.get("synthetic") for source in run.pretraining):
        reasons.append("it was pretrained on synthetic data")
    if run.dev:
        reasons.append("it scored validation subjects (--dev)")
    failed = {part: result for part, result in run.conformance.items() if result != "passed"}
    reasons += [f"its {part} does not pass the conformance checks ({result})" for part, result in failed.items()]
    if run.method.outside is not None:
        reasons.append("its predictions are a submission, which embench cannot reproduce")
    elif run.recipe.preset == "quick" or not run.recipe.on_board:
        reasons.append(f"the recipe {run.recipe.preset} never enters a leaderboard")
    if places := private_fields(public_run(run.content())):
        reasons.append(f"it names code or files that nobody else has: {', '.join(places)} of run.yaml")
    return reasons


def entry_folder(boards: Path, run: Manifest) -> Path:
    """Path of a run's entry below the folder of leaderboards: `<board>/<protocol>/<run id>`."""
    return Path(boards) / board_name(run.dataset.name) / run.protocol.name / run.id


# Entries of the leaderboards, read from their folders.

LoadEntry = Callable[[Path], "LeaderboardEntry"]
"""Reads the folder of an entry, or of a run."""
CONFIRMATIONS = 2
"""Number of people who must have the same raw files as an entry's author, where no release has them."""
UNCONFIRMED = "models without a signal not confirmed"
"""Mark of an entry whose confound-only models no other entry has, and nobody has fitted again."""
UNKNOWN_FILES = f"raw files of no known release, which {CONFIRMATIONS} others have to confirm"


@dataclass(frozen=True)
class LeaderboardEntry:
    """One published run; `audit` is None where it was not audited, `summands` (by target) empty where the entry does
    not hold them, `attestations` what others say of it."""

    folder: Path
    run: Manifest
    scores: Scores
    audit: dict[str, Any] | None = None
    summands: Mapping[str, Summands] = field(default_factory=dict)
    attestations: Sequence[FoundAttestation] = ()

    @property
    def evidence(self) -> Backing:
        """The highest level of evidence that somebody attests, with who and when; without any, the author's own."""
        best = best_attestation(self.attestations)
        if best is None:
            return Backing()
        stages = f"{len(best.stages)} of {best.total} stages checked" if best.stages else None
        return Backing(best.level, best.by, best.on.isoformat(), stages)

    @property
    def ranked(self) -> bool:
        """True where others ran the entry or parts of it again. Spot checks of earlier versions keep a rank, although
        the entry reads as self-reported, until it is checked anew."""
        before = any(each.stale == OWN_NONCE for each in self.attestations)
        return before or self.evidence.level in RANKED_LEVELS

    @property
    def files_known(self) -> bool:
        """True where the raw files are those of a release, or so many people say that they have the same (see
        `CONFIRMATIONS`); and of entries from before they were recorded."""
        files = self.run.dataset.files
        having = {each.by for _, each, stale in self.attestations if each.files == files and not stale}
        return files is None or files in releases_of(self.run.dataset.name) or len(having) >= CONFIRMATIONS

    @property
    def controls_fitted(self) -> bool:
        """True where somebody attests that the controls are those of the data."""
        return any("controls" in each.compared for _, each, stale in self.attestations if not stale)

    @property
    def board(self) -> str:
        """The name of the leaderboard that the entry belongs to."""
        return board_name(self.run.dataset.name)

    @property
    def targets(self) -> list[str]:
        """The names of the targets scored."""
        return list(self.scores.headlines)

    def score(self, target: str, metric: str) -> Score | None:
        """The method's score, None where it is undefined or was not computed."""
        return self.scores.score(target, metric)


def load_entries(root: Path) -> list[LeaderboardEntry]:
    """All entries below `root`/<dataset>/<protocol>/<run-id>/, in the order of these names.

    Raises:
        DataError: one is damaged, or lies in a folder of another dataset, protocol or run.
        CheckFailed: one may not be published at all.
    """
    return [load_leaderboard_entry(folder) for folder in entry_folders(root)]


def entry_folders(root: Path) -> list[Path]:
    """The folders of all entries below `root`, in the order of their names, but those that were being written when
    their process died."""
    return [p.parent for p in sorted(Path(root).glob("*/*/*/run.yaml")) if not p.parent.name.startswith(".")]


def load_leaderboard_entry(folder: Path) -> LeaderboardEntry:
    """The entry in `folder`, which is <board>/<protocol>/<run-id>. Raises as `load_entries` does."""
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
    if reasons := why_not_publishable(run):
        raise CheckFailed(f"this entry cannot be on a leaderboard: {'; '.join(reasons)}", where=str(folder))
    _check_labels(folder, run, scores, audit)
    return LeaderboardEntry(folder, run, scores, audit, load_summands(folder), attestations_of(folder, run))


def load_run(folder: Path, *, sealed: bool = True) -> LeaderboardEntry:
    """A finished run as boards show entries, whether or not it may be published; if `sealed`, where the labels of its
    dataset are not public, with no more than a sealed entry holds. Raises DataError, CheckFailed where its files are
    not as they were written."""
    run, scores, audit = read_manifest(folder), read_scores(folder), audits.read_audit(folder)
    if sealed and run.card.labels_public != "yes":
        scores, audit = Scores(sealed_scores(scores)), audit and sealed_audit(audit)
    return LeaderboardEntry(folder, run, scores, audit)


def drop_unshared(root: Path, named: Collection[Path]) -> None:
    """Removes the files below `root`/<dataset>/shared that are not among those that entries name. Raises OSError."""
    for path in Path(root).resolve().glob(f"*/{SHARED_FOLDER}/*-*.*"):
        if path not in named and not path.name.startswith("."):
            path.unlink()


def _check_labels(folder: Path, run: Manifest, scores: Mapping[str, Any], audit: Mapping[str, Any] | None) -> None:
    """An entry holds labels if, and only if, they are public."""
    if run.card.labels_public != "yes":
        if found := what_tells_labels(folder, run, scores, audit):
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


def read_summands(folder: Path) -> Any:
    """The content of an entry's file of summands, as `export` wrote it; empty where there is none. Raises DataError
    where it is no JSON."""
    path = folder / SUMMANDS_FILE
    try:
        return parse_json(read_text(path)) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise _damaged(path) from error


def load_summands(folder: Path) -> dict[str, Summands]:
    """Target -> what groups of subjects add to an entry's headline. Raises DataError where the file is damaged."""
    try:
        return {target: Summands.of_json(kept) for target, kept in read_summands(folder).items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise _damaged(folder / SUMMANDS_FILE) from error


def _damaged(path: Path) -> DataError:
    return DataError("the file is damaged", where=str(path), expected="as `embench` wrote it")
