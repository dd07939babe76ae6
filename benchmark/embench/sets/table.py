"""The table of several runs, with the user's methods, baseline methods and confound-only models as rows, and
differences from the best or the first method."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from embench.errors import EmbenchError
from embench.files import saving, write_whole
from embench.interfaces.recording import split_modality
from embench.records.manifest import tuned_trials
from embench.records.record import read_record
from embench.records.scores import ConfoundOnlyModel, Score
from embench.records.wording import bare_name, grouped, is_by_construction, method_name
from embench.statistics import metric_facts
from embench.statistics.answers import format_decimals, format_with_interval
from embench.statistics.comparison import compare, compare_with_best, compare_with_first, method_names
from embench.statistics.intervals import holm
from embench.statistics.result import Result
from embench.vocabulary import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from embench.statistics.comparison import Comparison


_SHARED = ("dataset", "protocol", "target")
"""Fields that are equal in all rows of one table."""


def board_rows(
    results: Sequence[Result], user_runs: Collection[str] = (), reference: Literal["best", "first"] = "best"
) -> list[dict[str, Any]]:
    """Return the rows of a table for each dataset, protocol and target: first the user's methods, then baseline
    methods, then the confound-only models of the first of these runs. Each group is sorted by score, best first.

    Args:
        user_runs: ids of the runs of the user's methods.
        reference: whether differences are from the best method, or (in a grid) from the first of `results`.

    All rows have these fields:

    - `role`: `user`, `baseline`, `confound_only`, or in a grid `method`. `best`: whether the row is the best of its
      role.
    - `method`, `dataset`, `protocol`, `target`, `synthetic`: names, and whether the data are synthetic.
    - `metric`: the primary metric; if it is undefined, its substitute, and `is_substitute` is true.
    - `mean`, `low`, `high`: the score and its interval.

    Rows of methods also have:

    - `varied`: setting -> value, for settings in which the runs differ. `sensors`, `run` and `folder` of the run.
    - `above_chance`, `movement` (given time and movement) and `movement_evidence`: the answers.
    - `reference`: whether differences are from this row. `from_reference`: the paired difference with its interval and
      `p`, Holm-corrected over `comparisons`. `not_compared`: the reason if the difference is missing.
    - `answer`: a sentence, in a grid about the difference. For the user's methods, it answers whether they are better
      than the best baseline method; its p values are Holm-corrected over all of the user's methods and targets.
    - `over_baseline`: the paired difference from the best baseline method, on the units of both.
    """
    panels = list(_make_panels(results, user_runs, reference))
    pairs = _compare_with_baselines(panels)
    varied = _varied_settings(results)
    return [row for panel in panels for row in chain(_method_rows(panel, pairs, varied), _control_rows(panel))]


def _varied_settings(results: Sequence[Result]) -> dict[str, dict[str, str | None]]:
    """Return id of a run -> setting -> value, for settings in which runs differ; None where a run lacks a setting."""
    settings = {result.id: dict(_split(text) for text in result.manifest["recipe"]["settings"]) for result in results}
    paths = dict.fromkeys(path for by_path in settings.values() for path in by_path)
    differ = [path for path in paths if len({by_path.get(path) for by_path in settings.values()}) > 1]
    return {run: {path: by_path.get(path) for path in differ} for run, by_path in settings.items()}


def _split(setting: str) -> tuple[str, str]:
    path, _, value = setting.partition("=")
    return path.strip(), value.strip()


def board_panels(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Group rows by dataset, protocol and target."""
    return list(grouped((tuple(row[name] for name in _SHARED), row) for row in rows).values())


