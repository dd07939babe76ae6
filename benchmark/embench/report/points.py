"""Points of curves: scores of runs along an axis along which they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from embench.records.scores import Score

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
