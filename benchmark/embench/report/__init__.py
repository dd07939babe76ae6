"""A run as one HTML file that works offline: `embench report`. See `write_report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embench.callbacks import ProgressCallback
from embench.data.find import prepared
from embench.errors import EmbenchError, MachineError
from embench.files import write_text
from embench.interfaces.metric import Undefined
from embench.protocols import recorded_protocol
from embench.records.record import Record, read_record
from embench.report import about, curves, embeddings, fusion_gain, headline, training
from embench.report.finished import Finished
from embench.report.page import Section, page
from embench.store import Store


def write(
    folder: Path,
    out: Path,
    *,
    singles: Sequence[Path] = (),
    data_root: Path | None = None,
    progress: ProgressCallback | None = None,
) -> Path:
    """Writes the report of a run, of scored predictions, or of an entry of a board.

    Args:
        singles: runs of single modalities to hold a fusion against; by default those beside `folder`.
        data_root: where the dataset lies; without its data no signals are drawn.
        progress: called while data are prepared, as `store.prepare` does.

    Raises:
        DataError: the folder holds no record, or a damaged one. UsageError: a run of `singles` does not fit.
        MachineError: the file cannot be written.
    """
    record = read_record(folder)
    run = Finished(Path(folder), record, _store(record, data_root, progress))
    sections = [
        Section("Headline", "Headline and controls", headline.controls(run)),
        Section("People", "Person by person", headline.people(run)),
        Section("ROC and calibration", "ROC and calibration", curves.curves(run)),
        Section("Decisions", "Decisions", curves.decisions(run)),
        Section("Training", "Learning curves", training.learning(run)),
        Section("Embeddings", "What the last hidden layer holds", embeddings.layers(run)),
        Section("Fusion", "Fusion against single modalities", fusion_gain.fusion(run, singles)),
        Section("Scores", "All scores", headline.every_score(run)),
        Section("Audit", "Audit", about.audit(run)),
        Section("Cost", "Cost", about.cost(run)),
        Section("The run", "What this run was", about.facts_of(run)),
    ]
    footer = f"Made by embench report from the record {run.manifest.id}. Everything is in this file."
    html = page(f"{about.name(run)}: {run.manifest.dataset.name}", about.header(run), sections, footer)
    try:
        write_text(Path(out), html)
    except OSError as error:
        raise MachineError(f"the report cannot be written: {error.strerror}", where=str(out)) from error
    return Path(out)


def _store(record: Record, data_root: Path | None, progress: ProgressCallback | None) -> Store | Undefined:
    """The recordings that the run was made on, or why they are not at hand."""
    rules = recorded_protocol(record.run["protocol"])
    if rules is None:
        return Undefined("the protocol's file is not at hand")
    try:
        store = prepared(record.run["dataset"]["name"], data_root, rules, 1, progress)
    except EmbenchError as error:
        return Undefined(error.what)
    same = store.key == record.run["dataset"]["fingerprint"]
    return store if same else Undefined("the data here are not those of the run")
