"""ROC curves, confusion matrices, calibration of several classes: each made in every fold and seed, then averaged."""

from __future__ import annotations

import warnings

import numpy as np
from markupsafe import Markup
from sklearn.metrics import roc_curve

from embench.interfaces.metric import Undefined, confusion_by_subject
from embench.interfaces.ranking import mean_of_known, one_against_rest
from embench.interfaces.units import Target
from embench.records.predictions import MODEL
from embench.records.wording import format_figure
from embench.report.drawing import Axis, Panel, bars, figure, heat, line, scatter
from embench.report.facts import RunFacts
from embench.report.page import figure_row, figure_with_table
from embench.statistics.joined import Joined
from embench.vocabulary import label

CURVE_WIDTH = 420.0
NO_UNIT = Undefined("no labelled unit was predicted")
RATE_GRID = np.linspace(0, 1, 51)
CALIBRATION_BINS = 10
MIN_UNITS_IN_BIN = 5
"""Units of a fold in a bin of the calibration curve; fewer give no estimate of the share of positives."""


def mean_and_band(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, and where the middle 80 % of curves (n, places) lie, at each place; NaN is excluded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a place where no curve is known stays NaN
        low, high = np.nanquantile(curves, [0.1, 0.9], axis=0)
    return mean_of_known(curves), low, high


def roc_or_values(run: RunFacts, target: Target) -> Markup | Undefined:
    """The ROC curve of a target, of one that is a value the labels against the predictions."""
    joined = run.joined_units(target)
    if MODEL not in joined:
        return NO_UNIT
    drawn = _roc(run, target, joined) if target.traits.has_classes else _values(target, joined[MODEL])
    return figure_row([drawn])


def _folds(joined: Joined) -> str:
    seeds, folds = len(joined.seeds), len({fold for _, fold, _ in joined})
    return f"{folds} {'fold' if folds == 1 else 'folds'} of {seeds} {'seed' if seeds == 1 else 'seeds'}"


def roc_curves(joined: Joined, k: int) -> np.ndarray:
    """(curves, 51) true positive rates at the false positive rates `GRID`, of the class `k`: a curve for each fold and
    seed that has units of it and others."""
    curves = []
    for _, _, units in joined:
        positive, score = one_against_rest(units)[k]
        if 0 < positive.sum() < len(positive):
            x, y, _ = roc_curve(positive, score, drop_intermediate=False)
            curves.append(np.interp(RATE_GRID, x, y))
    # A rank that is certain reaches any rate at no false positive; a curve begins at the corner all the same.
    table = np.array(curves).reshape(-1, len(RATE_GRID))
    table[:, 0] = 0.0
    return table


def _roc(run: RunFacts, target: Target, joined: dict[str, Joined]) -> Markup:
    names = run.classes(target)
    marks = [line([0, 1], [0, 1], colour="muted", dashed=True, width=1.2, label="chance")]
    head, columns = ["false positive rate"], [RATE_GRID]
    several = target.traits.several
    for k in range(target.n if several else 1):
        table = roc_curves(joined[MODEL], k)
        if len(table):
            name = f"{names[k]} against the rest" if several else "model"
            mean, low, high = mean_and_band(table)
            marks.append(line(RATE_GRID, mean, low, high, colour=k, label=name))
            head += [name, "10 %", "90 %"]
            columns += [mean, low, high]
    control, _ = run.scores.strongest(target.name, "auroc") or (None, None)
    if not several and control in joined and len(table := roc_curves(joined[control], 0)):
        marks.append(
            line(
                RATE_GRID,
                table.mean(0),
                colour=1,
                dashed=True,
                label=f"strongest model without a signal: {label(control)}",
            )
        )
        head.append(label(control))
        columns.append(table.mean(0))
    score = run.scores.score(target.name, "auroc")
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
    """(curves, 10) mean probability, share that came true, and share of units in each bin; NaN where a fold has fewer
    than `MIN_UNITS_IN_BIN` units there. It is that of the most probable class."""
    predicted, true, share = [], [], []
    for _, _, units in joined:
        p, y = units.score.max(1), units.score.argmax(1) == units.y_true
        code = np.minimum((p * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        n = np.bincount(code, minlength=CALIBRATION_BINS)
        enough = np.where(n >= MIN_UNITS_IN_BIN, n, np.nan)
        predicted.append(np.bincount(code, p, CALIBRATION_BINS) / enough)
        true.append(np.bincount(code, y, CALIBRATION_BINS) / enough)
        share.append(n / max(1, len(p)))
    return np.array(predicted), np.array(true), np.array(share)


def calibration_of_classes(run: RunFacts, target: Target) -> Markup | Undefined:
    """The calibration of a target of several classes."""
    joined = run.joined_units(target).get(MODEL)
    return NO_UNIT if joined is None else figure_row([_calibration(run, target, joined)])


def _calibration(run: RunFacts, target: Target, joined: Joined) -> Markup:
    predicted, true, share = calibration_curves(joined)
    x, used, counted = mean_of_known(predicted), share.mean(0), np.isfinite(true).sum(0)
    y, low, high = mean_and_band(true)
    known = np.isfinite(x)
    marks = [
        line([0, 1], [0, 1], colour="muted", dashed=True, width=1.2, label="calibrated"),
        bars(
            (np.arange(CALIBRATION_BINS) + 0.5) / CALIBRATION_BINS,
            used,
            colour="muted",
            width=0.08,
            opacity=0.25,
            label="proportion of units",
        ),
        line(x[known], y[known], low[known], high[known], symbol="circle", label="model"),
    ]
    note = (
        "Predicted probability of the most probable class, in ten equal bins, against the observed frequency: mean "
        f"over {_folds(joined)} with at least {MIN_UNITS_IN_BIN} units in a bin; the band contains 80 % of them."
    )
    for metric, called in (("ece", "expected calibration error"), ("brier", "Brier score")):
        if score := run.scores.score(target.name, metric):
            note += f" {called.capitalize()} {format_figure(score.mean)}."
    panel = Panel("Calibration", marks, Axis("predicted probability", 0, 1), Axis("observed frequency", 0, 1), 300)
    edges = [f"{k / CALIBRATION_BINS:.1f} to {(k + 1) / CALIBRATION_BINS:.1f}" for k in range(CALIBRATION_BINS)]
    rows = [
        (edges[k], *(float(c[k]) for c in (x, y, low, high, used)), int(counted[k])) for k in range(CALIBRATION_BINS)
    ]
    head = ("bin", "mean probability", "observed frequency", "10 %", "90 %", "proportion of units", "folds and seeds")
    return figure_with_table(
        figure([panel], f"Calibration of {target.name}", note, width=CURVE_WIDTH), head, rows, note
    )


def _values(target: Target, joined: Joined) -> Markup:
    """Predicted against true values: the mean truth where a fold predicts its tenths."""
    predicted, true = [], []
    for _, _, units in joined:
        parts = np.array_split(np.argsort(units.score, kind="stable"), CALIBRATION_BINS)
        predicted.append([units.score[p].mean() if len(p) else np.nan for p in parts])
        true.append([units.y_true[p].mean() if len(p) else np.nan for p in parts])
    x, (y, low, high) = mean_of_known(np.array(predicted)), mean_and_band(np.array(true))
    every = [units for _, _, units in joined]
    rng = np.random.default_rng(0)
    truth, prediction = (np.concatenate([getattr(u, name) for u in every]) for name in ("y_true", "score"))
    some = rng.permutation(len(truth))[:1500]
    ends = [min(truth.min(), prediction.min()), max(truth.max(), prediction.max())]
    marks = [
        line(ends, ends, colour="muted", dashed=True, width=1.2, label="equal"),
        scatter(prediction[some], truth[some], colour="muted", size=1.5, opacity=0.3, label="units"),
        line(x, y, low, high, symbol="circle", label="deciles of the predictions"),
    ]
    note = (
        f"Mean of the true values in each decile of the predictions, computed in each of {_folds(joined)} and then "
        "averaged; the band contains 80 % of them."
    )
    if len(truth) > len(some):
        note += f" {len(some):,} of {len(truth):,} units, from all folds, are drawn behind them."
    panel = Panel("Predicted and true values", marks, Axis("predicted"), Axis("true"), 300)
    rows = [(k + 1, *(float(c[k]) for c in (x, y, low, high))) for k in range(CALIBRATION_BINS)]
    drawn = figure([panel], f"Predicted and true values of {target.name}", note, width=CURVE_WIDTH)
    return figure_with_table(drawn, ("decile", "predicted", "true", "10 %", "90 %"), rows, note)


def decisions(run: RunFacts, target: Target) -> Markup | Undefined:
    """The confusion matrix of a target; one that is a value has none."""
    joined = run.joined_units(target).get(MODEL)
    if not target.traits.has_classes:
        return Undefined("the target is a value, so there are no decisions")
    return NO_UNIT if joined is None else figure_row([_confusion(run, target, joined)])


def confusion_matrix(joined: Joined) -> tuple[np.ndarray, np.ndarray]:
    """(K, K) shares of decisions (columns) in each true class (rows), averaged over seeds, then folds; and units summed
    over folds, mean over seeds."""
    counts = {(s, f): confusion_by_subject(units, np.zeros(len(units), int), 1)[0] for s, f, units in joined}
    with np.errstate(invalid="ignore"):
        shares = {at: table / table.sum(1, keepdims=True) for at, table in counts.items()}
    folds = sorted({fold for _, fold in counts})
    by_fold = [mean_of_known([shares[s, f] for s in joined.seeds if (s, f) in shares]) for f in folds]
    return mean_of_known(by_fold), sum(counts.values()) / len(joined.seeds)


def _confusion(run: RunFacts, target: Target, joined: Joined) -> Markup:
    share, units = confusion_matrix(joined)
    names = run.classes(target)
    cells = [[format_figure(v, ".0%").replace("%", " %") for v in row] for row in share]
    side = max(40.0, 180.0 / target.n) * target.n
    cells_of = heat(share, cells, top=1.0)
    panel = Panel("Confusion matrix", [cells_of], Axis("decided", names=names), Axis("true", names=names), side)
    note = (
        f"Proportion of the units of each true class, averaged over {_folds(joined)}. The table also gives the "
        "number of units, summed over folds."
    )
    rows = [
        (names[i], names[k], float(share[i, k]), float(units[i, k])) for i in range(target.n) for k in range(target.n)
    ]
    drawn = figure([panel], f"Confusion matrix of {target.name}", note, width=CURVE_WIDTH)
    return figure_with_table(drawn, ("true", "decided", "proportion", "units, mean over seeds"), rows, note)
