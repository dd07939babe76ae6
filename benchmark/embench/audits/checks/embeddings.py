"""What the networks' last hidden layers give away."""

from __future__ import annotations

from typing import Any

import numpy as np

from embench.audits.checks.evidence import Evidence
from embench.interfaces.metric import Undefined
from embench.records.audit import AuditFinding, CheckResult
from embench.statistics.probes import LABEL, STIMULUS, SUBJECT, linear_probe


def check_probes(e: Evidence) -> CheckResult | Undefined:
    """Who it is and what was shown, read off the hidden layer by a linear probe."""
    if e.embeddings is None:
        return Undefined("the run kept no hidden layers: estimators on features have none")
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
        for what, said in ((SUBJECT, "who it is"), (STIMULUS, "which stimulus runs")):
            p = found[what]
            if not isinstance(p, Undefined) and p.score > p.chance + 0.5 * (1 - p.chance):
                about = f"the hidden layer tells {said}: {p.score:.0%} right, {p.chance:.0%} by chance ({target.name})"
                todo = (
                    "nothing is wrong by itself; scores between people or stimuli may rest on it: read the crossed ones"
                )
                findings.append(AuditFinding("note", about, figures[target.name][what], todo))
    return CheckResult(figures, tuple(findings))


def check_test_normalisation(e: Evidence) -> CheckResult | Undefined:
    """Hidden layers are not centred and scaled over the very subjects who are tested: each dimension's mean over a
    fold's test units is exactly 0, its SD exactly 1, only where the test part itself was normalised."""
    if e.embeddings is None:
        return Undefined("the run kept no hidden layers")
    kept, asked, found = e.embeddings, 0, []
    for target, seed, fold in sorted(
        set(zip(kept.target.tolist(), kept.seed.tolist(), kept.fold.tolist(), strict=True))
    ):
        x = kept.x[(kept.target == target) & (kept.seed == seed) & (kept.fold == fold)].astype(np.float64)
        std = x.std(0)
        x, std = x[:, std > 1e-6], std[std > 1e-6]
        if len(x) < 20 or not len(std):
            continue
        asked += 1
        if (np.abs(x.mean(0)) < 1e-3 * std).all() and len(std) > 1:
            found.append(f"{target}, seed {seed}, fold {fold}")
    figures = {"folds": asked, "centred": len(found)}
    if not found:
        return CheckResult(figures)
    what = f"hidden layers of {len(found)} folds are centred over the people who are tested"
    todo = "normalise by the training people; a batch layer must be in eval mode when it predicts"
    return CheckResult(figures, (AuditFinding("severe", what, {**figures, "such as": found[:3]}, todo),))
