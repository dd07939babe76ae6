"""Run the comparisons and measurements that claims need, and judge each claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from embench.claims.corpora import choose_pretraining
from embench.claims.files import MEASURES, Claim, ClaimRun, MeasuredClaim
from embench.data.cohort import Cohort, choose_targets
from embench.errors import DataError, EmbenchError, Unfinished
from embench.interfaces.metric import Undefined
from embench.interfaces.recording import parse_modality
from embench.planning.parts import parse_encoder_setting
from embench.planning.plan import Plan
from embench.planning.request import Request, make_request
from embench.protocols import label_units
from embench.records.record import Record, read_record
from embench.records.wording import grouped
from embench.statistics import comparison
from embench.statistics.gains import ValuesBySeed
from embench.statistics.intervals import ALPHA, EQUIVALENCE_MARGIN, LEVEL, corrected_error, t_test
from embench.studies.study import RunStudy, correct_p
from embench.system import EventCallback

# Verdicts on a claim from an interval: whether the direction, and whether the size of the difference is as published.

Verdict = Literal[
    "supported", "contradicted", "equivalent", "undecided", "one seed", "two seeds", "no overlap correction"
]
MIN_SEEDS = 3
"""Smallest number of seeds for a verdict, since differences vary with initial weights and training subjects."""
Size = Literal["agrees", "smaller", "larger", "opposite"]


def direction_verdict(
    low: float | None,
    high: float | None,
    p: float | None,
    direction: Literal["higher", "lower"] = "higher",
    *,
    seeds: int,
    allowance: bool,
) -> Verdict:
    """Return the verdict on the direction of a difference, a minus b.

    Args:
        low, high: its 95 % interval; None where it cannot be computed.
        p: p value of the primary test, corrected for the claims that are tested together.
        direction: the claimed position of a's score relative to b's.
        seeds: number of seeds that both sides have.
        allowance: whether the interval has the training-overlap correction.

    Returns:
        `supported`: the interval lies on the claimed side of 0, and the corrected p is at most .05.
        `contradicted`: the interval lies on the other side of 0, and the corrected p is at most .05.
        `equivalent`: the interval lies within .02 of 0.
        `one seed`, `two seeds`, `no overlap correction`: one of these three would hold, but there are fewer than three
            seeds, or the interval lacks the training-overlap correction.
        `undecided`: none of the above.
    """
    if low is None or high is None:
        return "undecided"
    if direction == "lower":
        low, high = -high, -low
    if p is not None and p <= ALPHA and (low > 0 or high < 0):
        verdict: Verdict = "supported" if low > 0 else "contradicted"
    elif low >= -EQUIVALENCE_MARGIN and high <= EQUIVALENCE_MARGIN:
        verdict = "equivalent"
    else:
        return "undecided"
    if seeds < MIN_SEEDS:
        return "one seed" if seeds == 1 else "two seeds"
    return verdict if allowance else "no overlap correction"


def size_verdict(published: float, low: float | None, high: float | None) -> Size | None:
    """Compare the measured 95 % interval with the published difference. `agrees`: the interval contains it. `smaller`:
    the interval lies nearer to 0. `larger`: it lies further from 0. `opposite`: it lies on the other side of 0. Return
    None without an interval."""
    if low is None or high is None:
        return None
    if low <= published <= high:
        return "agrees"
    if published < 0:
        published, low, high = -published, -high, -low
    if low > published:
        return "larger"
    return "opposite" if high < 0 and published > 0 else "smaller"


# The request of a run that a claim needs.


def claimed_request(
    dataset: str,
    stated: Mapping[str, Any],
    targets: Sequence[str],
    options: Mapping[str, Any],
    corpora: Mapping[str, str] = MappingProxyType({}),
) -> Request:
    """Return the request of a run on a dataset.

    Args:
        stated: option -> value that the claim states, with its protocol.
        targets: targets of the run; empty: the default targets.
        options: further fields of a request, for options that the claim does not state. Settings of an encoder
            (`encoder[eeg:NAME]`) apply only if the run reads that modality with that encoder.
        corpora: see `choose_pretraining`.
    """
    if corpora:
        pretrainers, _ = choose_pretraining(stated, corpora, dataset, options.get("data_root"))
        stated = {**stated, "pretrainer": pretrainers}
    further = [_strip_encoder(setting, stated) for setting in options.get("settings") or ()]
    settings = (*stated.get("set", ()), *(setting for setting in further if setting is not None))
    fields = {name: value for name, value in stated.items() if name != "set"}
    return make_request(dataset=dataset, **{**options, "targets": targets or None, **fields, "settings": settings})


def targets_there(wanted: Sequence[str], dataset: str, protocol: str, data_root: Path | None) -> list[str]:
    """Return the wanted targets that a dataset has under a protocol."""
    targets = Request(dataset, protocol=protocol, data_root=data_root).card.targets
    return [name for name in wanted if name in {target.name for target in targets}]


def _strip_encoder(setting: str, stated: Mapping[str, Any]) -> str | None:
    """Return a setting `encoder[eeg:NAME]...` as `encoder[eeg]...`; None if the run does not use that encoder."""
    place = parse_encoder_setting(setting)
    if place is None:
        return setting
    modality, _, encoder = place.partition(":")
    read, encoders = stated.get("modalities"), stated.get("encoder", ())
    if read is not None and modality not in [name.strip() for name in read.split(",")]:
        return None
    if encoder and not {encoder, f"{modality}={encoder}"}.intersection(encoders):
        return None
    return setting.replace(f"[{place}]", f"[{modality}]", 1)


# Runs for measured claims, and a verdict on each value.


@dataclass(frozen=True)
class Measured:
    """A measured value, which a claim expects above its reference or near it; or the `reason` why there is none.

    Args:
        what: the measured quantity, in words.
        mean, low, high: its value with the 95 % interval.
        count, over: number and kind of the values behind the interval: folds (corrected resampled t), subjects or
            stimuli.
        p: p value of the difference from the reference, or from the nearer edge of the claim's margin.
        corrected: p after Holm's correction over the measured values of the paper.
        published: see `MeasuredClaim.published_value`.
        size: see `size_verdict`; only on the paper's own data.
        leaks: leaking protocol -> the leak, in words.
    """

    claim: MeasuredClaim
    dataset: str
    target: str = ""
    what: str = ""
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    count: int = 0
    over: Literal["folds", "subjects", "stimuli"] | None = None
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
        """True if the interval contains the reference."""
        return self.low is not None and self.high is not None and self.low <= self.claim.reference <= self.high

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that `embench claims --json` prints, without empty ones."""
        values = {name: value for name, value in vars(self).items() if name != "claim"}
        if self.mean is not None:
            values["holds_reference"] = self.holds_reference or None
        return {"reference": self.claim.reference} | {
            k: v for k, v in values.items() if v is not None and v is not False and v not in ("", (), {})
        }


