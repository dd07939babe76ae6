"""The columns of a leaderboard, and the entry that a line of it is read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from embench.leaderboard.entries import LEVEL_NAMES, Backing
from embench.protocols import Design
from embench.records import TimeContext
from embench.records.manifest import CostPart
from embench.records.pretraining_comparison import NO_FLOORS, FloorKeys, RowFloors
from embench.records.scores import Adds, Score
from embench.records.wording import format_cost, format_share, join_with_and
from embench.statistics import metric_facts
from embench.statistics.answers import Answer, Unanswerable, figures, two_decimals
from embench.vocabulary import label

# The row of a leaderboard that all of its columns are read from, and the entry that its rows belong to.

DASH = "—"


@dataclass(frozen=True)
class Row:
    """A row of a leaderboard: a method, or a confound-only model (named by `control`) as it scored in the entry `id`.

    Args:
        subjects: how many were scored. `score`: the `headline`, None where it is undefined; `scores`: the others of
            `SECONDARY_METRICS`.
        rank: the best and the worst that a method may have; None where `marks` say why it is not ranked. Rows that
            share one of their `letters` can't be told apart.
        apart: what sets the run apart from the plain one of its method. `method_kind`: features or network.
        kept_units: what its signals are in, in words, where they are not standardised.
        answers: those of `statistics.answers` that a leaderboard shows. `problem`: why there is no primary metric.
            `corrected`: whether *yes*, given time and movement, holds after correction for all methods.
        adds: the recorded confound analysis, None where the protocol does not ask for it. `borderline`: which answers
            have an interval that ends near the null value. `time_context`: which other units of a test session reach a
            prediction.
        gains_by: what it gains is shown to come from, of what test subjects give; empty where they give nothing.
            `gain`: that above the best of what it is compared with.
        openings, tried, dev: the author's earlier looks (see `embench.records.ledger`), where `looks_known`.
        repaired: the share of units that rest on bridged or missing samples, None where the entry does not say it.
        floors: of a pretrained row, None of others.
    """

    id: str
    subjects: int
    headline: str
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
    apart: tuple[str, ...] = ()
    method_kind: Literal["features", "network"] = "network"
    recipe: str = ""
    assumed: tuple[str, ...] = ()
    target_access: str = ""
    pretrain_overlap: str = ""
    kept_units: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    problem: Unanswerable | None = None
    corrected: bool = False
    adds: Adds | None = None
    borderline: tuple[str, ...] = ()
    gains_by: str = ""
    gain: Score | None = None
    time_context: TimeContext | None = None
    audit: str = ""
    cost: CostPart | None = None
    openings: int | None = None
    tried: int | None = None
    dev: int | None = None
    looks_known: bool = False
    repaired: float | None = None
    floors: RowFloors | None = None

    @property
    def is_method(self) -> bool:
        """True of a method, False of a control."""
        return self.control is None

    @property
    def name(self) -> str:
        """The method in the words of the vocabulary, without its signals, and how its run differs, in short; or the
        name of the confound-only model."""
        if self.control is not None:
            return label(self.control)
        method = method_label(self.parts, self.pretrainers) or self.id
        return "; ".join((method, *dict.fromkeys(map(_brief, self.apart))))

    @property
    def signals(self) -> str:
        """The signals that the method reads."""
        return ", ".join(" + ".join(label(name, "modalities") for name in each.split("+")) for each in self.modalities)

    @property
    def details(self) -> str:
        """Details beside the name: the encoder of each modality, pretraining, the recipe, and how the run differs."""
        encoders = ", ".join(f"{modality}: {encoder}" for modality, encoder in self.encoders.items())
        fusion = f"fusion or estimator: {self.fusion}" if self.fusion else ""
        pretraining = f"pretrained by {', '.join(self.pretrainers)}" if self.pretrainers else ""
        recipe = f"recipe {self.recipe}" if self.recipe else ""
        return "; ".join(filter(None, (encoders, fusion, pretraining, recipe, *self.apart)))

    @property
    def parts(self) -> tuple[str, ...]:
        """The method's encoders, each once, and its fusion."""
        return (*dict.fromkeys(self.encoders.values()), *filter(None, [self.fusion]))

    @property
    def does_add(self) -> bool:
        """True where the recorded analysis says *yes* at the level that decides."""
        return bool(self.adds and self.adds.decides and self.adds.decides.adds)

    @property
    def effect(self) -> Score | None:
        """The partial correlation at the level that decides."""
        return self.adds.decides.effect if self.adds and self.adds.decides else None

    def scored(self, metric: str) -> Score | None:
        """A score, whether it is the headline or another; None where it is undefined or not shown."""
        return self.score if metric == self.headline else self.scores.get(metric)

    def word(self, question: str) -> str:
        """The answer to a question; empty where it is not asked."""
        found = self.answers.get(question)
        return found.answer if found else ""

    def text_of(self, metric: str, missing: str = DASH) -> str:
        """The score with its interval as text; `missing` where there is none."""
        score = self.scored(metric)
        return figures(score, metric_facts(metric).chance) if score else missing


