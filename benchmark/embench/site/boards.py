"""Boards as the pages show them: rows of one dataset, protocol, target, training set and access to test subjects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from embench.leaderboard.board import luck_sentence
from embench.leaderboard.entries import LeaderboardEntry
from embench.leaderboard.rows import SECONDARY_METRICS, BoardRow
from embench.records.cost import COST_COLUMNS, format_cost
from embench.records.method_kind import method_kind
from embench.records.wording import format_controls, format_rank, is_by_construction, metric_name, row_method_name
from embench.site.pages import link

EVIDENCE = {
    "self_reported": "published by its author; nobody else has run it",
    "verified": "its scores were recomputed from its published predictions",
    "spot_checked": "parts of it were run again, with the same result",
    "reproduced": "all of it was run again, with the same result",
}
UNDEFINED_INSTEAD = "auroc_within"
"""What boards show where the headline is undefined."""


@dataclass(frozen=True)
class Board:
    """Rows that are shown in one table.

    Args:
        metric: the score shown: the headline, or `auroc_within` where no row has a headline.
        rows: of methods, in the order of the leaderboard. `shown`: (R,) what the page's table shows of each. `pairs`:
            (R,) what comparisons of rows need, None where there is nothing (see `pairing`). `fits`: what rows share
            of it.
        luck: how far the best row would lead by luck, as a sentence; empty where nothing is ranked.
        several_access: whether the section has rows of another access to data of the test subjects.
    """

    dataset: str
    protocol: str
    target: str
    trained_on: str | None
    access: str
    leaks: bool
    superseded_by: str | None
    headline: str
    metric: str
    rows: list[BoardRow]
    controls: list[BoardRow]
    shown: list[dict[str, Any]]
    pairs: list[dict[str, Any] | None]
    fits: dict[str, Any]
    luck: str
    several_access: bool

    @property
    def key(self) -> str:
        """What the page's address calls the board."""
        parts = [self.target, self.protocol, self.trained_on and f"from {self.trained_on}"]
        return "/".join(filter(None, [*parts, self.access if self.several_access else None]))

    @property
    def title(self) -> str:
        """The board among those of its dataset."""
        parts = [f"{self.target}, {self.protocol}", self.trained_on and f"trained on {self.trained_on}"]
        parts += [f"access to test subjects: {self.access}" if self.several_access else None]
        return ", ".join(filter(None, parts))

    @property
    def current(self) -> bool:
        """Whether it takes new rows that are ranked."""
        return not self.leaks and not self.superseded_by

    @property
    def summary(self) -> dict[str, Any]:
        """The board in one line of the overview."""
        scores = [row["s"] for row in self.shown if row["s"]]
        level = chance(self.metric)
        first = next((row for row in self.rows if row["rank"]), None)
        control = max(self.controls, key=lambda row: _mean(_score(row, self.metric)), default=None)
        return {
            "rows": len(self.rows),
            "subjects": _span([row["people"] for row in self.rows]),
            "first": row_method_name(first) if first else None,
            "first_modalities": ", ".join(first["modalities"]) if first else "",
            "first_score": first["score"] if first else None,
            "highest": self.rows[0] if self.metric != self.headline else None,
            "highest_score": _score(self.rows[0], self.metric),
            "control": control and control["control"],
            "control_score": control and _score(control, self.metric),
            "alike": first["rank"][1] - first["rank"][0] if first else 0,
            "above_chance": None if level is None else sum(s[1] is not None and s[1] > level for s in scores),
            "scored": len(scores),
            "clears": sum(1 for row in self.shown if row["controls"] and not row["not_cleared"]),
            "has_controls": any(row["controls"] for row in self.shown),
            "evidence": Counter(row["evidence"]["level"] for row in self.shown),
        }

    @property
    def data(self) -> dict[str, Any]:
        """What the page's scripts read."""
        return {
            "key": self.key,
            "metric": self.metric,
            "metric_name": metric_name(self.metric),
            "headline": self.headline,
            "chance": chance(self.metric),
            "rows": self.shown,
            "controls": [_control(row, self.metric) for row in self.controls],
            "secondary": [
                name for name in SECONDARY_METRICS if name != self.metric and any(r["o"].get(name) for r in self.shown)
            ],
            "pairs": self.pairs,
            "fits": self.fits,
            "leaks": self.leaks,
        }


def boards_of(
    sections: Sequence[Mapping[str, Any]], entries: Sequence[LeaderboardEntry], paired: Mapping[Any, dict[str, Any]]
) -> list[Board]:
    """The boards, those of a dataset together; within it those that take new rows first, then boards of rows trained
    elsewhere, superseded and leaking ones."""
    folders = {entry.run.id: entry for entry in entries}
    found = [board for section in sections for board in _of_section(section, folders, paired)]
    return sorted(found, key=lambda b: (b.dataset, b.leaks, bool(b.superseded_by), bool(b.trained_on), -len(b.rows)))


