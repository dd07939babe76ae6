"""What a paper printed beside what was obtained, as cells of tables, and as a page in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from embench.claims.examine import ClaimResult
from embench.claims.files import AnyClaim, Claim, UntestedClaim
from embench.claims.measured import Measured
from embench.claims.obtained import PrintedResult
from embench.records.wording import format_figure, format_score
from embench.texts import markdown, table_in_markdown

MEANING = (
    "A verdict applies to these configurations, these subjects and this recipe. It does not judge the paper's own "
    "runs. On another dataset than the paper's, it answers another question."
)


def options_line(options: Mapping[str, Any]) -> str:
    """Options as they stand on a command line."""
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
    """A page in Markdown with what papers printed and what was obtained side by side, number by number, then claim by
    claim; text beside the tables says what was not, and why."""
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
    for claim in tested:
        own = [row for row in rows if row.claim is claim]
        dataset = own[0].dataset if own else next(iter(claim.datasets))
        sides = [f"{side}: {markdown(options_line(claim.options(side, dataset)))}" for side in ("a", "b")]
        parts += _section(claim, sides, own, [compared_cells(row) for row in own if row.status == "compared"])
    for measured in {row.claim.id: row.claim for row in values}.values():
        of_it = [row for row in values if row.claim is measured]
        runs = [f"{name}: {markdown(options_line(run.stated))}" for name, run in measured.runs.items()]
        parts += _section(measured, runs, of_it, [measured_cells(row) for row in of_it if row.status == "measured"])
    if untested:
        lines = [[markdown(claim.id), markdown(claim.claim), markdown(claim.not_tested)] for claim in untested]
        parts += ["## Not yet tested in embench\n", table_in_markdown(lines, ["id", "statement", "reason"]), ""]
    return "\n".join([*parts, MEANING, ""])


def _section(
    claim: AnyClaim,
    about: Sequence[str],
    rows: Sequence[ClaimResult | Measured],
    cells: Sequence[Mapping[str, str]],
) -> list[str]:
    """A claim, its runs, a table of what was obtained, and why the rest was not."""
    parts = [f"## {markdown(f'{claim.paper} {claim.id}: {claim.claim}')}\n", *(f"- {line}" for line in about), ""]
    if cells:
        lines = [[markdown(text) for text in row.values()] for row in cells]
        parts += [table_in_markdown(lines, list(cells[0])), ""]
    rest = [
        (row.status, row.dataset, row.target, getattr(row, "protocol", ""), row.reason) for row in rows if row.reason
    ]
    parts += [f"{markdown(' '.join(filter(None, place)))}: {markdown(why)}\n" for *place, why in dict.fromkeys(rest)]
    return [*parts, f"{markdown(claim.remarks)}\n"] if claim.remarks else parts


def printed_cells(printed: Sequence[PrintedResult]) -> tuple[list[dict[str, str]], list[str]]:
    """The cells of numbers in tables, title -> text, and the reasons that stand below a table, by the marks that stand
    for them in it."""
    reasons = [text for row in printed for text in (row.reason, row.why_not_fixed) if len(text) > _SHORT]
    marks = {text: f"({k})" for k, text in enumerate(dict.fromkeys(reasons), 1)}
    cells = [{name: marks.get(text, text) for name, text in row.cells.items()} for row in printed]
    return cells, [f"{mark} {text}" for text, mark in marks.items()]


_SHORT = 20
"""The characters of a reason that stands in a cell, at most."""


def measured_cells(row: Measured) -> dict[str, str]:
    """The cells of a measured value, title -> text."""
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
    """The cells of a comparison, title -> text."""
    shown = row.verdict == "undecided" and row.smallest is not None
    return {
        "dataset": row.dataset if row.dataset in row.claim.datasets else f"{row.dataset} (not the paper's)",
        "target": row.target,
        "protocol": row.protocol,
        "score": row.metric,
        "published": format_figure(row.published, "+.3f"),
        "a - b": format_score(row.difference, "+.3f"),
        "p, Holm": format_figure(row.corrected, ".3g"),
        "verdict": f"{row.verdict} (detectable: {format_figure(row.smallest)})" if shown else str(row.verdict),
        "size": row.size or "-",
        "recipe": row.recipe,
    }
