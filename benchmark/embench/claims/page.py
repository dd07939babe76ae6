"""The page "printed and obtained": numbers in a paper next to the results of finished runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

from embench.claims.examine import ClaimResult, Measured, claimed_request, targets_there
from embench.claims.files import (
    SPLITS,
    SPREADS,
    AnyClaim,
    Claim,
    MeasuredClaim,
    Printed,
    PrintedRow,
    SplitName,
    UntestedClaim,
    printed_tables,
)
from embench.planning.request import Request
from embench.protocols import ReferenceName
from embench.records.predictions import MODEL
from embench.records.scores import Score
from embench.records.wording import (
    format_figure,
    format_score,
    format_value,
    grouped,
    method_name,
    name_without_package,
    paper_value,
)
from embench.statistics import metric_facts
from embench.statistics.answers import plain_reason
from embench.statistics.result import Result
from embench.studies.study import RunStudy
from embench.vocabulary import label, markdown, table_in_markdown

# Results of finished runs for the numbers in a paper's tables.


class PrintedRequests(NamedTuple):
    """A row of a paper's tables, with the requests of its run under each split (None without such a protocol) and under
    the default protocol (`fixed`; None if the dataset has none of the targets there)."""

    tables: Printed
    row: PrintedRow
    by_split: Mapping[SplitName, Request | None]
    fixed: Request | None

    @property
    def requests(self) -> list[Request]:
        """All requests of the row."""
        return [request for request in (*self.by_split.values(), self.fixed) if request]


def requests_of_tables(paper: str, dataset: str, options: Mapping[str, Any]) -> list[PrintedRequests]:
    """Return the rows of a paper's tables on a dataset, with their requests; `options`: further fields of a request."""
    requests = []
    for tables in printed_tables(paper):
        for row in (row for row in tables.rows if row.dataset == dataset):
            # Named as in claims, so that equal runs have equal requests.
            stated, targets = {"fusion": "single"} | row.run.stated, list(row.printed)
            every: dict[str, Any] = {"targets": targets, "options": options, "corpora": row.corpora}
            by_split = {
                split: claimed_request(dataset, {"protocol": protocol} | stated, **every) if protocol else None
                for split, protocol in tables.protocols(row).items()
            }
            targets = targets_there(targets, dataset, Request.protocol, options.get("data_root"))
            default_rules, every = {"protocol": Request.protocol}, every | {"targets": targets}
            fixed = claimed_request(dataset, default_rules | stated, **every) if targets else None
            requests.append(PrintedRequests(tables, row, by_split, fixed))
    return requests


class Found(NamedTuple):
    """A score with its number of folds; or the `reason` why there is none."""

    score: Score | None = None
    folds: int = 0
    reason: str = ""


@dataclass(frozen=True)
class PrintedResult:
    """A number in a paper's tables next to results of its run, or the scores of a reference in place of a method.

    Args:
        table: its number, or `reference`. `name`: the row of the table, or what the reference predicts from.
        figures: the printed number, with its spread if there is one; None for a reference.
        by_split: the score under the paper's protocol and its counterparts.
        fixed: the primary metric under the default protocol, with its `answers`: question -> word. A reference has
            none, as it needs a leak.
    """

    tables: Printed
    table: str
    name: str
    target: str
    metric: str
    figures: Sequence[float] | None
    by_split: Mapping[SplitName, Found]
    fixed: Found | None = None
    primary_metric: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    synthetic: bool = False

    @property
    def cells(self) -> dict[str, str]:
        """Title -> text of the cells in a table."""
        scores: dict[str, str] = {
            split: self.tables.format_score(found.score, found.folds) if found.score else found.reason
            for split, found in self.by_split.items()
        }
        return {
            "table": self.table,
            "row": self.name,
            "target": self.target,
            "score": metric_facts(self.metric).title,
            "printed": "none" if self.figures is None else self.tables.in_words(self.figures),
            **scores,
        }

    @property
    def primary_cells(self) -> dict[str, str]:
        """Title -> text of the cells on the primary metric; empty for a reference."""
        if self.fixed is None:
            return {}
        return {
            "row": self.name,
            "target": self.target,
            "primary metric": metric_facts(self.primary_metric).title if self.primary_metric else "none",
            "score": format_score(self.fixed.score) if self.fixed.score else self.fixed.reason,
            **{question: self.answers.get(question, "none") for question in _QUESTIONS.values()},
        }


