"""The columns of a board: name, meaning, value and text of each.

Tables in Markdown and on the terminal, CSV, JSON, the site and the findings read this list; a new column is one more
item here (and a field of `Row`, filled in `rows.py`, where the row does not hold its value yet).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from embench.leaderboard.attestations import LEVEL_NAMES
from embench.leaderboard.row import DASH, Row
from embench.records.cost import format_cost
from embench.records.floors import NO_FLOORS
from embench.records.scores import Score
from embench.records.wording import format_controls, format_score, format_share
from embench.statistics.metrics import metric_facts

ADDS = {True: "adds", False: "not shown"}

MARKDOWN_COLUMNS = ("rank", "method", "modalities", "score", "controls", "audit", "evidence")
"""The columns of a board in Markdown, with the entry at the end."""

TERMINAL_COLUMNS = (
    *("rank", "method", "modalities", "access", "score", "cleared", "recipe", "subjects", "evidence"),
    *("suspicious", "marks"),
)
"""Columns of a table on the terminal, with the entry at the end. A column with one value in all rows is named once."""

COST_FIELDS = ("time_s", "parameters", "flops", "memory_mb", "energy_j")
"""The columns of a run's cost."""

PAGE_COLUMNS = {
    "audit": True,
    "gain": False,
    "floors": False,
    **{name: name == "time_s" for name in COST_FIELDS},
    **dict.fromkeys(("recipe", "subjects", "repaired", "openings", "seeds", "id"), False),
}
"""Columns of a board's page beside the drawn ones -> whether they are shown at first."""

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
"""The scores with a column of their own beside the headline."""


@dataclass(frozen=True)
class Column:
    """A column of a board.

    Args:
        name: of the field in CSV and JSON, and for `--columns`. `title`: at its head. `about`: what it means.
        value: what CSV and JSON hold: text, a number, a truth value or a list of texts; None where it is not known or
            does not apply. `text`: its cell in tables.
        number: whether its values are numbers.
    """

    name: str
    title: str
    about: str
    value: Callable[[Row], Any]
    text: Callable[[Row], str]
    number: bool = False


