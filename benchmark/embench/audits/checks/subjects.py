"""Checks of single subjects: spread of scores over subjects and seeds, and information on the subject in embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from embench import registry
from embench.audits.checks.records import Evidence, RecordEvidence
from embench.files import sha256
from embench.interfaces.metric import Undefined
from embench.interfaces.ranking import auroc_by_subject, mean_ignoring_nan
from embench.interfaces.units import Target, Units
from embench.leaderboard.verify import MISCALIBRATED
from embench.protocols import MADE_BY_METHOD
from embench.records.audit import AuditFinding, CheckResult
from embench.records.findings import Severity
from embench.records.predictions import MODEL
from embench.records.record import RUN_FILE, read_record
from embench.statistics.intervals import mean_over_subjects
from embench.statistics.joined import Joined, join

N_SHIFTS = 2000
SUSPICIOUS_ERRORS = 4.0
"""Paired standard errors above the best confound-only model and baseline from which on a score is suspicious."""
MAX_P_ALONE = 0.001
"""Largest p value at which the best subject counts as an outlier."""


def within_subject_auroc(joined: Joined) -> tuple[np.ndarray, np.ndarray]:
    """Return the names of subjects (P,), and their AUROC in each seed (S, P), NaN for a subject with one class only."""
    subjects = np.unique(np.concatenate([units.subject for _, _, units in joined]))
    seeds = joined.seeds.values()
    return subjects, np.stack(
        [mean_ignoring_nan([auroc_by_subject(units, subjects) for units in folds.values()]) for folds in seeds]
    )


def check_shift(e: RecordEvidence) -> CheckResult | Undefined:
    """Check scores against a circular-shift null: labels are moved along each subject's own time, which keeps how long
    states last. Slowly varying scores are above chance more often than the number of units suggests."""
    figures: dict[str, Any] = {}
    findings = []
    for target, joined in e.binary_targets():
        tables = [_shifted_auroc(units) for _, _, units in joined]
        by_subject: dict[str, list[np.ndarray]] = {}
        for table in tables:
            for name, values in table.items():
                by_subject.setdefault(name, []).append(values)
        if not by_subject:
            continue
        rng = np.random.default_rng(0)
        real, null = 0.0, np.zeros(N_SHIFTS)
        for own in by_subject.values():
            # A subject's labels shift by the same number of units in all seeds.
            at = rng.integers(0, 1 << 30, N_SHIFTS)
            real += float(np.mean([v[0] for v in own])) / len(by_subject)
            null += np.mean([v[at % len(v)] for v in own], axis=0) / len(by_subject)
        p = float((1 + (null >= real - 1e-12).sum()) / (1 + N_SHIFTS))
        figures[target.name] = {"auroc": real, "mean": float(null.mean()), "p": p}
        scored = e.rescored.get_score(target.name, "auroc_within")
        if p > 0.05 and scored and (scored.low or 0) > 0.5:
            evidence = {"target": target.name, **figures[target.name], "low": scored.low, "n": len(by_subject)}
            findings.append(AuditFinding("warning", "not_above_shifted", evidence))
    return CheckResult(figures, tuple(findings)) if figures else Undefined("no_subject_with_both_classes")


def _shifted_auroc(units: Units) -> dict[str, np.ndarray]:
    """Return subject -> AUROC for labels shifted by 0, 1, ... units in time; subjects of one class are excluded."""
    found = {}
    for name in np.unique(units.subject).tolist():
        own = np.flatnonzero(units.subject == name)
        order = own if np.isnan(units.start_s[own]).any() else own[np.argsort(units.start_s[own], kind="stable")]
        y, n = units.y_true[order], len(order)
        positive = y.sum()
        if not 0 < positive < n:
            continue
        rank = stats.rankdata(units.score[order])
        # Sum of the ranks of positives under every shift at once: a circular correlation.
        sums = np.fft.irfft(np.fft.rfft(rank) * np.conj(np.fft.rfft(y)), n)
        found[name] = (sums - positive * (positive + 1) / 2) / (positive * (n - positive))
    return found


def check_one_subject(e: RecordEvidence) -> CheckResult | Undefined:
    """Check that no single subject carries the effect: the effect must remain without that subject."""
    figures: dict[str, Any] = {}
    findings = []
    for target, joined in e.binary_targets():
        subjects, values = within_subject_auroc(joined)
        value = mean_ignoring_nan(values)
        known = np.isfinite(value)
        if known.sum() < 5:
            continue
        subjects, value = subjects[known], value[known]
        z = (value - 0.5) / _null_errors(joined, subjects)
        top, p = find_outlier(z)
        rest = np.delete(value, top)
        effect, without = float(value.mean() - 0.5), float(rest.mean() - 0.5)
        share = (value[top] - 0.5) / max((value - 0.5).sum(), 1e-9)
        low = without - float(stats.t.ppf(0.975, len(rest) - 1) * rest.std(ddof=1) / np.sqrt(len(rest)))
        figures[target.name] = {
            "subject": str(subjects[top]),
            "auroc": float(value[top]),
            "with_subject": effect + 0.5,
            "without_subject": without + 0.5,
            "p": p,
        }
        if effect > 0 and p < MAX_P_ALONE and share >= 0.5 and low <= 0:
            evidence = {"target": target.name, **figures[target.name], "proportion": float(share)}
            findings.append(AuditFinding("severe", "carried_by_one_subject", evidence))
    return CheckResult(figures, tuple(findings)) if figures else Undefined("few_subjects_with_both_classes")


def find_outlier(z: np.ndarray) -> tuple[int, float]:
    """Return the position of the largest of `z` (n,), and the probability that it is so far from the others by chance:
    its externally studentised residual (at least as wide as by chance alone), corrected for n."""
    top = int(np.argmax(z))
    others = np.delete(z, top)
    far = (z[top] - others.mean()) / (max(float(others.std(ddof=1)), 1.0) * np.sqrt(1 + 1 / len(others)))
    return top, min(1.0, len(z) * float(stats.t.sf(far, len(others) - 1)))


def _null_errors(joined: Joined, subjects: np.ndarray) -> np.ndarray:
    """Return (P,) the standard error of each subject's AUROC for scores without information (Mann and Whitney 1947)."""
    counts = np.zeros((len(subjects), 2))
    folds = next(iter(joined.seeds.values())).values()
    for units in folds:
        for p, name in enumerate(subjects.tolist()):
            own = units.y_true[units.subject == name]
            counts[p] += [np.sum(own == 0), np.sum(own == 1)]
    low, high = np.maximum(counts, 1).T
    return np.asarray(np.sqrt((low + high + 1) / (12 * low * high)))


