"""The gap of a pretrained run to its floors, which are looked for beside its folder."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from embench.errors import EmbenchError
from embench.records.pretraining_comparison import FloorGap, floor_keys, matching
from embench.records.record import Record, read_manifest, read_record
from embench.records.wording import format_score, method_name
from embench.report.facts import RunFacts
from embench.report.page import html_table, join_parts, paragraph
from embench.statistics.floor_gaps import floors_of, shown_metric

_HEAD = ("comparison", "method", "score", "gain over it", "run")
_ABOUT = (
    "Runs of the same network with random weights and of handcrafted features, on the same data and folds, with the "
    "same head and training. Gain: the difference of this run's score from theirs, paired over subjects."
)

_NONE = "No from-scratch or feature run lies beside the folder of this run."


def floors_section(run: RunFacts) -> Markup | None:
    """The floors of a pretrained run on each target; None where nothing is pretrained, or others may see the report."""
    if run.for_others or run.outside or not floor_keys(run.manifest).wants:
        return None
    beside = {other.run["id"]: other for other in _beside(run)}
    parts = [_of_target(run, beside, target) for target in run.record.scores.headlines]
    return join_parts([paragraph(_ABOUT), *parts]) if beside else paragraph(_NONE)


def _beside(run: RunFacts) -> Iterator[Record]:
    keys = floor_keys(run.manifest)
    for path in sorted(run.folder.resolve().parent.glob("*/run.yaml")) if run.folder else ():
        try:
            about = read_manifest(path.parent)
            if matching(keys, run.manifest.seeds, floor_keys(about), about.seeds):
                yield read_record(path.parent)
        except EmbenchError:  # another run's record that cannot be read
            continue


def _of_target(run: RunFacts, beside: dict[str, Record], target: str) -> Markup:
    metric = shown_metric(run.record, target)
    found = floors_of(run.record, beside.values(), target, metric)
    rows = [_row(gap, beside[gap.run], target, metric) for gap in (found.gaps if found else ())]
    note = f"Networks were trained for at most {found.epochs} epochs." if found and found.epochs else ""
    return html_table(_HEAD, rows, f"{target}: {metric}") + (paragraph(note) if note else Markup())


def _row(gap: FloorGap, other: Record, target: str, metric: str) -> tuple[str, ...]:
    score = format_score(other.scores.of(target).get(metric))
    return gap.floor, method_name(other.run), score, gap.text, gap.run