def measured_requests(claim: MeasuredClaim, dataset: str, options: Mapping[str, Any]) -> dict[str, Request]:
    """Return name -> request of each run of a claim; `options`: further fields of a request."""
    place, requests = claim.datasets.get(dataset), {}
    for name, run in claim.runs.items():
        options_of_run = {option: value for option, value in run.stated.items() if option != "target"}
        stated = {"protocol": claim.protocol} | (place.both.stated if place else {}) | options_of_run
        targets = (run.target,) if run.target else place.targets if place else ()
        requests[name] = claimed_request(dataset, stated, targets, options, claim.corpora)
    return requests


def examine_measured(
    claims: Sequence[MeasuredClaim],
    datasets: Sequence[str],
    options: Mapping[str, Any],
    progress: EventCallback | None = None,
    *,
    dry_run: bool = False,
    study: RunStudy | None = None,
) -> list[Measured]:
    """Run what the claims need, as one grid for each paper, and return the measured values.

    Args:
        datasets: datasets; empty: those of the claims.
        options: further fields of a request.
        dry_run: whether to plan only.
        study: finished runs, which replace new ones.
    """
    rows = []
    for paper in dict.fromkeys(claim.paper for claim in claims):
        wanted = [(c, name) for c in claims if c.paper == paper for name in datasets or c.datasets]
        rows += _correct_measures(_measure_paper(wanted, options, progress, study, dry_run=dry_run))
    return rows


