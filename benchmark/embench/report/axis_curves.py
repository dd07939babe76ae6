"""Curves of scores along an axis: calibration data, labelled subjects, labels, or channels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from embench.files import digest, saving, write_text
from embench.protocols import CALIBRATION_NORMALISED, NO_CALIBRATION, Given, recorded_given
from embench.reasons import read_reason
from embench.records.manifest import get_comparable_facts
from embench.records.record import format_csv
from embench.records.scores import Score, Scores
from embench.records.wording import format_figure, format_score, grouped, least_gain, name_without_package
from embench.report.drawing import SYMBOLS, Axis, Figure, Mark, Panel, figure, line, rule, scatter, score_bars
from embench.report.facts import RunFacts
from embench.report.page import figure_row, figure_with_table, html_table, join_parts, paragraph
from embench.statistics import metric_facts
from embench.statistics.scores import COMPARED

# Points of curves: scores of runs that differ along one axis.

AXIS_TITLES = {
    "label_subjects": "training subjects with labels",
    "label_fraction": "proportion of the training labels",
    "calibration_data": "units given of each class",
    "drop": "modalities removed at test time",
}
CURVE_FIELDS = (
    *("dataset", "target", "metric", "kind", "of", "line", "at", "mean", "low", "high", "subjects", "above", "run"),
)


@dataclass(frozen=True)
class Point:
    """A point of a curve: the primary metric of a run or a confound-only model on a target, or a gain.

    Args:
        line: name of the line: the settings in which the run differs from others, or the confound-only model.
        at: position on the axis.
        kind: a `gain` is the difference from the best confound-only model, which `above` names.
        of: the method, if each method has its own panel; else empty.
    """

    dataset: str
    target: str
    metric: str
    line: str
    at: str
    score: Score
    run: str
    kind: Literal["method", "control", "gain"] = "method"
    of: str = ""
    above: str = ""

    @property
    def control(self) -> bool:
        """True if the point belongs to a confound-only model."""
        return self.kind == "control"

    def fields(self) -> dict[str, Any]:
        """Return `CURVE_FIELDS` -> value; None for an undefined score."""
        values = {**vars(self.score), **vars(self), "mean": self.score.mean if self.score.is_defined else None}
        return {name: values[name] for name in CURVE_FIELDS}


@dataclass(frozen=True)
class Curve:
    """Scores of runs along an axis.

    Args:
        axis: key of `AXIS_TITLES`.
        places: positions on the axis, in order.
        note: what may be concluded from the curve; empty if nothing needs to be said.
    """

    axis: str
    places: tuple[str, ...]
    points: tuple[Point, ...]
    note: str = ""

    @property
    def title(self) -> str:
        """The heading of the figure."""
        return f"Primary metric over {AXIS_TITLES[self.axis]}"

    @property
    def about(self) -> str:
        """A description for readers who cannot see the figure."""
        return (
            f"The primary metric with its interval over {AXIS_TITLES[self.axis]}: {', '.join(self.places)}. {self.note}"
        ).strip()

    def panels(self) -> list[tuple[str, list[Point]]]:
        """Return (title, points) of each panel: one for each dataset, target and metric (and method, if it has one)."""
        return list(grouped((self._panel(point), point) for point in self.points if point.kind != "gain").items())

    def gains(self, title: str) -> list[Point]:
        """Return the gains that belong to the panel with this title."""
        gains_of_panel = [point for point in self.points if point.kind == "gain" and self._panel(point) == title]
        return sorted(gains_of_panel, key=lambda point: (self.places.index(point.at), point.line))

    def points_of(self, points: list[Point], line: str) -> list[Point]:
        """Return the points of a line with defined scores, in the order of the axis."""
        points_of_line = [point for point in points if point.line == line and point.score.is_defined]
        return sorted(points_of_line, key=lambda point: self.places.index(point.at))

    def _panel(self, point: Point) -> str:
        method = f", {point.of}" if point.of else ""
        return f"{point.dataset}, {point.target}: {point.metric}{method}"


# Curve over the amount of calibration data: scores of a method and of its confound-only models, and the gain over the
# best of these.

_SESSION = "session"
_LABELLED, _UNLABELLED = "labelled", f"unlabelled ({CALIBRATION_NORMALISED})"
_OFFLINE = "whole session, unlabelled"
GIVEN_NOTE = (
    "The same units are scored at every amount of calibration data, so that points are paired. The "
    "gain from labels is the gain over the best confound-only model, not the rise of the curve. "
)
_DESCRIPTIVE = {
    False: "Descriptive: these are scores of test subjects, by which no amount may be chosen.",
    True: "These are scores of validation subjects, by which an amount may be chosen.",
}
_GAIN = "Gain over the best confound-only model"


def get_place(given: Given) -> str:
    """Return the position of an amount of calibration data on the axis: its number of units, or `session`."""
    return _SESSION if given.session else str(given.units)


def build_calibration_curve(
    runs: Sequence[tuple[Mapping[str, Any], Scores]], points: Sequence[Sequence[Point]]
) -> Curve | None:
    """Build the curve over the amount of calibration data; None if all runs have the same amount.

    Args:
        runs: content of run.yaml and scores of each run.
        points: points of each run, one for each target; their `line` names the method.
    """
    unique: dict[tuple[Any, ...], Point] = {}
    amounts: dict[str, Given] = {}
    for (run, scores), primary_metrics in zip(runs, points, strict=True):
        if (given := recorded_given(run.get("calibration_data"))) is None:
            continue
        amounts[given.text] = given
        for primary_metric in primary_metrics:
            method_point = replace(primary_metric, of=primary_metric.line, at=get_place(given))
            for point in _calibration_points(given, method_point, scores):
                key = point.of, point.dataset, point.target, point.metric, point.kind == "gain", point.line, point.at
                if key not in unique or (unique[key].control and not point.control):  # a method's own score wins
                    unique[key] = point
    if len(amounts) < 2:
        return None
    places = dict.fromkeys(get_place(given) for given in sorted(amounts.values(), key=lambda given: given.place))
    words = {read_reason(run["calibration_split"]) for run, _ in runs if run.get("calibration_split")}
    subjects_text = f"Subjects: {words.pop()}. " if len(words) == 1 else ""
    note = subjects_text + GIVEN_NOTE + _DESCRIPTIVE[all(run["dev"] for run, _ in runs)]
    return Curve("calibration_data", tuple(places), tuple(unique.values()), note)


def _calibration_points(given: Given, primary_metric: Point, scores: Scores) -> Iterator[Point]:
    """Yield the points of a run on a target: the method (`primary_metric`), the confound-only models, the gain."""
    method_line = _OFFLINE if given.session else _LABELLED if given.labelled else _UNLABELLED
    yield replace(primary_metric, line=method_line)
    if not given.to_record():
        yield replace(primary_metric, line=_UNLABELLED)  # both lines start without calibration data
        return
    for name in COMPARED:
        score = scores.get_model_scores(primary_metric.target, name).get(primary_metric.metric, Score())
        if score.is_defined and not given.session:
            line = _UNLABELLED if name == CALIBRATION_NORMALISED else name
            yield replace(primary_metric, line=line, score=score, kind="control")
    gain = scores.get_calibration_gain(primary_metric.target)
    if gain and (best := least_gain(gain, primary_metric.metric)):
        above, gap = best
        yield replace(primary_metric, line=method_line, score=gap.difference, kind="gain", above=above)


def draw_calibration_curve(curve: Curve) -> Figure:
    """Draw a panel of scores and a panel of gains for each dataset, target and method."""
    places, drawn = Axis(AXIS_TITLES["calibration_data"], names=curve.places), []
    for title, points in curve.panels():
        metric = points[0].metric
        marks = [*_draw_controls(curve, points), *_draw_methods(curve, points)]
        if (chance := metric_facts(metric).chance) is not None:
            marks.insert(0, rule(y=chance, label="chance"))
        drawn.append(Panel(title, marks, places, Axis(metric)))
        if gains := curve.gains(title):
            marks = [rule(y=0.0, label="no gain"), *_draw_methods(curve, gains)]
            drawn.append(Panel(_GAIN, marks, places, Axis("gain"), height=130))
    return figure(drawn, curve.title, curve.about)


def _draw_methods(curve: Curve, points: list[Point]) -> Iterator[Mark]:
    """Draw scores with labelled and unlabelled calibration data as lines with intervals, side by side."""
    for k, name in enumerate((_LABELLED, _UNLABELLED, _OFFLINE)):
        selected = curve.points_of(points, name)
        if not selected:
            continue
        at = [curve.places.index(point.at) + 0.16 * (k - 1) * (name != _OFFLINE) for point in selected]
        if len(selected) > 1:
            yield line(at, [point.score.mean for point in selected], colour=k, dashed=bool(k))
        tips = [
            f"{name}, {point.at}: {format_score(point.score)}{f' above {point.above}' if point.above else ''}"
            for point in selected
        ]
        scores, symbol = [point.score for point in selected], SYMBOLS[k % len(SYMBOLS)]
        yield score_bars(at, scores, colour=k, label=name, symbol=symbol, tips=tips)


def _draw_controls(curve: Curve, points: list[Point]) -> Iterator[Mark]:
    """Draw confound-only models as thin lines without intervals; the one without calibration data is horizontal."""
    for k, name in enumerate(name for name in COMPARED if name != CALIBRATION_NORMALISED):
        selected = [point for point in curve.points_of(points, name) if point.control]
        if selected and name == NO_CALIBRATION:
            yield rule(y=selected[0].score.mean, label=name, colour="ink")
        elif selected:
            at, means = [curve.places.index(point.at) for point in selected], [point.score.mean for point in selected]
            tips = [f"{name}, {point.at}: {format_figure(point.score.mean)}" for point in selected]
            yield line(at, means, colour=2 + k, width=1.0)
            yield scatter(at, means, colour=2 + k, symbol=SYMBOLS[(2 + k) % len(SYMBOLS)], label=name, tips=tips)


# Scores of a grid along one of its axes: number of subjects or units with labels, calibration data, or removed
# modalities.


def build_curves(runs: Sequence[tuple[Mapping[str, Any], Scores]]) -> list[Curve]:
    """Build a curve for each axis along which runs differ; `runs`: content of run.yaml and scores of each run."""
    curves = []
    for axis in AXIS_TITLES:
        differing = _list_differences([run for run, _ in runs], axis)
        points = [_grid_points(axis, run, scores, differing) for run, scores in runs]
        if axis == "calibration_data":
            if curve := build_calibration_curve(runs, points):
                curves.append(curve)
            continue
        places = {_find_place(axis, run): _get_order(axis, run) for run, _ in runs}
        if len(places) > 1:
            curves.append(Curve(axis, tuple(sorted(places, key=places.__getitem__)), tuple(itertools.chain(*points))))
    return curves


def draw_curve(curve: Curve) -> Figure:
    """Draw a panel for each dataset and target: lines over the axis, or for removed modalities horizontal bars."""
    if curve.axis == "calibration_data":
        return draw_calibration_curve(curve)
    horizontal = curve.axis == "drop"
    places = Axis("without" if horizontal else AXIS_TITLES[curve.axis], names=curve.places)
    drawn = []
    for title, points in curve.panels():
        metric, lines = Axis(points[0].metric), list(dict.fromkeys(p.line for p in points))
        marks: list[Mark] = []
        if (chance := metric_facts(metric.label).chance) is not None:
            marks.append(rule(x=chance, label="chance") if horizontal else rule(y=chance, label="chance"))
        for k, name in enumerate(lines):
            selected = curve.points_of(points, name)
            at = [curve.places.index(point.at) + 0.5 * ((k + 0.5) / len(lines) - 0.5) for point in selected]
            scores = [point.score for point in selected]
            if not horizontal:
                marks.append(line(at, [score.mean for score in scores], colour=k, dashed=bool(k % 2)))
            look: dict[str, Any] = {"label": name, "symbol": SYMBOLS[k % len(SYMBOLS)], "across": horizontal}
            look["tips"] = [f"{name}, {point.at}: {format_figure(point.score.mean)}" for point in selected]
            marks.append(score_bars(at, scores, colour=k, **look))
        if horizontal:
            drawn.append(Panel(title, marks, metric, places, height=len(curve.places) * max(24.0, 12.0 * len(lines))))
        else:
            drawn.append(Panel(title, marks, places, metric))
    return figure(drawn, curve.title, curve.about)


def write_curve(curve: Curve, folder: Path, name: str) -> tuple[Path, Path]:
    """Write a curve to `name`.svg and its numbers to `name`.csv; return both paths. Raises MachineError."""
    picture, numbers = folder / f"{name}.svg", folder / f"{name}.csv"
    with saving("the curve", folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_text(numbers, format_csv([point.fields() for point in curve.points], CURVE_FIELDS))
        draw_curve(curve).save(picture)
    return picture, numbers


def write_curves(
    runs: Sequence[tuple[Mapping[str, Any], Scores]], folder: Path
) -> list[tuple[Curve, tuple[Path, Path]]]:
    """Write a curve for each axis along which runs differ, named after the axis and the runs; return each curve with
    its two paths. Raises MachineError."""
    name = digest([run["id"] for run, _ in runs])[:10]
    return [
        (curve, write_curve(curve, folder, f"{curve.axis.replace('_', '-')}-{name}")) for curve in build_curves(runs)
    ]


def _grid_points(axis: str, run: Mapping[str, Any], scores: Scores, differing: Sequence[str]) -> list[Point]:
    """Return the point of a run for each target; its line is named by the settings `differing` between runs."""
    parts = _describe_parts(run, axis)
    synthetic = " (synthetic)" if run["dataset"]["synthetic"] is not None else ""
    dataset = name_without_package(run["dataset"]["name"]) + synthetic
    line = ", ".join(filter(None, (parts[part] for part in differing))) or parts["method"]
    at, metrics = _find_place(axis, run), scores.primary_metrics
    found = {target: scores.get_scores(target).get(metric, Score()) for target, metric in metrics.items()}
    return [Point(dataset, target, metric, line, at, found[target], run["id"]) for target, metric in metrics.items()]


def _list_differences(runs: Sequence[Mapping[str, Any]], axis: str) -> list[str]:
    """Return the names of the settings, except the axis, in which some runs differ."""
    parts = [_describe_parts(run, axis) for run in runs]
    return [name for name in parts[0] if len({part[name] for part in parts}) > 1]


def _describe_parts(run: Mapping[str, Any], axis: str) -> dict[str, str]:
    """Return setting -> value in words, for all settings of a run except its dataset and the axis."""
    method, config = run["method"], run["config"]
    encoders = list(dict.fromkeys(map(name_without_package, method["encoders"].values())))
    named = " + ".join([", ".join(encoders), name_without_package(method["fusion"] or "")]).removesuffix(" + ")
    trained_on, weights = config.get("train_dataset"), config.get("pretrained") or {}
    parts = {
        "method": method.get("submission") or named,
        "pretrainers": f"after {', '.join(method['pretrainers'])}" if method["pretrainers"] else "",
        "modalities": ", ".join(method["modalities"]),
        "protocol": run["protocol"]["name"],
        "recipe": run["recipe"]["preset"],
        "settings": " ".join(run["recipe"].get("settings", ())),
        "trained on": f"trained on {name_without_package(trained_on)}" if trained_on else "",
        "weights": f"started from {', '.join(d[:8] for d in weights.values())}" if weights else "",
        "label_subjects": f"labels of {_find_place('label_subjects', run)} subjects",
        "label_fraction": f"{_find_place('label_fraction', run)} of the labels",
        "calibration_data": ""
        if recorded_given(run.get("calibration_data")) is None
        else f"given {_find_place('calibration_data', run)}",
        "drop": f"without {_find_place('drop', run)}" if config.get("drop") else "",
    }
    return {name: text for name, text in parts.items() if name != axis}


def _find_place(axis: str, run: Mapping[str, Any]) -> str:
    if axis == "calibration_data":
        given = recorded_given(run.get("calibration_data"))
        return "" if given is None else given.text
    value = run["config"].get(axis)
    if axis == "drop":
        return ", ".join(value or ()) or "none"
    return "all" if value is None else str(value)


def _get_order(axis: str, run: Mapping[str, Any]) -> tuple[float, ...]:
    value = run["config"].get(axis)
    if axis == "drop":
        return (len(value or ()), *(run["method"]["modalities"].index(m) for m in value or ()))
    return (float("inf") if value is None else value,)


# Curve over the runs next to a run's folder that differ from it only in calibration data.

_ABOUT_GIVEN = (
    "The same method, and what it is compared with, by the amount of calibration data of the test subject; below, its "
    "gain over the best of these."
)


def calibration_data_section(run: RunFacts) -> Markup | None:
    """Return the curve of scores over amounts of calibration data, from this run and the runs in sibling folders that
    differ only in the amount. Return None if there are no such runs, or if the report is for others."""
    if run.manifest.calibration_data is None or run.for_others:
        return None
    facts = [run.manifest.seeds, *get_comparable_facts(run.manifest)]
    siblings = run.read_siblings(lambda other: [other.seeds, *get_comparable_facts(other)] == facts)
    curves = build_curves([(record.run, record.scores) for record in siblings])
    return next((describe_curve(curve) for curve in curves if curve.axis == "calibration_data"), None)


def _get_ends(score: Score) -> tuple[float | None, ...]:
    return score.mean, score.low, score.high


def describe_curve(curve: Curve) -> Markup:
    """Return the figure of a curve with its numbers, and a table of gains if there are any."""
    head = ("target", "score", "of", AXIS_TITLES[curve.axis], "mean", "from", "to")
    panels = curve.panels()
    rows = [(p.target, p.metric, p.line, p.at, *_get_ends(p.score)) for _, points in panels for p in points]
    drawn = figure_with_table(draw_curve(curve), head, rows, _ABOUT_GIVEN)
    gains = [(p.target, p.line, p.at, p.above, *_get_ends(p.score)) for title, _ in panels for p in curve.gains(title)]
    columns = ("target", "calibration_data", AXIS_TITLES[curve.axis], "above", "gain", "from", "to")
    parts = [html_table(columns, gains, "Gain over the best confound-only model")] if gains else []
    return join_parts([paragraph(curve.note), figure_row([drawn]), *parts])