_QUESTIONS = {"chance": "more than by chance?", "movement": "given time and movement?"}
"""Question -> title of the column with its answer: is the score associated with the label?"""


def notes_on_tables(paper: str, dataset: str) -> list[str]:
    """Return notes on a paper's tables for a dataset: its splits, the meaning of ± and of brackets, remarks, unread
    tables, and other datasets."""
    notes: list[str] = []
    papers = printed_tables(paper)
    for tables in papers:
        of_dataset = [row for row in tables.rows if row.dataset == dataset]
        splits = (tables.protocols(row).items() for row in of_dataset)
        notes += dict.fromkeys("; ".join(f"{split}: {name or 'none'}" for split, name in each) + "." for each in splits)
        if tables.spread and of_dataset:
            notes.append(f"± is the {tables.spread}: {SPREADS[tables.spread][0]} (SD of the scores of k folds).")
        notes += [_BRACKETS] if of_dataset else []
        notes += [f"{row.row}: {row.remarks}." for row in of_dataset if row.remarks]
        notes += [f"Not read: table {unread.table}, {unread.what}: {unread.why}." for unread in tables.unread]
    others = [row for tables in papers for row in tables.rows if row.dataset != dataset]
    elsewhere = grouped((row.dataset, row.row) for row in others)
    return notes + [f"For {name}, with `--dataset {name}`: {'; '.join(rows)}." for name, rows in elsewhere.items()]


_BRACKETS = (
    "Brackets hold the 95 % interval of embench, from differences between subjects. The primary metric is that of "
    f"{Request.protocol}, which tests other subjects than it trains on."
)


def examine_tables(paper: str, dataset: str, options: Mapping[str, Any], study: RunStudy) -> list[PrintedResult]:
    """Return the numbers in a paper's tables on a dataset, each with its results from the finished runs of `study`;
    then the references of each of the paper's protocols."""
    results, groups = [], dict[tuple[str | None, ...], list[PrintedRequests]]()
    for each in requests_of_tables(paper, dataset, options):
        runs = {split: _get_finished(request, study) for split, request in each.by_split.items()}
        fixed = _get_finished(each.fixed, study, "no such target")
        synthetic = any(isinstance(run, Result) and run.is_synthetic for run in runs.values())
        for target, metric, figures in each.row.numbers():
            by_split = {split: _find_score(run, target, metric) for split, run in runs.items()}
            about = {"by_split": by_split, **_find_primary(fixed, target), "synthetic": synthetic}
            table, name = ", ".join(each.row.tables), each.row.row
            results.append(PrintedResult(each.tables, table, name, target, metric, figures, **about))
        groups.setdefault(tuple(each.tables.protocols(each.row).values()), []).append(each)
    for rows in groups.values():
        results += _examine_references(rows, study)
    return results


def _examine_references(rows: Sequence[PrintedRequests], study: RunStudy) -> Iterator[PrintedResult]:
    """Yield the scores of references, which are the same for all methods, from the first finished run of each split."""
    chosen = dict[SplitName, Result | str]()
    for split in SPLITS:
        runs = [_get_finished(row.by_split[split], study) for row in rows]
        chosen[split] = next((run for run in runs if isinstance(run, Result)), runs[0])
    finished = [run for run in chosen.values() if isinstance(run, Result)]
    numbers = dict.fromkeys((target, metric) for row in rows for target, metric, _ in row.row.numbers())
    reported = [name for name in REFERENCES if any(name in run.scores.confound_only_names for run in finished)]
    for name, (target, metric) in product(reported, numbers):
        by_split = {split: _find_score(run, target, metric, name) for split, run in chosen.items()}
        title, synthetic = f"{label(name)} ({name})", any(run.is_synthetic for run in finished)
        yield PrintedResult(rows[0].tables, "reference", title, target, metric, None, by_split, synthetic=synthetic)


REFERENCES: tuple[ReferenceName, ...] = ("recording_label", "subject_mean")
"""References that show how far a leak alone leads: they know the other labels of the tested recording, or subject."""
_NO_LEAK = "no leak"