class _Finished(NamedTuple):
    plan: Plan
    folder: Path
    record: Record


def _measure_paper(
    wanted: Sequence[tuple[MeasuredClaim, str]],
    options: Mapping[str, Any],
    progress: EventCallback | None,
    study: RunStudy | None,
    *,
    dry_run: bool,
) -> list[Measured]:
    """Return the measured values of a paper's claims, each on a dataset; arguments as for `examine_measured`."""
    requests: list[dict[str, Request] | EmbenchError] = []
    for claim, dataset in wanted:
        try:
            requests.append(measured_requests(claim, dataset, options))
        except EmbenchError as error:
            requests.append(error)
    study = study or RunStudy(request for runs in requests if isinstance(runs, dict) for request in runs.values())
    requests = [study.refusal(runs.values()) or runs if isinstance(runs, dict) else runs for runs in requests]
    possible = [request for runs in requests if isinstance(runs, dict) for request in runs.values()]
    finished: dict[Request, _Finished | EmbenchError] = {}
    if not dry_run:
        study.run(possible, progress)
        finished = {request: _get_finished(request, study) for request in dict.fromkeys(possible)}
    rows = []
    for (claim, dataset), runs in zip(wanted, requests, strict=True):
        if isinstance(runs, EmbenchError):
            rows.append(_missing_measure(claim, dataset, runs))
        elif dry_run:
            leaks = _list_leaks(map(study.plan, runs.values()))
            rows.append(Measured(claim, dataset, status="can be run", leaks=leaks))
        else:
            rows += _measure_claim(claim, dataset, {name: finished[request] for name, request in runs.items()})
    return rows


def _get_finished(request: Request, study: RunStudy) -> _Finished | EmbenchError:
    """Return the finished run of a request, or the error with which it failed."""
    result = study.result(request)
    if isinstance(result, EmbenchError):
        return result
    record = read_record(result.folder)
    record = replace(record, predictions=record.predictions.own)  # confound-only models are most of a record
    return _Finished(study.plan(request), result.folder, record)


def _missing_measure(claim: MeasuredClaim, dataset: str, error: EmbenchError) -> Measured:
    return Measured(claim, dataset, status="missing", reason=error.what, what_to_do=error.hint or "")


def _list_leaks(plans: Iterable[Plan]) -> dict[str, str]:
    rules = [plan.protocol for plan in plans]
    return {rule.name: "; ".join(rule.deviations.values()) for rule in rules if rule.leaks}


def _measure_claim(claim: MeasuredClaim, dataset: str, runs: Mapping[str, _Finished | EmbenchError]) -> list[Measured]:
    """Return the values of a claim's measure on each target, or reasons why they are missing; `runs`: name -> run."""
    done = {}
    for name, run in runs.items():
        if isinstance(run, EmbenchError):
            return [_missing_measure(claim, dataset, run)]
        done[name] = run
    first = next(iter(done.values())).plan
    place = claim.datasets.get(dataset)
    about: dict[str, Any] = {
        "runs": tuple(str(run.folder) for run in done.values()),
        "leaks": _list_leaks(run.plan for run in done.values()),
    }
    rows = []
    for target in (place.targets if place else ()) or [t.name for t in first.test.targets]:
        try:
            runs_of_target = {}
            for name, run in done.items():
                by = _read_labels(run.plan.test, claim.by) if claim.by else {}
                target_of_run = claim.runs[name].target or target
                runs_of_target[name] = ClaimRun(run.record, run.folder, target_of_run, claim.metric, by)
            for what, values in MEASURES[claim.measure][0](runs_of_target).items():
                row = Measured(claim, dataset, target, what, **about)
                rows.append(_with_interval(row, values, first))
        except EmbenchError as error:
            rows.append(replace(_missing_measure(claim, dataset, error), target=target, **about))
    return rows


