"""Runs what claims compare, under the fixed protocol and under the papers' own, and gives a verdict on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from embench.callbacks import EventCallback
from embench.claims.files import Claim
from embench.claims.measured import Measured
from embench.claims.requests import claimed_request, targets_there
from embench.claims.verdict import Size, Verdict, direction_verdict, size_verdict
from embench.data import find
from embench.errors import DataError, EmbenchError, Unfinished
from embench.interfaces.recording import parts_of
from embench.planning.plan import Plan, make
from embench.planning.request import Request
from embench.records import record
from embench.runs import run as runner
from embench.snapshot import snapshot
from embench.statistics import comparison
from embench.statistics.significance import holm

FIXED_PROTOCOL = Request.protocol
"""The protocol that holds for every method, whose headline is compared."""

Leg = Literal["fixed", "own"]
Status = Literal["compared", "can be run", "missing", "does not apply"]


@dataclass(frozen=True)
class ComparedPair:
    """A claim on a dataset under a protocol, with the requests of its two sides."""

    claim: Claim
    dataset: str
    leg: Leg
    a: runner.Request
    b: runner.Request

    @property
    def metric(self) -> str | None:
        """The paper's metric under its own protocol, else None: the headline."""
        return self.claim.metric if self.leg == "own" else None


@dataclass(frozen=True)
class ClaimResult:
    """One comparison, or why there is none.

    Args:
        status: `compared`; `can be run` (of a plan); `missing` (data, a plugin or a run); `does not apply` (a requested
            dataset that is not the claim's own lacks a modality).
        p, corrected: of the primary test, by itself and after Holm over the comparisons of this paper and leg.
        seeds: how many both sides have. `allowance`: see `direction_verdict`.
        published, size: only under the paper's own protocol and on its own data, where a number was published.
        cost: wall time of each side, in s, stages that they share counted whole in both.
    """

    claim: Claim
    dataset: str
    leg: Leg
    protocol: str
    status: Status
    reason: str = ""
    what_to_do: str = ""
    target: str = ""
    metric: str = ""
    recipe: str = ""
    difference: Any = None
    p: float | None = None
    corrected: float | None = None
    smallest: float | None = None
    seeds: int = 0
    allowance: bool = False
    verdict: Verdict | None = None
    published: float | None = None
    size: Size | None = None
    people: int = 0
    units: int = 0
    synthetic: bool = False
    runs: Mapping[str, str] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """The row as in `embench claims --json`, without fields that have no value."""
        values = {name: value for name, value in vars(self).items() if name not in ("claim", "difference")}
        values |= {side: self.claim.options(side, self.dataset) for side in ("a", "b")}
        if self.status != "compared":
            return {name: value for name, value in values.items() if value not in (None, "", 0, False, {})}
        gap = self.difference
        return values | {"difference": {"mean": gap.mean, "low": gap.low, "high": gap.high}}


def claim_pairs(
    claims: Sequence[Claim], datasets: Sequence[str], legs: Sequence[Leg], options: Mapping[str, Any]
) -> list[ComparedPair]:
    """The pairs that the claims compare, on their own datasets or on these.

    Args:
        options: further fields of `Request`.
    """
    found = []
    for claim in claims:
        for dataset in datasets or claim.datasets:
            for leg in legs:
                protocol = FIXED_PROTOCOL if leg == "fixed" else claim.protocol
                targets = _targets(claim, dataset, protocol, options.get("data_root"))
                if claim.place(dataset).targets and not targets:
                    continue  # classes that only the paper's protocol makes
                stated = [{"protocol": protocol} | claim.options(side, dataset) for side in ("a", "b")]
                a, b = (claimed_request(dataset, own, targets, options) for own in stated)
                found.append(ComparedPair(claim, dataset, leg, a, b))
    return found