def check_seeds(e: RecordEvidence) -> CheckResult | Undefined:
    """Check that partitions and initialisations agree, subject by subject."""
    figures: dict[str, Any] = {}
    findings = []
    for target, joined in e.binary_targets():
        names = list(joined.seeds)
        if len(names) < 2:
            continue
        _, values = within_subject_auroc(joined)
        figures[target.name] = {str(s): float(np.nanmean(v)) for s, v in zip(names, values, strict=True)}
        for (i, one), (j, other) in combinations(enumerate(names), 2):
            gap = values[i] - values[j]
            gap = gap[np.isfinite(gap)]
            if len(gap) < 5 or gap.std() == 0:
                continue
            p = float(stats.ttest_1samp(gap, 0).pvalue) * len(names) * (len(names) - 1) / 2
            if p < 0.001 and abs(gap.mean()) > 0.05:
                evidence = {
                    "target": target.name,
                    "seed": int(one),
                    "other_seed": int(other),
                    "auroc_of_seeds": figures[target.name],
                    "difference": float(gap.mean()),
                    "p": p,
                }
                findings.append(AuditFinding("warning", "seeds_differ", evidence))
    return CheckResult(figures, tuple(findings)) if figures else Undefined("one_seed")


def check_collapse(e: RecordEvidence) -> CheckResult:
    """Check that scores vary, and that every class is predicted for some units."""
    figures: dict[str, Any] = {}
    findings = []
    for target in e.targets:
        if target.name not in e.joined:
            continue
        parts = [units for _, _, units in e.joined[target.name][MODEL]]
        constant = [np.ptp(np.asarray(u.score, np.float64), axis=0).max(initial=0.0) < 1e-6 for u in parts]
        counted = [np.unique(u.decision, return_counts=True)[1] for u in parts if target.traits.has_classes]
        one = [counts.max() / counts.sum() >= 0.98 for counts in counted]
        totals = {"folds": len(parts), "constant": int(sum(constant)), "one_class": int(sum(one))}
        figures[target.name], evidence = totals, {"target": target.name, **totals}
        if totals["constant"] > len(parts) / 2:
            constant_of = "constant_scores" if target.traits.has_classes else "constant_values"
            findings.append(AuditFinding("warning", constant_of, evidence))
        elif totals["one_class"] > len(parts) / 2:
            findings.append(AuditFinding("warning", "one_class_decided", evidence))
    return CheckResult(figures, tuple(findings))