def _read_labels(cohort: Cohort, name: str) -> dict[str, float]:
    """Return unit -> label of the target `name` on the dataset's card; NaN without a label."""
    (target,) = choose_targets(cohort.card, name)
    _, labels = label_units(cohort.units, cohort.store.labels()[target.label], target.rule)
    return dict(zip((unit.id for unit in cohort.units), labels.tolist(), strict=True))


def _with_interval(row: Measured, values: np.ndarray | ValuesBySeed, plan: Plan) -> Measured:
    """Return the row with the mean of the values of a measure, its interval, p value, and verdict on the size."""
    over: Literal["folds", "subjects", "stimuli"] = "folds"
    if isinstance(values, ValuesBySeed):
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
    p = t_test(abs(mean - claim.reference) - (claim.margin or 0.0), error, df)
    size = None if synthetic or published is None else size_verdict(published, low, high)
    about: dict[str, Any] = {"p": p, "published": published, "size": size, "synthetic": synthetic}
    return replace(row, mean=mean, low=low, high=high, count=count, over=over, seeds=len(plan.folds), **about)


def _correct_measures(rows: Sequence[Measured]) -> list[Measured]:
    """Return the rows of a paper with p values corrected over these rows, and with verdicts."""
    corrected, decided = correct_p({k: row.p for k, row in enumerate(rows)}), []
    for k, row in enumerate(rows):
        if k in corrected and row.low is not None and row.high is not None:
            p = corrected[k]
            verdict: Verdict = "undecided"  # never `equivalent`, since measures have no common margin
            if p <= ALPHA:
                low, high = _bound_inside(row.claim, row.low, row.high)
                verdict = direction_verdict(low, high, p, seeds=row.seeds, allowance=True)
            row = replace(row, corrected=p, verdict=verdict)
        decided.append(row)
    return decided


def _bound_inside(claim: MeasuredClaim, low: float, high: float) -> tuple[float, float]:
    """Return the ends of an interval minus the claim's reference. With a margin, return instead the least and greatest
    distance of the interval's values to the margin's nearer edge: positive inside the margin, negative outside."""
    low, high = low - claim.reference, high - claim.reference
    if claim.margin is None:
        return low, high
    return claim.margin - max(-low, high), claim.margin - max(low, -high, 0.0)


# Runs for comparing claims, under the fixed protocol and the papers' own, and a verdict on each.

FIXED_PROTOCOL = Request.protocol
"""The default protocol, under which primary metrics are compared; papers have protocols of their own."""

Leg = Literal["fixed", "paper"]
Status = Literal["compared", "can be run", "missing", "does not apply"]


@dataclass(frozen=True)
class ComparedPair:
    """A claim on a dataset under a protocol (`leg`: the default or the paper's), with the requests of its two sides."""

    claim: Claim
    dataset: str
    leg: Leg
    a: Request
    b: Request

    @property
    def sides(self) -> dict[str, Request]:
        """Name of a side -> its request."""
        return {"a": self.a, "b": self.b}

    @property
    def metric(self) -> str | None:
        """The paper's metric under the paper's protocol; None, which is the primary metric, under the default one."""
        return self.claim.metric if self.leg == "paper" else None


@dataclass(frozen=True)
class ClaimResult:
    """The result of a comparison, or the reason why there is none.

    Args:
        status: `compared`; `can be run` (in a plan); `missing` (data, a plugin or a run); `does not apply` (a dataset
            that the claim does not name lacks a modality).
        p: p value of the primary test.
        corrected: p after Holm's correction over the comparisons of this paper under this kind of protocol.
        seeds: number of seeds that both sides have.
        allowance: see `direction_verdict`.
        published, size: only under the paper's own protocol and on its own data, if it published a number.
        cost: wall time of each side in s; shared stages count fully on both sides.
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
    smallest_detectable: float | None = None
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

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that `embench claims --json` prints, without empty ones."""
        values = {name: value for name, value in vars(self).items() if name not in ("claim", "difference")}
        values |= {side: self.claim.options(side, self.dataset) for side in ("a", "b")}
        if self.status != "compared":
            return {name: value for name, value in values.items() if value not in (None, "", 0, False, {})}
        gap = self.difference
        return values | {"difference": {"mean": gap.mean, "low": gap.low, "high": gap.high}}


