"""The page "printed and obtained": numbers in a paper next to the results of finished runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from embench.claims.examine import ClaimResult, Measured, claimed_request, targets_there
from embench.claims.files import AnyClaim, Claim, MeasuredClaim, Printed, PrintedRow, UntestedClaim, printed_tables
from embench.planning.request import Request
from embench.records.scores import Score
from embench.records.wording import format_figure, format_score, grouped
from embench.statistics.result import Result
from embench.studies.study import RunStudy
from embench.vocabulary import markdown, table_in_markdown

# Results of finished runs for the numbers in a paper's tables.


class PrintedRequests(NamedTuple):
    """A row of a paper's tables, with the requests of its run under the paper's protocol (`by_paper`) and under the
    default protocol (`fixed`; None if the dataset has none of the targets there)."""

    tables: Printed
    row: PrintedRow
    by_paper: Request
    fixed: Request | None


def requests_of_tables(paper: str, dataset: str, options: Mapping[str, Any]) -> list[PrintedRequests]:
    """Return the rows of a paper's tables on a dataset, with their requests; `options`: further fields of a request."""
    requests = []
    for tables in printed_tables(paper):
        for row in (row for row in tables.rows if row.dataset == dataset):
            # Named as in claims, so that equal runs have equal requests.
            stated, targets = {"fusion": "single"} | row.run.stated, list(row.printed)
            own_rules = {"protocol": row.protocol or tables.protocol}
            by_paper = claimed_request(dataset, own_rules | stated, targets, options, row.corpora)
            targets = targets_there(targets, dataset, Request.protocol, by_paper.data_root)
            default_rules = {"protocol": Request.protocol}
            more = targets, options, row.corpora
            fixed = claimed_request(dataset, default_rules | stated, *more) if targets else None
            requests.append(PrintedRequests(tables, row, by_paper, fixed))
    return requests


@dataclass(frozen=True)
class PrintedResult:
    """A number in a paper's tables next to results of its run.

    Args:
        figures: the printed number, with its spread if there is one.
        obtained: the run's score under the paper's protocol; None for the reason `reason`.
        fixed: the primary metric under the default protocol; None for the reason `why_not_fixed`.
    """

    tables: Printed
    row: PrintedRow
    target: str
    metric: str
    figures: Sequence[float]
    obtained: Score | None = None
    fixed: Score | None = None
    primary_metric: str = ""
    reason: str = ""
    why_not_fixed: str = ""
    synthetic: bool = False

    @property
    def cells(self) -> dict[str, str]:
        """Title -> text of the cells in a table."""
        fixed = format_score(self.fixed) if self.fixed else self.why_not_fixed
        return {
            "table": ", ".join(self.row.tables),
            "row": self.row.row,
            "target": self.target,
            "score": self.metric,
            "printed": self.tables.in_words(self.figures),
            "obtained": format_score(self.obtained) if self.obtained else self.reason,
            f"under {Request.protocol}": f"{self.primary_metric} {fixed}".lstrip(),
        }


def notes_on_tables(paper: str, dataset: str) -> list[str]:
    """Return notes on a paper's tables for a dataset: the meaning of ±, remarks, unread tables, and other datasets."""
    notes, papers = [], printed_tables(paper)
    for tables in papers:
        of_dataset = [row for row in tables.rows if row.dataset == dataset]
        spread = any(len(figures) > 1 for row in of_dataset for _, _, figures in row.numbers())
        notes += [f"± is the {tables.spread}."] if spread else []
        notes += [f"{row.row}: {row.remarks}." for row in of_dataset if row.remarks]
        notes += [f"Not read: table {unread.table}, {unread.what}: {unread.why}." for unread in tables.unread]
    others = [row for tables in papers for row in tables.rows if row.dataset != dataset]
    elsewhere = grouped((row.dataset, row.row) for row in others)
    return notes + [f"For {name}, with `--dataset {name}`: {'; '.join(rows)}." for name, rows in elsewhere.items()]