def _find_score(run: Result | str, target: str, metric: str, model: str = MODEL) -> Found:
    """Return the score of a run's method, or of a reference, with the number of its folds; or why there is none."""
    if isinstance(run, str):
        return Found(reason=run)
    scores, reference = run.scores, None if model == MODEL else model
    if reference and reference not in scores.confound_only_names:
        return Found(reason=_NO_LEAK)
    folds = [row["seed"] for row in scores.folds if (row["method"], row["target"]) == (model, target)]
    if score := scores.get_score(target, metric, reference):
        return Found(score, min(Counter(folds).values(), default=0))
    if reference is None:
        return Found(reason=plain_reason(scores.explain_undefined(target, metric)))
    (found,) = [each for each in scores.get_confound_only_models(target) if each.name == reference]
    return Found(reason=plain_reason(found.explain_undefined(metric)))


def _find_primary(run: Result | str, target: str) -> dict[str, Any]:
    """Return the fields of a `PrintedResult` on the primary metric of a run, and on the answers to its questions."""
    if isinstance(run, str):
        return {"fixed": Found(reason=run)}
    if target not in run.scores.primary_metrics:
        return {"fixed": Found(reason="no such target")}
    found = run.answers[target]
    answers = {title: each.answer for name, title in _QUESTIONS.items() if (each := found.find_answer(name))}
    score = Found(found.score, reason="" if found.score else "not estimable")
    return {"fixed": score, "primary_metric": found.metric, "answers": answers}


def _get_finished(request: Request | None, study: RunStudy, missing: str = "no such protocol") -> Result | str:
    """Return the finished run of a request, or a text on why there is none; `missing` without a request."""
    if request is None:
        return missing
    found = study.result(request)
    if isinstance(found, Result):
        return found
    return f"{found.what} ({found.where})" if found.where and found.where.startswith("--") else found.what


# What was run: the head of the page, from the records of the finished runs.


class PageHead(NamedTuple):
    """What was run for a paper's page, and where it departs from the paper.

    Args:
        headline: the recipe, and whether the networks are the paper's.
        facts: name -> text, from all runs.
        methods: cells of a row for each method under the paper's protocols or their counterparts.
        departures: cells of a row for each setting that differs from the paper in some of these methods.
    """

    headline: str
    facts: Mapping[str, str]
    methods: Sequence[Mapping[str, str]]
    departures: Sequence[Mapping[str, str]]


def describe_runs(paper: str, results: Iterable[Result]) -> PageHead:
    """Return the head of a paper's page from the finished runs of its set, whose records say all of it."""
    runs = [result.manifest for result in results]
    if not runs:
        return PageHead("no run is finished", {}, [], [])
    splits = [tables.protocols(row).values() for tables in printed_tables(paper) for row in tables.rows]
    place = {name: place for of_row in splits for place, name in reversed([*enumerate(of_row)])}
    methods = dict[str, Mapping[str, Any]]()
    # Of a method, the run under the paper's own protocol, if it is finished.
    for run in sorted(runs, key=lambda run: place.get(run["protocol"]["name"], len(SPLITS))):
        if run["protocol"]["name"] in place:
            methods.setdefault(", ".join([method_name(run), *run["recipe"]["settings"]]), run)
    recipes = list(dict.fromkeys(run["recipe"]["preset"] for run in runs))
    headline = f"recipe {' and '.join(recipes)}"
    if recipes != ["paper"]:
        headline = f"not the paper's network ({headline})"
    numbered = list(enumerate(methods.items(), 1))
    described = [
        {
            "": str(number),
            "method": name,
            "protocol": run["protocol"]["name"],
            "query modality": run["method"].get("query") or "none",
            "settings that differ": "no paper" if (d := run["recipe"].get("departs")) is None else str(len(d)),
            "settings left open": str(len(run["recipe"].get("assumed") or ())),
        }
        for number, (name, run) in numbered
    ]
    departures = sorted(_list_departures(numbered), key=lambda row: row["paper"] != paper)
    return PageHead(headline, _list_facts(runs), described, departures)


