"""Runs what claims measure beside scores, and gives a verdict on each value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from embench.callbacks import EventCallback
from embench.claims.files import MeasuredClaim
from embench.claims.finished import ClaimRun
from embench.claims.measures import MEASURES
from embench.claims.requests import claimed_request
from embench.claims.verdict import Size, Verdict, direction_verdict, size_verdict
from embench.data.cohort import Cohort, choose_targets
from embench.errors import DataError, EmbenchError
from embench.interfaces.metric import Undefined
from embench.planning.plan import Plan, make
from embench.planning.request import Request
from embench.protocols import label_units
from embench.records.predictions import MODEL
from embench.records.record import Record, read_record
from embench.runs import run as runner
from embench.statistics.by_subject import Each
from embench.statistics.intervals import LEVEL
from embench.statistics.significance import ALPHA, corrected_error, holm, t_test


@dataclass(frozen=True)
class Measured:
    """A value that a claim says is above its reference, or near it, or why there is none.

    Args:
        what: what was measured, in words. `mean`, `low`, `high`: of it, with its 95 % interval over the `count` seeds
            and folds (corrected resampled t), or the subjects or stimuli, that `over` names.
        p, corrected: that it is not the reference, or where the claim has a margin, not the nearer edge of it; after
            Holm over the measured values of the paper.
        published, size: see `MeasuredClaim.published_value`; the size only on the paper's own data.
        leaks: protocol -> what it gives up, in words, of those that leak.
    """

    claim: MeasuredClaim
    dataset: str
    target: str = ""
    what: str = ""
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    count: int = 0
    over: Literal["folds", "people", "stimuli"] | None = None
    p: float | None = None
    corrected: float | None = None
    verdict: Verdict | None = None
    published: float | None = None
    size: Size | None = None
    seeds: int = 0
    synthetic: bool = False
    status: Literal["measured", "can be run", "missing"] = "measured"
    reason: str = ""
    what_to_do: str = ""
    leaks: Mapping[str, str] = field(default_factory=dict)
    runs: tuple[str, ...] = ()

    @property
    def holds_reference(self) -> bool:
        """True if the interval holds the reference."""
        return self.low is not None and self.high is not None and self.low <= self.claim.reference <= self.high

    def json(self) -> dict[str, Any]:
        """The row as in `embench claims --json`, without fields that have no value."""
        values = {name: value for name, value in vars(self).items() if name != "claim"}
        if self.mean is not None:
            values["holds_reference"] = self.holds_reference or None
        return {"reference": self.claim.reference} | {
            k: v for k, v in values.items() if v is not None and v is not False and v not in ("", (), {})
        }


def measured_requests(claim: MeasuredClaim, dataset: str, options: Mapping[str, Any]) -> dict[str, Request]:
    """The request of each run of a claim, by its name. `options` are further fields of a request."""
    place, found = claim.datasets.get(dataset), {}
    for name, run in claim.runs.items():
        own = {option: value for option, value in run.stated.items() if option != "target"}
        stated = {"protocol": claim.protocol} | (place.both.stated if place else {}) | own
        targets = (run.target,) if run.target else place.targets if place else ()
        found[name] = claimed_request(dataset, stated, targets, options)
    return found


def examine_measured(
    claims: Sequence[MeasuredClaim],
    datasets: Sequence[str],
    options: Mapping[str, Any],
    progress: EventCallback | None = None,
    *,
    dry_run: bool = False,
    done: runner.GridResult | None = None,
) -> list[Measured]:
    """Runs what the claims need, on their datasets or these, as one grid a paper, or takes what is `done` and runs
    nothing, and measures: a row for each value. With `dry_run` plans only."""
    rows = []
    for paper in dict.fromkeys(claim.paper for claim in claims):
        wanted = [(c, name) for c in claims if c.paper == paper for name in datasets or c.datasets]
        rows += _decided(_paper(wanted, options, progress, done, dry_run=dry_run))
    return rows


class _Finished(NamedTuple):
    plan: Plan
    folder: Path
    record: Record


def _paper(
    wanted: Sequence[tuple[MeasuredClaim, str]],
    options: Mapping[str, Any],
    progress: EventCallback | None,
    done: runner.GridResult | None,
    *,
    dry_run: bool,
) -> list[Measured]:
    requested: list[tuple[MeasuredClaim, str, dict[str, Request] | EmbenchError]] = []
    plans: dict[Request, Plan] = {}
    for claim, dataset in wanted:
        try:
            requests = measured_requests(claim, dataset, options)
            plans |= {request: make(request) for request in requests.values() if request not in plans}
        except EmbenchError as error:
            requested.append((claim, dataset, error))
            continue
        requested.append((claim, dataset, requests))
    able = list(dict.fromkeys(r for _, _, own in requested if isinstance(own, dict) for r in own.values()))
    finished = {} if dry_run or not able else _run(able, plans, progress, done)
    rows = []
    for claim, dataset, own in requested:
        if isinstance(own, EmbenchError):
            rows.append(_missing(claim, dataset, own))
        elif dry_run:
            leaks = _leaks(plans[request] for request in own.values())
            rows.append(Measured(claim, dataset, status="can be run", leaks=leaks))
        else:
            rows += _measured(claim, dataset, {name: finished[request] for name, request in own.items()})
    return rows


def _run(
    requests: Sequence[Request],
    plans: Mapping[Request, Plan],
    progress: EventCallback | None,
    done: runner.GridResult | None,
) -> dict[Request, _Finished | EmbenchError]:
    """Each request's run, or why it failed."""
    done = done or runner.grid(requests, workers=requests[0].workers, progress=progress)
    folders = {result.id: result.folder for result in done.results}
    found: dict[Request, _Finished | EmbenchError] = {}
    for request in requests:
        plan = plans[request]
        if plan.id not in folders:
            found[request] = done.why_missing(plan)
            continue
        record = read_record(folders[plan.id])
        own = record.predictions.take(record.predictions.rows_with(method=MODEL))  # controls are most of a record
        found[request] = _Finished(plan, folders[plan.id], replace(record, predictions=own))
    return found


