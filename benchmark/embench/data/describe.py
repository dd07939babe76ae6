"""Describe a dataset: statistics of labels, and a shareable report without recordings."""

from __future__ import annotations

import errno
import inspect
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from scipy import stats

from embench.data.checks import CheckedFiles
from embench.files import folder_digest
from embench.interfaces.agreement import concordance
from embench.interfaces.dataset import Card, Dataset
from embench.interfaces.metric import Undefined
from embench.interfaces.raters import Raters
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target, Unit
from embench.protocols import Protocol, choose_cut, fitted_rule, label_units, make_units
from embench.store import Store

# Statistics of labels: the variance that subjects and stimuli explain, and the agreement of annotators.


def split_variance(values: np.ndarray, subject: np.ndarray, stimulus: np.ndarray) -> dict[str, float] | Undefined:
    """Return the proportions of the variance of `values` (n,) between subjects, between stimuli, and in the residual.

    The residual includes interactions of subject and stimulus, changes over time, and noise. The random components of y
    = mean + subject + stimulus + residual come from Henderson's method 1, which allows unbalanced data. For balanced
    data it equals the analysis of variance (Henderson 1953, doi 10.2307/3001853; Searle, Casella and McCulloch 1992,
    chapter 5). Negative estimates count as 0. A factor with one level is excluded.
    """
    factors = {}
    for name, codes in (("person", subject), ("stimulus", stimulus)):
        kinds, code = np.unique(codes, return_inverse=True)
        if len(kinds) > 1:
            factors[name] = np.eye(len(kinds))[code]
    n = len(values)
    if not factors or n < 3:
        return Undefined("too few subjects and units")
    if np.ptp(values) == 0:
        return Undefined("the values do not vary")
    y = values - values.mean()
    # Uncorrected sums of squares by each factor and of all values (that of the mean is 0), and the expectation of each
    # as a sum of the unknown components: those of the factors in turn, then that of the rest.
    sums, expected = [], []
    for factor in factors.values():
        size = factor.sum(0)
        sums.append((((y @ factor) ** 2) / size).sum())
        shared = [(((factor.T @ other) ** 2).sum(1) / size).sum() for other in factors.values()]
        expected.append([*shared, float(len(size))])
    sums.append((y**2).sum())
    expected.append([float(n)] * (len(factors) + 1))
    mean_terms = [(factor.sum(0) ** 2).sum() / n for factor in factors.values()]
    system = np.array(expected) - [*mean_terms, 1.0]
    if np.linalg.matrix_rank(system / np.abs(system).max(), tol=1e-9) < len(system):
        return Undefined("subject, stimulus and unit cannot be separated")
    parts = np.linalg.solve(system, np.array(sums)).clip(0)
    return dict(zip([*factors, "rest"], (parts / parts.sum()).tolist(), strict=True))


def krippendorff_alpha(values: np.ndarray, nominal: bool = False) -> float | Undefined:
    """Return Krippendorff's alpha of annotators: 1 is perfect agreement, 0 is agreement by chance.

    Alpha is 1 - D_o / D_e, from observed and expected disagreement. Two values disagree by their squared difference;
    nominal values by 1 if they are unequal (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability). Units with
    one value are excluded.

    Args:
        values: (annotators, units), NaN where an annotator gave no value.
    """
    values = values[:, np.isfinite(values).sum(0) > 1]
    known = np.isfinite(values)
    if not values.size:
        return Undefined("no unit has two annotations")
    kinds = np.unique(values[known])
    # Nominal values become corners at equal distances.
    points = (values[..., None] == kinds).astype(float) if nominal else np.where(known, values, 0.0)[..., None]
    points = np.where(known[..., None], points - points[known].mean(0), 0.0)
    m, n = known.sum(0), int(known.sum())
    # Over ordered pairs of k points the squared distances sum to 2 (k * sum of squares - square of the sum).
    within = 2 * (m * (points**2).sum((0, 2)) - (points.sum(0) ** 2).sum(1))
    observed = (within / (m - 1)).sum() / n
    expected = 2 * n * (points**2).sum() / (n * (n - 1))
    return float(1 - observed / expected) if len(kinds) > 1 else Undefined("all values are equal")


