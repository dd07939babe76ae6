"""Curves of scores along an axis: calibration data, labelled subjects, labels, or channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from embench.errors import EmbenchError
from embench.files import digest, saving, write_text
from embench.protocols import NOTHING_GIVEN, SLICE_NORMALISED, Given, recorded_given
from embench.records.manifest import Manifest, but_for_given
from embench.records.record import format_csv, read_manifest, read_record
from embench.records.scores import Score, Scores
from embench.records.wording import format_figure, format_score, least_gain, name_without_package
from embench.report.drawing import SYMBOLS, Axis, Figure, Mark, Panel, figure, line, rule, scatter, score_bars
from embench.report.facts import RunFacts
from embench.report.page import figure_row, figure_with_table, html_table, join_parts, paragraph
from embench.statistics import metric_facts
from embench.statistics.scores import COMPARED

# Points of curves: scores of runs along an axis along which they differ.

AXIS_TITLES = {
    "label_subjects": "training subjects with labels",
    "label_fraction": "proportion of the training labels",
    "given": "units given of each class",
    "drop": "modalities removed at test time",
}
CURVE_FIELDS = (
    *("dataset", "target", "metric", "kind", "of", "line", "at", "mean", "low", "high", "people", "above", "run"),
)


@dataclass(frozen=True)
class Point:
    """The headline of a run on a target, or what belongs to it.

    Args:
        line: what sets the run apart from the others but for the axis, or the name of a control. `at`: its place on
            the axis.
        kind: whose it is; a `gain` is the difference from the best control, which `above` names.
        of: the method that has a panel of its own; empty where methods share one.
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
        """True if it is of a control."""
        return self.kind == "control"

    def fields(self) -> dict[str, Any]:
        """`CURVE_FIELDS`, of which an undefined score has none."""
        score = self.score
        own = {**vars(self), "mean": score.mean if score.defined else None, "low": score.low, "high": score.high}
        own["people"] = score.subjects
        return {name: own[name] for name in CURVE_FIELDS}


@dataclass(frozen=True)
class Curve:
    """Runs along one axis of `AXIS_TITLES`. `places`: what the axis holds, in order; `note`: what may be concluded,
    where that needs words."""

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
        """(title, points) for each dataset, target and metric, and for methods that have panels of their own."""
        found: dict[str, list[Point]] = {}
        for point in self.points:
            if point.kind != "gain":
                found.setdefault(self._panel(point), []).append(point)
        return list(found.items())

    def gains(self, title: str) -> list[Point]:
        """The gains of the panel of this title."""
        own = [point for point in self.points if point.kind == "gain" and self._panel(point) == title]
        return sorted(own, key=lambda point: (self.places.index(point.at), point.line))

    def along(self, points: list[Point], line: str) -> list[Point]:
        """The points of a line whose score is known, in the order of the axis."""
        own = [point for point in points if point.line == line and point.score.defined]
        return sorted(own, key=lambda point: self.places.index(point.at))

    def _panel(self, point: Point) -> str:
        own = f", {point.of}" if point.of else ""
        return f"{point.dataset}, {point.target}: {point.metric}{own}"


# The curve of a method's score over what test subjects give of themselves first, with its controls', and what it gains
# above the best of them.

_SESSION = "session"
_LABELLED, _UNLABELLED = "labelled", f"unlabelled ({SLICE_NORMALISED})"
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


def place_of(given: Given) -> str:
    """The place of what is given on the axis, labelled or not."""
    return _SESSION if given.session else str(given.units)


def given_curve(runs: Sequence[tuple[Mapping[str, Any], Scores]], points: Sequence[Sequence[Point]]) -> Curve | None:
    """The curve over what is given; None where runs do not differ in it.

    Args:
        points: of each run, as for any other axis: a `line` that names its method.
    """
    found: dict[tuple[Any, ...], Point] = {}
    asked: dict[str, Given] = {}
    for (run, scores), headlines in zip(runs, points, strict=True):
        if (given := recorded_given(run.get("given"))) is None:
            continue
        asked[given.text] = given
        for headline in headlines:
            for point in _calibration_points(given, replace(headline, of=headline.line, at=place_of(given)), scores):
                key = point.of, point.dataset, point.target, point.metric, point.kind == "gain", point.line, point.at
                if key not in found or (found[key].control and not point.control):  # the run itself, where there is one
                    found[key] = point
    if len(asked) < 2:
        return None
    places = dict.fromkeys(place_of(given) for given in sorted(asked.values(), key=lambda given: given.place))
    words = {run["giving"] for run, _ in runs if run.get("giving")}
    told = f"Subjects: {words.pop()}. " if len(words) == 1 else ""
    note = told + GIVEN_NOTE + _DESCRIPTIVE[all(run["dev"] for run, _ in runs)]
    return Curve("given", tuple(places), tuple(found.values()), note)