def claim_pairs(
    claims: Sequence[Claim], datasets: Sequence[str], legs: Sequence[Leg], options: Mapping[str, Any]
) -> list[ComparedPair]:
    """Return the pairs of runs that the claims compare.

    Args:
        datasets: datasets; empty: those of the claims.
        legs: `fixed` for the default protocol, `paper` for the papers' protocols.
        options: further fields of a request.
    """
    pairs = []
    for claim in claims:
        for dataset in datasets or claim.datasets:
            for leg in legs:
                protocol = FIXED_PROTOCOL if leg == "fixed" else claim.protocol
                targets = _list_targets(claim, dataset, protocol, options.get("data_root"))
                if claim.place(dataset).targets and not targets:
                    continue  # the classes exist under the paper's protocol only
                sides = [{"protocol": protocol} | claim.options(side, dataset) for side in ("a", "b")]
                a, b = (claimed_request(dataset, stated, targets, options, claim.corpora) for stated in sides)
                pairs.append(ComparedPair(claim, dataset, leg, a, b))
    return pairs


def _list_targets(claim: Claim, dataset: str, protocol: str, data_root: Path | None) -> list[str]:
    """Return the claim's targets that a dataset has under a protocol."""
    wanted = claim.place(dataset).targets
    try:
        return targets_there(wanted, dataset, protocol, data_root)
    except EmbenchError:
        if dataset in claim.datasets:  # planning reports the error for this claim only
            return list(wanted)
        raise


def examine_claims(
    wanted: Sequence[ComparedPair], progress: EventCallback | None = None, study: RunStudy | None = None
) -> list[ClaimResult]:
    """Run the pairs that can be run, as one grid for each paper. Return a result for each target of each pair. `study`:
    finished runs, which replace new ones."""
    rows = []
    for paper in dict.fromkeys(pair.claim.paper for pair in wanted):
        rows += _examine_paper([pair for pair in wanted if pair.claim.paper == paper], progress, study)
    return rows


def preview_claims(wanted: Sequence[ComparedPair]) -> list[ClaimResult]:
    """Return a result for each pair without training: `can be run`, or the reason why it cannot."""
    study = RunStudy(request for pair in wanted for request in pair.sides.values())
    return [_find_refusal(pair, study) or _make_row(pair, "can be run") for pair in wanted]


def _find_refusal(pair: ComparedPair, study: RunStudy) -> ClaimResult | None:
    """Return the result of a pair if one of its sides cannot be run; None if both can."""
    if pair.dataset not in pair.claim.datasets and (lacking := _list_lacking(pair)):
        return _make_row(pair, "does not apply", f"{pair.dataset} has no {', '.join(lacking)}")
    error = study.refusal(pair.sides.values())
    return _make_missing(pair, error) if error else None


def _examine_paper(
    wanted: Sequence[ComparedPair], progress: EventCallback | None, study: RunStudy | None
) -> list[ClaimResult]:
    study = study or RunStudy(request for pair in wanted for request in pair.sides.values())
    refused = [(pair, _find_refusal(pair, study)) for pair in wanted]
    study.run((request for pair, row in refused if row is None for request in pair.sides.values()), progress)
    return _add_verdicts([each for pair, row in refused for each in ([row] if row else _compare_pair(pair, study))])


def _list_lacking(pair: ComparedPair) -> list[str]:
    """Return the modalities and channels that a claim reads and the pair's dataset lacks."""
    card = pair.a.source.card
    named = [m.strip() for side in (pair.a, pair.b) for m in (side.modalities or "").split(",") if m.strip()]
    try:
        read = {part: parse_modality(part)[0] for m in named for part in m.split("+")}
    except ValueError:
        return []  # planning reports an invalid modality
    has = {name: (None, *modality.channels) for name, modality in card.modalities.items()}
    return [part for part, (name, channel) in read.items() if channel not in has.get(name, ())]