def examine_tables(paper: str, dataset: str, options: Mapping[str, Any], study: RunStudy) -> list[PrintedResult]:
    """Return the numbers in a paper's tables on a dataset, each with its results from the finished runs of `study`."""
    results = []
    for each in requests_of_tables(paper, dataset, options):
        by_paper, fixed = (_get_finished(request, study) for request in (each.by_paper, each.fixed))
        for target, metric, figures in each.row.numbers():
            about: dict[str, Any] = {}
            if isinstance(by_paper, str):
                about["reason"] = by_paper
            else:
                about = {
                    "obtained": by_paper.scores.get_score(target, metric),
                    "reason": by_paper.scores.explain_undefined(target, metric),
                    "synthetic": by_paper.manifest["dataset"]["synthetic"] is not None,
                }
            if isinstance(fixed, str):
                about["why_not_fixed"] = fixed
            elif primary_metric := fixed.scores.primary_metrics.get(target):
                score = fixed.scores.get_score(target, primary_metric)
                about |= {"fixed": score, "primary_metric": primary_metric}
                about["why_not_fixed"] = "" if score else "not estimable"
            else:
                about["why_not_fixed"] = "no such target"
            results.append(PrintedResult(each.tables, each.row, target, metric, figures, **about))
    return results


def _get_finished(request: Request | None, study: RunStudy) -> Result | str:
    """Return the finished run of a request, or a text on why there is none."""
    if request is None:
        return "no such target"
    found = study.result(request)
    if isinstance(found, Result):
        return found
    return f"{found.what} ({found.where})" if found.where and found.where.startswith("--") else found.what


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
) -> str:
    """Return a Markdown page with the numbers in a paper's tables, then those of each claim, next to the results. Each
    missing result has a reason. See `embench.cli.studies.print_claims` for the arguments."""
    parts = ["# Printed and obtained\n"]
    every: list[ClaimResult | Measured | PrintedResult] = [*rows, *values, *printed]
    if any(row.synthetic for row in every):
        parts.append("**SYNTHETIC DATA: these numbers say nothing about real subjects and cannot be published.**\n")
    parts.append("## Tables\n")
    cells, reasons = printed_cells(printed)
    if cells:
        lines = [[markdown(text) for text in row.values()] for row in cells]
        parts += [table_in_markdown(lines, list(cells[0])), ""]
    parts += [f"{markdown(note)}\n" for note in (*reasons, *notes)]
    for claim, results in rows_by_claim(tested, rows, values):
        parts += _write_section(claim, results)
    if untested:
        lines = [[markdown(claim.id), markdown(claim.claim), markdown(claim.not_tested)] for claim in untested]
        parts += ["## Not yet tested in embench\n", table_in_markdown(lines, ["id", "statement", "reason"]), ""]
    return "\n".join([*parts, MEANING, ""])


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
    if cells := claim_cells(rows):
        texts = [[markdown(text) for text in row.values()] for row in cells]
        parts += [table_in_markdown(texts, list(cells[0])), ""]
    rest = [
        (row.status, row.dataset, row.target, getattr(row, "protocol", ""), row.reason) for row in rows if row.reason
    ]
    parts += [f"{markdown(' '.join(filter(None, place)))}: {markdown(why)}\n" for *place, why in dict.fromkeys(rest)]
    return [*parts, f"{markdown(claim.remarks)}\n"] if claim.remarks else parts


def printed_cells(printed: Sequence[PrintedResult]) -> tuple[list[dict[str, str]], list[str]]:
    """Return the cells of printed numbers, title -> text, and footnotes with long reasons."""
    reasons = [text for row in printed for text in (row.reason, row.why_not_fixed) if len(text) > _SHORT]
    marks = {text: f"({k})" for k, text in enumerate(dict.fromkeys(reasons), 1)}
    cells = [{name: marks.get(text, text) for name, text in row.cells.items()} for row in printed]
    return cells, [f"{mark} {text}" for text, mark in marks.items()]


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
        "score": row.metric,
        "published": format_figure(row.published, "+.3f"),
        "a - b": format_score(row.difference, "+.3f"),
        "p, Holm": format_figure(row.corrected, ".3g"),
        "verdict": f"{row.verdict} (detectable: {format_figure(row.smallest_detectable)})"
        if has_smallest
        else str(row.verdict),
        "size": row.size or "-",
        "recipe": row.recipe,
    }