def _calibration_points(given: Given, headline: Point, scores: Scores) -> Iterator[Point]:
    """The points of a run on a target: its own, its controls', and its gain."""
    own = _OFFLINE if given.session else _LABELLED if given.labelled else _UNLABELLED
    yield replace(headline, line=own)
    if not given.plain():
        yield replace(headline, line=_UNLABELLED)  # of nothing, there is nothing to label
        return
    for name in COMPARED:
        score = scores.control_scores(headline.target, name).get(headline.metric, Score())
        if score.defined and not given.session:
            told = _UNLABELLED if name == SLICE_NORMALISED else name
            yield replace(headline, line=told, score=score, kind="control")
    personal = scores.personal(headline.target)
    if personal and (best := least_gain(personal, headline.metric)):
        above, gap = best
        yield replace(headline, line=own, score=gap.difference, kind="gain", above=above)


def draw_given(curve: Curve) -> Figure:
    """A panel of scores and one of gains for each dataset, target and method."""
    places, drawn = Axis(AXIS_TITLES["given"], names=curve.places), []
    for title, points in curve.panels():
        metric = points[0].metric
        marks: list[Mark] = []
        if (chance := metric_facts(metric).chance) is not None:
            marks.append(rule(y=chance, label="chance"))
        drawn.append(Panel(title, [*marks, *_controls(curve, points), *_methods(curve, points)], places, Axis(metric)))
        if gains := curve.gains(title):
            zero = rule(y=0.0, label="no gain")
            gained = Axis("gain")
            drawn.append(
                Panel(
                    _GAIN,
                    [zero, *_methods(curve, gains)],
                    places,
                    gained,
                    height=130,
                )
            )
    return figure(drawn, curve.title, curve.about)


def _methods(curve: Curve, points: list[Point]) -> Iterator[Mark]:
    """Lines with intervals, side by side at each place."""
    for k, name in enumerate((_LABELLED, _UNLABELLED, _OFFLINE)):
        own = curve.along(points, name)
        if not own:
            continue
        at = [curve.places.index(point.at) + 0.16 * (k - 1) * (name != _OFFLINE) for point in own]
        if len(own) > 1:
            yield line(at, [point.score.mean for point in own], colour=k, dashed=bool(k))
        tips = [
            f"{name}, {point.at}: {format_score(point.score)}{f' above {point.above}' if point.above else ''}"
            for point in own
        ]
        yield score_bars(at, [p.score for p in own], colour=k, label=name, symbol=SYMBOLS[k % len(SYMBOLS)], tips=tips)


def _controls(curve: Curve, points: list[Point]) -> Iterator[Mark]:
    """Thin lines without intervals; what is scored with nothing given is level over all places."""
    for k, name in enumerate(name for name in COMPARED if name != SLICE_NORMALISED):
        own = [point for point in curve.along(points, name) if point.control]
        if own and name == NOTHING_GIVEN:
            yield rule(y=own[0].score.mean, label=name, colour="ink")
        elif own:
            at, means = [curve.places.index(point.at) for point in own], [point.score.mean for point in own]
            tips = [f"{name}, {point.at}: {format_figure(point.score.mean)}" for point in own]
            yield line(at, means, colour=2 + k, width=1.0)
            yield scatter(at, means, colour=2 + k, symbol=SYMBOLS[(2 + k) % len(SYMBOLS)], label=name, tips=tips)


# Scores of a grid against one of its axes: how many subjects or units have labels, what test subjects give first, which
# modalities are taken away.