def check_calibration(e: RecordEvidence) -> CheckResult | Undefined:
    """Check that probabilities match observed frequencies. With few units per fold even correct probabilities have an
    error, which is subtracted (consistency resampling; Bröcker and Smith 2007, doi 10.1175/WAF993.1)."""
    figures: dict[str, Any] = {}
    findings = []
    for target, joined in e.binary_targets():
        ece = e.rescored.get_score(target.name, "ece")
        if ece is None:
            continue
        luck = float(np.mean([_expected_ece(units) for _, _, units in joined]))
        figures[target.name] = {"ece": ece.mean, "low": ece.low, "expected_by_chance": luck}
        if (ece.low or 0) - luck > MISCALIBRATED:
            findings.append(AuditFinding("warning", "miscalibrated", {"target": target.name, **figures[target.name]}))
    return CheckResult(figures, tuple(findings)) if figures else Undefined("no_two_class_target")


def _expected_ece(units: Units) -> float:
    """Return the calibration error if labels are drawn by these probabilities."""
    metric, rng = registry.load_plugin("metric", "ece")(), np.random.default_rng(0)
    drawn = [replace(units, y_true=(rng.random(len(units)) < units.score).astype(float)) for _ in range(100)]
    return float(np.mean([metric(one) for one in drawn]))


def check_suspicious(e: Evidence) -> CheckResult | Undefined:
    """Check that the score is not too good to be true. If it is far above all simple methods, a leak is the likeliest
    cause."""
    figures: dict[str, Any] = {}
    findings = []
    for target, joined in e.binary_targets():
        subjects, values = within_subject_auroc(joined)
        model = mean_ignoring_nan(values)
        rivals = {
            n: _auroc_of_subjects(j) for n, j in e.joined[target.name].items() if n not in (MODEL, *MADE_BY_METHOD)
        }
        for folder in e.baselines:
            if found := _baseline_scores(folder, sha256(folder / RUN_FILE), target, e.unit_length_s):
                rivals[f"baseline {folder.name}"] = found
        scored = {name: _paired_gap(model, subjects, rival, e) for name, rival in rivals.items()}
        apart = {name: gap for name, gap in scored.items() if gap is not None}
        if not apart:
            continue
        name, (gap, errors) = min(apart.items(), key=lambda item: item[1][0])
        with_baseline = any(name.startswith("baseline") for name in apart)
        figures[target.name] = {"best_other": name, "difference": gap, "standard_errors": errors}
        if errors >= SUSPICIOUS_ERRORS:
            figures[target.name]["has_baseline"] = with_baseline
            severity: Severity = "warning" if with_baseline else "note"
            findings.append(AuditFinding(severity, "far_above_others", {"target": target.name, **figures[target.name]}))
    return CheckResult(figures, tuple(findings)) if figures else Undefined("nothing_to_compare")


