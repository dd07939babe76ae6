"""The board of a set's runs: methods of one's own, baselines and controls as rows, the differences from the best of
them, and whether one's own are better, in a sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from embench.errors import EmbenchError
from embench.files import saving, write_whole
from embench.records.manifest import tuned_trials
from embench.records.scores import Control, Score
from embench.records.wording import format_control, format_p, format_score, method_name
from embench.statistics.comparison import compare
from embench.statistics.metrics import metric_facts
from embench.statistics.result import Result
from embench.statistics.significance import holm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from embench.statistics.compared import Comparison


def board_rows(results: Sequence[Result], own: Collection[str] = ()) -> list[dict[str, Any]]:
    """The rows of a board for each protocol and target: one's own methods, whose runs are `own`, then baselines, then
    the controls of the first of these methods; each best first.

    A row has `role` (`own`, `baseline` or `control`), `best` (of its role), `method`, `protocol`, `target`, `metric`
    (the headline, or what stands for it where it is undefined), `mean`, `low`, `high` and `synthetic`; that of a method
    also `over_control`, the difference from its best control, with its ends, `finding`, `run` and `folder`. One's own
    methods have `over_baseline`, the paired difference from the best baseline on the units of both, and `answer`:
    whether they are better. The p values in it are Holm-corrected over all of one's own methods and targets.
    """
    panels = list(_panels(results, own))
    pairs = _paired(panels)
    return [row for panel in panels for row in chain(_methods(panel, pairs), _controls(panel))]


def board_cells(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The rows as cells of a table, for readers: one's own methods and the best of each role are marked. Columns in
    which all rows are alike, or none has anything, are left out."""
    metrics, cells = {row["metric"] for row in rows}, []
    for row in rows:
        marks = [row["role"]] if row["role"] != "baseline" else []
        cells.append(
            {
                "": " ".join(["best", *marks] if row["best"] else marks),
                "method": row["method"],
                "protocol": row["protocol"],
                "target": row["target"],
                **({"headline": row["metric"]} if len(metrics) > 1 else {}),
                row["metric"] if len(metrics) == 1 else "score": _text(row, ""),
                "over the best baseline": _text(row, "over_baseline"),
                "over its best control": _text(row, "over_control"),
                "given time and movement": row.get("finding", ""),
                "run": row.get("run", "").rpartition("-")[2],
            }
        )
    texts = {name: {cell[name] for cell in cells} for name in (cells[0] if cells else ())}
    kept = [name for name, own in texts.items() if (len(own) > 1 if name in ("protocol", "target") else any(own))]
    return [{name: cell[name] for name in kept} for cell in cells]