def _targets(claim: Claim, dataset: str, protocol: str, data_root: Path | None) -> list[str]:
    """The claim's targets on a dataset, as far as they exist there under a protocol."""
    wanted = claim.place(dataset).targets
    try:
        return targets_there(wanted, dataset, protocol, data_root)
    except EmbenchError:
        if dataset in claim.datasets:  # planning will say what is wrong, of this claim alone
            return list(wanted)
        raise


def examine_claims(
    wanted: Sequence[ComparedPair],
    progress: EventCallback | None = None,
    workers: int | None = None,
    done: runner.GridResult | None = None,
) -> list[ClaimResult]:
    """Runs all that can be run, as one grid a paper, or takes what is `done` and runs nothing, and compares; a row for
    each target of each pair."""
    rows = []
    for paper in dict.fromkeys(pair.claim.paper for pair in wanted):
        rows += _paper([pair for pair in wanted if pair.claim.paper == paper], progress, workers, done)
    return rows


def preview_claims(wanted: Sequence[ComparedPair]) -> list[ClaimResult]:
    """A row for each pair: `can be run`, or the reason why `examine` could not run it. Nothing is trained."""
    plans = _plans(wanted)
    return [_refusal(pair, plans) or _row(pair, "can be run") for pair in wanted]


@snapshot()
def _plans(wanted: Sequence[ComparedPair]) -> dict[runner.Request, Plan | EmbenchError]:
    """The plan of every request, or why there is none."""
    found: dict[runner.Request, Plan | EmbenchError] = {}
    for request in dict.fromkeys(side for pair in wanted for side in (pair.a, pair.b)):
        try:
            found[request] = make(request)
        except EmbenchError as error:
            found[request] = error
    return found


def _refusal(pair: ComparedPair, plans: Mapping[runner.Request, Plan | EmbenchError]) -> ClaimResult | None:
    """The row of a pair of which a side cannot be run; None where both can."""
    if pair.dataset not in pair.claim.datasets and (lacking := _lacking(pair)):
        return _row(pair, "does not apply", f"{pair.dataset} has no {', '.join(lacking)}")
    for request in (pair.a, pair.b):
        if isinstance(error := plans[request], EmbenchError):
            return _missing(pair, error)
    return None


def _paper(
    wanted: Sequence[ComparedPair],
    progress: EventCallback | None,
    workers: int | None,
    done: runner.GridResult | None,
) -> list[ClaimResult]:
    plans = _plans(wanted)
    refused = {i: row for i, pair in enumerate(wanted) if (row := _refusal(pair, plans))}
    able = [pair for i, pair in enumerate(wanted) if i not in refused]
    requests = list(dict.fromkeys(side for pair in able for side in (pair.a, pair.b)))
    if done is None:
        done = runner.grid(requests, workers=workers, progress=progress) if requests else runner.GridResult(())
    by_id = {result.id: result for result in done.results}
    rows: list[ClaimResult] = []
    for i, pair in enumerate(wanted):
        if i in refused:
            rows.append(refused[i])
            continue
        sides = {name: by_id.get(plans[request].id) for name, request in (("a", pair.a), ("b", pair.b))}  # type: ignore[union-attr]
        missing = [name for name, result in sides.items() if result is None]
        if missing:
            plan: Any = plans[pair.a if missing[0] == "a" else pair.b]
            rows.append(_missing(pair, done.why_missing(plan), f"side {missing[0]} failed: "))
            continue
        rows += _compared(pair, sides["a"], sides["b"], [t.name for t in plans[pair.a].test.targets])  # type: ignore[union-attr]
    return _decided(rows)


def _lacking(pair: ComparedPair) -> list[str]:
    """The modalities, or channels of them, that a claim reads and a dataset does not have."""
    card = find.card_of(pair.dataset, pair.a.data_root)
    named = [m.strip() for side in (pair.a, pair.b) for m in (side.modalities or "").split(",") if m.strip()]
    try:
        read = {part: parts_of(part)[0] for m in named for part in m.split("+")}
    except ValueError:
        return []  # no modality: planning says so
    has = {name: (None, *modality.channels) for name, modality in card.modalities.items()}
    return [part for part, (name, channel) in read.items() if channel not in has.get(name, ())]


