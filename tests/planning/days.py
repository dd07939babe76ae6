"""Recordings of several days of each person, in the form of own data: what was done changes in blocks of a minute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from ..tiny.world import RULES

RATE, BLOCK_S = 4, 60

DESCRIPTION = {
    "name": "days", "title": "Days", "citation": "ours", "licence": "CC BY 4.0", "mains_hz": 50, "longest_s": 900,
    "fixed_order": False, "labels_public": "no",
    "recordings": [{
        "files": "{participant}_{session}.csv",
        "signals": {"eda": {"channels": {"eda": "EDA"}, "rate": RATE, "unit": "uS"}},
        "stimulus": "tasks",
        "start_s": "0",
    }],
    "labels": {"stage": {
        "table": "stages.csv", "keys": {"participant": "who", "session": "day"}, "start": "from", "end": "to",
        "column": "stage", "classes": ["rest", "stress"],
    }},
    "targets": {"stress": {"label": "stage", "kind": "binary", "positive": ["stress"], "negative": ["rest"]}},
}  # fmt: skip


def write_rules(folder: Path, gives: str) -> str:
    """The path of a protocol as later-session-v1, in three folds and with the scores of version 2."""
    path = folder / f"{gives}.yaml"
    personal = {"gives": gives, "guard_s": 60.0, "block_s": 120.0}
    path.write_text(yaml.safe_dump({**RULES, "primary_metric": "by_design", "personal": personal}))
    return str(path)


def write_days(root: Path, people: int = 6, days: Sequence[str] = ("day2", "day10"), blocks: int = 6) -> Path:
    """EDA of some people on each of the days, with rest and stress in turns. In stress it responds, in every other
    person downwards."""
    rows = ["who,day,from,to,stage"]
    root.mkdir(parents=True, exist_ok=True)
    for person in range(people):
        for d, day in enumerate(days):
            rng, name = np.random.default_rng([person, d]), f"P{person + 1:02d}"
            stress = [(k + person) % 2 for k in range(blocks)]
            response = np.repeat(stress, BLOCK_S * RATE) * (1 if person % 2 else -1)
            eda = 5 + person + response + 0.3 * rng.standard_normal(len(response))
            (root / f"{name}_{day}.csv").write_text("EDA\n" + "\n".join(f"{x:.4f}" for x in eda) + "\n", "utf-8")
            for k, high in enumerate(stress):
                stage = ("rest", "stress")[high]
                rows.append(f"{name},{day},{k * BLOCK_S},{(k + 1) * BLOCK_S},{stage}")
    (root / "stages.csv").write_text("\n".join(rows) + "\n", "utf-8")
    (root / "dataset.yaml").write_text(yaml.safe_dump(DESCRIPTION, sort_keys=False), "utf-8")
    return root