def method_label(parts: Sequence[str], pretrainers: Sequence[str] = ()) -> str:
    """A method of these encoders and this fusion, in the words of the vocabulary.

    >>> method_label(("handcrafted", "svm")), method_label(("cnn_tf", "single"), ("masked_value:deap",))
    ('handcrafted features; SVM', 'CNN-Transformer; one network; pretrained by masked-value pretraining')
    """
    before = [label(text.partition(":")[0], "pretrainers") for text in pretrainers]
    labels = [*map(label, parts), *([f"pretrained by {join_with_and(before)}"] if before else [])]
    return "; ".join(dict.fromkeys(labels))


def _brief(difference: str) -> str:
    """How a run differs, in a few words: what stands before a colon, a comma or a value."""
    if difference.startswith("--set"):
        return "changed settings"
    return difference if len(difference) <= _BRIEF else f"{difference[:_BRIEF].rpartition(' ')[0]} ..."


_BRIEF = 40
"""Most characters of a difference in a name."""


@dataclass(frozen=True)
class ShownEntry:
    """The part of an entry that leaderboards show, whatever the others are.

    Args:
        folder: the entry's. `content`: its `entry_digest`. `shared`: the names of files that it shares.
        dataset: its full name. `people`: how many its data are of, those left out among them.
        rows: target -> the method, without a rank. `controls`: target -> the confound-only models that have scores.
        alike: a digest of what entries share that have the same such models; empty where these need no confirmation.
        parts: target -> question -> group of subjects -> its contribution to the number that decides.
        undefined: target -> metric -> why the method has no such score.
        floors: what it has as floors, and is one of.
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
    fixed_order: bool
    people: int
    rows: Mapping[str, Row]
    controls: Mapping[str, tuple[str, ...]]
    alike: str
    parts: Mapping[str, Mapping[str, Mapping[str, float]]]
    undefined: Mapping[str, Mapping[str, str]]
    floors: FloorKeys

    def why_undefined(self, target: str, metric: str) -> str:
        """The reason why the method has no such score."""
        return self.undefined[target].get(metric, "it was not computed")


# The columns of a leaderboard: name, meaning, value and text of each.
#
# Tables in Markdown and on the terminal, CSV, JSON, the site and the findings read this list; a new column is one more
# item here (and a field of `Row`, filled in `rows.py`, where the row does not hold its value yet).

MARKDOWN_COLUMNS = (
    *("rank", "method", "modalities", "score", "chance", "movement", "protocol_phase", "audit"),
    "evidence",
)
"""The columns of a leaderboard in Markdown, with the entry at the end."""

TERMINAL_COLUMNS = (
    *("rank", "method", "modalities", "access", "score", "gain", "chance", "movement", "protocol_phase"),
    *("recipe", "subjects", "evidence", "suspicious"),
)
"""Columns of a table on the terminal, with the entry at the end. A column with one value in all rows is named once."""

COST_FIELDS = ("time_s", "parameters", "flops", "memory_mb", "energy_j")
"""The columns of a run's cost."""

PAGE_COLUMNS = {
    "audit": True,
    "gain": False,
    "floors": False,
    **dict.fromkeys(COST_FIELDS, False),
    **dict.fromkeys(("access", "recipe", "subjects", "repaired", "openings", "seeds", "id"), False),
}
"""Columns of a leaderboard's page besides the drawn ones -> whether they are shown at first."""

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


_SIDES: Sequence[tuple[Literal["low", "high"], str]] = (("low", "lower"), ("high", "upper"))
"""End of an interval -> its name in words."""