def list_annotator_sets(names: Iterable[str], label: str) -> list[list[str]]:
    """Return sets of raw labels by several annotators of the same quantity as `label`, to be compared within a set.

    `X`, `X_partner` and `X_external`, the ratings of X by three parties, are one set. `X_external_r1`, `X_external_r2`
    (or `X_annotator1`, ...), the ratings of single observers, are another set, since `X_external` may be their mean.
    """
    form = _FORM.fullmatch(label)
    forms = {name: match for name in sorted(names) if (match := _FORM.fullmatch(name))}
    parties = [n for n, match in forms.items() if form and match["base"] == form["base"] and not match["number"]]
    return [some for some in (parties, list_single_raters(forms, label)) if len(some) > 1]


def list_single_raters(names: Iterable[str], label: str) -> list[str]:
    """Return the labels among `names` that single raters of `label` gave, such as `X_external_r1` for `X_external`.

    >>> list_single_raters(["calm", "calm_r1", "calm_r2", "mood_r1"], "calm")
    ['calm_r1', 'calm_r2']
    """
    form = _FORM.fullmatch(label)
    forms = {name: match for name in sorted(names) if (match := _FORM.fullmatch(name))}
    return [n for n, match in forms.items() if form and match["view"] == form["view"] and match["number"]]


_FORM = re.compile(r"(?P<view>(?P<base>.+?)(?:_(?:self|partner|external))?)(?P<number>_(?:r|annotator)\d+)?")


def compare_pairs(names: list[str], values: np.ndarray, nominal: bool) -> list[dict[str, Any]]:
    """Return one mapping for each pair of annotators in `values` (annotators, units): their names `one` and `other`,
    and the number of common `units`. `equal` is the proportion of equal nominal values; for others, `spearman` and
    `ccc` (Lin's concordance) are correlations, None if one does not vary."""
    rows = []
    for a, b in combinations(range(len(names)), 2):
        common = np.isfinite(values[[a, b]]).all(0)
        one, other = values[a, common], values[b, common]
        row: dict[str, Any] = {"one": names[a], "other": names[b], "units": int(common.sum())}
        if nominal:
            row["equal"] = float((one == other).mean()) if len(one) else None
        else:
            varied = len(one) > 2 and np.ptp(one) > 0 and np.ptp(other) > 0
            row["spearman"] = float(stats.spearmanr(one, other).statistic) if varied else None
            row["ccc"] = float(concordance(one, other, np.zeros(len(one), int), 1)[0]) if varied else None
        rows.append(row)
    return rows


# Report on a dataset's labels under a protocol: class proportions, ties, exclusions, rater agreement.

MANY_TIES = 0.05
"""Proportion of units exactly on the cut, above which a warning says that the tie rule decides too many labels."""
FEW_STIMULI = 10
"""Number of stimuli in a class, below which a warning is given: other properties of the stimuli may tell the class."""
MOST_CLASSES = 10
"""Largest number of classes that a warning lists."""


def describe_labels(store: Store, card: Card, targets: Sequence[Target], protocol: Protocol) -> list[dict[str, Any]]:
    """Return one mapping per target, of plain values.

    `units`: their number; `without_label`: units without a label, whose reasons `dropped` counts. `classes`: name,
    units and share of each class, with the number of `stimuli` if the stimulus alone decides the label. Continuous
    targets have `values` instead (mean, sd, low, high). `per_person`: the same for each labelled subject.
    `one_class_only`: subjects with constant labels. `without_any_label`: subjects. `at_cut`: units exactly on the cut.
    `variance`: proportions of the raw values' variance. `agreement`: of annotators, if there are several. `warnings`.
    """
    table = store.labels()
    return [_describe_target(store, card, target, protocol, table) for target in targets]


