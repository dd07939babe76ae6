"""Report on the labels of a dataset under a protocol: shares of classes, ties, exclusions, agreement of raters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from embench.data.label_statistics import annotator_sets, krippendorff_alpha, pairwise, variance_shares
from embench.interfaces.dataset import Card
from embench.interfaces.metric import Undefined
from embench.interfaces.raters import Raters
from embench.interfaces.recording import Label
from embench.interfaces.units import LabelRule, Target, Unit
from embench.protocols import Protocol, cut_of, fitted_rule, label_units, make_units
from embench.store import Store

MANY_TIES = 0.05
"""The share of units on the cut from which on the side of ties decides too many labels."""
FEW_STIMULI = 10
"""Number of stimuli in a class below which anything that these few happen to share may tell them apart."""
MOST_CLASSES = 10
"""Classes that a warning names."""


def describe_labels(store: Store, card: Card, targets: Sequence[Target], protocol: Protocol) -> list[dict[str, Any]]:
    """One mapping of plain values a target.

    `units`, of which `without_label` have none, by reason in `dropped`; `classes` (name, units, share, and where the
    stimulus alone decides the label `stimuli`: how many), or `values` (mean, sd, low, high) of targets that are
    values; `per_person`, the same for each subject with a label; `one_class_only`, the subjects whose labels do not
    vary, and `without_any_label`; `at_cut`, how many units lie exactly on the cut; `variance`, shares of the raw
    values' variance; `agreement` of annotators, where the data hold several; `warnings`.
    """
    table = store.labels()
    return [_of_target(store, card, target, protocol, table) for target in targets]


def _of_target(
    store: Store, card: Card, target: Target, protocol: Protocol, table: Mapping[str, Mapping[str, Label]]
) -> dict[str, Any]:
    head: dict[str, Any] = {"target": target.name, "kind": target.kind, "label": target.label}
    kind: Any = store.label_kinds.get(target.label)
    if kind is None:
        return {**head, "units": 0, "people": 0, "warnings": ["the data have no labels for it"]}
    units = make_units(store.recordings, card, kind, protocol)
    raw, label = label_units(units, table[target.label], target.rule)
    fitted = target.rule.cut == "training_mean"
    if fitted:
        target = replace(target, rule=fitted_rule(target.rule, units, raw))
        raw, label = label_units(units, table[target.label], target.rule)
    labelled = np.isfinite(label)
    subject = np.array([unit.subject for unit in units], dtype=np.str_)
    stimulus = np.array([unit.stimulus for unit in units], dtype=np.str_)
    raw_names = next(iter(table[target.label].values())).classes
    names = class_names(target, raw_names)
    subjects = np.unique(subject[labelled]).tolist()
    by_subject = [{"subject": s, **_shape(label[labelled & (subject == s)], names)} for s in subjects]
    one_class = [s for s in subjects if len(np.unique(label[labelled & (subject == s)])) < 2]
    known = np.isfinite(raw)
    nominal = kind == "condition" or raw_names is not None
    measured = label if nominal else raw
    shares: dict[str, float] | Undefined
    if nominal and target.traits.several:
        shares = Undefined("classes without an order have no variance")
    else:
        some = np.isfinite(measured)
        shares = variance_shares(measured[some], subject[some], stimulus[some])
    overall = _shape(label[labelled], names)
    if names and (stimuli := _stimuli_of_classes(label[labelled], subject[labelled], stimulus[labelled], len(names))):
        overall["classes"] = [{**c, "stimuli": n} for c, n in zip(overall["classes"], stimuli, strict=True)]
    described = {
        **head,
        "label_kind": kind,
        "unit_s": cut_of(kind, protocol).length_s,
        "units": len(units),
        "without_label": int((~labelled).sum()),
        "dropped": _dropped(units, table[target.label], target.rule, raw, label),
        "people": len(subjects),
        "people_with_several_labels": len(subjects) - len(one_class),
        "one_class_only": one_class,
        "without_any_label": sorted(set(subject.tolist()) - set(subjects)),
        **overall,
        "at_cut": _at_cut(target.rule, raw[known]),
        "variance": {"undefined": shares.reason} if isinstance(shares, Undefined) else _method(shares),
        "agreement": _agreement(store, units, target, protocol, table, nominal, card.raters.get(target.label)),
        "per_person": by_subject,
    }
    if fitted:
        cut = f"{target.rule.cut:.3g}"
        warning = (
            f"the threshold is the mean over all subjects, {cut}; a run uses the mean of the training part of each fold"
        )
        return {**described, "warnings": [warning, *_warnings(target, described)]}
    return {**described, "warnings": _warnings(target, described)}


def _method(shares: Mapping[str, float]) -> dict[str, Any]:
    factors = [name for name in shares if name != "rest"]
    effects = (
        "crossed random effects of subject and stimulus" if len(factors) > 1 else f"random effects of {factors[0]}"
    )
    return {**shares, "method": f"{effects}, Henderson's method 1"}


def class_names(target: Target, raw: Sequence[str] | None) -> list[str]:
    """Names of the target's classes, from the names of raw conditions where there are any; none of a value."""
    rule = target.rule
    if not target.traits.has_classes:
        return []
    if raw is None:
        two = ["negative", "positive"] if rule.positive else ["low", "high"]
        return two if target.n == 2 else [str(k) for k in range(target.n)]
    if rule.positive:
        return [" or ".join(raw[k] for k in side) for side in (rule.negative, rule.positive)]
    chosen = rule.classes or tuple(range(target.n))
    return [raw[k] for k in chosen]