@dataclass(frozen=True)
class Column:
    """A column of a leaderboard.

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
    """A column without values for confound-only models."""
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

    low, high = (
        _column(f"{name}_{end}", f"The {side} end of the interval.", part(end), number=True) for end, side in _SIDES
    )
    return [Column(name, name, about, part("mean"), text, number=True), low, high]


def _metric(name: str) -> list[Column]:
    def brief(row: Row) -> str:
        score = row.scored(name)
        return two_decimals(score.mean) if score else DASH

    return _ends(name, metric_facts(name).about, lambda row: row.scored(name), brief)


def _ranks(row: Row) -> str:
    """The ranks that a row may have, or why it has none; empty for confound-only models."""
    if row.rank is None:
        return f"({', '.join(row.marks)})" if row.is_method else ""
    best, worst = row.rank
    return str(best) if best == worst else f"{best}-{worst}"


def _answer(row: Row, question: str) -> str:
    """An answer with its evidence; of the score above chance the word, as its number is the primary metric."""
    found = row.answers.get(question)
    if found is None:
        return ""
    mark = "*" if question == "movement" and found.answer == "yes" and row.corrected else ""
    shown = found.evidence if question != "chance" and found.evidence != "see above" else ""
    return ", ".join(filter(None, (found.answer + mark, shown)))


def _question(name: str, title: str, about: str) -> Column:
    return _of_methods(name, about, lambda row: row.word(name) or None, lambda row: _answer(row, name), title=title)


def _adds(row: Row) -> str:
    if row.adds is None or row.effect is None:
        return "undefined" if row.adds else ""
    return f"{'yes' if row.does_add else 'not shown'}, partial r {figures(row.effect, 0.0)}"


def _looks(row: Row) -> str:
    """Test-set evaluations, methods evaluated and evaluations on validation subjects, or that they are not known."""
    if not row.looks_known:
        return "not recorded"
    return " / ".join(DASH if count is None else str(count) for count in (row.openings, row.tried, row.dev))


def _cost(name: str, title: str, about: str) -> Column:
    recorded = {"time_s": "wall_s", "memory_mb": "peak_memory_mb"}.get(name, name)

    def text(row: Row) -> str:
        return format_cost(row.cost.content())[title] if row.cost else ""

    return Column(name, title, about, lambda row: getattr(row.cost, recorded, None), text, number=True)


_COLUMNS: Sequence[Column] = (
    _column(
        "kind",
        "Method, or confound-only model: one without any physiological signal.",
        lambda row: "method" if row.is_method else "control",
    ),
    _column(
        "rank",
        "The ranks that an entry may have, at 95 % for all comparisons together. Entries that cannot be told apart "
        "share ranks: 1-23 means that the entry may be the best, or that 22 may be better. Ranks compare entries with "
        "the same access to data of the test subjects. In brackets: why an entry has no rank.",
        lambda row: row.rank and row.rank[0],
        _ranks,
        number=True,
    ),
    _column("rank_worst", "The worst of these ranks.", lambda row: row.rank and row.rank[1], number=True),
    _column("method", "Encoders, and the fusion or estimator. The entry's page has the details.", lambda row: row.name),
    _of_methods("details", "Encoder of each modality, recipe, and changes from the plain method.", lambda r: r.details),
    _column("encoders", "The encoder of each modality.", lambda row: [f"{m}={e}" for m, e in row.encoders.items()]),
    _of_methods("fusion", "The fusion or estimator, which joins the modalities.", lambda row: row.fusion),
    _column("pretrainers", "The pretraining of the encoders.", lambda row: list(row.pretrainers)),
    _column(
        "modalities",
        "The signals that the method reads. A + B: channels of one input.",
        lambda row: list(row.modalities),
        lambda row: row.signals,
        title="signals",
    ),
    _of_methods(
        "recipe",
        "The size of networks and training; assumed: settings that a paper leaves open.",
        lambda row: row.recipe,
        lambda row: row.recipe + (f" ({len(row.assumed)} assumed)" if row.assumed else ""),
    ),
    _of_methods("access", "The data of the test subjects that the method may read.", lambda row: row.target_access),
    _of_methods(
        "pretrain_overlap", "The data of the test subjects that pretraining has seen.", lambda row: row.pretrain_overlap
    ),
    _column("subjects", "The number of test subjects.", lambda row: row.subjects, number=True),
    _of_methods(
        "repaired",
        "The proportion of units in which more than a tenth of the samples of a modality is missing or interpolated.",
        lambda row: row.repaired,
        lambda row: format_share(row.repaired),
        number=True,
    ),
    _column("headline", "The metric that ranks.", lambda row: row.headline, title="primary metric"),
    *_ends(
        "score",
        "The primary metric with its 95 % confidence interval over subjects.",
        lambda row: row.score,
        lambda row: row.text_of(row.headline),
    ),
    _question("chance", "above chance", "Does the interval of the primary metric lie above chance?"),
    _question(
        "movement",
        "given time and movement",
        "Is the score associated with the label after both are adjusted for the time since the start and movement "
        "within 10 min? *: also after correction for all methods of this leaderboard.",
    ),
    _question(
        "protocol_phase",
        "given the protocol phase",
        "Is the score associated with the label after both are also adjusted for the phase of the protocol, which a "
        "model infers from movement of the whole session?",
    ),
    _of_methods(
        "corrected",
        "Whether the answer given time and movement holds after correction for all methods.",
        lambda row: row.corrected if row.word("movement") == "yes" else None,
    ),
    _of_methods(
        "adds",
        "The recorded answer given the confounds of `adds_level`.",
        lambda row: row.does_add if row.adds else None,
        _adds,
        title="recorded answer",
    ),
    _column("adds_effect", "The partial r of it.", lambda row: row.effect and row.effect.mean, number=True),
    _column("adds_lower", "Its lower end.", lambda row: row.effect and row.effect.low, number=True),
    _column("adds_upper", "Its upper end.", lambda row: row.effect and row.effect.high, number=True),
    _of_methods("adds_level", "The confound level of the recorded answer.", lambda row: row.adds and row.adds.judged),
    _of_methods(
        "gains_by",
        "The source of the gain from calibration data: labels, normalising, or nothing.",
        lambda row: row.gains_by or None,
        title="gain from",
    ),
    *_ends(
        "gain",
        "The gain from calibration data: the difference from the best comparison without them.",
        lambda row: row.gain,
        lambda row: ", ".join(filter(None, (row.gains_by, figures(row.gain, 0.0) if row.gain else ""))),
    ),
    _of_methods(
        "borderline",
        "The intervals that end within 0.01 of the null value.",
        lambda row: list(row.borderline),
        title="near the null value",
    ),
    _of_methods(
        "floors",
        "Gain from pretraining: the difference from the same network trained from scratch, and from handcrafted "
        "features.",
        lambda row: row.floors and (row.floors.texts or [NO_FLOORS]),
        lambda row: row.floors.words if row.floors else "",
        title="pretraining gain",
    ),
    _of_methods(
        "time_context",
        "The context available to a prediction: the unit, earlier units, or the whole session.",
        lambda row: row.time_context,
    ),
    _of_methods("letters", "Entries that share a letter cannot be told apart.", lambda row: row.letters),
    _of_methods(
        "evidence",
        "Who has checked the entry. Self-reported: its author published it. Verified: its scores were recomputed from "
        "its published predictions. Spot-checked: parts of it were run again. Reproduced: all of it was.",
        lambda row: row.evidence.level,
        lambda row: str(row.evidence),
    ),
    _of_methods("evidence_by", "Who checked it.", lambda row: row.evidence.by),
    _of_methods("evidence_on", "When it was checked.", lambda row: row.evidence.on),
    _of_methods("suspicious", "So good that a leak is the first thing to look for.", lambda row: row.suspicious),
    _of_methods(
        "audit",
        "The number of audit findings. Severe: the scores do not mean what they seem to mean.",
        lambda row: row.audit,
        lambda row: row.audit + (", suspicious" if row.suspicious else ""),
    ),
    _column("marks", "Why it has no rank.", lambda row: [m for m in row.marks if m not in LEVEL_NAMES.values()]),
    _cost("time_s", "time", "The time of all stages together, in s."),
    _cost("parameters", "parameters", "The parameters of the method of one fold."),
    _cost("flops", "FLOPs", "The operations for one prediction."),
    _cost("memory_mb", "memory", "The peak memory of a stage, in MB of 1024 kB."),
    _cost("energy_j", "energy", "The energy of the GPU, in J."),
    _column("device", "The device that trained it.", lambda row: row.cost and row.cost.device),
    _of_methods(
        "openings",
        "Test-set evaluations before the entry was made, methods evaluated, and evaluations on validation subjects. "
        "Repeated evaluation inflates the best score.",
        lambda row: row.openings,
        _looks,
        title="evaluations: test / methods / validation",
        number=True,
    ),
    _of_methods(
        "tried",
        "The number of methods evaluated on the test set, including this one.",
        lambda row: row.tried,
        title="methods evaluated",
        number=True,
    ),
    _of_methods(
        "dev",
        "The number of evaluations on validation subjects.",
        lambda row: row.dev,
        title="validation evaluations",
        number=True,
    ),
    _column("seeds", "Each seed has its own folds; ranked entries share them.", lambda row: list(map(str, row.seeds))),
    _column("assumed", "Settings that the paper leaves open.", lambda row: list(row.assumed)),
    _column("id", "The id of the run, which is the name of the entry's folder.", lambda row: row.id, title="run"),
)


@cache
def columns() -> Mapping[str, Column]:
    """Name -> column, in the order of CSV and JSON."""
    scores = (column for name in SECONDARY_METRICS for column in _metric(name))
    return {column.name: column for column in (*_COLUMNS, *scores)}
