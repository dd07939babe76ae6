"""Columns of a leaderboard, the `Row` that they are read from, and the `EntrySummary` that holds an entry's rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from embench.leaderboard.entries import LEVEL_NAMES, Backing
from embench.protocols import Design
from embench.records import TimeContext
from embench.records.manifest import CostPart
from embench.records.pretraining_comparison import NO_REFERENCES, PretrainingGains, ReferenceKeys
from embench.records.scores import Adjusted, Score
from embench.records.wording import format_cost, format_share, join_with_and
from embench.statistics import metric_facts
from embench.statistics.answers import Answer, Unanswerable, format_decimals, format_with_interval
from embench.vocabulary import label

DASH = "—"


@dataclass(frozen=True)
class Row:
    """A row of a leaderboard: the scores of one method or of one confound-only model.

    Args:
        id: id of the entry. `control`: name of the confound-only model; None for a method.
        subjects: number of scored subjects. `score`: the `primary_metric`, None where it is undefined; `scores`: the
            other metrics of `SECONDARY_METRICS`.
        rank: the best and the worst possible rank of a method; None where it is not ranked, for the reasons in `marks`.
            Rows that share one of their `letters` cannot be told apart.
        differences: how the run differs from the plain run of its method. `method_kind`: features or network.
        measurement_units: the measurement units of signals that are not standardised, in words.
        answers: the answers of `statistics.answers` that a leaderboard shows. `problem`: why it lacks a primary
            metric. `corrected`: whether *yes*, given time and movement, holds after correction for all methods.
        adjusted: the recorded confound analysis, None where the protocol does not ask for it. `near_null`: the answers
            whose interval ends near the null value. `time_context`: the other units of a test session that reach a
            prediction.
        gain_source: the calibration data to which the gain is attributed; empty where test subjects give none. `gain`:
            the gain over the best of the compared models.
        test_evaluations, methods_evaluated, dev_evaluations: test-set evaluations, methods evaluated, and evaluations
            on validation subjects (see `embench.records.ledger`), where `evaluations_known`.
        repaired: proportion of units with bridged or missing samples, None where the entry does not record it.
        pretraining_comparison: the gains of a pretrained row over from-scratch and feature runs, None for other rows.
    """

    id: str
    subjects: int
    primary_metric: str
    score: Score | None
    scores: Mapping[str, Score | None]
    seeds: tuple[int, ...]
    control: str | None = None
    rank: tuple[int, int] | None = None
    letters: str = ""
    marks: tuple[str, ...] = ()
    evidence: Backing = field(default_factory=Backing)
    suspicious: bool = False
    encoders: Mapping[str, str] = field(default_factory=dict)
    fusion: str | None = None
    pretrainers: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    method_kind: Literal["features", "network"] = "network"
    recipe: str = ""
    assumed: tuple[str, ...] = ()
    target_access: str = ""
    pretraining_overlap: str = ""
    measurement_units: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    problem: Unanswerable | None = None
    corrected: bool = False
    adjusted: Adjusted | None = None
    near_null: tuple[str, ...] = ()
    gain_source: str = ""
    gain: Score | None = None
    time_context: TimeContext | None = None
    audit: str = ""
    cost: CostPart | None = None
    test_evaluations: int | None = None
    methods_evaluated: int | None = None
    dev_evaluations: int | None = None
    evaluations_known: bool = False
    repaired: float | None = None
    pretraining_comparison: PretrainingGains | None = None

    @property
    def is_method(self) -> bool:
        """True for a method, False for a confound-only model."""
        return self.control is None

    @property
    def name(self) -> str:
        """The display name. For a method: its parts and its shortened `differences`. For a confound-only model: its
        label."""
        if self.control is not None:
            return label(self.control)
        method = format_method(self.parts, self.pretrainers) or self.id
        return "; ".join((method, *dict.fromkeys(map(_shorten, self.differences))))

    @property
    def signals(self) -> str:
        """The signals that the method reads."""
        return ", ".join(" + ".join(label(name, "modalities") for name in each.split("+")) for each in self.modalities)

    @property
    def details(self) -> str:
        """Details of the method: encoder of each modality, pretraining, recipe, and differences from the plain run."""
        encoders = ", ".join(f"{modality}: {encoder}" for modality, encoder in self.encoders.items())
        fusion = f"fusion or estimator: {self.fusion}" if self.fusion else ""
        pretraining = f"pretrained by {', '.join(self.pretrainers)}" if self.pretrainers else ""
        recipe = f"recipe {self.recipe}" if self.recipe else ""
        return "; ".join(filter(None, (encoders, fusion, pretraining, recipe, *self.differences)))

    @property
    def parts(self) -> tuple[str, ...]:
        """The method's encoders, each once, and its fusion."""
        return (*dict.fromkeys(self.encoders.values()), *filter(None, [self.fusion]))

    @property
    def is_associated(self) -> bool:
        """True where the recorded analysis answers *yes* at the deciding confound level."""
        return bool(self.adjusted and self.adjusted.decides and self.adjusted.decides.associated)

    @property
    def effect(self) -> Score | None:
        """The partial correlation at the deciding confound level."""
        return self.adjusted.decides.partial_r if self.adjusted and self.adjusted.decides else None

    def get_score(self, metric: str) -> Score | None:
        """Return the score of any metric, the primary metric included; None where it is undefined or not shown."""
        return self.score if metric == self.primary_metric else self.scores.get(metric)

    def format_answer(self, question: str) -> str:
        """Return the answer to a question as a word; empty where the question is not asked."""
        answer = self.answers.get(question)
        return answer.answer if answer else ""

    def format_metric(self, metric: str, missing: str = DASH) -> str:
        """Return the score of a metric with its interval as text; `missing` if the row has none."""
        score = self.get_score(metric)
        return format_with_interval(score, metric_facts(metric).chance) if score else missing


