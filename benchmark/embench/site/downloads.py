"""Data of the pages as CSV and JSON: all entries, and those of each dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from embench.leaderboard.columns import SECONDARY_METRICS, Row, columns
from embench.leaderboard.tables import BoardSection
from embench.records.manifest import with_people
from embench.records.record import format_csv
from embench.site.pages import write_page
from embench.texts import harmless

_ABOUT = ("dataset", "protocol", "target", "trained_on", "leaks", "fixed_order")
_PLAIN = (
    *("kind", "id", "control", "fusion", "recipe", "target_access", "pretrain_overlap", "people", "headline"),
    *("adds", "adds_level", "adds_effect", "adds_lower", "adds_upper"),
    *("gains_by", "gain", "gain_low", "gain_high"),
    *("audit", "test_looks", "tried", "dev_looks"),
)
_LISTS = ("modalities", "pretrainers", "apart", "mark", "borderline", "assumed", "seeds")
_GAIN = {name: columns()[name].value for name in ("gain", "gain_low", "gain_high")}
_COST = ("wall_s", "parameters", "flops", "device", "peak_memory_mb", "energy_j")


def write_downloads(whole: Path, sections: Sequence[BoardSection]) -> None:
    """Writes `data/rows.csv`, `data/rows.json`, and the same for each dataset. Raises OSError."""
    plain = [_section(section) for section in sections]
    chosen = {"rows": plain}
    for dataset, of_dataset in groupby(plain, key=lambda section: section["dataset"]):
        chosen[dataset] = list(of_dataset)
    for name, some in chosen.items():
        write_page(whole / "data" / f"{name}.csv", _csv(some))
        with (whole / "data" / f"{name}.json").open("w", encoding="utf-8", newline="\n") as file:
            json.dump(some, file, indent=1)  # in parts, for the memory
            file.write("\n")


def _section(section: BoardSection) -> dict[str, Any]:
    rankings = {access: vars(ranking) for access, ranking in section.rankings.items()}
    rows = [_row(row) for row in section.rows]
    about = {name: value for name, value in vars(section).items() if name not in ("counts", "source")}
    about |= {"fixed_order": section.fixed_order, "adding": section.adding and vars(section.adding)}
    about["answers"] = {question: vars(count) for question, count in section.counts.items()}
    return {**about, "rows": rows, "rankings": rankings}


def _row(row: Row) -> dict[str, Any]:
    """A row under the names that the files have had from the first."""
    numbers = {
        "people": row.subjects,
        "headline": row.headline,
        "score": row.score and with_people(row.score.as_json()),
        "scores": {name: score and with_people(score.as_json()) for name, score in row.scores.items()},
    }
    seeds = {"seeds": row.seeds}
    if not row.is_method:
        return {"kind": "control", "rank": None, "id": row.id, "control": row.control, **numbers, **seeds}
    same = ("encoders", "fusion", "pretrainers", "modalities", "apart", "recipe", "assumed", "target_access")
    return {
        "kind": "method",
        "rank": row.rank,
        "letters": row.letters,
        "unranked": bool(row.marks),
        "mark": row.marks,
        "evidence": vars(row.evidence),
        "superseded": row.superseded and row.superseded.model_dump(mode="json"),
        "suspicious": row.suspicious,
        "id": row.id,
        **{name: getattr(row, name) for name in (*same, "pretrain_overlap")},
        **numbers,
        **_adds(row),
        "answers": {question: [found.answer, found.evidence] for question, found in row.answers.items()},
        "corrected": row.corrected,
        "gains_by": row.gains_by or None,
        **{name: value(row) for name, value in _GAIN.items()},
        "audit": row.audit,
        "cost": row.cost and row.cost.model_dump(),
        "test_looks": row.openings,
        "tried": row.tried,
        "dev_looks": row.dev,
        "looks_known": row.looks_known,
        **seeds,
    }


def _adds(row: Row) -> dict[str, Any]:
    """The recorded answer at the level that decides; None where it is not asked."""
    at = row.adds and row.adds.decides
    effect = at.effect if at else None
    return {
        "adds": row.does_add if at else None,
        "adds_level": row.adds.judged if row.adds and at else None,
        "adds_effect": effect and effect.mean,
        "adds_lower": effect and effect.low,
        "adds_upper": effect and effect.high,
        "borderline": row.borderline,
    }


def _csv(sections: Sequence[Mapping[str, Any]]) -> str:
    lines = [line for section in sections for line in _lines(section)]
    return format_csv([{name: _harmless(value) for name, value in line.items()} for line in lines], list(lines[0]))


def _lines(section: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for row in section["rows"]:
        line = {name: section[name] for name in _ABOUT} | {name: row.get(name) for name in _PLAIN}
        line["encoders"] = "; ".join(f"{m}={name}" for m, name in row.get("encoders", {}).items())
        line |= {name: "; ".join(map(str, row.get(name, ()))) for name in _LISTS}
        line["best_rank"], line["worst_rank"] = row["rank"] or (None, None)
        scores = {"score": row["score"]} | {name: row["scores"].get(name) for name in SECONDARY_METRICS}
        for name, score in scores.items():
            for part, key in (("", "mean"), ("_low", "low"), ("_high", "high")):
                line[name + part] = score and score.get(key)
        line |= {name: row.get("cost", {}).get(name) for name in _COST}
        evidence = row.get("evidence") or {}
        line |= {f"evidence_{part}": evidence.get(part) for part in ("level", "by", "on")}
        line |= {"suspicious": row.get("suspicious"), "superseded": _superseded(row.get("superseded"))}
        yield line


def _superseded(about: Mapping[str, str] | None) -> str:
    return f"superseded by {about['by']}, {about['why']}, {about['on']}" if about else ""


def _harmless(value: Any) -> Any:
    return harmless(value) if isinstance(value, str) else value
