"""Information in embeddings (a network's last hidden layer) on the subject, the stimulus and the test part."""

from __future__ import annotations

from typing import Any

import numpy as np

from embench.audits.checks.evidence import RecordEvidence
from embench.interfaces.metric import Undefined
from embench.records.audit import AuditFinding, CheckResult


def check_probes(e: RecordEvidence) -> CheckResult | Undefined:
    """Measures how well a linear probe predicts the subject and the stimulus from the embeddings."""
    if e.embeddings is None:
        return Undefined("the run has no embeddings: estimators on features have no hidden layer")
    from embench.statistics.probes import LABEL, STIMULUS, SUBJECT, linear_probe  # takes long, and needs memory

    figures: dict[str, Any] = {}
    findings = []
    for target in e.targets:
        found = {
            what: linear_probe(e.embeddings, e.predictions, what, target=target.name, labels=e.record.labels)
            for what in (SUBJECT, STIMULUS, *((LABEL,) if target.traits.has_classes else ()))
        }
        figures[target.name] = {
            what: p.reason if isinstance(p, Undefined) else {p.metric: p.score, "chance": p.chance, "folds": p.folds}
            for what, p in found.items()
        }
        for what, name in ((SUBJECT, "subject"), (STIMULUS, "stimulus")):
            p = found[what]
            if not isinstance(p, Undefined) and p.score > p.chance + 0.5 * (1 - p.chance):
                about = (
                    f"a linear probe predicts the {name} from the embeddings of {target.name}: {p.score:.0%} correct, "
                    f"{p.chance:.0%} by chance"
                )
                todo = (
                    "not a fault in itself, but scores across subjects or stimuli may rest on it: check auroc_crossed"
                )
                findings.append(AuditFinding("note", about, figures[target.name][what], todo))
    return CheckResult(figures, tuple(findings))


def check_test_normalisation(e: RecordEvidence) -> CheckResult | Undefined:
    """Embeddings are not standardised over the test subjects themselves: each dimension's mean over a
    fold's test units is exactly 0, its SD exactly 1, only where the test part itself was normalised."""
    if e.embeddings is None:
        return Undefined("the run has no embeddings")
    kept, n_checked, found = e.embeddings, 0, []
    for target, seed, fold in sorted(
        set(zip(kept.target.tolist(), kept.seed.tolist(), kept.fold.tolist(), strict=True))
    ):
        x = kept.x[(kept.target == target) & (kept.seed == seed) & (kept.fold == fold)].astype(np.float64)
        std = x.std(0)
        x, std = x[:, std > 1e-6], std[std > 1e-6]
        if len(x) < 20 or not len(std):
            continue
        n_checked += 1
        if (np.abs(x.mean(0)) < 1e-3 * std).all() and len(std) > 1:
            found.append(f"{target}, seed {seed}, fold {fold}")
    figures = {"folds": n_checked, "centred": len(found)}
    if not found:
        return CheckResult(figures)
    what = f"embeddings of {len(found)} folds are standardised over the test subjects"
    todo = "normalise by the training subjects; batch normalisation must be in eval mode for prediction"
    return CheckResult(figures, (AuditFinding("severe", what, {**figures, "such as": found[:3]}, todo),))
