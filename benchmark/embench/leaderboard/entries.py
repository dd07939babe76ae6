"""Entries of the leaderboards, read from their folders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embench.errors import CheckFailed, DataError
from embench.files import parse_json, read_text
from embench.leaderboard import sealing
from embench.leaderboard.attestations import Backing, FoundAttestation, attestations_of, best_attestation
from embench.leaderboard.export import HOW_TO_CONSENT, NO_CONSENT, SUMMANDS_FILE, why_not_publishable
from embench.records import audit as audits
from embench.records.entry import SHARED_FOLDER
from embench.records.manifest import Manifest
from embench.records.names import board_name, is_own, private_fields
from embench.records.record import RUN_FILE, read_manifest, read_scores
from embench.records.scores import Score, Scores
from embench.records.superseded import Superseded, read_superseded
from embench.registry import releases_of
from embench.statistics.ranking import Summands

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
    not hold them, `attestations` what others say of it, `superseded` None where no entry took its place."""

    folder: Path
    run: Manifest
    scores: Scores
    audit: dict[str, Any] | None = None
    summands: Mapping[str, Summands] = field(default_factory=dict)
    attestations: Sequence[FoundAttestation] = ()
    superseded: Superseded | None = None

    @property
    def evidence(self) -> Backing:
        """The highest level of evidence that somebody attests, with who and when; without any, the author's own."""
        best = best_attestation(self.attestations)
        if best is None:
            return Backing()
        return Backing(best.level, best.by, best.on.isoformat())

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
    found, superseded = attestations_of(folder, run), read_superseded(folder)
    return LeaderboardEntry(folder, run, scores, audit, load_summands(folder), found, superseded)


def load_run(folder: Path, *, sealed: bool = True) -> LeaderboardEntry:
    """A finished run as boards show entries, whether or not it may be published; if `sealed`, where the labels of its
    dataset are not public, with no more than a sealed entry holds. Raises DataError, CheckFailed where its files are
    not as they were written."""
    run, scores, audit = read_manifest(folder), read_scores(folder), audits.read_audit(folder)
    if sealed and run.card.labels_public != "yes":
        scores, audit = Scores(sealing.sealed_scores(scores)), audit and sealing.sealed_audit(audit)
    return LeaderboardEntry(folder, run, scores, audit)


def drop_unshared(root: Path, named: Collection[Path]) -> None:
    """Removes the files below `root`/<dataset>/shared that are not among those that entries name. Raises OSError."""
    for path in Path(root).resolve().glob(f"*/{SHARED_FOLDER}/*-*.*"):
        if path not in named and not path.name.startswith("."):
            path.unlink()


def _check_labels(folder: Path, run: Manifest, scores: Mapping[str, Any], audit: Mapping[str, Any] | None) -> None:
    """An entry holds labels if, and only if, they are public."""
    if run.card.labels_public != "yes":
        if found := sealing.what_tells_labels(folder, run, scores, audit):
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
