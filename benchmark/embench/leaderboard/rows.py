"""Rows of a leaderboard: which rows are ranked against each other, and what is next to the rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from embench.leaderboard.attestations import LEVEL_NAMES, RANKED_LEVELS
from embench.leaderboard.entries import LeaderboardEntry, defined_score
from embench.leaderboard.export import board_name
from embench.records.audit import audit_status
from embench.records.manifest import Manifest
from embench.records.wording import bare_name
from embench.registry import BUNDLED
from embench.statistics.ranking import Ranking, rank_methods

SECONDARY_METRICS = (
    "auroc_within",
    "auroc_within_stimulus",
    "auroc_crossed",
    "auroc_crossed_time",
    "auroc_crossed_matched",
    "auroc",
    "balanced_accuracy",
    "f1_weighted",
    "ccc",
    "rmse",
)
"""The columns next to the headline."""

CUT_METRICS = (
    "accuracy",
    "balanced_accuracy",
    "f1_macro",
    "f1_weighted",
    "mcc",
    "precision_macro",
    "sensitivity_specificity",
)
"""Headlines of the papers that depend on where decisions are cut, and most on prevalence too: they never rank."""

BOARD_SEEDS = (0, 1, 2)
"""The partitions that ranked rows share: who chooses seeds after looking chooses the luckiest."""

BoardRow = dict[str, Any]


def ranked_rows(entries: Sequence[LeaderboardEntry], target: str) -> tuple[list[BoardRow], Mapping[str, Ranking]]:
    """Rows of one dataset, protocol and target: methods by their headline, then those without a rank, then the
    controls; and `target_access` -> the ranking of its methods.

    `rank` is the best and the worst rank that a method may have among rows of one `target_access`, which are kept
    together; rows that share one of their `letters` can't be told apart. Not ranked, with the reason in `mark`: rows of
    a protocol that leaks, rows pretrained on labels of the target or on unknown subjects, rows of other seeds than
    `BOARD_SEEDS`, rows whose headline is undefined or one of `CUT_METRICS`, rows that another entry supersedes, which
    come last, and rows of which nobody but their author has run anything (see `RANKED_LEVELS`). They are in the order
    of their headline all the same, or of `auroc_within` where it is undefined.
    """
    rows = [_method_row(entry, target) for entry in entries if target in entry.targets]
    rows.sort(key=_order)
    summands = {entry.run.id: entry.summands.get(target) for entry in entries}
    rankings = {}
    for access, group in groupby((r for r in rows if not r["unranked"]), key=lambda row: row["target_access"]):
        ranked = list(group)
        found = rank_methods([row["score"] for row in ranked], [summands[row["id"]] for row in ranked])
        rankings[str(access)] = found
        for row, rank, letters in zip(ranked, found.ranks, found.letters, strict=True):
            row |= {"rank": rank, "letters": letters}
    return rows + _control_rows(entries, target), rankings


def _order(row: BoardRow) -> tuple[Any, ...]:
    apart = row["superseded"] is not None
    return row["target_access"], apart, row["unranked"], -_mean(row), -_within(row), row["id"]


def _method_row(entry: LeaderboardEntry, target: str) -> BoardRow:
    run, headline = entry.run, entry.scores["headlines"][target]
    marks = []
    if run.protocol.leaks:
        marks.append("leaks")
    if run.pretrain_overlap == "labelled_target":
        marks.append("pretrained on labels of the test subjects")
    if run.pretrain_overlap == "unknown":
        marks.append("pretrained on unknown subjects")
    if headline in CUT_METRICS:
        marks.append("headline depends on a decision threshold")
    if sorted(run.seeds) != list(BOARD_SEEDS):
        marks.append(f"seeds {', '.join(map(str, run.seeds))} instead of {', '.join(map(str, BOARD_SEEDS))}")
    number = entry.score(target, headline)
    if number is None:
        marks.append(f"{headline} undefined")
    if entry.superseded:
        marks.append(f"superseded by {entry.superseded.by}")
    evidence = entry.evidence
    if not marks and evidence["level"] not in RANKED_LEVELS:
        marks.append(LEVEL_NAMES[evidence["level"]])
    failed = [name.split(": ", 1)[1] for name in entry.scores["not_cleared"] if name.startswith(f"{target}: ")]
    return {
        "kind": "method",
        "rank": None,
        "letters": "",
        "unranked": bool(marks),
        "mark": marks,
        "evidence": evidence,
        "superseded": entry.superseded.model_dump(mode="json") if entry.superseded else None,
        "suspicious": any(found["check"] == "suspicious" for found in (entry.audit or {"findings": []})["findings"]),
        "id": run.id,
        "encoders": {m: bare_name(name) for m, name in run.method.encoders.items()},
        "fusion": bare_name(run.method.fusion) if run.method.fusion else None,
        "pretrainers": [bare_name(name) for name in run.method.pretrainers],
        "modalities": list(run.method.modalities),
        "apart": describe_differences(run),
        "recipe": run.recipe.preset,
        "assumed": list(run.recipe.assumed),
        "target_access": run.target_access,
        "pretrain_overlap": run.pretrain_overlap,
        "people": run.cohort.size,
        "headline": headline,
        "score": number,
        "scores": {name: entry.score(target, name) for name in SECONDARY_METRICS if name != headline},
        "controls": len([1 for by_target in entry.scores["differences"].values() if target in by_target]),
        "not_cleared": failed,
        "audit": audit_status(entry.audit),
        "cost": run.cost.model_dump(),
        "test_looks": _of(run.test_looks, target),
        "tried": _of(run.tried, target),
        "dev_looks": _of(run.dev_looks, target),
        "looks_known": run.ledger is not None,
        "seeds": list(run.seeds),
    }


def describe_differences(run: Manifest) -> list[str]:
    """What sets a run apart from the plain one of the same method, in words."""
    config, differences = run.config, []
    if config.get("train_dataset"):
        differences.append(f"trained on {board_name(config['train_dataset'])}")
    if config.get("label_subjects"):
        differences.append(f"labels of {config['label_subjects']} subjects")
    if config.get("label_fraction"):
        differences.append(f"{config['label_fraction']:g} of the labels")
    if config.get("stack"):
        differences.append(f"networks trained in stacks of {config['stack']}")
    if config.get("drop"):
        differences.append(f"tested without {', '.join(config['drop'])}")
    differences += [f"{part} is not bundled, conformance {result}" for part, result in _not_bundled(run).items()]
    if config.get("pretrained"):
        digests = sorted({digest[:8] for digest in config["pretrained"].values()})
        differences.append(f"started from weights {', '.join(digests)}{_saw(run)}")
    if run.pretrain_overlap != "none":
        differences.append(f"pretraining overlap: {run.pretrain_overlap.replace('_', ' ')}")
    return differences + [f"--set {setting}" for setting in run.recipe.settings]


def _saw(run: Manifest) -> str:
    """What converted weights were trained on; for others it stands among the pretrainers and the overlap."""
    manifest = (run.started_from or {}).get("manifest") or {}
    if "converted" not in manifest:
        return ""
    words = [f"{seen['dataset']}, {'with' if seen['labels'] == 'source' else 'no'} labels" for seen in manifest["seen"]]
    return f" of {manifest['converted']['layout']}, trained on {'; '.join(words) or 'unknown data'}"


def _not_bundled(run: Manifest) -> dict[str, str]:
    """Part of the method whose plugin is not bundled -> what became of its conformance checks."""
    names = {f"encoder[{m}]": name for m, name in run.method.encoders.items()}
    names |= {"fusion": run.method.fusion} if run.method.fusion else {}
    outside = {part: "not checked" for part, name in names.items() if name.partition("/")[0] != BUNDLED}
    return {**outside, **run.conformance}


def _control_rows(entries: Sequence[LeaderboardEntry], target: str) -> list[BoardRow]:
    """Each control once, as it scored in the entry with most subjects (the first by id of several)."""
    rows: list[BoardRow] = []
    seen: set[str] = set()
    for entry in sorted(entries, key=lambda entry: (-entry.run.cohort.size, entry.run.id)):
        for name, by_target in sorted(entry.scores["controls"].items()):
            numbers = by_target.get(target)
            if name in seen or numbers is None or defined_score(numbers) is None:
                continue
            seen.add(name)
            headline = entry.scores["headlines"][target]
            rows.append(
                {
                    "kind": "control",
                    "rank": None,
                    "id": entry.run.id,
                    "control": name,
                    "people": entry.run.cohort.size,
                    "headline": headline,
                    "score": defined_score(numbers.get(headline)),
                    "scores": {
                        metric: defined_score(numbers.get(metric)) for metric in SECONDARY_METRICS if metric != headline
                    },
                    "seeds": list(entry.run.seeds),
                }
            )
    return sorted(rows, key=lambda row: (-_mean(row), row["control"]))


def _mean(row: BoardRow) -> float:
    return float(row["score"]["mean"]) if row["score"] else float("-inf")


def _within(row: BoardRow) -> float:
    number = row["scores"].get("auroc_within")
    return float(number["mean"]) if number else float("-inf")


def _of(count: Any, target: str) -> Any:
    return count.get(target) if isinstance(count, dict) else count
