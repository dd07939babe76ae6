"""What a paper printed beside what its set obtained: its claims, examined on runs that are over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from embench.claims.examine import (
    ClaimResult,
    Leg,
    Measured,
    claim_pairs,
    examine_claims,
    examine_measured,
    measured_requests,
)
from embench.claims.files import Claim, MeasuredClaim, UntestedClaim, select_claims
from embench.claims.page import PrintedResult, examine_tables, notes_on_tables, requests_of_tables
from embench.errors import DataError, EmbenchError
from embench.planning.plan import make
from embench.planning.request import Request
from embench.runs.run import GridResult, title_with_id


class PaperClaims(NamedTuple):
    """The claims of a paper on a dataset, under its own protocols and the fixed one: those that compare, with their
    results, the values of those that measure, and those that nothing can test yet; the numbers of its tables, and what
    must be known to read these."""

    tested: Sequence[Claim]
    rows: Sequence[ClaimResult]
    values: Sequence[Measured]
    untested: Sequence[UntestedClaim]
    printed: Sequence[PrintedResult]
    notes: Sequence[str]


def requests_of_paper(paper: str, dataset: str, options: Mapping[str, Any]) -> Iterator[Request]:
    """The requests of all that a paper's tables print, and its claims compare and measure, under its own protocols and
    the fixed one.

    Args:
        options: further fields of a request; modalities, targets and protocol are those of the paper all the same.
    """
    own, (compared, measured, _) = _unstated(options), _claims(paper)
    for row in requests_of_tables(paper, dataset, own):
        yield from (request for request in (row.own, row.fixed) if request)
    for pair in claim_pairs(compared, [dataset], _LEGS, own):
        yield from (pair.a, pair.b)
    for claim in measured:
        yield from measured_requests(claim, dataset, own).values()


def examine_paper(
    paper: str, dataset: str, options: Mapping[str, Any], done: GridResult, unfit: Iterable[tuple[Request, str]] = ()
) -> PaperClaims:
    """The claims of a paper examined on what is done of its requests; nothing is run. Requests that were `unfit` have
    the reason with them."""
    done = replace(done, failures={**done.failures, **dict(_reasons(unfit))})
    own, (compared, measured, untested) = _unstated(options), _claims(paper)
    rows = examine_claims(claim_pairs(compared, [dataset], _LEGS, own), done=done)
    values = examine_measured(measured, [dataset], own, done=done)
    printed = examine_tables(paper, dataset, own, done)
    return PaperClaims(compared, rows, values, untested, printed, notes_on_tables(paper, dataset))


def _reasons(unfit: Iterable[tuple[Request, str]]) -> Iterator[tuple[str, EmbenchError]]:
    for request, reason in unfit:
        with suppress(EmbenchError):  # what cannot be planned is told why where it is asked for
            yield title_with_id(make(request)), DataError(reason)


_LEGS: tuple[Leg, ...] = ("own", "fixed")


def _claims(paper: str) -> tuple[list[Claim], list[MeasuredClaim], list[UntestedClaim]]:
    """The claims of a paper that compare, that measure, and that nothing can test yet."""
    found = select_claims(paper, ())
    return (
        [claim for claim in found if isinstance(claim, Claim)],
        [claim for claim in found if isinstance(claim, MeasuredClaim)],
        [claim for claim in found if isinstance(claim, UntestedClaim)],
    )


def _unstated(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a claim does not state itself."""
    stated = ("protocol", "modalities", "targets")
    return {name: value for name, value in options.items() if name not in stated and value is not None}