def format_method(parts: Sequence[str], pretrainers: Sequence[str] = ()) -> str:
    """Return the display name of a method from its encoders and fusion (`parts`) and its pretrainers.

    >>> format_method(("handcrafted", "svm")), format_method(("cnn_tf", "single"), ("masked_value:deap",))
    ('handcrafted features; SVM', 'CNN-Transformer; one network; pretrained by masked-value pretraining')
    """
    pretraining = [label(text.partition(":")[0], "pretrainers") for text in pretrainers]
    labels = [*map(label, parts), *([f"pretrained by {join_with_and(pretraining)}"] if pretraining else [])]
    return "; ".join(dict.fromkeys(labels))


def _shorten(difference: str) -> str:
    """Return a difference between runs, shortened to whole words within `_BRIEF` characters."""
    if difference.startswith("--set"):
        return "changed settings"
    return difference if len(difference) <= _BRIEF else f"{difference[:_BRIEF].rpartition(' ')[0]} ..."


_BRIEF = 40
"""Maximum number of characters of a difference in a name."""


@dataclass(frozen=True)
class EntrySummary:
    """The part of an entry that leaderboards show; it does not depend on other entries.

    Args:
        folder: folder of the entry. `content`: digest of its content. `shared`: the names of files that it shares.
        dataset: full name of the dataset. `people`: number of its subjects, including excluded ones.
        rows: target -> row of the method, without a rank. `confound_only`: target -> the confound-only models with
            scores.
        confirmation_key: digest that is equal for entries with the same confound-only models; empty where these need no
            confirmation.
        parts: target -> question -> group of subjects -> its contribution to the deciding number.
        undefined: target -> metric -> why the method has no such score.
        reference_keys: keys that find the runs which a pretrained run is compared with.
    """

    folder: Path
    content: str
    shared: tuple[str, ...]
    id: str
    board: str
    dataset: str
    protocol: str
    leaks: bool
    trained_on: str | None
    design: Design | None
    people: int
    rows: Mapping[str, Row]
    confound_only: Mapping[str, tuple[str, ...]]
    confirmation_key: str
    parts: Mapping[str, Mapping[str, Mapping[str, float]]]
    undefined: Mapping[str, Mapping[str, str]]
    reference_keys: ReferenceKeys

    def explain_undefined(self, target: str, metric: str) -> str:
        """Return the reason why the method has no score of this metric."""
        return self.undefined[target].get(metric, "it was not computed")


# Columns of a leaderboard.
#
# Tables in Markdown and on the terminal, CSV, JSON, the site and the findings all read this list. To add a column, add
# an item here; if `Row` lacks its value, also add a field to `Row` and fill it in `rows.py`.

MARKDOWN_COLUMNS = (
    *("rank", "method", "modalities", "score", "chance", "movement", "protocol_phase", "audit"),
    "evidence",
)
"""Columns of a leaderboard in Markdown; the end of the entry's id comes last."""

TERMINAL_COLUMNS = (
    *("rank", "method", "modalities", "access", "score", "gain", "chance", "movement", "protocol_phase"),
    *("recipe", "subjects", "evidence", "suspicious"),
)
"""Columns of a table on the terminal; the end of the entry's id comes last. A value of all rows is named once."""

COST_FIELDS = ("time_s", "parameters", "flops", "memory_mb", "energy_j")
"""The columns of a run's cost."""

