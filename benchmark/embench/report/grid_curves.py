"""Scores of a grid against one of its axes: how many subjects or units have labels, what test subjects give first,
which modalities are taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embench.files import digest, saving, write_text
from embench.protocols import recorded_given
from embench.records.record import format_csv
from embench.records.scores import Score, Scores
from embench.records.wording import format_figure, name_without_package
from embench.report.drawing import SYMBOLS, Axis, Figure, Mark, Panel, figure, line, rule, score_bars
from embench.report.given_points import draw_given, given_curve
from embench.report.points import AXIS_TITLES, CURVE_FIELDS, Curve, Point
from embench.statistics.metrics import metric_facts


def build_curves(runs: Sequence[tuple[Mapping[str, Any], Scores]]) -> list[Curve]:
    """A curve for each axis along which some runs differ, each given as the content of run.yaml and its scores."""
    found = []
    for axis in AXIS_TITLES:
        if axis == "given":
            if all(run.get("given") is None for run, _ in runs):
                continue
            differing = _differing([run for run, _ in runs], axis)
            if curve := given_curve(runs, [_points(axis, run, scores, differing) for run, scores in runs]):
                found.append(curve)
            continue
        places = {_place(axis, run): _order(axis, run) for run, _ in runs}
        if len(places) > 1:
            differing = _differing([run for run, _ in runs], axis)
            points = [point for run, scores in runs for point in _points(axis, run, scores, differing)]
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


def _points(axis: str, run: Mapping[str, Any], scores: Scores, differing: Sequence[str]) -> list[Point]:
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