def _of_section(
    section: Mapping[str, Any], entries: Mapping[str, LeaderboardEntry], paired: Mapping[Any, dict[str, Any]]
) -> list[Board]:
    methods = [row for row in section["rows"] if row["kind"] == "method"]
    controls = [row for row in section["rows"] if row["kind"] == "control"]
    several = len({row["target_access"] for row in methods}) > 1
    boards = []
    for access, group in groupby(methods, key=lambda row: row["target_access"]):
        rows = list(group)
        headline = Counter(row["headline"] for row in rows).most_common(1)[0][0]
        metric = headline if any(_score(row, headline) for row in rows) else UNDEFINED_INSTEAD
        rows.sort(key=lambda row: 0 if row["rank"] else 1)  # stable: those without a rank keep their order below
        if metric != headline:
            rows.sort(key=lambda row: -_mean(_score(row, metric)))
        found = [paired.get((row["id"], section["target"])) if metric == headline else None for row in rows]
        keys = {pair["fits"]: pair["shared"] for pair in found if pair}
        boards.append(
            Board(
                **{k: section[k] for k in ("dataset", "protocol", "target", "trained_on", "leaks", "superseded_by")},
                access=access,
                headline=headline,
                metric=metric,
                rows=rows,
                controls=controls,
                shown=[_shown(row, metric, entries[row["id"]], section) for row in rows],
                pairs=[pair and {k: v for k, v in pair.items() if k != "shared"} for pair in found],
                fits=keys,
                luck=luck_sentence(section["rankings"].get(access)),
                several_access=several,
            )
        )
    return boards


def chance(metric: str) -> float | None:
    """What a method without any information gets; None where that depends on the labels."""
    return 0.5 if metric.startswith("auroc") else 0.0 if metric in ("ccc", "mcc") else None


def rank_text(row: Mapping[str, Any]) -> str:
    """The ranks that a row may have; a dash where it has none.

    >>> rank_text({"rank": (3, 3)}), rank_text({"rank": None})
    ('3', '—')
    """
    return format_rank(row).replace("-", "\N{EN DASH}") if row["rank"] else "—"


def controls_text(row: Mapping[str, Any]) -> str:
    """Which controls a row lies above, in words."""
    if not row["controls"]:
        return "no control was scored"
    if not row["score"]:
        return "not compared with controls, as the headline is undefined"
    return format_controls(row["not_cleared"], row["controls"]) + ("" if row["not_cleared"] else " controls")


def method_slug_parts(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What a method is: its encoders, each once, and its fusion."""
    return (*dict.fromkeys(row["encoders"].values()), *filter(None, [row["fusion"]]))


def evidence_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """How well a row is supported: level, its explanation, by whom and when."""
    evidence = row.get("evidence") or {}
    level = str(evidence.get("level") or "self_reported")
    return {
        "level": level,
        "label": level.replace("_", "-"),
        "text": EVIDENCE.get(level, ""),
        "by": evidence.get("by"),
        "on": evidence.get("on"),
    }


def superseded_text(row: Mapping[str, Any]) -> str:
    """Why a row no longer counts; empty where it does."""
    about = row.get("superseded")
    if not about:
        return ""
    if not isinstance(about, Mapping):
        return f"superseded: {about}"
    parts = [about.get("by") and f"by {about['by']}", about.get("why"), about.get("on")]
    return "superseded " + ", ".join(str(part) for part in parts if part)


def entry_link(dataset: str, protocol: str, id_: str) -> str:
    """The page of an entry, from the site's first page."""
    return link(dataset, protocol, f"{id_}.html")


def _shown(row: BoardRow, metric: str, entry: LeaderboardEntry, section: Mapping[str, Any]) -> dict[str, Any]:
    others = {"headline": row["score"]} | row["scores"]
    looks = [row[name] for name in ("test_looks", "tried", "dev_looks")]
    number = entry.scores["scores"].get(section["target"], {}).get(metric)
    return {
        "id": row["id"],
        "href": link(section["protocol"], f"{row['id']}.html"),
        "name": row_method_name(row),
        "mods": row["modalities"],
        "pre": row["pretrainers"],
        "kind": method_kind(entry.run.method),
        "recipe": row["recipe"] + (f" ({len(row['assumed'])} assumed)" if row["assumed"] else ""),
        "people": row["people"],
        "rank": row["rank"] and list(row["rank"]),
        "rank_text": rank_text(row),
        "why": list(row["mark"]),
        "s": _triple(_score(row, metric)),
        "undefined": "" if number is None else number.get("undefined", ""),
        "o": {name: _triple(score) for name, score in others.items() if score and name not in ("headline", metric)},
        "controls": row["controls"] if row["score"] else 0,
        "not_cleared": row["not_cleared"] if row["score"] else [],
        "audit": row["audit"],
        "evidence": evidence_of(row),
        "superseded": superseded_text(row),
        "suspicious": bool(row.get("suspicious", False)),
        "cost": {
            "time": row["cost"].get("wall_s"),
            "parameters": row["cost"].get("parameters") or None,
            "FLOPs": row["cost"].get("flops") or None,
            "memory": row["cost"].get("peak_memory_mb"),
            "energy": row["cost"].get("energy_j"),
        },
        "cost_text": [format_cost(row["cost"])[name] for name in COST_COLUMNS],
        "looks": " / ".join("—" if n is None else str(n) for n in looks) if row["looks_known"] else "unknown",
        "seeds": ", ".join(map(str, row["seeds"])),
    }


def _control(row: BoardRow, metric: str) -> dict[str, Any]:
    score = _score(row, metric)
    return {
        "name": row["control"],
        "s": _triple(score),
        "fixed": is_by_construction(score),
        "o": {name: _triple(s) for name, s in row["scores"].items() if s},
    }


def _score(row: Mapping[str, Any], metric: str) -> Mapping[str, Any] | None:
    return row["score"] if metric == row["headline"] else row["scores"].get(metric)


def _mean(score: Mapping[str, Any] | None) -> float:
    return float(score["mean"]) if score else float("-inf")


def _triple(score: Mapping[str, Any] | None) -> list[float | None] | None:
    """Mean and interval, with as many digits as anybody needs."""
    if not score:
        return None
    return [None if score.get(k) is None else round(score[k], 6) for k in ("mean", "low", "high")]


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
