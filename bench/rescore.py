"""Scores the entries of `leaderboards/` again from their own predictions and labels: `python bench/rescore.py`.

For when scores are computed in another way (`embench.statistics.SCORING_REVISION`). Nothing is trained and no further
test label is opened. Audits, which are of the old scores, are removed: `embench audit` makes them again. Entries of
superseded protocols stay as they were published.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from board import BOARDS

from embench import leaderboard, protocols, registry
from embench.data.cohort import card_for_protocol, choose_targets
from embench.errors import CheckFailed
from embench.records import record
from embench.statistics import evaluation
from embench.statistics.joined import unit_length
from embench.statistics.scores import compute_scores


def rescore(folder: Path) -> list[str]:
    """Writes the entry's scores again; the means that differ from the old ones."""
    known = record.read_record(folder)
    if known.labels is None:
        raise CheckFailed("the entry has no labels, so only a holder of the data can score it", where=str(folder))
    run = known.run
    protocol = protocols.recorded_protocol(run["protocol"]) or protocols.load_protocol(run["protocol"]["name"])
    card = card_for_protocol(protocol, registry.load("dataset", run["dataset"]["name"]).card)
    # Entries from before a design was recorded are of protocols that ask for a fixed order alone.
    design = run["cohort"].get("design") or ("fixed_order" if card.fixed_order else "free")
    predictions = known.predictions
    predicted = {(m, t) for m, t in zip(predictions["method"].tolist(), predictions["target"].tolist(), strict=True)}
    reasons: dict[str, dict[str, str]] = {}
    for control, targets in known.scores["controls"].items():
        for target, scored in targets.items():
            if (control, target) not in predicted:
                reasons.setdefault(target, {})[control] = scored["undefined"]
    scores = compute_scores(
        predictions,
        known.labels,
        targets=choose_targets(card, ",".join(run["targets"])),
        protocol=protocol,
        design=design,
        groups=known.groups,
        unit_length_s={t: unit_length(predictions["unit"][predictions["target"] == t]) for t in run["targets"]},
        sessions=run["cohort"].get("session_s"),
        not_applicable=reasons,
    )
    kept = {name: value for name, value in known.scores.items() if name not in scores and name != "replicates"}
    record.write_record(
        folder, replace(known, run={**run, "scoring": evaluation.scoring_identity()}, scores={**scores, **kept})
    )
    return [
        f"{target} {metric}: {old.get('mean')} is {scores['scores'][target][metric].get('mean')}"
        for target, metrics in known.scores["scores"].items()
        for metric, old in metrics.items()
        if abs(old.get("mean", 0) - scores["scores"][target][metric].get("mean", 0)) > 1e-9
    ]


def main() -> int:
    entries = [path.parent for path in sorted(BOARDS.glob("*/*/*/run.yaml"))]
    differ = {entry.name: rescore(entry) for entry in entries if not protocols.superseded_by(entry.parent.name)}
    leaderboard.build_leaderboards(BOARDS)
    for name, means in differ.items():
        print(f"{name}: {'; '.join(means) or 'the same means'}")
    return int(any(differ.values()))


if __name__ == "__main__":
    sys.exit(main())
