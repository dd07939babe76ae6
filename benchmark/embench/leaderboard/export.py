"""From a run's folder to a leaderboard entry: the subset that may be published."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embench import registry
from embench.errors import CheckFailed, DataError, MachineError
from embench.files import aside, temporary, write_text
from embench.records.audit import AUDIT_FILE as AUDIT
from embench.records.audit import read_audit
from embench.records.manifest import Manifest
from embench.records.names import private_fields, public_run
from embench.records.predictions import MODEL, Labels
from embench.records.record import Record, as_yaml, read_record, read_scores

COPIED_FILES = ("folds.csv", "scores.json")
PREDICTIONS_FILE = "predictions.csv.gz"
SUMMANDS_FILE = "summands.json"
"""What groups of subjects add to the headlines, by which rows are compared."""
HMAC_FILE = "labels.hmac"

DatasetKey = Callable[[str], bytes]
"""Dataset's full name -> a digest of its raw files that is not published itself."""


def export_entry(run_folder: Path, boards: Path, *, key: DatasetKey) -> Path:
    """The folder `boards`/<dataset>/<protocol>/<run-id>, made from a run's; one that is there is replaced.

    Labels go along only where the dataset's card says that they are public; otherwise `labels.hmac` holds one HMAC over
    the sorted labels, by which a holder of the raw files can show that they score against the same ones. Then the
    predictions are the model's alone, too: controls are fitted on labels, and their predictions in several folds reveal
    most labels (`stimulus_mean` is a linear system in them). The controls' scores stay. `summands.json` does not
    go along either: what a subject adds to the scores of many methods is such a system, too.

    Args:
        key: called only where labels are not public, so that public ones need no raw files.

    Raises:
        CheckFailed: the run may not be published (see `why_not_publishable`). DataError: its folder is incomplete.
        MachineError: the entry cannot be written.
    """
    run_folder = Path(run_folder)
    record = read_record(run_folder)
    manifest = Manifest.model_validate(record.run)
    if reasons := why_not_publishable(manifest):
        raise CheckFailed(f"the run cannot be published: {'; '.join(reasons)}", where=str(run_folder))
    if record.labels is None:
        raise DataError("the run's labels are missing", where=str(run_folder / "labels.csv.gz"))
    _refuse_private(run_folder)
    entry = entry_folder(boards, manifest)
    try:
        with temporary(aside(entry)) as whole:
            whole.mkdir(parents=True)
            write_text(whole / "run.yaml", as_yaml(public_run(record.run)))
            for name in COPIED_FILES:
                shutil.copyfile(run_folder / name, whole / name)
            if (run_folder / AUDIT).is_file():
                shutil.copyfile(run_folder / AUDIT, whole / AUDIT)
            if manifest.card.labels_public == "yes":
                for name in (PREDICTIONS_FILE, "labels.csv.gz"):
                    shutil.copyfile(run_folder / name, whole / name)
                write_text(whole / SUMMANDS_FILE, json.dumps(_summands(record)) + "\n")
            else:
                of_model = record.predictions["method"] == MODEL
                record.predictions.take(of_model).write(whole / PREDICTIONS_FILE)
                write_text(whole / HMAC_FILE, labels_hmac(record.labels, key(manifest.dataset.name)) + "\n")
            old = whole.with_name(f"{whole.name}-old")
            if entry.exists():
                entry.rename(old)
            whole.rename(entry)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise MachineError(f"the entry cannot be written: {error.strerror}", where=str(entry)) from error
    return entry


def _refuse_private(run_folder: Path) -> None:
    """Raises CheckFailed where a file that goes along as it is names a place on its author's machine."""
    scores, audit = read_scores(run_folder), read_audit(run_folder)
    for name, content in (("scores.json", scores), (AUDIT, audit)):
        if places := private_fields(content):
            raise CheckFailed(
                f"{name} names places on this machine, which nobody else has",
                where=f"{run_folder / name}, {', '.join(places[:5])}",
                hint="audit the run again, or remove audit.json" if name == AUDIT else None,
            )


def _summands(record: Record) -> dict[str, Any]:
    """Target -> the headline's summands, of the targets that have some."""
    from embench.statistics.summands import headline_summands  # loads scipy, which those who read boards don't need

    found = {target: headline_summands(record, target) for target in record.scores["headlines"]}
    return {target: summands.as_json() for target, summands in found.items() if summands}


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
        reasons.append(f"it names files that nobody else has: {', '.join(places)} of run.yaml")
    return reasons


def entry_folder(boards: Path, run: Manifest) -> Path:
    """Where a run's entry lies below the folder of leaderboards: `<board>/<protocol>/<run id>`."""
    return Path(boards) / board_name(run.dataset.name) / run.protocol.name / run.id


def board_name(dataset: str) -> str:
    """A dataset's folder: its name, without the bundled package's, a variant after a hyphen."""
    return dataset.removeprefix(f"{registry.BUNDLED}/").replace("/", "-")


def labels_hmac(labels: Labels, key: bytes) -> str:
    """HMAC-SHA-256, in hex, over the labels' sorted lines."""
    return hmac.new(key, "\n".join(labels.lines()).encode(), hashlib.sha256).hexdigest()
