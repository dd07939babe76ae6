"""What finished runs obtained of the numbers in a paper's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from embench.claims.printed import Printed, PrintedRow, printed_tables
from embench.claims.requests import claimed_request, targets_there
from embench.errors import EmbenchError
from embench.planning.plan import make
from embench.planning.request import Request
from embench.records.scores import Score
from embench.records.wording import format_score
from embench.runs import run as runner
from embench.snapshot import snapshot
from embench.statistics.result import Result


class PrintedRequests(NamedTuple):
    """A row with the requests of its run: by the paper's protocol, and by the fixed one where it has such targets."""

    tables: Printed
    row: PrintedRow
    own: Request
    fixed: Request | None


def requests_of_tables(paper: str, dataset: str, options: Mapping[str, Any]) -> list[PrintedRequests]:
    """The rows of a paper's tables that are of this dataset. `options` are further fields of a request."""
    found = []
    for tables in printed_tables(paper):
        for row in (row for row in tables.rows if row.dataset == dataset):
            # As claims name it, so that one run is one request.
            stated, targets = {"fusion": "single"} | row.run.stated, list(row.printed)
            own = claimed_request(dataset, {"protocol": row.protocol or tables.protocol} | stated, targets, options)
            left = targets_there(targets, dataset, Request.protocol, own.data_root)
            there = {"protocol": Request.protocol} | stated
            fixed = claimed_request(dataset, there, left, options) if left else None
            found.append(PrintedRequests(tables, row, own, fixed))
    return found


@dataclass(frozen=True)
class PrintedResult:
    """A printed number beside what its run obtained under the paper's protocol, and the headline under the fixed one;
    None where there is none, for the `reason` and `why_not_fixed`."""

    tables: Printed
    row: PrintedRow
    target: str
    metric: str
    figures: Sequence[float]
    obtained: Score | None = None
    fixed: Score | None = None
    headline: str = ""
    reason: str = ""
    why_not_fixed: str = ""
    synthetic: bool = False

    @property
    def cells(self) -> dict[str, str]:
        """The cells of a table, title -> text."""
        fixed = format_score(self.fixed) if self.fixed else self.why_not_fixed
        return {
            "table": ", ".join(self.row.tables),
            "row": self.row.row,
            "target": self.target,
            "score": self.metric,
            "printed": self.tables.in_words(self.figures),
            "obtained": format_score(self.obtained) if self.obtained else self.reason,
            f"under {Request.protocol}": f"{self.headline} {fixed}".lstrip(),
        }


def notes_on_tables(paper: str, dataset: str) -> list[str]:
    """Sentences for readers of a paper's tables on a dataset: the meaning of ±, remarks, and the tables and rows that
    are not there."""
    notes, elsewhere = [], dict[str, list[str]]()
    for tables in printed_tables(paper):
        own = [row for row in tables.rows if row.dataset == dataset]
        spread = any(len(figures) > 1 for row in own for _, _, figures in row.numbers())
        notes += [f"± is the {tables.spread}."] if spread else []
        notes += [f"{row.row}: {row.remarks}." for row in own if row.remarks]
        for row in (row for row in tables.rows if row.dataset != dataset):
            elsewhere.setdefault(row.dataset, []).append(row.row)
        notes += [f"Not read: table {unread.table}, {unread.what}: {unread.why}." for unread in tables.unread]
    return notes + [f"For {name}, with `--dataset {name}`: {'; '.join(rows)}." for name, rows in elsewhere.items()]


@snapshot()
def examine_tables(
    paper: str, dataset: str, options: Mapping[str, Any], done: runner.GridResult
) -> list[PrintedResult]:
    """Each number in a paper's tables on this dataset, with what was obtained of what is `done`; nothing is run."""
    finished = {result.id: result for result in done.results}
    results = []
    for each in requests_of_tables(paper, dataset, options):
        own, fixed = (_finished(request, finished, done) for request in (each.own, each.fixed))
        for target, metric, figures in each.row.numbers():
            about: dict[str, Any] = {}
            if isinstance(own, str):
                about["reason"] = own
            else:
                score, synthetic = own.scores.score(target, metric), own.manifest["dataset"]["synthetic"] is not None
                about = {"obtained": score, "reason": own.scores.why_undefined(target, metric), "synthetic": synthetic}
            if isinstance(fixed, str):
                about["why_not_fixed"] = fixed
            elif headline := fixed.scores.headlines.get(target):
                score = fixed.scores.score(target, headline)
                about |= {"fixed": score, "headline": headline, "why_not_fixed": "" if score else "not estimable"}
            else:
                about["why_not_fixed"] = "no such target"
            results.append(PrintedResult(each.tables, each.row, target, metric, figures, **about))
    return results


def _finished(request: Request | None, finished: Mapping[str, Result], done: runner.GridResult) -> Result | str:
    """A request's run, or why there is none."""
    if request is None:
        return "no such target"
    try:
        plan = make(request)
    except EmbenchError as error:
        return f"{error.what} ({error.where})" if error.where and error.where.startswith("--") else error.what
    return finished.get(plan.id) or done.why_missing(plan).what