def board_cells(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the cells of methods, as title -> text for each row, sorted by the metric. Empty columns are omitted, and
    so are dataset, protocol and target if they are equal in all rows."""
    methods = [row for row in rows if row["role"] != "confound_only"]
    methods.sort(key=lambda row: -_rank(row["mean"], row["metric"]))
    metrics, cells = {(row["metric"], row["is_substitute"]) for row in methods}, []
    heads = _short_paths(methods)
    p = "p (Holm)" if any(row["comparisons"] > 1 for row in methods) else "p"
    for row in methods:
        title = metric_facts(row["metric"]).title + (", not the primary metric" if row["is_substitute"] else "")
        cells.append(
            {
                "": "yours" if row["role"] == "user" else "",
                "method": row["label"],
                "sensors": row["sensors"],
                **{heads[path]: value or "default" for path, value in row["varied"].items()},
                **{name: row[name] for name in _SHARED},
                **({"metric": title} if len(metrics) > 1 else {}),
                title if len(metrics) == 1 else "score": _format_score(row),
                "above chance": row["above_chance"],
                "given time and movement": row["movement"],
                "difference": _format_difference(row),
                p: "" if row["p"] is None else format_decimals(row["p"], 3),
                "run": row["run"].rpartition("-")[2],
            }
        )
    texts = {name: {cell[name] for cell in cells} for name in (cells[0] if cells else ())}
    columns = [name for name, own in texts.items() if (len(own) > 1 if name in _SHARED else any(own))]
    return [{name: cell[name] for name in columns} for cell in cells]


def _short_paths(methods: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return setting in which methods differ -> its last part, or the whole name where two have the same last part."""
    paths = list(methods[0]["varied"]) if methods else []
    last = [path.rpartition(".")[2] for path in paths]
    return {path: short if last.count(short) == 1 else path for path, short in zip(paths, last, strict=True)}


def model_cells(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the cells of confound-only models from best to worst; those with constant scores share the last line."""
    models = [row for row in rows if row["role"] == "confound_only"]
    cells, fixed = [], dict[str, list[str]]()
    for row in models:
        if row["constant"]:
            fixed.setdefault(f"{format_decimals(row['mean'])} always", []).append(label(row["method"]))
        else:
            title = metric_facts(row["metric"]).title
            cells.append({"model without any physiological signal": label(row["method"]), title: _format_score(row)})
    for value, names in fixed.items():
        title = metric_facts(models[0]["metric"]).title
        cells.append({"model without any physiological signal": ", ".join(names), title: value})
    return cells


def sensor_cells(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the cells of a table on which sensors are associated with the label given time and movement, for one
    dataset, protocol and target. Empty if all methods read the same sensors, or if the question does not apply."""
    methods = [row for row in rows if row["role"] != "confound_only" and row["movement_evidence"]]
    methods.sort(key=lambda row: (row["sensors"].count(","), row["sensors"], row["label"]))
    if len({row["sensors"] for row in methods}) < 2:
        return []
    answers = [(row["sensors"], row["label"], row["movement"], row["movement_evidence"]) for row in methods]
    only = len({name for _, name, _, _ in answers}) == 1
    heads = ("sensors", "method", "given time and movement", "evidence")
    if len({each[2:] for each in answers}) == 1:  # for example, the same reason why nothing can be said
        return [{heads[0]: "all rows", heads[2]: answers[0][2], heads[3]: answers[0][3]}]
    cells = [dict(zip(heads, each, strict=True)) for each in answers]
    return [{name: text for name, text in cell.items() if not (only and name == "method")} for cell in cells]


def board_notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return notes for reading `board_cells` of one dataset, protocol and target, as sentences."""
    methods = [row for row in rows if row["role"] != "confound_only"]
    notes = [f"No differences: {why}." for why in dict.fromkeys(row["not_compared"] for row in methods) if why]
    if compared := [row for row in methods if row["comparisons"]]:
        over = "folds" if compared[0]["over"] == "folds" else "subjects"
        count = compared[0]["comparisons"]
        which = "first run" if methods[0]["role"] == "method" else "best row"
        pairs = "with the reference" if methods[0]["role"] == "method" else "between two rows of this table"
        several = f"; p is corrected for the {count} comparisons {pairs} (Holm)" if count > 1 else ""
        notes.append(
            f"Differences are from the {which}, the reference, and paired over {over}, with 95 % intervals{several}."
        )
        if len({"yes", "not shown"} & {row["movement"] for row in methods}) == 2:
            notes.append("That one answer is yes and another not shown does not show that two rows differ.")
    return notes


def draw_board(rows: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Draw the scores of one protocol and target with 95 % intervals: the user's methods in bold and colour, then
    baseline methods, then confound-only models as hollow points. Without `ax`, make new axes of a suitable height."""
    scored = [row for row in rows if row["mean"] is not None]
    if ax is None:
        from matplotlib import pyplot as plt

        _, ax = plt.subplots(figsize=_get_size(scored), layout="constrained")
    for k, row in enumerate(scored):
        colour = {"user": "C0", "baseline": "0.2", "method": "0.2"}.get(row["role"], "0.5")
        ends = [[row["mean"] - row["low"]], [row["high"] - row["mean"]]] if row["low"] is not None else None
        fill = "none" if row["role"] == "confound_only" else colour
        ax.errorbar(row["mean"], k, xerr=ends, fmt="o", color=colour, markerfacecolor=fill, capsize=3)
    names = [label(row["method"]) if row["role"] == "confound_only" else row["method"] for row in scored]
    ax.set_yticks(range(len(scored)), [textwrap.fill(name, _NAME_WIDTH) for name in names])
    for tick, row in zip(ax.get_yticklabels(), scored, strict=True):
        tick.set_fontweight("bold" if row["role"] == "user" else "normal")
        tick.set_color("0.5" if row["role"] == "confound_only" else "black")
    ax.set_ylim(len(scored) - 0.5, -0.5)
    first = rows[0]
    ax.set_xlabel(f"{metric_facts(first['metric']).title}, 95 % interval")
    ax.set_title(first["target"] + (" (synthetic data)" if first["synthetic"] else ""))
    if (chance := metric_facts(first["metric"]).chance) is not None:
        ax.axvline(chance, color="0.8", zorder=0)
    return ax


def write_figures(rows: Sequence[Mapping[str, Any]], folder: Path, name: str) -> list[Path]:
    """Draw each protocol and target of a table into a PNG file in `folder`; return the paths. Raises MachineError."""
    from matplotlib.figure import Figure

    panels = grouped((f"{name}-{row['protocol']}-{row['target']}.png", row) for row in rows)
    for file, own in panels.items():
        figure = Figure(figsize=_get_size(own), layout="constrained")
        draw_board(own, figure.subplots())
        with saving("a figure", folder / file):
            write_whole(folder / file, partial(figure.savefig, format="png", dpi=150))
    return [folder / file for file in panels]


_NAME_WIDTH = 48
"""Maximum number of characters in a line of a method's name in figures."""


def _get_size(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    return 8.5, 1.5 + 0.3 * len(rows) + 0.17 * sum(len(row["method"]) // _NAME_WIDTH for row in rows)


def best_control(result: Result, target: str, metric: str) -> ConfoundOnlyModel | None:
    """Return the confound-only model with the best score on a target; None if none has a score."""
    models = result.scores.get_confound_only_models(target)
    known = [model for model in models if _mean(model.scores.get(metric)) is not None]
    return max(known, key=lambda model: _rank(_mean(model.scores[metric]), metric), default=None)


class _Panel(NamedTuple):
    """The runs of a dataset, protocol and target, each group sorted from best to worst. `first`: in a grid, id of the
    run from which differences are computed; else empty, and they are from the best run."""

    dataset: str
    protocol: str
    target: str
    metric: str
    user_runs: list[Result]
    baselines: list[Result]
    first: str

    @property
    def about(self) -> dict[str, str]:
        """The fields that all rows of the panel share."""
        return {name: getattr(self, name) for name in (*_SHARED, "metric")}


_Pairs = Mapping[tuple[str, str, str, str], "Comparison | EmbenchError"]
"""(user's run, dataset, protocol, target) -> its comparison with the best baseline method, or why there is none."""


def _make_panels(
    results: Sequence[Result], user_runs: Collection[str], reference: Literal["best", "first"]
) -> Iterator[_Panel]:
    groups = dict[tuple[str, str, str], dict[str, Result]]()
    for result in results:
        for target in result.scores.primary_metrics:
            run = result.manifest
            groups.setdefault((run["dataset"].get("name", ""), run["protocol"]["name"], target), {})[result.id] = result
    for (dataset, protocol, target), by_id in groups.items():
        metric = min(by_id.values(), key=lambda r: r.id not in user_runs).answers[target].display_metric
        ordered = sorted(by_id.values(), key=lambda r: -_rank(_mean(r.scores.get_score(target, metric)), metric))
        user, others = ([r for r in ordered if (r.id in user_runs) == is_own] for is_own in (True, False))
        first = next(iter(by_id)) if reference == "first" else ""
        yield _Panel(dataset, protocol, target, metric, user, others, first)


def _compare_with_baselines(panels: Sequence[_Panel]) -> _Pairs:
    found: dict[tuple[str, str, str, str], Comparison | EmbenchError] = {}
    for panel in panels:
        for result in panel.user_runs if panel.baselines else ():
            key = (result.id, panel.dataset, panel.protocol, panel.target)
            try:
                found[key] = compare(result, panel.baselines[0], panel.target, panel.metric)
            except EmbenchError as error:
                found[key] = error
    pairs = {key: pair for key, pair in found.items() if not isinstance(pair, EmbenchError)}
    corrected = holm([pair.p for pair in pairs.values()])
    settled = {k: replace(pair, p_holm=p) for (k, pair), p in zip(pairs.items(), corrected, strict=True)}
    return found | settled


def _name_method(result: Result) -> str:
    """Return the name of a run's method, with its settings and the number of tuning trials."""
    return ", ".join([method_name(result.manifest) or result.id, *_list_settings(result)])


def _list_settings(result: Result, varied: Collection[str] = ()) -> list[str]:
    """Return a run's settings, except those in `varied`, and the number of tuning trials."""
    trials, settings = tuned_trials(result.manifest["config"]), result.manifest["recipe"]["settings"]
    texts = [text for text in settings if _split(text)[0] not in varied]
    return [*texts, *([f"tuned ({trials} trials)"] if trials else [])]


def _label_method(result: Result, varied: Collection[str]) -> str:
    """Return the label of a run's method without its modalities and without the settings in `varied`."""
    method = result.manifest["method"]
    if method.get("submission") or not method.get("encoders"):
        return ", ".join([method_name(result.manifest) or result.id, *_list_settings(result, varied)])
    encoders = dict.fromkeys(label(bare_name(name)) for name in method["encoders"].values())
    parts = [" and ".join(encoders), *([label(bare_name(method["fusion"]))] if method.get("fusion") else [])]
    if pretrainers := method.get("pretrainers"):
        parts.append(f"pretrained by {' and '.join(label(bare_name(name.partition(':')[0])) for name in pretrainers)}")
    return ", ".join(["; ".join(parts), *_list_settings(result, varied)])


def _compare_panel(panel: _Panel) -> Mapping[str, Comparison] | str:
    """Return id of a run -> its comparison with the best (in a grid: first) run; or why none can be made."""
    both = [*panel.user_runs, *panel.baselines]
    scored = {result.id: result for result in both if result.scores.get_score(panel.target, panel.metric)}
    if panel.metric != both[0].answers[panel.target].metric:
        found = both[0].summaries[panel.target]
        return found.problem.removesuffix(".") or "the primary metric cannot be estimated"
    if len(scored) < 2:
        return "" if len(both) < 2 else "fewer than two of them have a number"
    try:
        if panel.first and panel.first not in scored:
            return "the first run has no number"
        order = sorted(scored, key=lambda run: run != panel.first)
        records = [read_record(scored[run].folder) for run in order]
        compare_with = compare_with_first if panel.first else compare_with_best
        pairs = compare_with(records, panel.target, panel.metric)
    except EmbenchError as error:
        return error.what
    if panel.first:
        names = {run: _name_method(result) for run, result in scored.items()}
        named = [replace(pair, other=names[panel.first]) for pair in pairs]
        return {run: replace(pair, one=names[run]) for run, pair in zip(order[1:], named, strict=True)}
    runs = dict(zip(method_names(records), order, strict=True))
    return {runs[pair.other]: pair for pair in pairs}


def _describe_difference(gaps: Mapping[str, Comparison] | str, panel: _Panel, result: Result) -> dict[str, Any]:
    """Return the fields of a row on the difference of its run from the reference: `panel.first`, else the best run.
    `gaps`: run -> its comparison with the reference, or why none was made."""
    best = [*panel.user_runs, *panel.baselines][0].id
    none = {**_get_interval(None, "from_reference"), "p": None, "comparisons": 0, "not_compared": ""}
    is_reference = {"reference": result.id == (panel.first or best)}
    if isinstance(gaps, str):
        return {**is_reference, **none, "not_compared": gaps}
    pair = gaps.get(result.id)
    if pair is None:
        return {**is_reference, **none}
    gap = pair.difference
    mean, low, high = gap.mean, gap.low, gap.high
    if not panel.first:  # the comparison is of the best run with this one: reverse the sign
        mean, low, high = -mean, None if high is None else -high, None if low is None else -low
    values = {"from_reference": mean, "from_reference_low": low, "from_reference_high": high}
    about = {"p": pair.p_holm, "comparisons": pair.n_comparisons, "not_compared": "", "over": pair.over}
    return {**is_reference, **values, **about, **({"answer": pair.sentence} if panel.first else {})}


def _method_rows(
    panel: _Panel, pairs: _Pairs, varied: Mapping[str, Mapping[str, str | None]]
) -> Iterator[dict[str, Any]]:
    target, metric, gaps = panel.target, panel.metric, _compare_panel(panel)
    for role, results in (("user", panel.user_runs), ("method" if panel.first else "baseline", panel.baselines)):
        for k, result in enumerate(results):
            read = [name for each in result.manifest["method"].get("modalities") or () for name in split_modality(each)]
            row = {
                "role": role,
                "best": k == 0,
                "method": _name_method(result),
                "varied": varied[result.id],
                "sensors": ", ".join(dict.fromkeys(label(name, "modalities") for name in read)),
                "label": _label_method(result, varied[result.id]),
                **panel.about,
                "is_substitute": metric != result.answers[target].metric,
                **_get_interval(result.scores.get_score(target, metric)),
                "above_chance": result.answers[target].format_answer("chance"),
                **_describe_difference(gaps, panel, result),
                "movement": result.answers[target].format_answer("movement"),
                "movement_evidence": answer.evidence
                if (answer := result.answers[target].find_answer("movement"))
                else "",
                "run": result.id,
                "folder": str(result.folder),
                "synthetic": result.is_synthetic,
            }
            if role == "user":
                pair = pairs.get((result.id, panel.dataset, panel.protocol, target))
                row |= _get_interval(getattr(pair, "difference", None), "over_baseline")
                row["answer"] = _write_answer(result, panel, pair)
            yield row


def _control_rows(panel: _Panel) -> Iterator[dict[str, Any]]:
    first = [*panel.user_runs, *panel.baselines][0]
    known = [
        (c.name, score)
        for c in first.scores.get_confound_only_models(panel.target)
        if (score := c.scores.get(panel.metric))
    ]
    known = sorted(
        (each for each in known if each[1].is_defined), key=lambda each: -_rank(_mean(each[1]), panel.metric)
    )
    for k, (name, score) in enumerate(known):
        about = {"role": "confound_only", "best": k == 0, "method": name, **panel.about}
        yield {**about, **_get_interval(score), "constant": is_by_construction(score), "synthetic": first.is_synthetic}


def _write_answer(result: Result, panel: _Panel, pair: Comparison | EmbenchError | None) -> str:
    """Return a sentence on whether the user's method is better than the best baseline method, and whether its scores
    are associated with the label given time and movement."""
    found, name = result.answers[panel.target], _name_method(result)
    best = _name_method(panel.baselines[0]) if panel.baselines else ""
    if pair is None:
        first = "has no baseline beside it"
    elif isinstance(pair, EmbenchError):
        first = f"can't be compared with the best baseline, {best} ({pair.what})"
    else:
        verb = "is not demonstrably better than"
        if pair.better:
            verb = "is better than" if pair.better == pair.one else "is worse than"
        gap = Score(mean=pair.difference.mean, low=pair.difference.low, high=pair.difference.high)
        first = f"{verb} the best baseline, {best} (difference {format_with_interval(gap, 0.0)})"
    answer = found.find_answer("movement")
    second = f"{answer.text.removesuffix('?')}: {answer.answer} ({answer.evidence})" if answer else "leaks"
    return f"{panel.target}: {name} {first}; {second}."


def _get_interval(score: Any, name: str = "") -> dict[str, float | None]:
    """Return mean, lower and upper bound of a score as fields of a row; None values for an undefined score."""
    values = (None, None, None) if _mean(score) is None else (score.mean, score.low, score.high)
    return dict(zip(_get_keys(name), values, strict=True))


def _get_keys(name: str) -> tuple[str, str, str]:
    return (name, f"{name}_low", f"{name}_high") if name else ("mean", "low", "high")


def _format_score(row: Mapping[str, Any]) -> str:
    """Return the cell of a row's score."""
    if row["mean"] is None:
        return "not estimable"
    score = Score(mean=row["mean"], low=row["low"], high=row["high"], metric=row["metric"])
    return format_with_interval(score, metric_facts(row["metric"]).chance)


def _format_difference(row: Mapping[str, Any]) -> str:
    """Return the cell of a row's difference from the reference."""
    if row["from_reference"] is None:
        return "reference" if row["reference"] and not row["not_compared"] else ""
    mean, low, high = (row[name] for name in _get_keys("from_reference"))
    return format_with_interval(Score(mean=mean, low=low, high=high), 0.0)


def _mean(score: Any) -> float | None:
    return None if score is None or score.mean is None or score.mean != score.mean else float(score.mean)


def _rank(mean: float | None, metric: str) -> float:
    """Return a number that increases with the quality of a score; minus infinity for None."""
    return -float("inf") if mean is None else mean if metric_facts(metric).higher else -mean
