"""The plan of a baseline set."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from embench.planning.request import command_of
from embench.sets.files import BaselineSet
from embench.sets.forecast import RowForecast, lefts
from embench.sets.rows import BaselineRow
from embench.statistics.answerable import without_repeats


def plan_document(
    found: BaselineSet, level: str, dataset: str, able: Sequence[RowForecast], unfit: Sequence[BaselineRow]
) -> dict[str, Any]:
    """The document of `--dry-run`: rows in the order in which they are run, with the hours that each adds."""
    rows: list[dict[str, Any]] = [
        {
            "row": each.row.title,
            "level": each.row.level,
            "run": None if each.trials else each.plan.id,
            "device": each.plan.setting.device,
            "measured": each.measured,
            "done": each.done,
            "expected_s": round(left_s, 1),
            "memory_mb": round(each.memory_mb),
            "disk_mb": 0.0 if each.done else round(each.disk_mb, 1),
            "command": _command(each),
        }
        for each, left_s in zip(able, lefts(able), strict=True)
    ]
    return {
        "set": found.name,
        "hash": found.hash,
        "draft": found.draft,
        "level": level,
        "dataset": dataset,
        "synthetic": able[0].plan.test.store.synthetic is not None,
        "expected_s": round(sum(row["expected_s"] for row in rows), 1),
        "memory_mb": max(row["memory_mb"] for row in rows),
        "disk_mb": round(sum(row["disk_mb"] for row in rows), 1),
        "cannot_answer": without_repeats([found for each in able for found in each.plan.unanswerable()]),
        "rows": rows,
        "does_not_fit": [{"row": row.title, "level": row.level, "reason": row.reason} for row in unfit],
    }


def _command(each: RowForecast) -> str:
    """The command that makes a row; the one that chooses its settings where that is still to be done."""
    search = each.row.search
    if not each.trials or search is None:
        return command_of(vars(each.plan.request if search else each.row.request))
    words = [word for text in search.space for word in ("--search", text)]
    asked = command_of(vars(each.row.request)).replace("embench run", "embench tune", 1)
    return f"{asked} {shlex.join([*words, '--trials', str(search.trials)])}"
