"""Figures of a run: ROC and calibration curves, learning curves, decision curves and embeddings."""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from sklearn.metrics import roc_curve

from embench.interfaces.metric import Undefined, count_confusions
from embench.interfaces.ranking import compare_classes, mean_ignoring_nan
from embench.interfaces.units import Target
from embench.records.manifest import Manifest, MethodPart
from embench.records.predictions import MODEL, Embeddings, Labels, Predictions, read_embeddings
from embench.records.record import Record
from embench.records.wording import counted, format_figure, format_interval, grouped, join_with_and
from embench.report.drawing import SYMBOLS, Axis, Figure, Panel, bars, error_bars, figure, heat, line, rule, scatter
from embench.report.facts import RunFacts
from embench.report.page import SectionBody, figure_row, figure_with_table, join_named, paragraph, with_reasons
from embench.statistics.calibration import RARE, THRESHOLDS, Bin, Calibration, recorded_calibration
from embench.statistics.joined import Joined, labels_of
from embench.statistics.probes import LABEL, STIMULUS, SUBJECT, ProbeResult, linear_probe
from embench.system import fitting
from embench.vocabulary import label

# ROC curves, confusion matrices and calibration of several classes: computed in every fold and seed, then averaged.

CURVE_WIDTH = 420.0
NO_UNIT = Undefined("no labelled unit was predicted")
RATE_GRID = np.linspace(0, 1, 51)
RELIABILITY_BINS = 10
MIN_UNITS_IN_BIN = 5
"""Smallest number of a fold's units in a bin of the calibration curve; a proportion of fewer units is too uncertain."""