def as_text(value: Any, between: str = ", ") -> str:
    """A value as text: lists with `between` between their items, `yes` and `no`, empty for None."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return between.join(map(str, value))
    return "" if value is None else str(value)


def _controls_in_words(row: Row) -> str:
    return format_controls(row.not_cleared, row.controls, higher=metric_facts(row.headline).higher)


def _column(
    name: str,
    about: str,
    value: Callable[[Row], Any],
    text: Callable[[Row], str] | None = None,
    *,
    title: str = "",
    number: bool = False,
) -> Column:
    """A column, by default titled by its name, and with the text of its value."""
    shown = text or (lambda row: as_text(value(row)))
    return Column(name, title or name.replace("_", " "), about, value, shown, number)


def _of_methods(name: str, about: str, value: Callable[[Row], Any], *text: Callable[[Row], str], **more: Any) -> Column:
    """A column without values for controls."""
    column = _column(name, about, value, *text, **more)
    return replace(
        column,
        value=lambda row: value(row) if row.is_method else None,
        text=lambda row: column.text(row) if row.is_method else "",
    )


def _ends(name: str, about: str, score: Callable[[Row], Score | None], text: Callable[[Row], str]) -> list[Column]:
    """A score and the ends of its interval."""

    def part(field: Literal["mean", "low", "high"]) -> Callable[[Row], Any]:
        return lambda row: getattr(score(row), field, None)

    low, high = (_column(f"{name}_{end}", f"The {end}er end.", part(end), number=True) for end in ("low", "high"))
    return [Column(name, name, about, part("mean"), text, number=True), low, high]


def _metric(name: str) -> list[Column]:
    def brief(row: Row) -> str:
        return format_score(row.scored(name), missing=DASH, interval=False)

    return _ends(name, metric_facts(name).about, lambda row: row.scored(name), brief)


def _ranks(row: Row) -> str:
    """The ranks that a row may have, or why it has none; empty for controls."""
    if row.rank is None:
        return f"({', '.join(row.marks)})" if row.is_method else ""
    best, worst = row.rank
    return str(best) if best == worst else f"{best}-{worst}"


def _adds(row: Row) -> str:
    if row.adds is None or row.adds.decides is None:
        return "undefined" if row.adds else ""
    text = f"{ADDS[row.does_add]} {format_score(row.effect)} ({row.adds.judged})"
    return f"{text}; borderline: {', '.join(row.borderline)}" if row.borderline else text


def _looks(row: Row) -> str:
    """Openings, methods tried and scorings of validation subjects, or that they are not known."""
    if not row.looks_known:
        return "looks unknown"
    return " / ".join(DASH if count is None else str(count) for count in (row.openings, row.tried, row.dev))


def _cost(name: str, title: str, about: str) -> Column:
    recorded = {"time_s": "wall_s", "memory_mb": "peak_memory_mb"}.get(name, name)

    def text(row: Row) -> str:
        return format_cost(row.cost.content())[title] if row.cost else ""

    return Column(name, title, about, lambda row: getattr(row.cost, recorded, None), text, number=True)


_COLUMNS: Sequence[Column] = (
    _column("kind", "Whether the row is a method or a control.", lambda row: "method" if row.is_method else "control"),
    _column(
        "rank",
        "The ranks that a row may have, at 95 % for all comparisons of rows together. Rows that can't be told apart "
        "share them: 1-23 means that the row may be the best, or have 22 better ones. A row without a rank says why.",
        lambda row: row.rank and row.rank[0],
        _ranks,
        number=True,
    ),
    _column("rank_worst", "The worst of these ranks.", lambda row: row.rank and row.rank[1], number=True),
    _column(
        "method",
        "Encoder and fusion, with what sets the row apart.",
        lambda row: row.short_name,
        lambda row: row.name,
    ),
    _column("encoders", "The encoder of each modality.", lambda row: [f"{m}={e}" for m, e in row.encoders.items()]),
    _of_methods("fusion", "What joins the modalities.", lambda row: row.fusion),
    _column("pretrainers", "What encoders were pretrained by.", lambda row: list(row.pretrainers)),
    _column(
        "modalities",
        "The signals that the method reads; b+c are joined as channels of one input.",
        lambda row: list(row.modalities),
    ),
    _of_methods(
        "recipe",
        "The size of networks and training; assumed: settings that a paper leaves open.",
        lambda row: row.recipe,
        lambda row: row.recipe + (f" ({len(row.assumed)} assumed)" if row.assumed else ""),
    ),
    _of_methods("access", "Which data of the test subjects it may read.", lambda row: row.target_access),
    _of_methods("pretrain_overlap", "What pretraining saw of the test subjects.", lambda row: row.pretrain_overlap),
    _column("subjects", "Subjects who were tested.", lambda row: row.subjects, number=True),
    _of_methods(
        "repaired",
        "Share of the units of which more than a tenth of the samples of a modality was bridged or is missing.",
        lambda row: row.repaired,
        lambda row: format_share(row.repaired),
        number=True,
    ),
    _column("headline", "The score that ranks.", lambda row: row.headline),
    *_ends(
        "score",
        "The headline, with its 95 % interval over subjects.",
        lambda row: row.score,
        lambda row: row.text_of(row.headline),
    ),
    _of_methods(
        "controls",
        "Controls use no physiological signal. A row clears one if the interval of the paired difference lies above 0. "
        "A method that does not clear every control gives no evidence of a physiological effect.",
        lambda row: row.controls,
        lambda row: _controls_in_words(row) if row.score else "not compared",
    ),
    _of_methods(
        "cleared",
        "How many controls it is shown to be above.",
        lambda row: row.controls - len(row.not_cleared) if row.controls else None,
        lambda row: f"{row.controls - len(row.not_cleared)} of {row.controls}" if row.controls else "",
        number=True,
    ),
    _of_methods("adds", "Whether it adds to clock and movement.", lambda r: r.does_add if r.adds else None, _adds),
    _column("adds_effect", "The partial correlation.", lambda row: row.effect and row.effect.mean, number=True),
    _column("adds_lower", "The lower end.", lambda row: row.effect and row.effect.low, number=True),
    _column("adds_upper", "The upper end.", lambda row: row.effect and row.effect.high, number=True),
    _of_methods("adds_level", "Which nuisances decide.", lambda row: row.adds and row.adds.judged),
    _of_methods(
        "gains_by",
        "What a gain by what test subjects gave first is shown to come from: their labels, normalising, or nothing.",
        lambda row: row.gains_by or None,
    ),
    *_ends(
        "gain",
        "The gain of the headline above the best of what decides whether what test subjects give helps.",
        lambda row: row.gain,
        lambda row: f"{row.gains_by}, {format_score(row.gain)}" if row.gains_by else "",
    ),
    _of_methods("borderline", "What is near to a bound that decides.", lambda row: list(row.borderline)),
    _of_methods(
        "floors",
        "Of a pretrained row: its score less that of the same network at random and of simple features, see its guide.",
        lambda row: row.floors and (row.floors.texts or [NO_FLOORS]),
        lambda row: row.floors.words if row.floors else "",
    ),
    _of_methods("time_context", "What other units of a session reach a prediction.", lambda row: row.time_context),
    _column("not_cleared", "The controls that it is not shown to be above.", lambda row: list(row.not_cleared)),
    _of_methods("letters", "Rows that share a letter can't be told apart.", lambda row: row.letters),
    _of_methods(
        "evidence",
        "Who has checked the row. Self-reported: its author published it. Verified: its scores were recomputed from "
        "its published predictions. Spot-checked: parts of it were run again. Reproduced: all of it was.",
        lambda row: row.evidence.level,
        lambda row: str(row.evidence),
    ),
    _of_methods("evidence_by", "By whom.", lambda row: row.evidence.by),
    _of_methods("evidence_on", "When.", lambda row: row.evidence.on),
    _of_methods("suspicious", "So far above all controls that a leak comes to mind first.", lambda row: row.suspicious),
    _of_methods(
        "audit",
        "How many findings the audit has. Severe: the scores do not mean what they seem to mean.",
        lambda row: row.audit,
        lambda row: row.audit + (", suspicious" if row.suspicious else ""),
    ),
    _column("marks", "Why it has no rank.", lambda row: [m for m in row.marks if m not in LEVEL_NAMES.values()]),
    _column("replaced_by", "The entry that took its place.", lambda row: row.superseded and row.superseded.by),
    _cost("time_s", "time", "The sum over all stages, in s."),
    _cost("parameters", "parameters", "Parameters of the method of one fold."),
    _cost("flops", "FLOPs", "Operations for the prediction of one row by the method of one fold."),
    _cost("memory_mb", "memory", "The highest use of memory of a stage, in MB of 1024 kB."),
    _cost("energy_j", "energy", "Energy of the GPU, in J."),
    _column("device", "What it was trained on.", lambda row: row.cost and row.cost.device),
    _of_methods(
        "openings",
        "How often the test labels had been opened when the entry was made, by how many methods, and how often "
        "validation subjects had been scored. Whoever looks often can choose what looks best.",
        lambda row: row.openings,
        _looks,
        title="openings / tried / dev",
        number=True,
    ),
    _of_methods("tried", "How many methods had opened them, this one included.", lambda row: row.tried, number=True),
    _of_methods("dev", "How often validation subjects had been scored.", lambda row: row.dev, number=True),
    _column("seeds", "Each seed has its own folds; ranked rows share them.", lambda row: list(map(str, row.seeds))),
    _column("assumed", "Settings that the paper leaves open.", lambda row: list(row.assumed)),
    _column("id", "The id of the run, which names the entry's folder.", lambda row: row.id, title="run"),
)


@cache
def columns() -> Mapping[str, Column]:
    """Name -> column, in the order of CSV and JSON."""
    scores = (column for name in SECONDARY_METRICS for column in _metric(name))
    return {column.name: column for column in (*_COLUMNS, *scores)}