PAGE_COLUMNS = {
    "audit": True,
    "gain": False,
    "pretraining_comparison": False,
    **dict.fromkeys(COST_FIELDS, False),
    **dict.fromkeys(("access", "recipe", "subjects", "repaired", "test_evaluations", "seeds", "id"), False),
}
"""Column of a leaderboard's page, besides those that its script draws -> whether it is visible at first."""

SECONDARY_METRICS = (
    "auroc_within",
    "auroc_within_stimulus",
    "auroc_crossed",
    "auroc_crossed_time",
    "auroc_crossed_matched",
    "auroc_crossed_moment",
    "auroc",
    "balanced_accuracy",
    "f1_weighted",
    "concordance_within",
    "concordance_crossed",
    "concordance_crossed_moment",
    "concordance_crossed_matched",
    "ccc",
    "ccc_within_recording",
    "ccc_pooled",
    "pearson_within",
    "kappa_quadratic",
    "rmse",
    "mae",
    "mae_macro",
)
"""The scores with a column of their own besides the primary metric."""


@dataclass(frozen=True)
class Column:
    """A column of a leaderboard.

    Args:
        name: field name in CSV and JSON, and for `--columns`. `title`: its header. `about`: its meaning.
        value: returns the value for CSV and JSON: text, number, truth value or list of texts; None where it is not
            known or does not apply. `text`: returns the cell in tables.
        number: whether the values are numbers.
    """

    name: str
    title: str
    about: str
    value: Callable[[Row], Any]
    text: Callable[[Row], str]
    number: bool = False


