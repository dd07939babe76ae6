"""A scored method for Python users: printed, as pandas tables, and drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from embench.errors import DataError, UsageError
from embench.interfaces.metric import Undefined
from embench.records.predictions import ANY_SEED, MODEL, Labels, Predictions
from embench.records.record import Record, read_record
from embench.records.scores import Score, Scores
from embench.records.wording import format_figure, is_by_construction
from embench.statistics import metric_facts
from embench.statistics.answers import TargetAnswers, answer_questions
from embench.statistics.form import ResultForm, as_html, lines, result_forms
from embench.statistics.joined import recorded_target
from embench.vocabulary import did_you_mean, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

    from embench.statistics.calibration import Calibration


_COLOUR, _GREY = "C0", "0.35"
_METHOD = "this method"


class _DrawnScore(NamedTuple):
    name: str
    score: Score


def draw_scores(scores: Scores, target: str, metric: str, ax: Axes | None) -> Axes:
    """Draw the scores of a target with their 95 % intervals on matplotlib axes, the highest at the top.

    Confound-only models whose score is fixed by construction are dashed lines, since nothing was measured. If `ax` is
    None, new axes are made."""
    rows, fixed = _split_fixed_scores(scores, target, metric)
    if ax is None:
        from matplotlib import pyplot as plt

        _, ax = plt.subplots(figsize=(8.5, 1.5 + 0.35 * len(rows)), layout="constrained")
    for k, row in enumerate(rows):
        _draw_row(ax, k, row)
    for same in fixed:
        first, names = same[0], ", ".join(label(row.name) for row in same)
        text = f"{names}: {format_figure(first.score.mean)} by construction"
        ax.axvline(first.score.mean, color=_GREY, linestyle="--", linewidth=1, zorder=1, label=fill(text, 34))
    ax.set_yticks(range(len(rows)), [_METHOD if row.name == MODEL else label(row.name) for row in rows])
    for tick, row in zip(ax.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if row.name == MODEL else "normal")
    ax.set_ylim(len(rows) - 0.5, -0.5)
    handles, labels = ax.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    ax.legend(once.values(), once.keys(), loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False)
    return ax


def _split_fixed_scores(scores: Scores, target: str, metric: str) -> tuple[list[_DrawnScore], list[list[_DrawnScore]]]:
    """Return the measured scores, highest first, and the scores that are fixed by construction, one list for each
    value."""
    rows = [
        _DrawnScore(model.name, score)
        for model in scores.get_confound_only_models(target)
        if (score := model.scores.get(metric)) is not None and score.is_defined
    ]
    fixed: dict[str, list[_DrawnScore]] = {}
    for row in rows:
        if is_by_construction(row.score):
            fixed.setdefault(format_figure(row.score.mean), []).append(row)
    measured = [row for row in rows if not is_by_construction(row.score)]
    if (own := scores.get_score(target, metric)) is not None:
        measured.insert(0, _DrawnScore(MODEL, own))
    return sorted(measured, key=lambda row: -row.score.mean), list(fixed.values())


def _draw_row(ax: Axes, k: int, row: _DrawnScore) -> None:
    mean = row.score.mean
    low, high = row.score.interval or (mean, mean)
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


_SYNTHETIC = "synthetic data: these numbers say nothing about real subjects"
_WIDTH = 100
"""Characters per line of a printed result."""
_COLUMNS = ("method", "target", "metric", "primary_metric", "mean", "low", "high", "sd", "undefined")


@dataclass(frozen=True, repr=False)
class Result:
    """A scored method, as `embench.run`, `embench.score` and `embench.open_result` return it.

    Args:
        id: id of the run, unique to its configuration.
        folder: folder of the run's record.
        manifest: the content of the run's `run.yaml`.
        scores: the content of `scores.json`. `scores.get_score(target, metric)` has `mean`, `low` and `high`; it is
            None if undefined, see `scores.explain_undefined`. `scores.get_confound_only_models(target)` lists the
            confound-only models with their scores."""

    id: str
    folder: Path
    manifest: Mapping[str, Any]
    scores: Scores

    @classmethod
    def read(cls, folder: Path) -> Result:
        """Return the result in the folder of a run or a published entry. Raises DataError if the folder has no intact
        record, and CheckFailed if the record was edited."""
        known = read_record(folder)
        return cls(str(known.run["id"]), Path(folder), known.run, known.scores)

    @cached_property
    def predictions(self) -> Predictions:
        """The predictions of the method and of all confound-only models, read from the folder; see `to_pandas`. Raises
        DataError if they are missing or damaged."""
        return self._record.predictions

    @cached_property
    def labels(self) -> Labels | None:
        """The labels of the predicted units; None in an entry of a dataset whose labels are not public."""
        return self._record.labels

    @cached_property
    def _record(self) -> Record:
        return read_record(self.folder)

    @cached_property
    def answers(self) -> dict[str, TargetAnswers]:
        """Target -> the answers to each question, with their evidence."""
        return answer_questions(self.manifest, self.scores)

    @cached_property
    def summaries(self) -> dict[str, ResultForm]:
        """Target -> the result in words, as it is printed."""
        return result_forms(self.manifest, self.scores)

    @property
    def is_synthetic(self) -> bool:
        """True if the data are synthetic."""
        return self.manifest["dataset"]["synthetic"] is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `embench run --json` prints."""
        return {
            "run": self.id,
            "folder": str(self.folder),
            "synthetic": self.is_synthetic,
            "primary_metric": next(iter(self.scores.primary_metrics.values())),
            **{name: self.scores[name] for name in ("scores", "confound_only")},
            "answers": {
                target: {each.question: {"answer": each.answer, "evidence": each.evidence} for each in made.answers}
                for target, made in self.answers.items()
            },
            "cost": self.manifest["cost"],
        }

    def to_pandas(self, table: Literal["scores", "predictions"] = "scores", *, method: str | None = None) -> DataFrame:
        """Return a tidy table.

        Args:
            table: `scores` has a row for each method (`model`, and every confound-only model), target and metric, with
                the mean and the ends of its 95 % interval, or the reason why it is undefined. The columns
                `method_label` and `metric_label` are display names. `predictions` has a row for each seed and unit,
                with the label if it is public.
            method: `model`, the name of a confound-only model, or `all`; by default `all` for scores, and `model` for
                predictions, whose rows would otherwise mix methods.

        Raises:
            UsageError: the table or method does not exist. DataError: the predictions are missing or damaged."""
        import pandas as pd

        if table not in ("scores", "predictions"):
            raise UsageError(f"no table `{table}`", where="table=", expected="scores or predictions")
        wanted = method or ("all" if table == "scores" else MODEL)
        known = [MODEL, *self.scores.confound_only_names]
        if wanted not in ("all", *known):
            raise UsageError(
                f"no method `{wanted}`",
                where="method=",
                expected=", ".join(["all", *known]),
                hint=did_you_mean(wanted, known),
            )
        if table == "scores":
            frame = pd.DataFrame(self._rows(), columns=list(_COLUMNS))
            frame["method_label"] = ["this method" if name == MODEL else label(name) for name in frame["method"]]
            frame["metric_label"] = [metric_facts(name).title for name in frame["metric"]]
            return frame if wanted == "all" else frame[frame["method"] == wanted].reset_index(drop=True)
        rows = self.predictions
        if wanted != "all":
            rows = rows.take(rows.rows_with(method=wanted))
        return self._labelled(pd.DataFrame(dict(rows.columns)))

    def predict(self, dataset: str, *, data_root: str | Path | None = None, trust_code: bool = False) -> DataFrame:
        """Return scores of new recordings by all models that the run trained, as `embench.predict` does.

        Args:
            dataset, data_root, trust_code: see `embench.predict`, also for the errors raised."""
        import embench

        return embench.predict(self, dataset, data_root=data_root, trust_code=trust_code)

    def assess_calibration(self, target: str | None = None) -> Calibration:
        """Return the calibration of the method's probabilities, and the net benefit of alarms based on them.

        `error` is the expected calibration error, and `by_chance` its value for calibrated probabilities. `bins` and
        `benefits` are rows: `pandas.DataFrame(result.assess_calibration().bins)`.

        Args:
            target: a binary target; by default the first target.

        Raises:
            UsageError: the target does not exist. DataError: it does not have two classes, its labels are not public,
                its scores only rank units, or the predictions are missing or damaged."""
        from embench.statistics.calibration import recorded_calibration

        target = self._target(target)
        found = recorded_calibration(self._record, recorded_target(self._record, target))
        if isinstance(found, Undefined):
            raise DataError(f"{target} has no calibration: {found.reason}", where=str(self.folder))
        return found

    def plot(self, target: str | None = None, metric: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw the method's score with its 95 % interval next to the scores of the confound-only models, the highest at
        the top. Scores that are fixed by construction are dashed lines.

        Args:
            target: by default the first target. metric: by default the target's primary metric.
            ax: matplotlib axes to draw on; by default new ones.

        Returns:
            The axes.

        Raises:
            UsageError: the target or metric does not exist."""
        target = self._target(target)
        scores = self.scores.get_scores(target)
        metric = metric or self.answers[target].display_metric
        if metric not in scores:
            hint = did_you_mean(metric, scores)
            raise UsageError(f"no metric `{metric}`", where="metric=", expected=", ".join(scores), hint=hint)
        ax = draw_scores(self.scores, target, metric, ax)
        ax.set_xlabel(f"{metric_facts(metric).title}, 95 % interval")
        ax.set_title(f"{self.manifest['dataset']['name'].partition('/')[2]}, {target}" + self._mark)
        if (chance := metric_facts(metric).chance) is not None:
            ax.axvline(chance, color="0.8", zorder=0)
        return ax

    def __repr__(self) -> str:
        shown = (f"{target}: {form.metric} {form.score}" for target, form in self.summaries.items())
        return f"Result({self.id}; {'; '.join(shown)}{self._mark})"

    def __str__(self) -> str:
        parts = ["\n".join(lines(form, _WIDTH)) for form in self.summaries.values()]
        return "\n\n".join([*parts, *([_SYNTHETIC] if self.is_synthetic else []), f"files: {self.folder}"])

    def _repr_html_(self) -> str:
        """Return the result on every target as HTML, for a notebook."""
        from html import escape

        title = f"<p><b>{escape(self.id)}</b>{f' ({_SYNTHETIC})' if self.is_synthetic else ''}</p>"
        files = f"<p>files: <code>{escape(str(self.folder))}</code></p>"
        return "".join([title, *map(as_html, self.summaries.values()), files])

    def _target(self, name: str | None) -> str:
        """Return `name`, or if None the name of the first target. Raises UsageError if there is no such target."""
        name = name or next(iter(self.scores.primary_metrics))
        if not self.scores.get_scores(name):
            raise UsageError(f"no target `{name}`", where="target=", expected=", ".join(self.scores.primary_metrics))
        return name

    @property
    def _mark(self) -> str:
        return " (synthetic data)" if self.is_synthetic else ""

    def _rows(self) -> Iterator[dict[str, Any]]:
        """Yield rows of `_COLUMNS` for every method, target and metric. A confound-only model that does not apply has
        one row."""
        confound_only = {
            (c.name, target): c
            for target in self.scores.primary_metrics
            for c in self.scores.get_confound_only_models(target)
        }
        for method in (MODEL, *self.scores.content["confound_only"]):
            for target, primary_metric in self.scores.primary_metrics.items():
                model = confound_only.get((method, target))
                scores = self.scores.get_scores(target) if method == MODEL else model.scores if model else {}
                if model and model.reason:
                    scores = {primary_metric: Score(undefined=model.reason)}
                for metric, score in scores.items():
                    mean = score.mean if score.is_defined else None
                    row = (method, target, metric, metric == primary_metric, mean, score.low, score.high, score.std)
                    yield dict(zip(_COLUMNS, (*row, score.undefined), strict=True))

    def _labelled(self, frame: DataFrame) -> DataFrame:
        if self.labels is None:
            return frame
        import pandas as pd

        labels = pd.DataFrame({name: self.labels[name] for name in ("target", "unit", "seed", "label")})
        on = ["target", "unit"]
        if (labels["seed"] == ANY_SEED).all():
            labels = labels.drop(columns="seed")
        else:
            on.append("seed")
        return frame.merge(labels, how="left", on=on, validate="many_to_one")
