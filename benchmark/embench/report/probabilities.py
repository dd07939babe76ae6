"""Calibration and decision curve of a method's probabilities, as `statistics.calibration` computes them."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from embench.interfaces.metric import Undefined
from embench.interfaces.units import Target
from embench.records.manifest import MethodPart
from embench.records.wording import counted, format_figure, format_interval
from embench.report.curves import CURVE_WIDTH, calibration_of_classes
from embench.report.drawing import Axis, Figure, Panel, error_bars, figure, line, rule
from embench.report.facts import RunFacts
from embench.report.page import figure_row, figure_with_table, paragraph
from embench.statistics.calibration import RARE, THRESHOLDS, Bin, Calibration, recorded_calibration

_BIN_COLUMNS = (
    "from",
    "to",
    "mean probability",
    "proportion positive",
    "low",
    "high",
    "units, mean over seeds",
    "subjects",
)
_DECISION_COLUMNS = ("threshold", "cost of a false alarm", "model", "low", "high", "always", "shown above both")


def probability_checks(run: RunFacts, target: Target) -> Markup | Undefined:
    """The calibration of a target's probabilities; of two classes also what alarms made of them gain."""
    if not target.traits.has_classes:
        return Undefined("the target is a value, so there are no probabilities")
    if target.traits.several:
        return calibration_of_classes(run, target)
    found = recorded_calibration(run.record, target)
    return found if isinstance(found, Undefined) else describe_probabilities(found, target.name, run.manifest.method)


def describe_probabilities(found: Calibration, target: str, method: MethodPart) -> Markup:
    """Both curves with a sentence on each."""
    pictures = [_reliability(found, target), _decision_curve(found, target)]
    return paragraph(_on_prevalence(found, bool(method.outside))) + figure_row(pictures)


def _on_prevalence(found: Calibration, outside: bool) -> str:
    text = (
        f"The proportion of positive units is the lab's: {_percent(found.positive)} here. In daily life it is another, "
        "so that neither the calibration nor the net benefit carries over."
    )
    if outside:
        text += (
            " Its file's scores are taken as the probabilities that the format asks for; nothing more is known of them."
        )
    return text


def _reliability(found: Calibration, target: str) -> Markup:
    bins = found.bins
    at, share = [b.predicted for b in bins], [b.observed for b in bins]
    marks = [
        line([0, 1], [0, 1], colour="muted", dashed=True, width=1.2, label="calibrated"),
        line(at, share, opacity=0.5, width=1.2),
        error_bars(at, share, [b.low for b in bins], [b.high for b in bins], label="model", tips=[*map(_tip, bins)]),
    ]
    axes = Axis("mean predicted probability", 0, 1), Axis("proportion of positive units", 0, 1)
    note = f"{_bins_in_words(found)} {_error_in_words(found)}"
    title = f"Reliability of {target}"
    drawn = figure([Panel("Reliability", marks, *axes, 300)], title, note, width=CURVE_WIDTH)
    rows = [(b.lowest, b.highest, b.predicted, b.observed, b.low, b.high, b.units, b.subjects) for b in bins]
    return figure_with_table(drawn, _BIN_COLUMNS, rows, note)


def _tip(one: Bin) -> str:
    ends = "" if one.low is None else f" [{one.low:.3f}, {one.high:.3f}]"
    return f"predicted {one.predicted:.3f}, positive {one.observed:.3f}{ends}, {counted(one.subjects, 'subject')}"


def _bins_in_words(found: Calibration) -> str:
    known = [(b.low, b.predicted, b.high) for b in found.bins if b.low is not None and b.high is not None]
    off_diagonal = sum(not low <= predicted <= high for low, predicted, high in known)
    return (
        f"Predictions of all folds and {counted(found.seeds, 'seed')} ({found.units:,.0f} units a seed, "
        f"{counted(found.subjects, 'subject')}) in {counted(len(found.bins), 'bin')} of as equal numbers as ties "
        f"allow; whiskers are 95 % intervals over subjects, of which {off_diagonal} of {len(found.bins)} "
        "leave the diagonal out."
    )


def _error_in_words(found: Calibration) -> str:
    text = f"Expected calibration error {format_figure(found.error)}"
    if found.by_chance is not None:
        text += f"; calibrated probabilities would have {format_figure(found.by_chance)} by chance, with these subjects"
    mean = found.positive + found.too_high.mean
    gap = f"{found.too_high.mean:+.3f} {format_interval(found.too_high, spec='+.3f')}".rstrip()
    return f"{text}. The mean probability is {mean:.3f}, and {found.positive:.3f} of units are positive: {gap}."


def _decision_curve(found: Calibration, target: str) -> Markup:
    gained = found.benefits
    model, always = (np.array([getattr(b, name) for b in gained]) for name in ("model", "always"))
    top = max(model.max(), always.max(), 0.05)
    foot = max(-top, min(-0.1 * top, 1.3 * model.min()))
    odds = (found.positive - foot) / max(1 - found.positive, 1e-9)  # where the line of `always` leaves the panel
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
        f"{_gains_in_words(found)}"
    )
    axes = Axis("threshold of the alarm", 0, 1), Axis("net benefit", foot, 1.08 * top)
    drawn: Figure = figure([Panel("Decision curve", marks, *axes, 300)], f"Decision curve of {target}", note,
                           width=CURVE_WIDTH)  # fmt: skip
    rows = [(b.threshold, b.odds, b.model, b.low, b.high, b.always, b.is_shown) for b in gained]
    return figure_with_table(drawn, _DECISION_COLUMNS, rows, note)


def _gains_in_words(found: Calibration) -> str:
    shown = [b.threshold for b in found.benefits if b.is_shown]
    if not shown:
        return "At no threshold is the model shown to gain more than both: an alarm for every unit, and none."
    spans = np.split(shown, np.flatnonzero(np.diff(shown) > 0.051) + 1)
    texts = [f"{span[0]:.2f}" if len(span) == 1 else f"{span[0]:.2f} to {span[-1]:.2f}" for span in spans]
    return f"Shown to gain more than both, an alarm for every unit and none, at thresholds of {', '.join(texts)}."


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