def as_text(value: Any, between: str = ", ") -> str:
    """Return a value as a text: `yes` or `no` for a truth value, an empty text for None, and the items of a list joined
    by `between`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return between.join(map(str, value))
    return "" if value is None else str(value)


def _make_column(
    name: str,
    about: str,
    value: Callable[[Row], Any] | None = None,
    text: Callable[[Row], str] | None = None,
    *,
    title: str = "",
    number: bool = False,
) -> Column:
    """Return a column.

    Args:
        name: name of the column. `about`: description of the column.
        value: function from a row to the column's value; default: the attribute `name` of `Row`.
        text: function from a row to the text of the cell; default: the value as a text.
        title: header of the column; default: `name` in words.
        number: whether values are numbers."""
    get_value: Callable[[Row], Any] = value or attrgetter(name)
    cell = text or (lambda row: as_text(get_value(row)))
    return Column(name, title or name.replace("_", " "), about, get_value, cell, number)


def _make_method_column(*args: Any, **options: Any) -> Column:
    """Return a column that is empty for confound-only models; for the arguments see `_make_column`."""
    column = _make_column(*args, **options)
    return replace(
        column,
        value=lambda row: column.value(row) if row.is_method else None,
        text=lambda row: column.text(row) if row.is_method else "",
    )


def _make_score_columns(
    name: str, about: str, score: Callable[[Row], Score | None], text: Callable[[Row], str]
) -> list[Column]:
    """Return three columns: a score, and the two ends of the score's interval. `text`: function from a row to the text
    of the score."""

    def make_getter(field: str) -> Callable[[Row], Any]:
        return lambda row: getattr(score(row), field, None)

    ends = [
        _make_column(f"{name}_{end}", f"The {side} end of the interval.", make_getter(end), number=True)
        for end, side in (("low", "lower"), ("high", "upper"))
    ]
    return [Column(name, name, about, make_getter("mean"), text, number=True), *ends]


def _make_metric_columns(name: str) -> list[Column]:
    """Return the columns of a secondary metric and of the ends of the interval. Tables show the score without
    interval."""

    def format_mean(row: Row) -> str:
        score = row.get_score(name)
        return format_decimals(score.mean) if score else DASH

    return _make_score_columns(name, metric_facts(name).about, lambda row: row.get_score(name), format_mean)


def _format_ranks(row: Row) -> str:
    """Return the possible ranks of a row, such as `2-4`, or why the row has no rank; empty for confound-only models."""
    if row.rank is None:
        return f"({', '.join(row.marks)})" if row.is_method else ""
    best, worst = row.rank
    return str(best) if best == worst else f"{best}-{worst}"


def _format_answer(row: Row, question: str) -> str:
    """Return the answer of a row to a question, with the evidence. The answer to the question `chance` comes without
    evidence, since the column `score` shows it."""
    answer = row.answers.get(question)
    if answer is None:
        return ""
    mark = "*" if question == "movement" and answer.answer == "yes" and row.corrected else ""
    evidence = answer.evidence if question != "chance" and answer.evidence != "see above" else ""
    return ", ".join(filter(None, (answer.answer + mark, evidence)))


def _make_question_column(name: str, title: str, about: str) -> Column:
    """Return the column of the answers to the question `name`."""
    return _make_method_column(
        name, about, lambda row: row.format_answer(name) or None, lambda row: _format_answer(row, name), title=title
    )


def _format_association(row: Row) -> str:
    """Return the recorded answer of the confound analysis with its partial r; empty without an analysis."""
    if row.adjusted is None or row.effect is None:
        return "undefined" if row.adjusted else ""
    return f"{'yes' if row.is_associated else 'not shown'}, partial r {format_with_interval(row.effect, 0.0)}"


def _format_evaluations(row: Row) -> str:
    """Return test-set evaluations, methods evaluated and evaluations on validation subjects, or "not recorded"."""
    if not row.evaluations_known:
        return "not recorded"
    return " / ".join(
        DASH if count is None else str(count)
        for count in (row.test_evaluations, row.methods_evaluated, row.dev_evaluations)
    )


def _make_cost_column(name: str, title: str, about: str) -> Column:
    """Return the column of a cost. `name`: of the column. `title`: header of the column, and the name of this cost in
    the result of `format_cost`."""
    recorded = {"time_s": "wall_seconds", "memory_mb": "peak_memory_mb"}.get(name, name)

    def text(row: Row) -> str:
        return format_cost(row.cost.content())[title] if row.cost else ""

    return Column(name, title, about, lambda row: getattr(row.cost, recorded, None), text, number=True)


_COLUMNS: Sequence[Column] = (
    _make_column(
        "kind",
        "Method, or confound-only model: one without any physiological signal.",
        lambda row: "method" if row.is_method else "control",
    ),
    _make_column(
        "rank",
        "The ranks that an entry may have, at 95 % for all comparisons together. Entries that cannot be told apart "
        "share ranks: 1-23 means that the entry may be the best, or that 22 may be better. Ranks compare entries with "
        "the same access to data of the test subjects. In brackets: why an entry has no rank.",
        lambda row: row.rank and row.rank[0],
        _format_ranks,
        number=True,
    ),
    _make_column("rank_worst", "The worst of these ranks.", lambda row: row.rank and row.rank[1], number=True),
    _make_column(
        "method", "Encoders, and the fusion or estimator. The entry's page has the details.", lambda row: row.name
    ),
    _make_method_column("details", "Encoder of each modality, recipe, and changes from the plain method."),
    _make_column(
        "encoders", "The encoder of each modality.", lambda row: [f"{m}={e}" for m, e in row.encoders.items()]
    ),
    _make_method_column("fusion", "The fusion or estimator, which joins the modalities."),
    _make_column("pretrainers", "The pretraining of the encoders.", lambda row: list(row.pretrainers)),
    _make_column(
        "modalities",
        "The signals that the method reads. A + B: channels of one input.",
        lambda row: list(row.modalities),
        lambda row: row.signals,
        title="signals",
    ),
    _make_method_column(
        "recipe",
        "The size of networks and training; assumed: settings that a paper leaves open.",
        text=lambda row: row.recipe + (f" ({len(row.assumed)} assumed)" if row.assumed else ""),
    ),
    _make_method_column(
        "access", "The data of the test subjects that the method may read.", lambda row: row.target_access
    ),
    _make_method_column("pretraining_overlap", "The data of the test subjects that pretraining has seen."),
    _make_column("subjects", "The number of test subjects.", number=True),
    _make_method_column(
        "repaired",
        "The proportion of units in which more than a tenth of the samples of a modality is missing or interpolated.",
        text=lambda row: format_share(row.repaired),
        number=True,
    ),
    _make_column("primary_metric", "The metric that ranks."),
    *_make_score_columns(
        "score",
        "The primary metric with its 95 % confidence interval over subjects.",
        lambda row: row.score,
        lambda row: row.format_metric(row.primary_metric),
    ),
    _make_question_column("chance", "above chance", "Does the interval of the primary metric lie above chance?"),
    _make_question_column(
        "movement",
        "given time and movement",
        "Is the score associated with the label after both are adjusted for the time since the start and movement "
        "within 10 min? *: also after correction for all methods of this leaderboard.",
    ),
    _make_question_column(
        "protocol_phase",
        "given the protocol phase",
        "Is the score associated with the label after both are also adjusted for the phase of the protocol, which a "
        "model infers from movement of the whole session?",
    ),
    _make_method_column(
        "corrected",
        "Whether the answer given time and movement holds after correction for all methods.",
        lambda row: row.corrected if row.format_answer("movement") == "yes" else None,
    ),
    _make_method_column(
        "adjusted",
        "The recorded answer given the confounds of `adjusted_level`.",
        lambda row: row.is_associated if row.adjusted else None,
        _format_association,
        title="recorded answer",
    ),
    _make_column("partial_r", "The partial r of it.", lambda row: row.effect and row.effect.mean, number=True),
    _make_column("partial_r_lower", "Its lower end.", lambda row: row.effect and row.effect.low, number=True),
    _make_column("partial_r_upper", "Its upper end.", lambda row: row.effect and row.effect.high, number=True),
    _make_method_column(
        "adjusted_level",
        "The confound level of the recorded answer.",
        lambda row: row.adjusted and row.adjusted.decisive_level,
    ),
    _make_method_column(
        "gain_source",
        "The source of the gain from calibration data: labels, normalising, or nothing.",
        lambda row: row.gain_source or None,
        title="gain from",
    ),
    *_make_score_columns(
        "gain",
        "The gain from calibration data: the difference from the best comparison without them.",
        lambda row: row.gain,
        lambda row: ", ".join(filter(None, (row.gain_source, format_with_interval(row.gain, 0.0) if row.gain else ""))),
    ),
    _make_method_column(
        "near_null",
        "The intervals that end within 0.01 of the null value.",
        lambda row: list(row.near_null),
        title="near the null value",
    ),
    _make_method_column(
        "pretraining_comparison",
        "Gain from pretraining: the difference from the same network trained from scratch, and from handcrafted "
        "features.",
        lambda row: row.pretraining_comparison and (row.pretraining_comparison.texts or [NO_REFERENCES]),
        lambda row: row.pretraining_comparison.text if row.pretraining_comparison else "",
        title="pretraining gain",
    ),
    _make_method_column(
        "time_context", "The context available to a prediction: the unit, earlier units, or the whole session."
    ),
    _make_method_column("letters", "Entries that share a letter cannot be told apart."),
    _make_method_column(
        "evidence",
        "Who has checked the entry. Self-reported: its author published it. Verified: its scores were recomputed from "
        "its published predictions. Spot-checked: parts of it were run again. Reproduced: all of it was.",
        lambda row: row.evidence.level,
        lambda row: str(row.evidence),
    ),
    _make_method_column("evidence_by", "Who checked it.", lambda row: row.evidence.by),
    _make_method_column("evidence_on", "When it was checked.", lambda row: row.evidence.on),
    _make_method_column("suspicious", "So good that a leak is the first thing to look for."),
    _make_method_column(
        "audit",
        "The number of audit findings. Severe: the scores do not mean what they seem to mean.",
        text=lambda row: row.audit + (", suspicious" if row.suspicious else ""),
    ),
    _make_column("marks", "Why it has no rank.", lambda row: [m for m in row.marks if m not in LEVEL_NAMES.values()]),
    _make_cost_column("time_s", "time", "The time of all stages together, in s."),
    _make_cost_column("parameters", "parameters", "The parameters of the method of one fold."),
    _make_cost_column("flops", "FLOPs", "The operations for one prediction."),
    _make_cost_column("memory_mb", "memory", "The peak memory of a stage, in MB of 1024 kB."),
    _make_cost_column("energy_j", "energy", "The energy of the GPU, in J."),
    _make_column("device", "The device that trained it.", lambda row: row.cost and row.cost.device),
    _make_method_column(
        "test_evaluations",
        "Test-set evaluations before the entry was made, methods evaluated, and evaluations on validation subjects. "
        "Repeated evaluation inflates the best score.",
        text=_format_evaluations,
        title="evaluations: test / methods / validation",
        number=True,
    ),
    _make_method_column(
        "methods_evaluated", "The number of methods evaluated on the test set, including this one.", number=True
    ),
    _make_method_column(
        "dev_evaluations",
        "The number of evaluations on validation subjects.",
        title="validation evaluations",
        number=True,
    ),
    _make_column(
        "seeds", "Each seed has its own folds; ranked entries share them.", lambda row: list(map(str, row.seeds))
    ),
    _make_column("assumed", "Settings that the paper leaves open.", lambda row: list(row.assumed)),
    _make_column("id", "The id of the run, which is the name of the entry's folder.", title="run"),
)


@cache
def columns() -> Mapping[str, Column]:
    """Return name -> column, in the order of CSV and JSON."""
    scores = (column for name in SECONDARY_METRICS for column in _make_metric_columns(name))
    return {column.name: column for column in (*_COLUMNS, *scores)}
