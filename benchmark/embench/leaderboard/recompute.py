"""The scores of a published entry, computed again from its own predictions and labels."""

from __future__ import annotations

from embench import protocols
from embench.errors import CheckFailed
from embench.records.record import Record
from embench.records.scores import Scores
from embench.statistics.answers import design_of
from embench.statistics.common import recorded_targets
from embench.statistics.joined import unit_length
from embench.statistics.scores import compute_scores

FROM_DATA = ("absent", "cuts", "coverage", "adds", "enough_data")
"""Parts of `scores.json` that only the data can tell: units that were not predicted and the share that was, cuts fitted
on training labels, what the method adds to clock and movement, and what would give enough comparisons."""


def recomputed_scores(record: Record) -> Scores:
    """The whole `scores.json`, with `folds`; `FROM_DATA` and why a control does not apply are as recorded.

    Nothing is trained, no data are read, and no plugin but the metrics is loaded: targets are those of the record's
    label rules, and the protocol is the published one of its name, else the one that the record holds.

    Raises:
        CheckFailed: the record has no labels. DataError: its parts do not fit together.
        UsageError: its protocol is not known.
    """
    run, predictions = record.run, record.predictions
    if record.labels is None:
        raise CheckFailed("the entry has no labels, so only a holder of the data can score it", where=run["id"])
    about = run["protocol"]
    published = about["name"] in protocols.protocol_names()
    rules = None if published else protocols.recorded_protocol(about)
    scores = compute_scores(
        predictions,
        record.labels,
        targets=recorded_targets(record),
        protocol=rules or protocols.load_protocol(about["name"]),
        # Entries from before a design was recorded are of protocols that ask for a fixed order alone.
        design=design_of(record.manifest.cohort.design, fixed_order=record.manifest.card.fixed_order) or "free",
        groups=record.groups,
        unit_length_s={t: unit_length(predictions["unit"][predictions["target"] == t]) for t in run["targets"]},
        sessions=record.sessions,
        not_applicable=reasons_of_controls(record),
    )
    return Scores({**scores, **{name: record.scores[name] for name in FROM_DATA if name in record.scores}})


def reasons_of_controls(record: Record) -> dict[str, dict[str, str]]:
    """Target -> control -> why it does not apply, as recorded, of controls that predicted nothing."""
    predictions, reasons = record.predictions, dict[str, dict[str, str]]()
    predicted = set(predictions.distinct("method", "target"))
    for control, targets in record.scores["controls"].items():
        for target, scored in targets.items():
            if (control, target) not in predicted and "undefined" in scored:
                reasons.setdefault(target, {})[control] = scored["undefined"]
    return reasons