def build_curves(runs: Sequence[tuple[Mapping[str, Any], Scores]]) -> list[Curve]:
    """A curve for each axis along which some runs differ, each given as the content of run.yaml and its scores."""
    found = []
    for axis in AXIS_TITLES:
        if axis == "given":
            if all(run.get("given") is None for run, _ in runs):
                continue
            differing = _differing([run for run, _ in runs], axis)
            if curve := given_curve(runs, [_grid_points(axis, run, scores, differing) for run, scores in runs]):
                found.append(curve)
            continue
        places = {_place(axis, run): _order(axis, run) for run, _ in runs}
        if len(places) > 1:
            differing = _differing([run for run, _ in runs], axis)
            points = [point for run, scores in runs for point in _grid_points(axis, run, scores, differing)]
            found.append(Curve(axis, tuple(sorted(places, key=places.__getitem__)), tuple(points)))
    return found


def draw_curve(curve: Curve) -> Figure:
    """A panel for each dataset and target: removed modalities from top to bottom, all else as lines."""
    if curve.axis == "given":
        return draw_given(curve)
    lying = curve.axis == "drop"
    places = Axis("without" if lying else AXIS_TITLES[curve.axis], names=curve.places)
    drawn = []
    for title, points in curve.panels():
        metric, lines = Axis(points[0].metric), list(dict.fromkeys(p.line for p in points))
        marks: list[Mark] = []
        if (chance := metric_facts(metric.label).chance) is not None:
            marks.append(rule(x=chance, label="chance") if lying else rule(y=chance, label="chance"))
        for k, name in enumerate(lines):
            own = curve.along(points, name)
            at = [curve.places.index(point.at) + 0.5 * ((k + 0.5) / len(lines) - 0.5) for point in own]
            scores = [point.score for point in own]
            if not lying:
                marks.append(line(at, [score.mean for score in scores], colour=k, dashed=bool(k % 2)))
            about: dict[str, Any] = {"label": name, "symbol": SYMBOLS[k % len(SYMBOLS)], "across": lying}
            about["tips"] = [f"{name}, {point.at}: {format_figure(point.score.mean)}" for point in own]
            marks.append(score_bars(at, scores, colour=k, **about))
        if lying:
            drawn.append(Panel(title, marks, metric, places, height=len(curve.places) * max(24.0, 12.0 * len(lines))))
        else:
            drawn.append(Panel(title, marks, places, metric))
    return figure(drawn, curve.title, curve.about)