def _missing(claim: MeasuredClaim, dataset: str, error: EmbenchError) -> Measured:
    return Measured(claim, dataset, status="missing", reason=error.what, what_to_do=error.hint or "")


def _leaks(plans: Iterable[Plan]) -> dict[str, str]:
    rules = [plan.protocol for plan in plans]
    return {rule.name: "; ".join(rule.deviations.values()) for rule in rules if rule.leaks}


def _measured(claim: MeasuredClaim, dataset: str, runs: Mapping[str, _Finished | EmbenchError]) -> list[Measured]:
    done = {}
    for name, run in runs.items():
        if isinstance(run, EmbenchError):
            return [_missing(claim, dataset, run)]
        done[name] = run
    first = next(iter(done.values())).plan
    place = claim.datasets.get(dataset)
    about: dict[str, Any] = {
        "runs": tuple(str(run.folder) for run in done.values()),
        "leaks": _leaks(run.plan for run in done.values()),
    }
    rows = []
    for target in (place.targets if place else ()) or [t.name for t in first.test.targets]:
        try:
            runs_of_target = {
                name: ClaimRun(
                    run.record,
                    run.folder,
                    claim.runs[name].target or target,
                    claim.metric,
                    _labels(run.plan.test, claim.by) if claim.by else {},
                )
                for name, run in done.items()
            }
            for what, values in MEASURES[claim.measure][0](runs_of_target).items():
                row = Measured(claim, dataset, target, what, **about)
                rows.append(_with_interval(row, values, first))
        except EmbenchError as error:
            rows.append(replace(_missing(claim, dataset, error), target=target, **about))
    return rows


def _labels(cohort: Cohort, name: str) -> dict[str, float]:
    """Unit -> its label of a target of the card, whether a run is about it or not; NaN where it has none."""
    (target,) = choose_targets(cohort.card, name)
    _, labels = label_units(cohort.units, cohort.store.labels()[target.label], target.rule)
    return dict(zip((unit.id for unit in cohort.units), labels.tolist(), strict=True))


def _with_interval(row: Measured, values: np.ndarray | Each, plan: Plan) -> Measured:
    over: Literal["folds", "people", "stimuli"] = "folds"
    if isinstance(values, Each):
        over, found = values.over, values.estimate()
        if isinstance(found, Undefined) or found.error is None:
            raise DataError(f"{row.what}: fewer than two groups of {over} have a value", expected="two or more")
        mean, error, df, count = found.mean, found.error, found.df, found.subjects
    else:
        folds, count = min(len(of_seed) for of_seed in plan.folds.values()), len(values)
        if count < 2 or folds < 2:
            raise DataError(f"{row.what}: {count} folds have a value", expected="two or more")
        mean, error, df = float(values.mean()), corrected_error(values, folds), count - 1
    from scipy.special import stdtrit

    claim, synthetic = row.claim, plan.test.store.synthetic is not None
    half = float(stdtrit(df, (1 + LEVEL) / 2)) * error
    low, high = mean - half, mean + half
    published = claim.published_value if row.dataset in claim.datasets else None
    return replace(
        row,
        mean=mean,
        low=low,
        high=high,
        count=count,
        over=over,
        p=t_test(abs(mean - claim.reference) - (claim.margin or 0.0), error, df),
        published=published,
        size=None if synthetic or published is None else size_verdict(published, low, high),
        seeds=len(plan.folds),
        synthetic=synthetic,
    )


def _decided(rows: Sequence[Measured]) -> list[Measured]:
    known = [row.p for row in rows if row.p is not None]
    corrected = iter(holm(known))
    decided = []
    for row in rows:
        if row.p is not None and row.low is not None and row.high is not None:
            p = next(corrected)
            verdict: Verdict = "undecided"  # nothing is equivalent: values have no common margin
            if p <= ALPHA:
                low, high = _inside(row.claim, row.low, row.high)
                verdict = direction_verdict(low, high, p, seeds=row.seeds, allowance=True)
            row = replace(row, corrected=p, verdict=verdict)
        decided.append(row)
    return decided


def _inside(claim: MeasuredClaim, low: float, high: float) -> tuple[float, float]:
    """The ends of the interval as they lie above the reference, or inside the nearer edge of its margin."""
    low, high = low - claim.reference, high - claim.reference
    if claim.margin is None:
        return low, high
    return claim.margin - max(-low, high), claim.margin - max(low, -high, 0.0)
