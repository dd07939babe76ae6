"""Plans as `--dry-run` shows them: parts that commands print and Python functions return as text."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from embench.records import wording
from embench.records.wording import format_duration, format_value
from embench.screen.tables import TableColumn, field, grouped, table

SYNTHETIC_WARNING = "SYNTHETIC DATA: these numbers say nothing about real subjects and cannot be published."
_WIDTH = 100


class PlanPart(NamedTuple):
    """A part of a plan: a text, a warning, a command, or a table with its title as text."""

    kind: Literal["text", "warning", "command", "table"]
    text: str
    rows: Sequence[Any] = ()
    columns: Sequence[TableColumn] | None = None


def plan_text(parts: Iterable[PlanPart]) -> str:
    """Parts as plain text, in lines of at most 100 characters."""
    lines: list[str] = []
    for part in parts:
        if part.kind == "command":
            lines.append(f"  {part.text}")
        else:
            lines += textwrap.wrap(part.text, _WIDTH, break_long_words=False, break_on_hyphens=False)
        if part.kind == "table":
            lines += [table(part.rows, part.columns, _WIDTH), ""]
    return "\n".join(lines)


def run_plan(description: Mapping[str, Any]) -> Iterator[PlanPart]:
    """The plan of a run: facts as lines, lists of mappings as tables."""
    for key, item in description.items():
        name = _WORDS.get(key, key.replace("_", " "))
        if key == "folds":
            yield PlanPart("text", f"folds: {_folds_in_words(item)}")
        elif key == "cannot_answer":
            yield from unanswerable_parts(item)
        elif isinstance(item, list) and item and all(isinstance(row, Mapping) for row in item):
            heads = dict.fromkeys(head for row in item for head in row)
            yield PlanPart("table", name, item, [field(head, head, ".4g") for head in heads])
        elif key == "smallest_difference":
            low, high = (_value(key, end) for end in description[f"{key}_range"])
            note = description[f"{key}_note"]
            yield PlanPart("text", f"{name}: {low} to {high}, median {_value(key, item)} ({note})")
        elif not key.startswith("smallest_difference") and (item or key != "assumed"):
            yield PlanPart("text", f"{name}: {_value(key, item)}")


def unanswerable_parts(found: Sequence[Mapping[str, Any]]) -> Iterator[PlanPart]:
    """For each target why a study cannot answer, and what would help. `found`: see `Unanswerable.as_json`; with
    `command`, the command that gives enough comparisons."""
    for each in found:
        yield PlanPart("warning", f"{each['target']}: {each['answer']}. {each['reason']}")
        if command := each.get("command"):
            yield PlanPart("text", f"{each['remedy'].partition(':')[0]}:")
            yield PlanPart("command", command)
        elif each["remedy"]:
            yield PlanPart("text", each["remedy"])


def set_plan(document: Mapping[str, Any], runs: Path, executor: str) -> Iterator[PlanPart]:
    """The plan of a baseline set, from the document of `embench.sets.running`."""
    if document["synthetic"]:
        yield PlanPart("warning", SYNTHETIC_WARNING)
    rows = [
        {
            "": number,
            "row": row["row"],
            "level": row["level"],
            "time": _time(row),
            "memory": f"{row['memory_mb'] / 1000:.1f} GB",
            "disk": f"{row['disk_mb']:.0f} MB",
        }
        for number, row in enumerate(document["rows"], 1)
    ]
    draft = " (draft)" if document["draft"] else ""
    yield PlanPart("table", f"{document['set']}{draft}, {document['level']}, on {document['dataset']}", rows)
    if document["does_not_fit"]:
        reasons = grouped((row["reason"], row["row"].partition(" on ")[0]) for row in document["does_not_fit"])
        unfit = [{"does not fit": ", ".join(dict.fromkeys(own)), "reason": why} for why, own in reasons.items()]
        yield PlanPart("table", "", unfit)
    ended = sum(row["done"] for row in document["rows"])
    existing = next(path for path in (runs.absolute(), *runs.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1e9
    yield PlanPart(
        "text",
        f"{ended} of {len(document['rows'])} rows done; left: about {format_duration(document['expected_s'])}, at most "
        f"about {document['memory_mb'] / 1000:.1f} GB of memory and {document['disk_mb'] / 1000:.1f} GB below {runs}, "
        f"where {free:.0f} GB are free. Each result brings its confound-only models.",
    )
    if not all(row["measured"] for row in document["rows"]):
        yield PlanPart(
            "text", f"Never measured: a few steps were tried on this GPU, and no run on it has ended in {runs}."
        )
    yield from unanswerable_parts(document["cannot_answer"])
    if executor != "local":
        yield PlanPart("text", f"Times are of this machine; those of {executor} were never measured.")


def _time(row: Mapping[str, Any]) -> str:
    """The cell of a row's time: as long as it takes, as far as is known."""
    if row["done"]:
        return "done"
    return format_duration(row["expected_s"]) + ("" if row["measured"] else ", never measured")


def _folds_in_words(folds: Sequence[Mapping[str, Any]]) -> str:
    """The number and seeds of the folds, and the smallest and largest size of each part in units."""
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(fold["seed"] for fold in folds))
    parts = {name for fold in folds for name in fold} - {"seed", "fold"}
    sizes = {name: [fold[name] for fold in folds if name in fold] for name in sorted(parts, reverse=True)}
    spans = [f"{name} {min(n)}" + (f" to {max(n)}" if max(n) > min(n) else "") for name, n in sizes.items()]
    return f"{len(folds)} (seeds {seeds}), units of each: {', '.join(spans)}"


_WORDS = {
    "people": "subjects",
    "left_out": "excluded",
    "gives_up": "protocol deviations",
    "giving": "given and scored",
    "inputs": "inputs of encoders: seconds, rate, channels x samples",
    "assumed": "settings that the papers leave open",
    "flops": "FLOPs of one prediction",
    "expected_s": "expected time",
    "nuisances_s": "confound analysis, fitted once for this dataset",
    "smallest_difference": "smallest detectable difference",
}


def _value(key: str, item: Any) -> str:
    """A value of a plan in the form that it has in the table of a run."""
    if isinstance(item, bool):
        return "yes" if item else "no"
    if key in ("parameters", "flops") and not item:
        return "none: no network is trained"
    if key == "expected_s" and not item:
        return "not estimated where no network is left to train"
    if key in ("expected_s", "nuisances_s"):
        return f"about {format_duration(item)}"
    if key in ("parameters", "flops"):
        return wording.format_cost({key: item})["FLOPs" if key == "flops" else key]
    return format_value(item, ".4g") or "none"
