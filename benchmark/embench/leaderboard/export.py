"""Export of runs' folders to leaderboard entries: the subset that may be published."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from embench import registry
from embench.errors import CheckFailed, DataError
from embench.files import aside, parse_json, read_text, replace_folder, saving, temporary, write_text
from embench.leaderboard import sealing
from embench.records.audit import AUDIT_FILE, read_audit, write_audit
from embench.records.entry import shared_folder
from embench.records.manifest import Manifest
from embench.records.names import board_name, is_own, private_fields, public_run
from embench.records.record import TUNING_FILE, Record, read_manifest, read_record, write_entry
from embench.records.scores import Scores

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
    sealed (see `embench.leaderboard.sealing`): `labels.hmac` is what a holder of the raw files compares labels with.

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
        if reason := sealing.why_labels_show(record.predictions, labels):
            raise CheckFailed(f"the run cannot be published: {reason}", where=str(run_folder))
        seal = sealing.seal(labels, key(manifest.dataset.name))
        record, audit = sealing.sealed(record), audit and sealing.sealed_audit(audit)
        tuning = tuning and sealing.sealed_tuning(tuning)
    _refuse_private(run_folder, {"scores.json": record.scores, AUDIT_FILE: audit, TUNING_FILE: tuning})
    entry = entry_folder(boards, manifest)
    with saving("the entry", entry), temporary(aside(entry)) as whole:
        write_entry(whole, record, shared_folder(entry))
        if seal:
            write_text(whole / sealing.SEAL_FILE, seal)
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
    from embench.statistics.summands import headline_summands  # loads scipy, which those who read boards don't need

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
