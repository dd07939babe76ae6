"""The report of a run, one HTML file that works offline: `embench report`. See `write_report`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from embench.data.cohort import card_for_protocol
from embench.data.find import data_at, find_source
from embench.errors import CheckFailed, EmbenchError
from embench.files import saving, write_text
from embench.interfaces.metric import Undefined
from embench.leaderboard import withheld
from embench.protocols import recorded_protocol
from embench.records.audit import Audit
from embench.records.record import Record, names_resolved, public_run, read_record
from embench.report import axis_curves, figures, fusion_gain
from embench.report.facts import RunFacts
from embench.report.figures import probability_checks
from embench.report.page import Section, by_labelled_target, render_page
from embench.report.sections import (
    audit_section,
    comparison_section,
    cost_section,
    facts_section,
    headline_section,
    page_header,
    people_section,
    quality_section,
    scores_by_subject,
    scores_section,
)
from embench.store import Store
from embench.system import ProgressCallback


def write_report(
    folder: Path,
    out: Path,
    *,
    singles: Sequence[Path] = (),
    dataset: str | None = None,
    data_root: Path | None = None,
    trust_code: bool = False,
    progress: ProgressCallback | None = None,
    audit: Callable[[Path, Record], Audit] | None = None,
    share: bool = False,
) -> Path:
    """Write the report of a run, of scored predictions, or of a leaderboard entry to `out`.

    Args:
        singles: folders of runs of single modalities to compare a fusion with; default: the runs next to `folder`.
        dataset: name or folder of the data; default: the one in the record.
        data_root: folder of the datasets; without data, no signals are drawn.
        trust_code: whether to import classes in files that the record names.
        progress: progress callback of the preparation of data.
        audit: function that audits a record, see `audits.audit_record`, for records without an audit; None: no audit.
        share: whether the report is for others: without signals and, unless labels are public, without content that
            reveals labels or single subjects.

    Raises:
        DataError: the folder holds no record, or a damaged one.
        UsageError: a run of `singles` does not match the run.
        MachineError: the file cannot be written.
        CheckFailed: the record names code in a file, or the shared scores would reveal labels.
    """
    record = read_record(folder)
    with (
        names_resolved([(Path(folder), record)], trust_code=trust_code, given=dataset),
        data_at(dataset, data_root, [record.manifest.dataset.name]),
    ):
        run = _redact(record, Path(folder)) if share else _open_run(record, Path(folder), data_root, progress)
        if audit and run.audit is None and not share:
            run = replace(run, audited=_make_audit(Path(folder), record, audit))
        html = _render(run, singles)
    with saving("the report", out):
        write_text(Path(out), html)
    return Path(out)


def _open_run(record: Record, folder: Path, data_root: Path | None, progress: ProgressCallback | None) -> RunFacts:
    """Return the facts of a run, with its recordings if they are available."""
    store = _find_store(record, data_root, progress)
    if isinstance(store, Undefined):
        return RunFacts(record, folder, store)
    return RunFacts(record, folder, store, folder_card=find_source(record.manifest.dataset.name, data_root).card)


def _redact(record: Record, folder: Path) -> RunFacts:
    """Return the facts of a run that others may see. Raises CheckFailed if they would reveal labels."""
    public = replace(record, run=public_run(record.run))
    if record.manifest.card.labels_public != "yes":
        reason = withheld.explain_derivable_labels(record.predictions, record.labels) if record.labels else ""
        if reason:
            raise CheckFailed(f"the report cannot be shared: {reason}", where=str(folder))
        cohort = {**public.run["cohort"], "subjects": record.manifest.cohort.size}
        public = withheld.redact_record(replace(public, run={**public.run, "cohort": cohort}))
    return RunFacts(public, folder, Undefined("the report was written to be shared"), for_others=True)


def _render(run: RunFacts, singles: Sequence[Path]) -> str:
    parts = (
        ("Result", "Result", headline_section(run)),
        ("Subjects", "Scores by subject", by_labelled_target(run, scores_by_subject, narrow=True)),
        ("ROC", "ROC curve", by_labelled_target(run, figures.roc_or_values, narrow=True)),
        ("Probabilities", "Probabilities and alarms", by_labelled_target(run, probability_checks)),
        ("Decisions", "Decisions", by_labelled_target(run, figures.decisions, narrow=True)),
        ("Training", "Learning curves", figures.training_section(run)),
        ("Embeddings", "Embeddings", figures.embeddings_section(run)),
        ("Fusion", "Fusion against single modalities", fusion_gain.fusion_section(run, singles)),
        ("Pretraining", "From-scratch and feature comparison", comparison_section(run)),
        ("Calibration data", "Scores by calibration data", axis_curves.calibration_data_section(run)),
        ("Scores", "All scores", scores_section(run)),
        ("Quality", "Scores by the quality of signals", quality_section(run)),
        ("Groups", "Scores by group of subjects", people_section(run)),
        ("Audit", "Audit", audit_section(run)),
        ("Cost", "Cost", cost_section(run)),
        ("The run", "Details of the run", facts_section(run)),
    )
    sections = [Section(short, title, body) for short, title, body in parts if body is not None]
    footer = f"Written by embench report from the record {run.manifest.id}. This file is self-contained."
    if run.record.labels is not None and run.manifest.card.labels_public != "yes":
        footer += " It is not for others, as the labels are not public; for them, write one with --share."
    return render_page(f"{run.name}: {run.manifest.dataset.name}", page_header(run), sections, footer)


def _make_audit(folder: Path, record: Record, audit: Callable[[Path, Record], Audit]) -> Mapping[str, Any] | Undefined:
    """Audit a record with the function `audit`; return the findings, or the reason why there are none."""
    try:
        return audit(folder, record).to_dict()
    except EmbenchError as error:
        return Undefined(f"the record can't be audited: {error.what}")


def _find_store(record: Record, data_root: Path | None, progress: ProgressCallback | None) -> Store | Undefined:
    """Return the prepared recordings of the run, or the reason why they are not available."""
    rules = recorded_protocol(record.manifest.protocol.content())
    if rules is None:
        return Undefined("the protocol's file is not available")
    try:
        source = find_source(record.manifest.dataset.name, data_root)
        store = source.prepared(rules, 1, progress)
    except EmbenchError as error:
        return Undefined(error.what)
    data = record.manifest.dataset
    if data.files is None:  # older records have no digest of files: their recordings must all be here
        here = {recording.id for recording in store.recordings}
        same = store.key == data.fingerprint or set(record.predictions.texts("recording").names.tolist()) <= here
    else:
        same = data.files == source.files_digest(card_for_protocol(rules, source.card))
    return store if same else Undefined("the data on this machine differ from those of the run")
