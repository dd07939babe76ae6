"""A method's score drawn against those of the controls, for `Result.plot`."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, NamedTuple

from embench.records.predictions import MODEL
from embench.records.scores import Score, Scores
from embench.records.wording import format_figure, is_by_construction
from embench.vocabulary import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOUR, _GREY = "C0", "0.35"
_METHOD = "this method"


class _Row(NamedTuple):
    name: str
    score: Score


def draw_scores(scores: Scores, target: str, metric: str, ax: Axes | None) -> Axes:
    """Draws the scores of a target with their 95 % intervals, the highest at the top, on axes of matplotlib.

    Controls that cannot score anything else are a dashed line, since nothing was measured. None for `ax` makes new
    axes, as high as there are rows.
    """
    rows, fixed = _rows(scores, target, metric)
    if ax is None:
        from matplotlib import pyplot as plt

        _, ax = plt.subplots(figsize=(8.5, 1.5 + 0.35 * len(rows)), layout="constrained")
    for k, row in enumerate(rows):
        _draw_row(ax, k, row)
    for same in fixed:
        first, names = same[0], ", ".join(label(row.name) for row in same)
        told = f"{names}: {format_figure(first.score.mean)} by construction"
        ax.axvline(first.score.mean, color=_GREY, linestyle="--", linewidth=1, zorder=1, label=fill(told, 34))
    ax.set_yticks(range(len(rows)), [_METHOD if row.name == MODEL else label(row.name) for row in rows])
    for tick, row in zip(ax.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if row.name == MODEL else "normal")
    ax.set_ylim(len(rows) - 0.5, -0.5)
    handles, labels = ax.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    ax.legend(once.values(), once.keys(), loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False)
    return ax


def _rows(scores: Scores, target: str, metric: str) -> tuple[list[_Row], list[list[_Row]]]:
    """The measured scores, the highest first; and those that hold by construction, together where nothing differs."""
    rows = [
        _Row(control.name, score)
        for control in scores.controls(target)
        if (score := control.scores.get(metric)) is not None and score.defined
    ]
    fixed: dict[str, list[_Row]] = {}
    for row in rows:
        if is_by_construction(row.score):
            fixed.setdefault(format_figure(row.score.mean), []).append(row)
    measured = [row for row in rows if not is_by_construction(row.score)]
    if (own := scores.score(target, metric)) is not None:
        measured.insert(0, _Row(MODEL, own))
    return sorted(measured, key=lambda row: -row.score.mean), list(fixed.values())


def _draw_row(ax: Axes, k: int, row: _Row) -> None:
    mean = row.score.mean
    low, high = row.score.ends or (mean, mean)
    own = row.name == MODEL
    colour = _COLOUR if own else _GREY
    ax.errorbar(
        mean,
        k,
        xerr=[[mean - low], [high - mean]],
        fmt="D" if own else "o",
        markersize=8 if own else 6,
        color=colour,
        markerfacecolor=colour if own else "0.8",
        capsize=3,
        label=_METHOD if own else "confound-only model",
    )
