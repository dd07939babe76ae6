"""Runs what claims measure beside scores, and gives a verdict on each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from embench.callbacks import EventCallback
from embench.claims.files import MeasuredClaim
from embench.claims.measures import MEASURES, Asked
from embench.claims.requests import claimed_request
from embench.claims.verdict import Verdict, direction_verdict
from embench.errors import DataError, EmbenchError
from embench.planning.request import Request
from embench.records.record import read_record
from embench.runs import run as runner
from embench.statistics.intervals import LEVEL
from embench.statistics.significance import ALPHA, corrected_error, holm, t_test


@dataclass(frozen=True)
class Measured:
    """A value that a claim says is above its reference, or why there is none.

    Args:
        what: what was measured, in words. `mean`, `low`, `high`: of it, over seeds and folds, with its 95 % interval
            (corrected resampled t); `count` is how many there are.
        p, corrected: that it is not the reference; after Holm over the measured values of the paper.
    """

    claim: MeasuredClaim
    dataset: str
    target: str = ""
    what: str = ""
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    count: int = 0
    p: float | None = None
    corrected: float | None = None
    verdict: Verdict | None = None
    seeds: int = 0
    synthetic: bool = False
    status: Literal["measured", "can be run", "missing"] = "measured"
    reason: str = ""
    what_to_do: str = ""
    runs: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """As `embench claims --json` has it, without what has no value."""
        values = {name: value for name, value in vars(self).items() if name != "claim"}
        return {"reference": self.claim.reference} | {k: v for k, v in values.items() if v not in (None, "", (), False)}


def measured_requests(claim: MeasuredClaim, dataset: str, options: Mapping[str, Any]) -> dict[str, Request]:
    """The request of each run of a claim, by its name. `options` are further fields of a request."""
    place, found = claim.datasets.get(dataset), {}
    for name, own in claim.runs.items():
        stated = {"protocol": claim.protocol} | (place.both.stated if place else {}) | own.stated
        found[name] = claimed_request(dataset, stated, place.targets if place else (), options)
    return found


def examine_measured(
    claims: Sequence[MeasuredClaim],
    datasets: Sequence[str],
    options: Mapping[str, Any],
    progress: EventCallback | None = None,
    *,
    dry_run: bool = False,
) -> list[Measured]:
    """Runs what the claims need, on their datasets or these, and measures: a row for each value. With `dry_run` plans
    only."""
    rows = []
    for paper in dict.fromkeys(claim.paper for claim in claims):
        own = []
        for claim in (claim for claim in claims if claim.paper == paper):
            for dataset in datasets or claim.datasets:
                try:
                    requests = measured_requests(claim, dataset, options)
                    own += _planned(claim, dataset, requests) if dry_run else _run(claim, dataset, requests, progress)
                except EmbenchError as error:
                    own.append(_missing(claim, dataset, error))
        rows += _decided(own)
    return rows


def _missing(claim: MeasuredClaim, dataset: str, error: EmbenchError) -> Measured:
    return Measured(claim, dataset, status="missing", reason=error.what, what_to_do=error.hint or "")


def _planned(claim: MeasuredClaim, dataset: str, requests: Mapping[str, Request]) -> list[Measured]:
    for request in requests.values():
        runner.plan(request)
    return [Measured(claim, dataset, status="can be run")]


def _run(
    claim: MeasuredClaim, dataset: str, requests: Mapping[str, Request], progress: EventCallback | None
) -> list[Measured]:
    plans = {name: runner.plan(request) for name, request in requests.items()}
    done = runner.grid(list(requests.values()), workers=next(iter(requests.values())).workers, progress=progress)
    for error in done.failures.values():
        raise error
    by_id = {result.id: result for result in done.results}
    results = {name: by_id[plan.id] for name, plan in plans.items()}
    records = {name: read_record(result.folder) for name, result in results.items()}
    about = {"runs": tuple(str(result.folder) for result in results.values())}
    measure, rows = MEASURES[claim.measure][0], []
    for target in (t.name for t in next(iter(plans.values())).test.targets):
        asked = {name: Asked(records[name], results[name].folder, target, claim.metric) for name in requests}
        try:
            for what, values in measure(asked).items():
                row = Measured(claim, dataset, target, what, count=len(values), **about)  # type: ignore[arg-type]
                rows.append(_with_interval(row, values - claim.reference, plans))
        except EmbenchError as error:
            rows.append(replace(_missing(claim, dataset, error), target=target, **about))  # type: ignore[arg-type]
    return rows


def _with_interval(row: Measured, above: Any, plans: Mapping[str, Any]) -> Measured:
    plan = next(iter(plans.values()))
    folds, seeds = min(len(f) for f in plan.folds.values()), len(plan.folds)
    if len(above) < 2 or folds < 2:
        raise DataError(f"{row.what}: {len(above)} folds have a value", expected="two or more")
    from scipy.special import stdtrit

    mean, error = float(above.mean()), corrected_error(above, folds)
    half = float(stdtrit(len(above) - 1, (1 + LEVEL) / 2)) * error
    at = row.claim.reference
    return replace(
        row,
        mean=mean + at,
        low=mean + at - half,
        high=mean + at + half,
        p=t_test(mean, error, len(above) - 1),
        seeds=seeds,
        synthetic=plan.test.store.synthetic is not None,
    )


def _decided(rows: Sequence[Measured]) -> list[Measured]:
    known = [row.p for row in rows if row.p is not None]
    corrected = iter(holm(known))
    decided = []
    for row in rows:
        if row.p is not None and row.low is not None and row.high is not None:
            p, at = next(corrected), row.claim.reference
            verdict: Verdict = "undecided"  # nothing is equivalent: values have no common margin
            if p <= ALPHA:
                verdict = direction_verdict(row.low - at, row.high - at, p, seeds=row.seeds, allowance=True)
            row = replace(row, corrected=p, verdict=verdict)
        decided.append(row)
    return decided