def _list_facts(runs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return name -> the values of all runs in words."""

    def values(describe: Callable[[Mapping[str, Any]], Any]) -> str:
        return "; ".join(dict.fromkeys(str(describe(run)) for run in runs))

    def data(run: Mapping[str, Any]) -> str:
        origin = "real" if run["dataset"]["synthetic"] is None else "SYNTHETIC"
        return f"{name_without_package(run['dataset']['name'])}, {origin}"

    def subjects(run: Mapping[str, Any]) -> str:
        scored, out = run["cohort"]["subjects"], len(run["cohort"]["left_out"])
        return f"{scored if isinstance(scored, int) else len(scored)}" + (f", {out} excluded" if out else "")

    return {
        "recipe": values(lambda run: run["recipe"]["preset"]),
        "seeds": values(lambda run: ", ".join(map(str, run["seeds"]))),
        "dataset": values(data),
        "subjects": values(subjects),
        "device": values(lambda run: run["device"]),
        "protocols": values(lambda run: run["protocol"]["name"]),
        "embench": values(lambda run: run["embench_version"]),
    }


def _list_departures(methods: Sequence[tuple[int, tuple[str, Mapping[str, Any]]]]) -> list[dict[str, str]]:
    """Return the cells of each setting that differs from a paper, with the numbers of the methods that have it."""
    same = grouped(
        ((row["source"], row["field"], paper_value(row["paper"]), format_value(row["used"], "g", "none")), str(number))
        for number, (_, run) in methods
        for row in run["recipe"].get("departs") or ()
    )
    heads = ("paper", "setting", "in the paper", "here", "methods")
    return [
        dict(zip(heads, (*place, "all" if len(n) == len(methods) else ", ".join(n)), strict=True))
        for place, n in same.items()
    ]


# Printed numbers next to results, as table cells and as a page in Markdown.

MEANING = (
    "A verdict applies to these configurations, these subjects and this recipe. It does not judge the paper's own "
    "runs. On another dataset than the paper's, it answers another question."
)


OBTAINED = ("compared", "measured")
"""Status of rows that have a result."""


def options_line(options: Mapping[str, Any]) -> str:
    """Format options of a run as on a command line."""
    parts = []
    for name, value in options.items():
        values = [value] if isinstance(value, str) else value
        parts += [f"--{name.replace('_', '-')} {item}" for item in values]
    return " ".join(parts)


def claims_page(
    tested: Sequence[Claim],
    rows: Sequence[ClaimResult],
    values: Sequence[Measured],
    untested: Sequence[UntestedClaim],
    printed: Sequence[PrintedResult],
    notes: Sequence[str],
    head: PageHead,
) -> str:
    """Return a Markdown page with what was run, the numbers in a paper's tables, then those of each claim, next to the
    results. Each missing result has a reason. See `embench.cli.studies.print_claims` for the arguments."""
    parts = [f"# Printed and obtained: {markdown(head.headline)}\n"]
    every: list[ClaimResult | Measured | PrintedResult] = [*rows, *values, *printed]
    if any(row.synthetic for row in every):
        parts.append("**SYNTHETIC DATA: these numbers say nothing about real subjects and cannot be published.**\n")
    parts += _write_head(head)
    cells, primary, reasons = printed_cells(printed)
    parts += ["## Tables\n", *_write_table(cells), *_write_table(primary)]
    parts += [f"{markdown(note)}\n" for note in (*reasons, *notes)]
    for claim, results in rows_by_claim(tested, rows, values):
        parts += _write_section(claim, results)
    if untested:
        lines = [{"id": claim.id, "statement": claim.claim, "reason": claim.not_tested} for claim in untested]
        parts += ["## Not yet tested in embench\n", *_write_table(lines)]
    return "\n".join([*parts, MEANING, ""])


def _write_head(head: PageHead) -> list[str]:
    """Return the Markdown lines on what was run, and on the settings that differ from the paper."""
    facts = [{"": name, "what was run": text} for name, text in head.facts.items()]
    parts = [*_write_table(facts), *_write_table(head.methods)]
    if head.departures:
        return [*parts, "## Settings that differ from the paper\n", *_write_table(head.departures)]
    return [*parts, "No setting that the paper states differs.\n"] if head.methods else parts


def _write_table(cells: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a table of these cells, title -> text, in Markdown, and an empty line; nothing without cells."""
    if not cells:
        return []
    return [table_in_markdown([[markdown(text) for text in row.values()] for row in cells], list(cells[0])), ""]


def rows_by_claim(
    tested: Sequence[Claim], rows: Sequence[ClaimResult], values: Sequence[Measured]
) -> list[tuple[AnyClaim, list[ClaimResult | Measured]]]:
    """Return (claim, its results) of each comparing claim in `tested`, then of each measured claim in `values`."""
    claims: list[AnyClaim] = [*tested, *{(row.claim.paper, row.claim.id): row.claim for row in values}.values()]
    every: list[ClaimResult | Measured] = [*rows, *values]
    return [(claim, [row for row in every if row.claim is claim]) for claim in claims]


def run_lines(claim: AnyClaim, rows: Sequence[ClaimResult | Measured]) -> dict[str, str]:
    """Return name -> options of each run of a claim, as on a command line."""
    if isinstance(claim, MeasuredClaim):
        return {name: options_line(run.stated) for name, run in claim.runs.items()}
    dataset = rows[0].dataset if rows else next(iter(claim.datasets))
    return {side: options_line(claim.options(side, dataset)) for side in ("a", "b")}


def claim_cells(rows: Sequence[ClaimResult | Measured]) -> list[dict[str, str]]:
    """Return the cells, title -> text, of each row that has a result."""
    done = [row for row in rows if row.status in OBTAINED]
    return [compared_cells(row) if isinstance(row, ClaimResult) else measured_cells(row) for row in done]


def _write_section(claim: AnyClaim, rows: Sequence[ClaimResult | Measured]) -> list[str]:
    """Return the Markdown lines on a claim: its runs, a table of results, and the reasons for missing ones."""
    lines = [f"- {name}: {markdown(line)}" for name, line in run_lines(claim, rows).items()]
    parts = [f"## {markdown(f'{claim.paper} {claim.id}: {claim.claim}')}\n", *lines, ""]
    parts += _write_table(claim_cells(rows))
    rest = [
        (row.status, row.dataset, row.target, getattr(row, "protocol", ""), row.reason) for row in rows if row.reason
    ]
    parts += [f"{markdown(' '.join(filter(None, place)))}: {markdown(why)}\n" for *place, why in dict.fromkeys(rest)]
    return [*parts, f"{markdown(claim.remarks)}\n"] if claim.remarks else parts


def printed_cells(
    printed: Sequence[PrintedResult],
) -> tuple[list[dict[str, str]], list[dict[str, str]], list[str]]:
    """Return the cells of printed numbers, title -> text; those of the primary metrics, once for each row and target;
    and footnotes with long reasons."""
    found = [row.by_split.values() for row in printed] + [[row.fixed] for row in printed if row.fixed]
    reasons = [each.reason for row in found for each in row if len(each.reason) > _SHORT]
    marks = {text: f"({k})" for k, text in enumerate(dict.fromkeys(reasons), 1)}
    primary = {(row.name, row.target): row.primary_cells for row in printed if row.fixed}.values()
    tables = [
        [{name: marks.get(text, text) for name, text in cells.items()} for cells in every]
        for every in ((row.cells for row in printed), primary)
    ]
    return tables[0], tables[1], [f"{mark} {text}" for text, mark in marks.items()]


_SHORT = 20
"""Number of characters above which a reason becomes a footnote."""


def measured_cells(row: Measured) -> dict[str, str]:
    """Return the cells, title -> text, of a measured value."""
    about = row.claim
    claimed = f"above {about.reference:.3g}" if about.margin is None else f"{about.reference:.3g} ± {about.margin:g}"
    verdict = str(row.verdict)
    if about.margin is not None:
        verdict += f" ({'holds' if row.holds_reference else 'does not hold'} {about.reference:.3g})"
    published = ", ".join(f"{name} {value:g}" for name, value in about.published.items())
    return {
        "dataset": row.dataset,
        "target": row.target,
        "protocol": about.protocol,
        "what": row.what,
        "claimed": claimed,
        "published": (published if row.published is not None else "") or "-",
        "measured": format_score(row),
        "of": f"{row.count} {row.over}",
        "p, Holm": format_figure(row.corrected, ".3g"),
        "verdict": verdict,
        "size": row.size or "-",
    }


def compared_cells(row: ClaimResult) -> dict[str, str]:
    """Return the cells, title -> text, of a comparison."""
    has_smallest = row.verdict == "undecided" and row.smallest_detectable is not None
    return {
        "dataset": row.dataset if row.dataset in row.claim.datasets else f"{row.dataset} (not the paper's)",
        "target": row.target,
        "protocol": row.protocol,
        "score": metric_facts(row.metric).title,
        "published": format_figure(row.published, "+.3f"),
        "a - b": format_score(row.difference, "+.3f"),
        "p, Holm": format_figure(row.corrected, ".3g"),
        "verdict": f"{row.verdict} (detectable: {format_figure(row.smallest_detectable)})"
        if has_smallest
        else str(row.verdict),
        "size": row.size or "-",
        "recipe": row.recipe,
    }
