"""Numbers as papers published them, under protocols of their own: never in one table with rows of the boards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from embench.claims.files import Claim, MeasuredClaim, UntestedClaim, installed_claims
from embench.site.boards import Board
from embench.site.pages import render
from embench.statistics.metrics import metric_facts


def published_page(boards: Sequence[Board]) -> str:  # noqa: ARG001  all pages of the site are made alike
    """The page of published numbers, from the claims of installed packages."""
    rows = [row for claim in installed_claims() for row in _rows(claim)]
    papers = [(paper, list(group)) for paper, group in groupby(rows, key=lambda row: row["paper"])]
    return render("published.html", 0, papers=papers)


def _rows(claim: Claim | MeasuredClaim | UntestedClaim) -> list[dict[str, Any]]:
    """One row for each number that was published."""
    if isinstance(claim, UntestedClaim):
        return []
    about = {"paper": claim.paper, "id": claim.id, "claim": claim.claim}
    about |= {"metric": metric_facts(claim.metric).title, "protocol": claim.protocol}
    if isinstance(claim, MeasuredClaim):
        where = ", ".join(claim.datasets)
        return [{**about, "dataset": where, "what": name, "value": value} for name, value in claim.published.items()]
    return [
        {**about, "dataset": dataset, "what": f"difference, {target}", "value": value}
        for dataset, place in claim.datasets.items()
        for target, value in place.published.items()
    ]