@lru_cache(maxsize=512)
def _baseline_scores(folder: Path, _written: str, target: Target, unit_length_s: float) -> dict[str, float] | None:
    """Return the scores of a baseline run in each subject; None if it does not predict the target. Cached, because each
    run of a leaderboard is compared with all baselines; `_written` is the digest of its record."""
    baseline = read_record(folder)
    if target.name not in baseline.run["targets"] or baseline.labels is None:
        return None
    joined = join(baseline.predictions, baseline.labels, target, baseline.groups, unit_length_s).get(MODEL)
    return _auroc_of_subjects(joined) if joined else None


def _auroc_of_subjects(joined: Joined) -> dict[str, float]:
    """Return subject -> its AUROC, mean over seeds."""
    subjects, values = within_subject_auroc(joined)
    return dict(zip(subjects.tolist(), mean_ignoring_nan(values).tolist(), strict=True))


def _paired_gap(
    model: np.ndarray, subjects: np.ndarray, rival: Mapping[str, float], e: RecordEvidence
) -> tuple[float, float] | None:
    """Return the mean difference over subjects, and the same in standard errors; groups count as one. None if
    undefined."""
    gap = model - np.array([rival.get(p, np.nan) for p in subjects.tolist()])
    found = mean_over_subjects(gap, np.array([e.groups.get(p, p) for p in subjects.tolist()]))
    if isinstance(found, Undefined) or found.low is None or found.high is None:
        return None
    groups = len({e.groups.get(p, p) for p, g in zip(subjects.tolist(), gap.tolist(), strict=True) if g == g})
    error = (found.high - found.low) / 2 / float(stats.t.ppf(0.975, groups - 1))
    return found.mean, found.mean / max(error, 1e-3)


def check_probes(e: RecordEvidence) -> CheckResult | Undefined:
    """Measure how well a linear probe predicts the subject and the stimulus from the embeddings."""
    if e.embeddings is None:
        return Undefined("no_hidden_layer")
    from embench.statistics.probes import LABEL, STIMULUS, SUBJECT, linear_probe  # takes long, and needs memory

    figures: dict[str, Any] = {}
    findings = []
    for target in e.targets:
        found = {
            what: linear_probe(e.embeddings, e.predictions, what, target=target.name, labels=e.record.labels)
            for what in (SUBJECT, STIMULUS, *((LABEL,) if target.traits.has_classes else ()))
        }
        figures[target.name] = {
            what: {"undefined": p.reason.to_dict()}
            if isinstance(p, Undefined)
            else {"metric": p.metric, "score": p.score, "chance": p.chance, "folds": p.folds}
            for what, p in found.items()
        }
        for what, name in ((SUBJECT, "subject"), (STIMULUS, "stimulus")):
            p = found[what]
            if not isinstance(p, Undefined) and p.score > p.chance + 0.5 * (1 - p.chance):
                evidence = {"target": target.name, "predicted": name, **figures[target.name][what]}
                findings.append(AuditFinding("note", "probed", evidence))
    return CheckResult(figures, tuple(findings))


def check_test_normalisation(e: RecordEvidence) -> CheckResult | Undefined:
    """Check that embeddings are not standardised over the test subjects. Only then is each dimension's mean over a
    fold's test units exactly 0, and its SD exactly 1."""
    if e.embeddings is None:
        return Undefined("no_embeddings")
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
    evidence = {"n": len(found), "folds": n_checked, "examples": found[:3]}
    return CheckResult(figures, (AuditFinding("severe", "standardised_over_test", evidence),))