def _describe_target(
    store: Store, card: Card, target: Target, protocol: Protocol, table: Mapping[str, Mapping[str, Label]]
) -> dict[str, Any]:
    """Describe one target, see `describe_labels`. `table`: label name -> recording -> label."""
    head: dict[str, Any] = {"target": target.name, "kind": target.kind, "label": target.label}
    kind: Any = store.label_kinds.get(target.label)
    if kind is None:
        return {**head, "units": 0, "subjects": 0, "warnings": ["the data have no labels for it"]}
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
    by_subject = [{"subject": s, **_describe_distribution(label[labelled & (subject == s)], names)} for s in subjects]
    one_class = [s for s in subjects if len(np.unique(label[labelled & (subject == s)])) < 2]
    known = np.isfinite(raw)
    nominal = kind == "condition" or raw_names is not None
    measured = label if nominal else raw
    shares: dict[str, float] | Undefined
    if nominal and target.traits.has_score_per_class:
        shares = Undefined("classes without an order have no variance")
    else:
        some = np.isfinite(measured)
        shares = split_variance(measured[some], subject[some], stimulus[some])
    overall = _describe_distribution(label[labelled], names)
    if names and (stimuli := _count_stimuli(label[labelled], subject[labelled], stimulus[labelled], len(names))):
        overall["classes"] = [{**c, "stimuli": n} for c, n in zip(overall["classes"], stimuli, strict=True)]
    described = {
        **head,
        "label_kind": kind,
        "unit_s": choose_cut(kind, protocol).length_s,
        "units": len(units),
        "without_label": int((~labelled).sum()),
        "dropped": _count_dropped(units, table[target.label], target.rule, raw, label),
        "subjects": len(subjects),
        "people_with_several_labels": len(subjects) - len(one_class),
        "one_class_only": one_class,
        "without_any_label": sorted(set(subject.tolist()) - set(subjects)),
        **overall,
        "at_cut": _count_at_cut(target.rule, raw[known]),
        "variance": {"undefined": shares.reason} if isinstance(shares, Undefined) else _add_method(shares),
        "agreement": _describe_agreement(store, units, target, protocol, table, nominal, card.raters.get(target.label)),
        "per_person": by_subject,
    }
    if fitted:
        threshold = f"the threshold is the mean over all subjects, {target.rule.cut:.3g}"
        warning = f"{threshold}; a run uses the mean of the training part of each fold"
        return {**described, "warnings": [warning, *_list_warnings(target, described)]}
    return {**described, "warnings": _list_warnings(target, described)}


def _add_method(shares: Mapping[str, float]) -> dict[str, Any]:
    """Return proportions of variance with the name of the method that computed them."""
    factors = [name for name in shares if name != "rest"]
    effects = (
        "crossed random effects of subject and stimulus" if len(factors) > 1 else f"random effects of {factors[0]}"
    )
    return {**shares, "method": f"{effects}, Henderson's method 1"}


def class_names(target: Target, raw: Sequence[str] | None) -> list[str]:
    """Return the names of a target's classes, made from the conditions `raw` if given; empty for continuous targets."""
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