def mean_and_band(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, 10th and 90th percentile of curves (n, places) at each place; NaN is excluded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the result is NaN where all curves are
        low, high = np.nanquantile(curves, [0.1, 0.9], axis=0)
    return mean_ignoring_nan(curves), low, high


def roc_or_values(run: RunFacts, target: Target) -> Markup | Undefined:
    """Return the ROC curve of a target; for a continuous target, true values against predictions."""
    joined = run.joined_units(target)
    if MODEL not in joined:
        return NO_UNIT
    drawn = _draw_roc(run, target, joined) if target.traits.has_classes else _draw_values(target, joined[MODEL])
    return figure_row([drawn])


def _folds(joined: Joined) -> str:
    seeds, folds = len(joined.seeds), len({fold for _, fold, _ in joined})
    return f"{folds} {'fold' if folds == 1 else 'folds'} of {seeds} {'seed' if seeds == 1 else 'seeds'}"


def roc_curves(joined: Joined, k: int) -> np.ndarray:
    """Return the true positive rates (curves, 51) of class `k` at the false positive rates `RATE_GRID`, one curve for
    each fold and seed that has units of this and of other classes."""
    curves = []
    for _, _, units in joined:
        positive, score = compare_classes(units)[k]
        if 0 < positive.sum() < len(positive):
            x, y, _ = roc_curve(positive, score, drop_intermediate=False)
            curves.append(np.interp(RATE_GRID, x, y))
    # All curves begin at the corner (0, 0), even those that rise before the first false positive.
    table = np.array(curves).reshape(-1, len(RATE_GRID))
    table[:, 0] = 0.0
    return table


def _draw_roc(run: RunFacts, target: Target, joined: dict[str, Joined]) -> Markup:
    names = run.classes(target)
    marks = [line([0, 1], [0, 1], colour="muted", dashed=True, width=1.2, label="chance")]
    head, columns = ["false positive rate"], [RATE_GRID]
    several = target.traits.has_score_per_class
    for k in range(target.n if several else 1):
        table = roc_curves(joined[MODEL], k)
        if len(table):
            name = f"{names[k]} against the rest" if several else "model"
            mean, low, high = mean_and_band(table)
            marks.append(line(RATE_GRID, mean, low, high, colour=k, label=name))
            head += [name, "10 %", "90 %"]
            columns += [mean, low, high]
    control, _ = run.scores.find_strongest_model(target.name, "auroc") or (None, None)
    if not several and control in joined and len(table := roc_curves(joined[control], 0)):
        name = f"strongest model without a signal: {label(control)}"
        marks.append(line(RATE_GRID, table.mean(0), colour=1, dashed=True, label=name))
        head.append(label(control))
        columns.append(table.mean(0))
    score = run.scores.get_score(target.name, "auroc")
    note = (
        f"Mean of the curves of {_folds(joined[MODEL])} at each false positive rate; the band contains 80 % of them. "
        "Scores are not pooled over folds."
    )
    if score:
        note += f" AUROC, averaged the same way: {format_figure(score.mean)}."
    panel = Panel("ROC curve", marks, Axis("false positive rate", 0, 1), Axis("true positive rate", 0, 1), 300)
    drawn = figure([panel], f"ROC curve of {target.name}", note, width=CURVE_WIDTH)
    return figure_with_table(drawn, head, [tuple(map(float, row)) for row in zip(*columns, strict=True)], note)


def calibration_curves(joined: Joined) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return three arrays (curves, 10) for the most probable class: mean probability, observed frequency, and
    proportion of units in each bin. The first two are NaN in bins with fewer than `MIN_UNITS_IN_BIN` units."""
    predicted, true, in_bin = [], [], []
    for _, _, units in joined:
        p, y = units.score.max(1), units.score.argmax(1) == units.y_true
        code = np.minimum((p * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
        n = np.bincount(code, minlength=RELIABILITY_BINS)
        enough = np.where(n >= MIN_UNITS_IN_BIN, n, np.nan)
        predicted.append(np.bincount(code, p, RELIABILITY_BINS) / enough)
        true.append(np.bincount(code, y, RELIABILITY_BINS) / enough)
        in_bin.append(n / max(1, len(p)))
    return np.array(predicted), np.array(true), np.array(in_bin)


def _draw_calibration(run: RunFacts, target: Target, joined: Joined) -> Markup:
    predicted, true, in_bin = calibration_curves(joined)
    x, used, counted = mean_ignoring_nan(predicted), in_bin.mean(0), np.isfinite(true).sum(0)
    y, low, high = mean_and_band(true)
    known = np.isfinite(x)
    middle = (np.arange(RELIABILITY_BINS) + 0.5) / RELIABILITY_BINS
    marks = [
        line([0, 1], [0, 1], colour="muted", dashed=True, width=1.2, label="calibrated"),
        bars(middle, used, colour="muted", width=0.08, opacity=0.25, label="proportion of units"),
        line(x[known], y[known], low[known], high[known], symbol="circle", label="model"),
    ]
    note = (
        "Predicted probability of the most probable class, in ten equal bins, against the observed frequency: mean "
        f"over {_folds(joined)} with at least {MIN_UNITS_IN_BIN} units in a bin; the band contains 80 % of them."
    )
    for metric, called in (("ece", "expected calibration error"), ("brier", "Brier score")):
        if score := run.scores.get_score(target.name, metric):
            note += f" {called.capitalize()} {format_figure(score.mean)}."
    panel = Panel("Calibration", marks, Axis("predicted probability", 0, 1), Axis("observed frequency", 0, 1), 300)
    edges = [f"{k / RELIABILITY_BINS:.1f} to {(k + 1) / RELIABILITY_BINS:.1f}" for k in range(RELIABILITY_BINS)]
    rows = [
        (edges[k], *(float(c[k]) for c in (x, y, low, high, used)), int(counted[k])) for k in range(RELIABILITY_BINS)
    ]
    head = ("bin", "mean probability", "observed frequency", "10 %", "90 %", "proportion of units", "folds and seeds")
    drawn = figure([panel], f"Calibration of {target.name}", note, width=CURVE_WIDTH)
    return figure_with_table(drawn, head, rows, note)


def _draw_values(target: Target, joined: Joined) -> Markup:
    """Draw true against predicted values: their means in each tenth of a fold's predictions."""
    predicted, true = [], []
    for _, _, units in joined:
        parts = np.array_split(np.argsort(units.score, kind="stable"), RELIABILITY_BINS)
        predicted.append([units.score[p].mean() if len(p) else np.nan for p in parts])
        true.append([units.y_true[p].mean() if len(p) else np.nan for p in parts])
    x, (y, low, high) = mean_ignoring_nan(np.array(predicted)), mean_and_band(np.array(true))
    all_units = [units for _, _, units in joined]
    rng = np.random.default_rng(0)
    truth, prediction = (np.concatenate([getattr(u, name) for u in all_units]) for name in ("y_true", "score"))
    drawn_units = rng.permutation(len(truth))[:1500]
    ends = [min(truth.min(), prediction.min()), max(truth.max(), prediction.max())]
    marks = [
        line(ends, ends, colour="muted", dashed=True, width=1.2, label="equal"),
        scatter(prediction[drawn_units], truth[drawn_units], colour="muted", size=1.5, opacity=0.3, label="units"),
        line(x, y, low, high, symbol="circle", label="deciles of the predictions"),
    ]
    note = (
        f"Mean of the true values in each decile of the predictions, computed in each of {_folds(joined)} and then "
        "averaged; the band contains 80 % of them."
    )
    if len(truth) > len(drawn_units):
        note += f" {len(drawn_units):,} of {len(truth):,} units, from all folds, are drawn behind them."
    panel = Panel("Predicted and true values", marks, Axis("predicted"), Axis("true"), 300)
    rows = [(k + 1, *(float(c[k]) for c in (x, y, low, high))) for k in range(RELIABILITY_BINS)]
    drawn = figure([panel], f"Predicted and true values of {target.name}", note, width=CURVE_WIDTH)
    return figure_with_table(drawn, ("decile", "predicted", "true", "10 %", "90 %"), rows, note)


def decisions(run: RunFacts, target: Target) -> Markup | Undefined:
    """Return the confusion matrix of a target; undefined for continuous targets."""
    joined = run.joined_units(target).get(MODEL)
    if not target.traits.has_classes:
        return Undefined("the target is a value, so there are no decisions")
    return NO_UNIT if joined is None else figure_row([_draw_confusion(run, target, joined)])


def confusion_matrix(joined: Joined) -> tuple[np.ndarray, np.ndarray]:
    """Return two arrays (true classes, decided classes): proportions in each true class, averaged over seeds, then over
    folds; and numbers of units, summed over folds and averaged over seeds."""
    counts = {(s, f): count_confusions(units, np.zeros(len(units), int), 1)[0] for s, f, units in joined}
    with np.errstate(invalid="ignore"):
        proportions = {key: table / table.sum(1, keepdims=True) for key, table in counts.items()}
    folds = sorted({fold for _, fold in counts})
    by_fold = [mean_ignoring_nan([proportions[s, f] for s in joined.seeds if (s, f) in proportions]) for f in folds]
    return mean_ignoring_nan(by_fold), sum(counts.values()) / len(joined.seeds)


def _draw_confusion(run: RunFacts, target: Target, joined: Joined) -> Markup:
    proportions, units = confusion_matrix(joined)
    names = run.classes(target)
    texts = [[format_figure(v, ".0%").replace("%", " %") for v in row] for row in proportions]
    side = max(40.0, 180.0 / target.n) * target.n
    cells_of = heat(proportions, texts, top=1.0)
    panel = Panel("Confusion matrix", [cells_of], Axis("decided", names=names), Axis("true", names=names), side)
    note = (
        f"Proportion of the units of each true class, averaged over {_folds(joined)}. The table also gives the "
        "number of units, summed over folds."
    )
    places = np.ndindex(target.n, target.n)
    rows = [(names[i], names[k], float(proportions[i, k]), float(units[i, k])) for i, k in places]
    drawn = figure([panel], f"Confusion matrix of {target.name}", note, width=CURVE_WIDTH)
    return figure_with_table(drawn, ("true", "decided", "proportion", "units, mean over seeds"), rows, note)


# Learning curves of the stages by epoch; the first epoch is 1, as in the progress of a run.

TRAINING_WIDTH = 420.0
LOSSES = {"loss": ("training subjects", False), "val_loss": ("validation subjects", True)}


def training_section(run: RunFacts) -> Markup | Undefined:
    """Return the section of learning curves: a figure for each kind of stage, modality and target."""
    if not run.record.history:
        return Undefined(run.why_no_network("history"))
    kinds: dict[tuple[str, ...], dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in run.record.history:
        kind = tuple(str(row[key]) for key in ("kind", "modality", "target") if row.get(key))
        kinds[kind][str(row["stage"])].append(dict(row))
    return figure_row([_draw_learning(", ".join(kind), list(stages.values())) for kind, stages in kinds.items()])


def _draw_learning(title: str, stages: list[list[dict[str, Any]]]) -> Markup:
    last = max(int(row["epoch"]) for rows in stages for row in rows)
    epochs = np.arange(last + 1)
    epoch_names = tuple(map(str, epochs + 1)) if last < 10 else ()  # no half epochs
    x = epochs if epoch_names else epochs + 1  # names of an axis are at 0, 1, ..
    marks, head, columns = [], ["epoch", "networks"], []
    for k, (name, (title, dashed)) in enumerate(LOSSES.items()):
        curves = np.full((len(stages), last + 1), np.nan)
        for i, rows in enumerate(stages):
            for row in rows:
                curves[i, int(row["epoch"])] = float(row.get(name) or "nan")
        if np.isfinite(curves).any():
            mean, low, high = mean_and_band(curves)
            marks.append(line(x, mean, low, high, colour=k, dashed=dashed, label=title))
            head += [title, "10 %", "90 %"]
            columns += [mean, low, high]
    trained = np.array([sum(any(int(r["epoch"]) == e for r in rows) for rows in stages) for e in epochs])
    note = f"Loss of {len(stages)} networks (folds and seeds): the mean, with a band that contains 80 % of them"
    note += ". At each epoch, only networks still in training count." if trained[-1] < len(stages) else "."
    panel = Panel(title, marks, Axis("epoch", names=epoch_names), Axis("loss"), 200)
    cells = [(int(e) + 1, int(trained[e]), *(float(c[e]) for c in columns)) for e in epochs]
    drawn = figure([panel], f"Learning curves: {title}", note, width=TRAINING_WIDTH)
    return figure_with_table(drawn, head, cells, note)


# Calibration and decision curve of a method's probabilities; see `statistics.calibration`.

_BIN_COLUMNS = (
    *("from", "to", "mean probability", "proportion positive", "low", "high", "units, mean over seeds", "subjects"),
)
_DECISION_COLUMNS = ("threshold", "cost of a false alarm", "model", "low", "high", "always", "shown above both")


def probability_checks(run: RunFacts, target: Target) -> Markup | Undefined:
    """Return the calibration of a target's probabilities, and for two classes the net benefit of alarms."""
    if not target.traits.has_classes:
        return Undefined("the target is a value, so there are no probabilities")
    if target.traits.has_score_per_class:
        joined = run.joined_units(target).get(MODEL)
        return NO_UNIT if joined is None else figure_row([_draw_calibration(run, target, joined)])
    found = recorded_calibration(run.record, target)
    return found if isinstance(found, Undefined) else describe_probabilities(found, target.name, run.manifest.method)


def describe_probabilities(found: Calibration, target: str, method: MethodPart) -> Markup:
    """Return the reliability diagram and the decision curve, with notes."""
    text = (
        f"The proportion of positive units is the lab's: {_percent(found.positive)} here. In daily life it is another, "
        "so that neither the calibration nor the net benefit carries over."
    )
    if method.submission:
        text += (
            " Its file's scores are taken as the probabilities that the format asks for; nothing more is known of them."
        )
    return paragraph(text) + figure_row([_draw_reliability(found, target), _draw_decisions(found, target)])


def _draw_reliability(found: Calibration, target: str) -> Markup:
    bins = found.bins
    at, observed = [b.predicted for b in bins], [b.observed for b in bins]
    marks = [
        line([0, 1], [0, 1], colour="muted", dashed=True, width=1.2, label="calibrated"),
        line(at, observed, opacity=0.5, width=1.2),
        error_bars(at, observed, [b.low for b in bins], [b.high for b in bins], label="model", tips=[*map(_tip, bins)]),
    ]
    axes = Axis("mean predicted probability", 0, 1), Axis("proportion of positive units", 0, 1)
    note = f"{_describe_bins(found)} {_describe_error(found)}"
    title = f"Reliability of {target}"
    drawn = figure([Panel("Reliability", marks, *axes, 300)], title, note, width=CURVE_WIDTH)
    rows = [(b.lowest, b.highest, b.predicted, b.observed, b.low, b.high, b.units, b.subjects) for b in bins]
    return figure_with_table(drawn, _BIN_COLUMNS, rows, note)


def _tip(one: Bin) -> str:
    ends = "" if one.low is None else f" [{one.low:.3f}, {one.high:.3f}]"
    return f"predicted {one.predicted:.3f}, positive {one.observed:.3f}{ends}, {counted(one.subjects, 'subject')}"


def _describe_bins(found: Calibration) -> str:
    known = [(b.low, b.predicted, b.high) for b in found.bins if b.low is not None and b.high is not None]
    off_diagonal = sum(not low <= predicted <= high for low, predicted, high in known)
    return (
        f"Predictions of all folds and {counted(found.seeds, 'seed')} ({found.units:,.0f} units a seed, "
        f"{counted(found.subjects, 'subject')}) in {counted(len(found.bins), 'bin')} of as equal numbers as ties "
        f"allow; whiskers are 95 % intervals over subjects, of which {off_diagonal} of {len(found.bins)} "
        "leave the diagonal out."
    )


def _describe_error(found: Calibration) -> str:
    text = f"Expected calibration error {format_figure(found.error)}"
    if found.by_chance is not None:
        text += f"; calibrated probabilities would have {format_figure(found.by_chance)} by chance, with these subjects"
    mean = found.positive + found.too_high.mean
    gap = f"{found.too_high.mean:+.3f} {format_interval(found.too_high, spec='+.3f')}".rstrip()
    return f"{text}. The mean probability is {mean:.3f}, and {found.positive:.3f} of units are positive: {gap}."


def _draw_decisions(found: Calibration, target: str) -> Markup:
    gained = found.benefits
    model, always = (np.array([getattr(b, name) for b in gained]) for name in ("model", "always"))
    top = max(model.max(), always.max(), 0.05)
    foot = max(-top, min(-0.1 * top, 1.3 * model.min()))
    odds = (found.positive - foot) / max(1 - found.positive, 1e-9)  # at which the line of `always` leaves the panel
    at = np.linspace(THRESHOLDS[0], max(THRESHOLDS[0], min(THRESHOLDS[-1], odds / (1 + odds))))
    marks = [
        rule(y=0, label="never"),
        line(at, found.positive - (1 - found.positive) * at / (1 - at), colour=1, dashed=True, label="always"),
        line(
            THRESHOLDS, np.where(model < foot, np.nan, model), [b.low for b in gained], [b.high for b in gained],
            symbol="circle", label="alarms of the model",
        ),
    ]  # fmt: skip
    note = (
        "Net benefit: right alarms for each unit, less false ones, each of which costs threshold / (1 - threshold) "
        "of a right one: at 0.2 a quarter, at 0.5 as much. The band is the 95 % interval over subjects at each "
        f"threshold that has {_percent(RARE)} of predictions or more on either side. "
        f"{_describe_gains(found)}"
    )
    axes = Axis("threshold of the alarm", 0, 1), Axis("net benefit", foot, 1.08 * top)
    drawn: Figure = figure([Panel("Decision curve", marks, *axes, 300)], f"Decision curve of {target}", note,
                           width=CURVE_WIDTH)  # fmt: skip
    rows = [(b.threshold, b.odds, b.model, b.low, b.high, b.always, b.is_shown) for b in gained]
    return figure_with_table(drawn, _DECISION_COLUMNS, rows, note)


def _describe_gains(found: Calibration) -> str:
    thresholds = [b.threshold for b in found.benefits if b.is_shown]
    if not thresholds:
        return "At no threshold is the model shown to gain more than both: an alarm for every unit, and none."
    spans = np.split(thresholds, np.flatnonzero(np.diff(thresholds) > 0.051) + 1)
    texts = [f"{span[0]:.2f}" if len(span) == 1 else f"{span[0]:.2f} to {span[-1]:.2f}" for span in spans]
    return f"Shown to gain more than both, an alarm for every unit and none, at thresholds of {', '.join(texts)}."


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


# Embeddings (a network's last hidden layer): a map of one fold's test units, and linear probes.

MAX_POINTS = 800
"""Maximum number of units on a map."""

UNLABELLED = "no label"
MAX_NAMED = 8
"""Maximum number of values in the legend of a map; more colours are hard to distinguish."""


def embeddings_section(run: RunFacts) -> SectionBody | Undefined:
    """Return the section on embeddings: for each network, a map of one fold's test units, and linear probes."""
    embeddings = read_embeddings(run.folder) if run.folder and not run.withholds_labels else None
    if embeddings is None:
        return Undefined(run.why_no_network("embeddings"))
    return join_named(
        {_join_names(targets): _describe_network(run, targets, embeddings) for targets in _networks(run, embeddings)}
    )


def _networks(run: RunFacts, embeddings: Embeddings) -> list[list[Target]]:
    """Return groups of targets with the same embeddings, which means that one network predicts them."""

    def digest(target: Target) -> bytes:
        rows = embeddings.take(embeddings.target == target.name)
        rows = rows.take(np.lexsort((rows.unit, rows.fold, rows.seed)))
        return hashlib.sha256(b"".join(part.tobytes() for part in (rows.seed, rows.fold, rows.unit, rows.x))).digest()

    return list(grouped((digest(target), target) for target in run.targets).values())


def _join_names(targets: Sequence[Target]) -> str:
    return join_with_and([target.name for target in targets])


def _describe_network(run: RunFacts, targets: Sequence[Target], embeddings: Embeddings) -> Markup | Undefined:
    selected = embeddings.take(embeddings.target == targets[0].name)
    if not len(selected):
        return Undefined("the record has none of this target")
    found = map_fold(run.record, targets[0], selected)
    mapped = found if isinstance(found, Undefined) else _draw_map(run, targets, found)
    probed = _draw_probes(run, targets, embeddings)
    if isinstance(mapped, Undefined) and isinstance(probed, Undefined):
        return mapped
    others = [] if isinstance(found, Undefined) else [_draw_other_settings(run, targets, found)]
    markups = [one for one in (mapped, *others, probed) if one and not isinstance(one, Undefined)]
    silent = {"map": mapped, "probes": probed}
    reasons = with_reasons({name: one.reason for name, one in silent.items() if isinstance(one, Undefined)})
    return figure_row(markups) + (paragraph(f"Left out: {reasons}.") if reasons else Markup())


def tsne_map(x: np.ndarray) -> np.ndarray:
    """Compute t-SNE positions (n, 2) of standardised embeddings (n, H), from principal components and a fixed seed."""
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler

    with fitting(1):
        varied = StandardScaler().fit_transform(x[:, x.std(0) > 0].astype(np.float64))
        start = "pca" if min(varied.shape) > 1 else "random"
        positions = TSNE(2, perplexity=min(30.0, (len(x) - 1) / 3), init=start, random_state=0).fit_transform(varied)
    return np.asarray(positions)


class FoldMap(NamedTuple):
    """Positions (n, 2) of a fold's test units in a map of their embeddings, with the units' predictions `rows` (n,);
    `units`: number of test units in the fold."""

    seed: int
    fold: int
    rows: Predictions
    positions: np.ndarray
    units: int


def map_fold(record: Record, target: Target, vectors: Embeddings) -> FoldMap | Undefined:
    """Compute the map of the first fold of the first seed from the embeddings of a target."""
    seed, fold = int(vectors.seed.min()), int(vectors.fold[vectors.seed == vectors.seed.min()].min())
    rows = record.predictions
    is_model = rows.rows_with(method=MODEL, target=target.name)
    rows = rows.take(is_model & (rows["seed"] == seed) & (rows["fold"] == fold))
    embeddings = vectors.take((vectors.seed == seed) & (vectors.fold == fold))
    _, unit_rows, embedding_rows = np.intersect1d(rows["unit"], embeddings.unit, return_indices=True)
    drawn_units = np.sort(np.random.default_rng(0).permutation(len(unit_rows))[:MAX_POINTS])
    rows, x = rows.take(unit_rows[drawn_units]), embeddings.x[embedding_rows[drawn_units]]
    if len(x) < 5:
        return Undefined(f"fold {fold} of seed {seed} has fewer than five test units")
    if not (x.std(0) > 0).any():
        return Undefined(f"the embeddings in fold {fold} of seed {seed} are all the same")
    return FoldMap(seed, fold, rows, tsne_map(x), len(unit_rows))


_AXES = Axis("t-SNE 1", ticks=False), Axis("t-SNE 2", ticks=False)


def _draw_map(run: RunFacts, targets: Sequence[Target], found: FoldMap) -> Markup:
    seed, fold, rows, positions, units = found
    marks = {"subject": rows["subject"], "stimulus": rows["stimulus"]}
    if run.record.labels is not None:
        marks = {**_name_labels(run, targets, rows, run.record.labels), **marks}
    panels = [
        Panel(f"Coloured by {what}", _draw_points(positions, values), *_AXES, 230)
        for what, values in marks.items()
        if len(np.unique(values)) > 1
    ]
    note = (
        f"t-SNE (perplexity {min(30.0, (len(rows) - 1) / 3):.0f}, fixed seed) of the last hidden layer for "
        f"{len(rows):,} of {units:,} test units in fold {fold} of seed {seed}: each fold has its own network. "
        "Distances between clusters have no meaning; the probes show what can be read from the layer."
    )
    if many := [what for what, values in marks.items() if len(np.unique(values)) > MAX_NAMED]:
        note += f" More than {MAX_NAMED} values have no legend ({join_with_and(many)}): the table has them."
    drawn = figure(panels, f"Embedding map of {_join_names(targets)}", note, columns=len(panels), width=1000)
    head = ("unit", *marks, "t-SNE 1", "t-SNE 2")
    columns = [rows["unit"].tolist(), *(v.tolist() for v in marks.values()), *np.round(positions, 2).T.tolist()]
    return figure_with_table(drawn, head, list(zip(*columns, strict=True)), note, wide=True)


MAX_OTHERS = 3
"""Maximum number of other runs whose maps are drawn next to a run's."""


def _draw_other_settings(run: RunFacts, targets: Sequence[Target], found: FoldMap) -> Markup | None:
    """Return the maps of this run and of runs in sibling folders that differ in settings only, coloured by label; None
    without such runs or labels, or if the report is for others."""
    labels, ours = run.record.labels, run.manifest
    if labels is None or run.for_others:
        return None

    def facts(each: Manifest) -> list[Any]:
        method, same = each.method, ("label_subjects", "label_fraction", "train_dataset", "drop", "pretrained")
        parts: list[Any] = [method.encoders, method.fusion, method.pretrainers, method.modalities, method.submission]
        parts += [each.protocol.name, each.recipe.preset, each.targets, each.seeds, each.dev, each.dataset]
        return [*parts, *(each.config.get(name) for name in same)]

    maps = {"this run": found}
    for record in run.read_siblings(lambda other: other.id != ours.id and facts(other) == facts(ours)):
        vectors = read_embeddings(run.folder.resolve().parent / record.manifest.id) if run.folder else None
        vectors = vectors.take(vectors.target == targets[0].name) if vectors else None
        other = map_fold(record, targets[0], vectors) if vectors is not None and len(vectors) else NO_UNIT
        if not isinstance(other, Undefined) and (other.seed, other.fold) == (found.seed, found.fold):
            changed = [text for text in record.manifest.recipe.settings if text not in ours.recipe.settings]
            maps[", ".join(changed) or f"without {', '.join(ours.recipe.settings)}"] = other
        if len(maps) > MAX_OTHERS:
            break
    if len(maps) == 1:
        return None
    named = {name: _name_labels(run, targets, each.rows, labels) for name, each in maps.items()}
    panels = [
        Panel(f"{what}: {name}", _draw_points(maps[name].positions, values), *_AXES, 230)
        for what in named["this run"]
        for name, values in ((name, named[name][what]) for name in maps)
    ]
    note = (
        "The last hidden layer of this run and of runs beside it that differ in settings only, for test units in fold "
        f"{found.fold} of seed {found.seed}. Each map is a t-SNE of its own: compare how well each separates the "
        "classes, not where these lie."
    )
    drawn = figure(panels, f"Embedding maps by settings, {_join_names(targets)}", note, columns=len(maps), width=1000)
    head = ("settings", "unit", *named["this run"], "t-SNE 1", "t-SNE 2")
    table = [
        (name, *cells)
        for name, each in maps.items()
        for cells in zip(
            each.rows["unit"].tolist(),
            *(values.tolist() for values in named[name].values()),
            *np.round(each.positions, 2).T.tolist(),
            strict=True,
        )
    ]
    return figure_with_table(drawn, head, table, note, wide=True)


def _name_labels(run: RunFacts, targets: Sequence[Target], rows: Predictions, labels: Labels) -> dict[str, np.ndarray]:
    """Return target (`label` if there is only one) -> names of the units' classes (n,), which colour the map."""
    variables = {}
    for target in targets:
        label, classes = labels_of(rows, labels, target), run.classes(target)
        named = [classes[int(v)] if np.isfinite(v) else UNLABELLED for v in label] if classes else _name_thirds(label)
        variables["label" if len(targets) == 1 else target.name] = np.array(named)
    return variables


def _draw_points(positions: np.ndarray, values: np.ndarray) -> list[Any]:
    names = np.unique(values).tolist()
    marks = []
    for k, name in enumerate(name for name in names if name != UNLABELLED):
        chosen = values == name
        symbol = SYMBOLS[k % len(SYMBOLS)] if len(names) <= MAX_NAMED else "circle"
        label = name if len(names) <= MAX_NAMED else ""
        marks.append(scatter(*positions[chosen].T, colour=k, symbol=symbol, size=2.2, label=label, opacity=0.7))
    return marks


def _name_thirds(values: np.ndarray) -> list[str]:
    """Return low, middle or high third for each value (n,)."""
    edges = np.nanquantile(values, [1 / 3, 2 / 3])
    names = ("low third", "middle third", "high third")
    return [names[int(np.searchsorted(edges, v))] if np.isfinite(v) else UNLABELLED for v in values]


def _draw_probes(run: RunFacts, targets: Sequence[Target], embeddings: Embeddings) -> Markup | Undefined:
    probed = {"subject": (SUBJECT, targets[0]), "stimulus": (STIMULUS, targets[0])}
    for target in targets:
        if run.record.labels is not None and target.traits.has_classes:
            probed["label" if len(targets) == 1 else target.name] = LABEL, target
    found = {
        name: linear_probe(embeddings, run.record.predictions, what, target=target.name, labels=run.record.labels)
        for name, (what, target) in probed.items()
    }
    known = {name: p for name, p in found.items() if isinstance(p, ProbeResult)}
    silent = "; ".join(f"{name}: {p.reason}" for name, p in found.items() if isinstance(p, Undefined))
    if not known:
        return Undefined(silent)
    at = np.arange(len(known))
    score, chance, std = (np.array([getattr(p, key) for p in known.values()]) for key in ("score", "chance", "std"))
    marks = [error_bars(at, score, score - std, score + std, across=True, label="probe, SD over folds and seeds")]
    marks.append(scatter(chance, at, colour="muted", symbol="diamond", size=4, opacity=1, label="chance"))
    names = [f"{name} ({p.metric})" for name, p in known.items()]
    panel = Panel("Linear probes", marks, Axis("score", 0, 1), Axis(names=names), 34.0 * len(known))
    note = (
        "Linear probes on the last hidden layer of test units, fitted and scored within each fold and seed. The "
        "subject is predicted for other segments of the same subjects, stimulus and label for other subjects. If the "
        "layer identifies the subject above chance, a head may learn subjects instead of states."
    )
    if silent:
        note += f" Skipped: {silent}."
    rows = [(n, p.metric, p.score, p.chance, p.std, p.folds, p.units) for n, p in known.items()]
    head = ("probe", "metric", "score", "chance", "SD", "folds and seeds", "units")
    return figure_with_table(figure([panel], f"Probes of {_join_names(targets)}", note, width=560), head, rows, note)