def _shape(label: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Distribution of labels (n,) of one subject or of all."""
    if names:
        counts = np.bincount(label.astype(int), minlength=len(names))
        rows = zip(names, counts.tolist(), strict=True)
        return {
            "labelled": len(label),
            "classes": [{"name": n, "units": c, "share": c / max(1, len(label))} for n, c in rows],
        }
    if not len(label):
        return {"labelled": 0, "values": None}
    figures = {"mean": label.mean(), "sd": label.std(), "low": label.min(), "high": label.max()}
    return {"labelled": len(label), "values": {name: float(figure) for name, figure in figures.items()}}


def _stimuli_of_classes(label: np.ndarray, subject: np.ndarray, stimulus: np.ndarray, classes: int) -> list[int] | None:
    """Number of stimuli of each class, where all who met a stimulus have one label (n,) there; None elsewhere, and
    where no two subjects met the same stimuli."""
    met_by: dict[str, set[str]] = {}
    classes_at: dict[str, set[int]] = {}
    for y, who, where in zip(label.astype(int).tolist(), subject.tolist(), stimulus.tolist(), strict=True):
        met_by.setdefault(where, set()).add(who)
        classes_at.setdefault(where, set()).add(y)
    shared = sum(len(subjects) > 1 for subjects in met_by.values()) > 1
    if not shared or any(len(found) > 1 for found in classes_at.values()):
        return None
    return np.bincount([y for found in classes_at.values() for y in found], minlength=classes).tolist()


def _dropped(
    units: Sequence[Unit], labels: Mapping[str, Label], rule: LabelRule, raw: np.ndarray, label: np.ndarray
) -> dict[str, int]:
    """Reason -> units without a label for it."""
    first, _ = label_units(units, labels, replace(rule, aggregate="value"))
    annotated, known, lost = np.isfinite(first), np.isfinite(raw), np.isnan(label)
    in_band = np.zeros(len(raw), bool)
    if rule.dead_band:
        in_band = (raw >= rule.dead_band[0]) & (raw <= rule.dead_band[1])
    on_cut = raw == rule.cut if rule.cut is not None else np.zeros(len(raw), bool)
    reasons = {
        "not annotated": ~annotated,
        "values disagree": annotated & ~known,
        "in the dead band": known & lost & in_band,
        "on the cut": known & lost & on_cut & ~in_band,
        "a class that does not count": known & lost & ~in_band & ~on_cut,
    }
    counts = {reason: int(where.sum()) for reason, where in reasons.items()}
    return {reason: count for reason, count in counts.items() if count}


def _at_cut(rule: LabelRule, raw: np.ndarray) -> dict[str, Any] | None:
    """Number of summary values exactly on the cut; None where the rule has none."""
    if rule.cut is None:
        return None
    count = int((raw == rule.cut).sum())
    return {"cut": rule.cut, "units": count, "share": count / max(1, len(raw)), "ties": rule.ties}


def _agreement(
    store: Store,
    units: Sequence[Unit],
    target: Target,
    protocol: Protocol,
    table: Mapping[str, Mapping[str, Label]],
    nominal: bool,
    raters: Raters | None,
) -> list[dict[str, Any]]:
    """Each set of annotators of the target's label, over the values that the target's rule makes of a unit; those that
    the card names come first."""
    kinds: dict[str, Any] = dict(store.label_kinds)
    cut = cut_of(kinds[target.label], protocol)
    usable = [n for n, kind in kinds.items() if cut_of(kind, protocol) == cut]
    found = []
    named = [name for name in (raters.labels if raters else ()) if name in usable]
    sets = [some for some in annotator_sets(usable, target.label) if some != named]
    for names in [named] * (len(named) > 1) + sets:
        values = np.stack([label_units(units, table[name], target.rule)[0] for name in names])
        alpha = krippendorff_alpha(values, nominal)
        found.append({
            "labels": names,
            "units": int((np.isfinite(values).sum(0) > 1).sum()),
            "alpha": None if isinstance(alpha, Undefined) else alpha,
            "metric": "nominal" if nominal else "interval",
            **({"undefined": alpha.reason} if isinstance(alpha, Undefined) else {}),
            "pairs": pairwise(names, values, nominal),
        })  # fmt: skip
    return found


def _warnings(target: Target, described: Mapping[str, Any]) -> list[str]:
    warned = []
    at_cut = described["at_cut"]
    if at_cut and at_cut["share"] > MANY_TIES:
        go = {
            "low": "count as low; counting them as high would change as many labels",
            "high": "count as high; counting them as low would change as many labels",
            "drop": "have no label",
        }
        warned.append(
            f"{at_cut['share']:.0%} of the units are at the threshold of {at_cut['cut']:g} and {go[at_cut['ties']]}"
        )
    if target.traits.has_classes:
        empty = [c["name"] for c in described["classes"] if not c["units"]]
        if empty:
            warned.append(f"no unit has the class {' or '.join(empty)}")
        few = [f"{c['name']} {c['stimuli']}" for c in described["classes"] if 0 < c.get("stimuli", 0) < FEW_STIMULI]
        if few:
            named = ", ".join(few[:MOST_CLASSES]) + (f" and {len(few) - MOST_CLASSES} more" * (len(few) > MOST_CLASSES))
            warned.append(
                f"some classes have fewer than {FEW_STIMULI} stimuli ({named}), so a score hardly generalises beyond "
                "these stimuli"
            )
    if described["people"] and len(described["one_class_only"]) > described["people"] / 2:
        warned.append("the labels of most subjects are constant, so these subjects have no within-subject score")
    return warned
