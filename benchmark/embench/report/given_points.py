"""The curve of a method's score over what test subjects give of themselves first, with its controls', and what it gains
above the best of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from embench.protocols import NOTHING_GIVEN, SLICE_NORMALISED, Given, recorded_given
from embench.records.scores import Score, Scores
from embench.records.wording import format_figure, format_score, least_gain
from embench.report.drawing import SYMBOLS, Axis, Figure, Mark, Panel, figure, line, rule, scatter, score_bars
from embench.report.points import AXIS_TITLES, Curve, Point
from embench.statistics.metrics import metric_facts
from embench.statistics.personal import COMPARED

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
            for point in _points(given, replace(headline, of=headline.line, at=place_of(given)), scores):
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


def _points(given: Given, headline: Point, scores: Scores) -> Iterator[Point]:
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
