"""What a paper printed beside what its set obtained: its claims, examined on runs that are over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from embench.claims.examine import ClaimResult, ComparedPair, claim_pairs, examine_claims
from embench.claims.files import Claim, MeasuredClaim, UntestedClaim, select_claims
from embench.claims.measured import Measured, examine_measured, measured_requests
from embench.planning.request import Request
from embench.runs.run import GridResult


class PaperClaims(NamedTuple):
    """The claims of a paper on a dataset, under its own protocols and the fixed one: those that compare, with their
    results, the values of those that measure, and those that nothing can test yet."""

    tested: Sequence[Claim]
    rows: Sequence[ClaimResult]
    values: Sequence[Measured]
    untested: Sequence[UntestedClaim]


def requests_of_paper(paper: str, dataset: str, options: Mapping[str, Any]) -> Iterator[Request]:
    """The requests of all that a paper's claims compare and measure, under its own protocols and the fixed one.

    Args:
        options: further fields of a request; modalities, targets and protocol are those of the paper all the same.
    """
    own = _unstated(options)
    for pair in _pairs(paper, dataset, own):
        yield from (pair.a, pair.b)
    for claim in _of_kind(paper, MeasuredClaim):
        yield from measured_requests(claim, dataset, own).values()


def examine_paper(paper: str, dataset: str, options: Mapping[str, Any], done: GridResult) -> PaperClaims:
    """The claims of a paper examined on what is done of its requests; nothing is run."""
    own = _unstated(options)
    return PaperClaims(
        _of_kind(paper, Claim),
        examine_claims(_pairs(paper, dataset, own), done=done),
        examine_measured(_of_kind(paper, MeasuredClaim), [dataset], own, done=done),
        _of_kind(paper, UntestedClaim),
    )


def _pairs(paper: str, dataset: str, options: Mapping[str, Any]) -> list[ComparedPair]:
    return claim_pairs(_of_kind(paper, Claim), [dataset], ("own", "fixed"), options)


def _of_kind(paper: str, kind: type[Any]) -> list[Any]:
    return [claim for claim in select_claims(paper, ()) if isinstance(claim, kind)]


def _unstated(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a claim does not state itself."""
    stated = ("protocol", "modalities", "targets")
    return {name: value for name, value in options.items() if name not in stated and value is not None}