def _make_row(pair: ComparedPair, status: Status, reason: str = "", what_to_do: str = "") -> ClaimResult:
    return ClaimResult(pair.claim, pair.dataset, pair.leg, pair.a.protocol, status, reason, what_to_do)


def _make_missing(pair: ComparedPair, error: EmbenchError, side: str = "") -> ClaimResult:
    """Return the result of a pair that could not be compared because of `error`."""
    where = f" ({error.where})" if isinstance(error, DataError) and error.where else ""
    return _make_row(pair, "missing", f"{side}{error.what}{where}", error.hint or "")


def _compare_pair(pair: ComparedPair, study: RunStudy) -> list[ClaimResult]:
    """Return the comparison of a pair's finished runs on each target, without verdicts on the direction."""
    rows, results = [], {}
    for side, request in pair.sides.items():
        result = study.result(request)
        if isinstance(result, EmbenchError):
            return [_make_missing(pair, result, f"side {side} failed: ")]
        results[side] = result
    a, b = (read_record(result.folder) for result in results.values())
    published = pair.claim.place(pair.dataset).published if pair.leg == "paper" else {}
    about = {
        "recipe": a.run["recipe"]["preset"],
        "synthetic": a.run["dataset"]["synthetic"] is not None,
        "runs": {side: str(result.folder) for side, result in results.items()},
        "cost": {"a": a.run["cost"]["wall_seconds"], "b": b.run["cost"]["wall_seconds"]},
    }
    for target in a.run["targets"]:
        try:
            found = comparison.compare(a, b, target, pair.metric)
        except EmbenchError as error:
            # The error's advice is for users who choose what to compare, which a claim fixes.
            rows.append(replace(_make_missing(pair, error), what_to_do="", target=target, **about))
            continue
        gap = found.difference
        size = size_verdict(published[target], gap.low, gap.high) if target in published else None
        allowed = found.over == "folds" or gap.shared is not None
        row = replace(_make_row(pair, "compared"), target=target, difference=gap, allowance=allowed, **about)
        row = replace(row, published=published.get(target), size=None if row.synthetic else size)
        row = replace(row, seeds=len(found.seeds), people=found.subjects, units=found.units)
        rows.append(replace(row, metric=found.metric, p=found.p, smallest_detectable=found.smallest_detectable))
    return rows


def _add_verdicts(rows: Sequence[ClaimResult]) -> list[ClaimResult]:
    """Return the results with their verdicts. p values are corrected over the comparisons under each kind of protocol;
    claims with the same runs and the same comparison count once."""
    corrected: dict[Any, float] = {}
    for leg in ("fixed", "paper"):
        corrected |= correct_p({_pair_key(row): row.p for row in rows if row.status == "compared" and row.leg == leg})
    decided = []
    for row in rows:
        if row.status == "compared":
            p, gap = corrected.get(_pair_key(row)), row.difference
            about: dict[str, Any] = {"seeds": row.seeds, "allowance": row.allowance}
            verdict = direction_verdict(gap.low, gap.high, p, row.claim.direction, **about)
            row = replace(row, corrected=p, verdict=verdict)
        decided.append(row)
    return decided


def _pair_key(row: ClaimResult) -> tuple[str, ...]:
    return (row.leg, row.runs["a"], row.runs["b"], row.target, row.metric)


def check_all_compared(rows: Sequence[ClaimResult | Measured]) -> None:
    """Raise Unfinished if a comparison or measured value is missing; the message names reasons and claims."""
    missing = [row for row in rows if row.status == "missing"]
    if missing:
        concerned = grouped((row.reason, row.claim.id) for row in missing)
        reasons = [f"{', '.join(dict.fromkeys(ids))}: {reason}" for reason, ids in concerned.items()]
        what = f"{len(missing)} of {len(rows)} comparisons are missing. {'; '.join(reasons)}"
        raise Unfinished(what, hint="fix the missing comparisons, then rerun the command to resume")