def write_curve(curve: Curve, folder: Path, name: str) -> tuple[Path, Path]:
    """Writes `name`.svg and `name`.csv, which has the drawn numbers; the paths. Raises MachineError."""
    picture, numbers = folder / f"{name}.svg", folder / f"{name}.csv"
    with saving("the curve", folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_text(numbers, format_csv([point.fields() for point in curve.points], CURVE_FIELDS))
        draw_curve(curve).save(picture)
    return picture, numbers


def write_curves(
    runs: Sequence[tuple[Mapping[str, Any], Scores]], folder: Path
) -> list[tuple[Curve, tuple[Path, Path]]]:
    """Writes the curve of each axis along which runs differ, named after the axis and the runs; each curve with its
    two paths. Raises MachineError."""
    name = digest([run["id"] for run, _ in runs])[:10]
    return [
        (curve, write_curve(curve, folder, f"{curve.axis.replace('_', '-')}-{name}")) for curve in build_curves(runs)
    ]


def _grid_points(axis: str, run: Mapping[str, Any], scores: Scores, differing: Sequence[str]) -> list[Point]:
    parts = _parts(run, axis)
    synthetic = " (synthetic)" if run["dataset"]["synthetic"] is not None else ""
    dataset = name_without_package(run["dataset"]["name"]) + synthetic
    line = ", ".join(filter(None, (parts[part] for part in differing))) or parts["method"]
    return [
        Point(dataset, target, metric, line, _place(axis, run), scores.of(target).get(metric, Score()), run["id"])
        for target, metric in scores.headlines.items()
    ]


def _differing(runs: Sequence[Mapping[str, Any]], axis: str) -> list[str]:
    """The parts in which some runs differ besides the axis."""
    parts = [_parts(run, axis) for run in runs]
    return [name for name in parts[0] if len({part[name] for part in parts}) > 1]


def _parts(run: Mapping[str, Any], axis: str) -> dict[str, str]:
    """Description of a run in words; without its dataset, which has a panel of its own."""
    method, config = run["method"], run["config"]
    encoders = list(dict.fromkeys(map(name_without_package, method["encoders"].values())))
    parts = {
        "method": method.get("outside")
        or " + ".join([", ".join(encoders), name_without_package(method["fusion"] or "")]).removesuffix(" + "),
        "pretrainers": f"after {', '.join(method['pretrainers'])}" if method["pretrainers"] else "",
        "modalities": ", ".join(method["modalities"]),
        "protocol": run["protocol"]["name"],
        "recipe": run["recipe"]["preset"],
        "settings": " ".join(run["recipe"].get("settings", ())),
        "trained on": f"trained on {name_without_package(config['train_dataset'])}"
        if config.get("train_dataset")
        else "",
        "weights": "started from " + ", ".join(d[:8] for d in config["pretrained"].values())
        if config.get("pretrained")
        else "",
        "label_subjects": f"labels of {_place('label_subjects', run)} subjects",
        "label_fraction": f"{_place('label_fraction', run)} of the labels",
        "given": "" if recorded_given(run.get("given")) is None else f"given {_place('given', run)}",
        "drop": f"without {_place('drop', run)}" if config.get("drop") else "",
    }
    return {name: text for name, text in parts.items() if name != axis}


def _place(axis: str, run: Mapping[str, Any]) -> str:
    if axis == "given":
        given = recorded_given(run.get("given"))
        return "" if given is None else given.text
    value = run["config"].get(axis)
    if axis == "drop":
        return ", ".join(value or ()) or "none"
    return "all" if value is None else str(value)


def _order(axis: str, run: Mapping[str, Any]) -> tuple[float, ...]:
    value = run["config"].get(axis)
    if axis == "drop":
        return (len(value or ()), *(run["method"]["modalities"].index(m) for m in value or ()))
    return (float("inf") if value is None else value,)


# The curve over the runs that lie beside a run's folder and differ from it in what test subjects give first alone.

_ABOUT_GIVEN = (
    "The same method, and what it is compared with, by the amount of calibration data of the test subject; below, its "
    "gain over the best of these."
)


def given_section(run: RunFacts) -> Markup | None:
    """The curve over this run and those beside its folder that differ from it in what test subjects give alone; None
    where there are none, or others may see the report."""
    if run.manifest.given is None or run.for_others:
        return None
    found = _beside(run)
    curves = [curve for curve in build_curves(found) if curve.axis == "given"] if len(found) > 1 else []
    return describe_curve(curves[0]) if curves else None


def _comparable(about: Manifest) -> list[Any]:
    """Facts that all runs of one curve share."""
    return [about.seeds, *but_for_given(about)]


def _beside(run: RunFacts) -> list[tuple[Mapping[str, Any], Scores]]:
    """run.yaml and scores of the run and of those that differ from it in what test subjects give alone."""
    found, own = [], _comparable(run.manifest)
    for path in sorted(run.folder.resolve().parent.glob("*/run.yaml")) if run.folder else ():
        try:
            if _comparable(read_manifest(path.parent)) == own:
                record = read_record(path.parent)
                found.append((record.run, record.scores))
        except EmbenchError:  # another run's record that cannot be read
            continue
    return found


def describe_curve(curve: Curve) -> Markup:
    """The figure of a curve with its numbers, and a table of gains where there are some."""
    head = ("target", "score", "of", AXIS_TITLES[curve.axis], "mean", "from", "to")
    rows = [
        (point.target, point.metric, point.line, point.at, point.score.mean, point.score.low, point.score.high)
        for _, points in curve.panels()
        for point in points
    ]
    drawn = figure_with_table(draw_curve(curve), head, rows, _ABOUT_GIVEN)
    gains = [
        (point.target, point.line, point.at, point.above, point.score.mean, point.score.low, point.score.high)
        for title, _ in curve.panels()
        for point in curve.gains(title)
    ]
    columns = ("target", "given", AXIS_TITLES[curve.axis], "above", "gain", "from", "to")
    told = [html_table(columns, gains, "Gain over the best confound-only model")] if gains else []
    return join_parts([paragraph(curve.note), figure_row([drawn]), *told])