def _row(pair: ComparedPair, status: Status, reason: str = "", what_to_do: str = "") -> ClaimResult:
    return ClaimResult(pair.claim, pair.dataset, pair.leg, pair.a.protocol, status, reason, what_to_do)


def _missing(pair: ComparedPair, error: EmbenchError, side: str = "") -> ClaimResult:
    """The row of a pair that `error` keeps from being compared."""
    where = f" ({error.where})" if isinstance(error, DataError) and error.where else ""
    return _row(pair, "missing", f"{side}{error.what}{where}", error.hint or "")


def _compared(pair: ComparedPair, one: Any, other: Any, targets: Sequence[str]) -> list[ClaimResult]:
    rows = []
    a, b = record.read_record(one.folder), record.read_record(other.folder)
    published = pair.claim.place(pair.dataset).published if pair.leg == "own" else {}
    about = {
        "recipe": a.run["recipe"]["preset"],
        "synthetic": a.run["dataset"]["synthetic"] is not None,
        "runs": {"a": str(one.folder), "b": str(other.folder)},
        "cost": {"a": a.run["cost"]["wall_s"], "b": b.run["cost"]["wall_s"]},
    }
    for target in targets:
        try:
            found = comparison.compare(a, b, target, pair.metric)
        except EmbenchError as error:
            # What to do is advice on a comparison of one's own: a claim states its score.
            rows.append(replace(_missing(pair, error), what_to_do="", target=target, **about))
            continue
        gap = found.difference
        size = size_verdict(published[target], gap.low, gap.high) if target in published else None
        rows.append(
            replace(
                _row(pair, "compared"),
                target=target,
                metric=found.metric,
                difference=gap,
                p=found.p,
                smallest=found.smallest,
                seeds=len(found.seeds),
                allowance=found.over == "folds" or gap.shared is not None,
                published=published.get(target),
                size=None if about["synthetic"] else size,
                people=found.subjects,
                units=found.units,
                **about,
            )
        )
    return rows


def _decided(rows: Sequence[ClaimResult]) -> list[ClaimResult]:
    """The rows with their verdicts, p values corrected over the comparisons of each leg. Two claims that compare the
    same runs in the same way are one comparison."""
    corrected: dict[Any, float] = {}
    for leg in ("fixed", "own"):
        p_values = {_question(row): row.p for row in rows if row.status == "compared" and row.leg == leg}
        known = {question: p for question, p in p_values.items() if p is not None}
        corrected |= dict(zip(known, holm(list(known.values())), strict=True))
    decided = []
    for row in rows:
        if row.status == "compared":
            p, gap = corrected.get(_question(row)), row.difference
            verdict = direction_verdict(
                gap.low, gap.high, p, row.claim.direction, seeds=row.seeds, allowance=row.allowance
            )
            row = replace(row, corrected=p, verdict=verdict)
        decided.append(row)
    return decided


def _question(row: ClaimResult) -> tuple[str, ...]:
    return (row.leg, row.runs["a"], row.runs["b"], row.target, row.metric)


def check_all_compared(rows: Sequence[ClaimResult | Measured]) -> None:
    """Raises Unfinished where a comparison, or a measured value, is missing; names each reason and the claims that it
    concerns."""
    missing = [row for row in rows if row.status == "missing"]
    if missing:
        concerned: dict[str, dict[str, None]] = {}
        for row in missing:
            concerned.setdefault(row.reason, {})[row.claim.id] = None
        reasons = [f"{', '.join(ids)}: {reason}" for reason, ids in concerned.items()]
        raise Unfinished(
            f"{len(missing)} of {len(rows)} comparisons are missing. {'; '.join(reasons)}",
            hint="fix the missing comparisons, then rerun the command to resume",
        )