def draw_board(rows: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Draws the rows of one protocol and target with their 95 % intervals: one's own methods in bold and colour, then
    baselines, then controls, hollow. None for `ax` makes new axes, as high as there are rows."""
    shown = [row for row in rows if row["mean"] is not None]
    if ax is None:
        from matplotlib import pyplot as plt

        _, ax = plt.subplots(figsize=_size(shown), layout="constrained")
    for k, row in enumerate(shown):
        colour = {"own": "C0", "baseline": "0.2"}.get(row["role"], "0.5")
        ends = [[row["mean"] - row["low"]], [row["high"] - row["mean"]]] if row["low"] is not None else None
        fill = "none" if row["role"] == "control" else colour
        ax.errorbar(row["mean"], k, xerr=ends, fmt="o", color=colour, markerfacecolor=fill, capsize=3)
    ax.set_yticks(range(len(shown)), [row["method"] for row in shown])
    for tick, row in zip(ax.get_yticklabels(), shown, strict=True):
        tick.set_fontweight("bold" if row["role"] == "own" else "normal")
        tick.set_color("0.5" if row["role"] == "control" else "black")
    ax.set_ylim(len(shown) - 0.5, -0.5)
    first = rows[0]
    ax.set_xlabel(f"{first['metric']}, 95 % interval")
    ax.set_title(first["target"] + (" (synthetic data)" if first["synthetic"] else ""))
    if (chance := metric_facts(first["metric"]).chance) is not None:
        ax.axvline(chance, color="0.8", zorder=0)
    return ax


def write_figures(rows: Sequence[Mapping[str, Any]], folder: Path, name: str) -> list[Path]:
    """Draws each protocol and target of a board into a PNG file in `folder`. Raises MachineError."""
    from matplotlib.figure import Figure

    panels: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        panels.setdefault(f"{name}-{row['protocol']}-{row['target']}.png", []).append(row)
    for file, own in panels.items():
        figure = Figure(figsize=_size(own), layout="constrained")
        draw_board(own, figure.subplots())
        with saving("a figure", folder / file):
            write_whole(folder / file, partial(figure.savefig, format="png", dpi=150))
    return [folder / file for file in panels]


def _size(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    return 8.5, 1.5 + 0.3 * len(rows)


def best_control(result: Result, target: str, metric: str) -> Control | None:
    """The control with the best score on a target, the first of equals; None where none has one."""
    known = [control for control in result.scores.controls(target) if _mean(control.scores.get(metric)) is not None]
    return max(known, key=lambda control: _rank(control.scores[metric], metric), default=None)


class _Panel(NamedTuple):
    """The runs of a protocol that have a target, each part best first."""

    protocol: str
    target: str
    metric: str
    own: list[Result]
    baselines: list[Result]


_Pairs = Mapping[tuple[str, str, str], "Comparison | EmbenchError"]
"""Run of one's own, protocol and target -> its comparison with the best baseline, or why there is none."""


def _panels(results: Sequence[Result], own: Collection[str]) -> Iterator[_Panel]:
    groups = dict[tuple[str, str], dict[str, Result]]()
    for result in results:
        for target in result.scores.headlines:
            groups.setdefault((result.manifest["protocol"]["name"], target), {})[result.id] = result
    for (protocol, target), found in groups.items():
        metric = min(found.values(), key=lambda r: r.id not in own).answers[target].shown
        ordered = sorted(found.values(), key=lambda r: -_rank(r.scores.score(target, metric), metric))
        parts = [[r for r in ordered if (r.id in own) == is_own] for is_own in (True, False)]
        yield _Panel(protocol, target, metric, *parts)


def _paired(panels: Sequence[_Panel]) -> _Pairs:
    found: dict[tuple[str, str, str], Comparison | EmbenchError] = {}
    for panel in panels:
        for result in panel.own if panel.baselines else ():
            key = (result.id, panel.protocol, panel.target)
            try:
                found[key] = compare(result, panel.baselines[0], panel.target, panel.metric)
            except EmbenchError as error:
                found[key] = error
    pairs = {key: pair for key, pair in found.items() if not isinstance(pair, EmbenchError)}
    corrected = holm([pair.p for pair in pairs.values()])
    settled = {k: replace(pair, holm=p) for (k, pair), p in zip(pairs.items(), corrected, strict=True)}
    return found | settled


def _name(result: Result) -> str:
    """A run's method as its row names it, with its settings and the number of trials among which its folds chose."""
    trials, settings = tuned_trials(result.manifest["config"]), result.manifest["recipe"]["settings"]
    parts = [method_name(result.manifest) or result.id, *settings]
    return ", ".join([*parts, f"tuned ({trials} trials)"] if trials else parts)


def _methods(panel: _Panel, pairs: _Pairs) -> Iterator[dict[str, Any]]:
    _, target, metric, own, baselines = panel
    for role, results in (("own", own), ("baseline", baselines)):
        for k, result in enumerate(results):
            control = best_control(result, target, metric)
            gap = control.gap if control and metric == result.scores.headlines[target] else None
            row = {
                "role": role,
                "best": k == 0,
                "method": _name(result),
                **panel._asdict(),
                **_interval(result.scores.score(target, metric)),
                **_interval(gap and gap.difference, "over_control"),
                "finding": result.answers[target].word("movement"),
                "run": result.id,
                "folder": str(result.folder),
                "synthetic": result.synthetic,
            }
            if role == "own":
                pair = pairs.get((result.id, panel.protocol, target))
                row |= _interval(getattr(pair, "difference", None), "over_baseline")
                row["answer"] = _answer(result, panel, pair)
            yield {name: value for name, value in row.items() if name not in ("own", "baselines")}


def _controls(panel: _Panel) -> Iterator[dict[str, Any]]:
    first = [*panel.own, *panel.baselines][0]
    known = [(c.name, score) for c in first.scores.controls(panel.target) if (score := c.scores.get(panel.metric))]
    known = sorted((each for each in known if each[1].defined), key=lambda each: -_rank(each[1], panel.metric))
    for k, (name, score) in enumerate(known):
        about = {"role": "control", "best": k == 0, "method": name, "protocol": panel.protocol, "target": panel.target}
        yield {**about, "metric": panel.metric, **_interval(score), "synthetic": first.synthetic}


def _answer(result: Result, panel: _Panel, pair: Comparison | EmbenchError | None) -> str:
    """A sentence that answers if a method is better than the best baseline, and than the controls: whether it clears
    each, or where it is `asked` so, adds to clock and movement."""
    found, name = result.answers[panel.target], _name(result)
    best = _name(panel.baselines[0]) if panel.baselines else ""
    if pair is None:
        first = "has no baseline beside it"
    elif isinstance(pair, EmbenchError):
        first = f"can't be compared with the best baseline, {best} ({pair.what})"
    else:
        verb = "is not shown to be better than"
        if pair.better:
            verb = "is better than" if pair.better == pair.one else "is worse than"
        first = f"{verb} the best baseline, {best} ({format_score(pair.difference, '+.3f')}, {format_p(pair.holm)})"
    failed, count = found.failed, len(found.compared)
    if answer := found.answer("movement"):
        second = f"its answer {answer.text.removesuffix('?')} is {answer.answer} ({answer.evidence})"
    elif failed:
        second = f"is not shown to be better than {len(failed)} of {count} controls ({', '.join(failed)})"
    else:
        second = f"is better than all {count} controls" if count else "is compared with no control"
    return f"{panel.target}: {name} {first}, and {second}."


def _interval(score: Any, name: str = "") -> dict[str, float | None]:
    """Mean and ends of a score as fields of a row, None where there is none."""
    keys = _keys(name)
    values = (None, None, None) if _mean(score) is None else (score.mean, score.low, score.high)
    return dict(zip(keys, values, strict=True))


def _keys(name: str) -> tuple[str, str, str]:
    return (name, f"{name}_low", f"{name}_high") if name else ("mean", "low", "high")


def _text(row: Mapping[str, Any], name: str) -> str:
    """The cell of a score, or of a difference."""
    keys = _keys(name)
    if row.get(keys[0]) is None:
        return "" if name else "not estimable"
    mean, low, high = (row[key] for key in keys)
    score = Score(mean=mean, low=low, high=high)
    if name:
        return format_score(score, "+.3f")
    return format_control(score) if row["role"] == "control" else format_score(score)


def _mean(score: Any) -> float | None:
    return None if score is None or score.mean is None or score.mean != score.mean else float(score.mean)


def _rank(score: Any, metric: str) -> float:
    """A number that is higher the better a score is; lowest where there is none."""
    mean = _mean(score)
    return -float("inf") if mean is None else mean if metric_facts(metric).higher else -mean
