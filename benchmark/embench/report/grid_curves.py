"""Scores of a grid against one of its axes: how many subjects or units have labels, which modalities are taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embench.errors import MachineError
from embench.files import digest, write_text
from embench.records.record import format_csv
from embench.records.wording import format_figure, name_without_package
from embench.report.drawing import SYMBOLS, Axis, Figure, Mark, Panel, error_bars, figure, line, rule

AXIS_TITLES = {
    "label_subjects": "training subjects with labels",
    "label_fraction": "share of the training labels",
    "drop": "modalities removed at test time",
}
CURVE_FIELDS = ("dataset", "target", "metric", "line", "at", "mean", "low", "high", "people", "run")


@dataclass(frozen=True)
class Curve:
    """The runs of a grid along one axis of `AXES`.

    Args:
        places: what the axis holds, in order.
        rows: `FIELDS` of each run and target: the headline with its interval (None where undefined), how many test
            subjects it rests on, and `line`, what sets the run apart from the others but for the axis.
    """

    axis: str
    places: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]

    @property
    def title(self) -> str:
        """The heading of the figure."""
        return f"Headline scores over {AXIS_TITLES[self.axis]}"

    def panels(self) -> list[tuple[str, list[Mapping[str, Any]]]]:
        """(what it is about, its rows) for each dataset, target and metric."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for row in self.rows:
            found.setdefault(f"{row['dataset']}, {row['target']}: {row['metric']}", []).append(row)
        return list(found.items())


def build_curves(runs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[Curve]:
    """A curve for each axis along which some runs differ, each given as the content of run.yaml and of scores.json."""
    found = []
    for axis in AXIS_TITLES:
        places = {_place(axis, run): _order(axis, run) for run, _ in runs}
        if len(places) > 1:
            rows = [row for run, scores in runs for row in _rows(axis, run, scores, _apart([r for r, _ in runs], axis))]
            found.append(Curve(axis, tuple(sorted(places, key=places.__getitem__)), tuple(rows)))
    return found


def draw_curve(curve: Curve) -> Figure:
    """A panel for each dataset and target: what is taken away from top to bottom, how much is labelled as lines."""
    lying = curve.axis == "drop"
    places = Axis("without" if lying else AXIS_TITLES[curve.axis], names=curve.places)
    drawn = []
    for title, rows in curve.panels():
        metric, lines = Axis(rows[0]["metric"]), list(dict.fromkeys(row["line"] for row in rows))
        marks: list[Mark] = []
        if metric.label.startswith("auroc"):
            marks.append(rule(x=0.5, label="chance") if lying else rule(y=0.5, label="chance"))
        for k, name in enumerate(lines):
            own = [row for row in rows if row["line"] == name and row["mean"] is not None]
            own.sort(key=lambda row: curve.places.index(row["at"]))
            at = [curve.places.index(row["at"]) + 0.5 * ((k + 0.5) / len(lines) - 0.5) for row in own]
            mean, low, high = ([_or_nan(row[key]) for row in own] for key in ("mean", "low", "high"))
            if not lying:
                marks.append(line(at, mean, colour=k, dashed=bool(k % 2)))
            about: dict[str, Any] = {"label": name, "symbol": SYMBOLS[k % len(SYMBOLS)], "across": lying}
            about["tips"] = [f"{name}, {row['at']}: {format_figure(row['mean'])}" for row in own]
            marks.append(error_bars(at, mean, low, high, colour=k, **about))
        if lying:
            drawn.append(Panel(title, marks, metric, places, height=len(curve.places) * max(24.0, 12.0 * len(lines))))
        else:
            drawn.append(Panel(title, marks, places, metric))
    about_all = f"The headline with its interval over {AXIS_TITLES[curve.axis]}: {', '.join(curve.places)}."
    return figure(drawn, curve.title, about_all)


def write_curve(curve: Curve, folder: Path, name: str) -> tuple[Path, Path]:
    """Writes `name`.svg and `name`.csv, which has the drawn numbers; the paths. Raises MachineError."""
    picture, numbers = folder / f"{name}.svg", folder / f"{name}.csv"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(numbers, format_csv(curve.rows, CURVE_FIELDS))
        draw_curve(curve).save(picture)
    except OSError as error:
        raise MachineError(f"the curve cannot be written: {error.strerror}", where=str(folder)) from error
    return picture, numbers


def write_curves(
    runs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], folder: Path
) -> list[tuple[Curve, tuple[Path, Path]]]:
    """Writes the curve of each axis along which runs differ, named after the axis and the runs; each curve with its
    two paths. Raises MachineError."""
    name = digest([run["id"] for run, _ in runs])[:10]
    return [
        (curve, write_curve(curve, folder, f"{curve.axis.replace('_', '-')}-{name}")) for curve in build_curves(runs)
    ]


def _rows(axis: str, run: Mapping[str, Any], scores: Mapping[str, Any], apart: Sequence[str]) -> list[dict[str, Any]]:
    parts, rows = _parts(run, axis), []
    dataset = name_without_package(run["dataset"]["name"]) + (
        " (synthetic)" if run["dataset"]["synthetic"] is not None else ""
    )
    for target, metric in scores["headlines"].items():
        number = scores["scores"].get(target, {}).get(metric, {})
        about = {"dataset": dataset, "target": target, "metric": metric, "run": run["id"]}
        values = {key: number.get(key) for key in ("mean", "low", "high", "people")}
        name = ", ".join(filter(None, (parts[part] for part in apart))) or parts["method"]
        rows.append({**about, "line": name, "at": _place(axis, run), **values})
    return rows


def _apart(runs: Sequence[Mapping[str, Any]], axis: str) -> list[str]:
    """The parts in which some runs differ besides the axis."""
    parts = [_parts(run, axis) for run in runs]
    return [name for name in parts[0] if len({part[name] for part in parts}) > 1]


def _parts(run: Mapping[str, Any], axis: str) -> dict[str, str]:
    """What a run is, in words; without its dataset, which has a panel of its own."""
    method, config = run["method"], run["config"]
    encoders = list(dict.fromkeys(map(name_without_package, method["encoders"].values())))
    parts = {
        "method": " + ".join([", ".join(encoders), name_without_package(method["fusion"] or "")]).removesuffix(" + "),
        "pretrainers": f"after {', '.join(method['pretrainers'])}" if method["pretrainers"] else "",
        "modalities": ", ".join(method["modalities"]),
        "protocol": run["protocol"]["name"],
        "recipe": run["recipe"]["preset"],
        "settings": " ".join(run["recipe"]["settings"]),
        "trained on": f"trained on {name_without_package(config['train_dataset'])}" if config["train_dataset"] else "",
        "weights": "started from " + ", ".join(d[:8] for d in config["pretrained"].values())
        if config["pretrained"]
        else "",
        "label_subjects": f"labels of {_place('label_subjects', run)} subjects",
        "label_fraction": f"{_place('label_fraction', run)} of the labels",
        "drop": f"without {_place('drop', run)}" if config["drop"] else "",
    }
    return {name: text for name, text in parts.items() if name != axis}


def _place(axis: str, run: Mapping[str, Any]) -> str:
    value = run["config"].get(axis)
    if axis == "drop":
        return ", ".join(value) or "none"
    return "all" if value is None else str(value)


def _order(axis: str, run: Mapping[str, Any]) -> tuple[float, ...]:
    value = run["config"].get(axis)
    if axis == "drop":
        return (len(value), *(run["method"]["modalities"].index(m) for m in value))
    return (float("inf") if value is None else value,)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