def _describe_distribution(label: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Return the distribution of labels (n,) of one subject or of all."""
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


def _count_stimuli(label: np.ndarray, subject: np.ndarray, stimulus: np.ndarray, classes: int) -> list[int] | None:
    """Return the number of stimuli of each class, if each stimulus has the same label for all subjects; None otherwise,
    and if fewer than two stimuli are shared by subjects. `label`, `subject`, `stimulus`: (n,) of units."""
    met_by: dict[str, set[str]] = {}
    classes_at: dict[str, set[int]] = {}
    for y, who, what in zip(label.astype(int).tolist(), subject.tolist(), stimulus.tolist(), strict=True):
        met_by.setdefault(what, set()).add(who)
        classes_at.setdefault(what, set()).add(y)
    shared = sum(len(subjects) > 1 for subjects in met_by.values()) > 1
    if not shared or any(len(labels) > 1 for labels in classes_at.values()):
        return None
    return np.bincount([y for labels in classes_at.values() for y in labels], minlength=classes).tolist()


def _count_dropped(
    units: Sequence[Unit], labels: Mapping[str, Label], rule: LabelRule, raw: np.ndarray, label: np.ndarray
) -> dict[str, int]:
    """Return reason -> number of units without a label for that reason."""
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


def _count_at_cut(rule: LabelRule, raw: np.ndarray) -> dict[str, Any] | None:
    """Count summary values exactly on the cut; None if the rule has no cut."""
    if rule.cut is None:
        return None
    count = int((raw == rule.cut).sum())
    return {"cut": rule.cut, "units": count, "share": count / max(1, len(raw)), "ties": rule.ties}


def _describe_agreement(
    store: Store,
    units: Sequence[Unit],
    target: Target,
    protocol: Protocol,
    table: Mapping[str, Mapping[str, Label]],
    nominal: bool,
    raters: Raters | None,
) -> list[dict[str, Any]]:
    """Return the agreement in each set of annotators of the target's label, from one value per annotator and unit. The
    set that the dataset card names comes first."""
    kinds: dict[str, Any] = dict(store.label_kinds)
    cut = choose_cut(kinds[target.label], protocol)
    usable = [n for n, kind in kinds.items() if choose_cut(kind, protocol) == cut]
    described = []
    named = [name for name in (raters.labels if raters else ()) if name in usable]
    sets = [labels for labels in list_annotator_sets(usable, target.label) if labels != named]
    for names in [named] * (len(named) > 1) + sets:
        values = np.stack([label_units(units, table[name], target.rule)[0] for name in names])
        alpha = krippendorff_alpha(values, nominal)
        described.append({
            "labels": names,
            "units": int((np.isfinite(values).sum(0) > 1).sum()),
            "alpha": None if isinstance(alpha, Undefined) else alpha,
            "metric": "nominal" if nominal else "interval",
            **({"undefined": alpha.reason} if isinstance(alpha, Undefined) else {}),
            "pairs": compare_pairs(names, values, nominal)
        })  # fmt: skip
    return described


def _list_warnings(target: Target, described: Mapping[str, Any]) -> list[str]:
    """Return warnings on a target's labels: many ties, empty classes, few stimuli, constant labels."""
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
    if described["subjects"] and len(described["one_class_only"]) > described["subjects"] / 2:
        warned.append("the labels of most subjects are constant, so these subjects have no within-subject score")
    return warned


# A shareable report on restricted data: enough to fix a reader, without anything that the licence protects.
#
# It contains shapes, types, rates, positions of missing samples, orders of magnitude and counts. It contains no sample,
# label value, path, file name, hash, or name of a subject, recording or stimulus. Messages of the reader, which may
# quote these, are reduced to words of its code.

REPORT_FORMAT = 1
_PARTS = 10
"""Number of parts of a recording in the map of lost samples."""


class DataReport:
    """A report built while recordings are read; call `document` after the last one."""

    def __init__(self) -> None:
        self._recordings: dict[str, list[dict[str, Any]]] = {}
        self._names: set[str] = set()
        self._groups: dict[str, set[str]] = {}
        self._stimuli: set[str] = set()

    def add(self, recording: Recording) -> None:
        """Add the shareable facts of a recording."""
        self._names |= {recording.id, recording.subject, recording.stimulus, recording.session, recording.group}
        self._groups.setdefault(recording.group, set()).add(recording.subject)
        self._stimuli.add(recording.stimulus)
        self._recordings.setdefault(recording.subject, []).append({
            "duration_s": round(float(recording.duration_s), 3),
            "start_known": recording.start_s is not None,
            "order_known": recording.order is not None,
            "video": recording.video is not None,
            "signals": {modality: _describe_signal(signal) for modality, signal in recording.signals.items()},
            "labels": {name: _describe_label(label) for name, label in sorted(recording.labels.items())}
        })  # fmt: skip

    def document(
        self, name: str, code: str, reader: type[Dataset], card: Card, checked: CheckedFiles, *, synthetic: bool
    ) -> dict[str, Any]:
        """Return the report as JSON-like values.

        Args:
            name: the dataset's full registry name.
            code: identity of the reader's code.
        """
        words = find_message_words(reader)
        known = self._names | {part for file in checked.files for part in _split_parts(file.name)}
        messages = Counter((f.severity, mask_message(f.what, known, words)) for f in checked.findings)
        return {
            "report": "embench data verify --share",
            "format": REPORT_FORMAT,
            "dataset": name,
            "reader": code,
            "card": folder_digest(repr(card)),
            "synthetic": synthetic,
            "subjects": checked.subjects,
            "subjects_with_recordings": len(self._recordings),
            "groups_of": dict(Counter(str(len(members)) for members in self._groups.values())),
            "recordings": checked.recordings,
            "stimuli": len(self._stimuli),
            "files": _summarise_files(checked),
            "labels": {n: vars(count) for n, count in sorted(checked.labels.items())},
            "findings": [{"severity": s, "what": what, "times": n} for (s, what), n in messages.items()],
            "recordings_by_subject": [
                {"subject": number, "recordings": recordings}
                for number, recordings in enumerate(self._recordings.values(), 1)
            ],
        }


def find_message_words(reader: type[Dataset]) -> set[str]:
    """Return the words that error messages of a reader can contain: words of the reader's package, of the general
    checks, and of system errors. Any other word in a message may come from the data."""
    parent = reader.__module__.rpartition(".")[0].rpartition(".")[0]
    folders = [*(Path(__file__).parents[1] / name for name in ("data", "store"))]
    folders += map(Path, getattr(sys.modules.get(parent), "__path__", ()))
    files = [Path(inspect.getfile(reader)), *(file for folder in folders for file in folder.rglob("*.py"))]
    texts = [*(file.read_text("utf-8", errors="replace") for file in files), *map(os.strerror, errno.errorcode)]
    return {word for text in texts for word in _WORD.findall(text)}


_WORD = re.compile("[^\\W\\d_]+")


def mask_message(text: str, names: Iterable[str], words: Collection[str] = ()) -> str:
    """Return a message with `#` instead of quoted text, `names`, and words with digits or slashes.

    Args:
        words: if not empty, all other words are masked, too. A capitalised word is kept only at the start.
    """
    text = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", "#", text)
    whole = {name.lower() for name in names if name}
    made: list[str] = []
    for word in re.split(r"(\s+|[,;:()\[\]])", text):
        bare = word.strip(".!?").lower()
        known = all(_is_known(part, words, first=not made) for part in _WORD.findall(word)) if words else True
        made.append("#" if bare in whole or not known or re.search(r"[\d/\\]|\w\.\w", word) else word)
    return "".join(made)


def _is_known(word: str, words: Collection[str], *, first: bool) -> bool:
    """Return True if a word is in `words`. A capitalised word counts only if it is `first`: others may be names."""
    return word.lower() in words if first and word.istitle() else word in words and not word.istitle()


def _describe_signal(signal: Signal) -> dict[str, Any]:
    data = np.moveaxis(np.asarray(signal.data), signal.time_axis, -1)
    lost = ~np.isfinite(data)
    return {
        "shape": list(data.shape),
        "dtype": str(data.dtype),
        "rate": float(signal.rate),
        "unit": signal.unit,
        "missing": [[_round_share(part) for part in np.array_split(row, _PARTS)] for row in lost] if lost.any() else 0,
        "magnitude": [_describe_magnitude(row) for row in data],
        "constant": [bool(np.ptp(row[np.isfinite(row)]) == 0) if np.isfinite(row).any() else None for row in data],
    }


def _describe_label(label: Label) -> dict[str, Any]:
    values = np.asarray(label.values, np.float64)
    steps = np.diff(label.times) if label.times is not None and len(label.times) > 1 else np.empty(0)
    return {
        "kind": label.kind,
        "values": int(values.size),
        "missing": int((~np.isfinite(values)).sum()),
        "classes": None if label.classes is None else len(label.classes),
        "step_s": round(float(np.median(steps)), 3) if steps.size else None,
    }


def _describe_magnitude(row: np.ndarray) -> str:
    """Return the powers of ten that enclose the middle 90 % of the absolute values, as in `1e-1..1e1`."""
    size = np.abs(row[np.isfinite(row) & (row != 0)])
    if size.size == 0:
        return "none"
    low, high = np.percentile(size.astype(np.float64), [5, 95])
    return f"1e{math.floor(math.log10(low))}..1e{math.ceil(math.log10(high))}"


def _round_share(part: np.ndarray) -> float:
    return round(float(part.mean()), 2) if part.size else 0.0


def _summarise_files(checked: CheckedFiles) -> Mapping[str, Any]:
    """Return file extension -> number of files, smallest and largest size in MB. Digits in extensions become `#`."""
    sizes: dict[str, list[int]] = {}
    for file in checked.files:
        ending = re.sub(r"\d", "#", PurePath(file.name).suffix.lower())
        sizes.setdefault(f"*{ending}", []).append(file.size)
    return {
        ending: {"files": len(all_), "megabytes": [round(min(all_) / 1e6, 1), round(max(all_) / 1e6, 1)]}
        for ending, all_ in sorted(sizes.items())
    }


def _split_parts(name: str) -> Iterable[str]:
    for part in Path(name).parts:
        yield part
        yield Path(part).stem
