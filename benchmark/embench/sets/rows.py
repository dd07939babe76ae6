"""The methods of a baseline set on a dataset, and published numbers next to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

from embench import registry
from embench.claims.corpora import describe_pretraining
from embench.claims.examine import (
    ClaimResult,
    Leg,
    Measured,
    claim_pairs,
    examine_claims,
    examine_measured,
    measured_requests,
)
from embench.claims.files import Claim, MeasuredClaim, UntestedClaim, printed_tables, select_claims
from embench.claims.page import (
    PageHead,
    PrintedResult,
    describe_runs,
    examine_tables,
    notes_on_tables,
    requests_of_tables,
)
from embench.data.cohort import choose_targets
from embench.data.find import find_source
from embench.errors import EmbenchError, UsageError
from embench.planning.combination import check_target_kinds
from embench.planning.method import choose_modalities, read_pretrainer, resolve_method
from embench.planning.request import Request
from embench.planning.tuning import Search
from embench.planning.weights import expand_axes
from embench.registry.catalogue import display_name
from embench.runs.run import GridResult
from embench.runs.tuning import check_search
from embench.sets.files import ALL_BUT_ONE, ALL_TOGETHER, EACH_ALONE, NO_PART, BaselineSet, RowRule, SetLevel
from embench.statistics.result import Result
from embench.studies.study import RunStudy
from embench.system import installed_version

# A paper's numbers next to the results of its set: its claims, examined on finished runs.


class PaperClaims(NamedTuple):
    """The claims of a paper on a dataset: comparisons (`tested`) with their results (`rows`), measured `values`, and
    claims that cannot be tested yet. `printed`: numbers in the paper's tables next to results; `notes` are on these.
    `head`: what was run."""

    tested: Sequence[Claim]
    rows: Sequence[ClaimResult]
    values: Sequence[Measured]
    untested: Sequence[UntestedClaim]
    printed: Sequence[PrintedResult]
    notes: Sequence[str]
    head: PageHead


def requests_of_paper(paper: str, dataset: str, options: Mapping[str, Any]) -> Iterator[Request]:
    """Yield the requests for all numbers in a paper's tables, under the paper's protocols, their counterparts and the
    fixed protocol, then for all its claims.

    Args:
        options: further fields of a request, except modalities, targets and protocol, which the paper states.
    """
    options_left, (compared, measured, _) = _select_unstated(options), _split_claims(paper)
    for row in requests_of_tables(paper, dataset, options_left):
        yield from row.requests
    for pair in claim_pairs(compared, [dataset], _LEGS, options_left):
        yield from (pair.a, pair.b)
    for claim in measured:
        yield from measured_requests(claim, dataset, options_left).values()


def examine_paper(
    paper: str, dataset: str, options: Mapping[str, Any], done: GridResult, unfit: Iterable[tuple[Request, str]] = ()
) -> PaperClaims:
    """Examine the claims of a paper on finished runs.

    Args:
        done: results of `requests_of_paper`.
        unfit: requests that could not be run, with the reason.
    """
    requests = list(requests_of_paper(paper, dataset, options))
    study = RunStudy(requests, done, dict(unfit))
    options_left, (compared, measured, untested) = _select_unstated(options), _split_claims(paper)
    rows = examine_claims(claim_pairs(compared, [dataset], _LEGS, options_left), study=study)
    values = examine_measured(measured, [dataset], options_left, study=study)
    printed = examine_tables(paper, dataset, options_left, study)
    of_tables = [row for tables in printed_tables(paper) for row in tables.rows if row.dataset == dataset]
    notes = describe_pretraining(of_tables, [*compared, *measured], dataset, options.get("data_root"))
    finished = {found.id: found for each in requests if isinstance(found := study.result(each), Result)}
    head = describe_runs(paper, finished.values())
    every_note = [*notes, *notes_on_tables(paper, dataset)]
    return PaperClaims(compared, rows, values, untested, printed, every_note, head)


_LEGS: tuple[Leg, ...] = ("paper", "fixed")


def _split_claims(paper: str) -> tuple[list[Claim], list[MeasuredClaim], list[UntestedClaim]]:
    """Return the claims of a paper in three lists: comparisons, measurements, and claims that cannot be tested yet."""
    found = select_claims(paper, ())
    compared = [c for c in found if isinstance(c, Claim)]
    measured = [c for c in found if isinstance(c, MeasuredClaim)]
    return compared, measured, [claim for claim in found if isinstance(claim, UntestedClaim)]


def _select_unstated(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a claim does not state itself."""
    stated = ("protocol", "modalities", "targets")
    return {name: value for name, value in options.items() if name not in stated and value is not None}


# Rows of a baseline set on a dataset: rules are expanded by the dataset's card and by what plugins declare to accept.

RowLevel = SetLevel | Literal["user"]
"""Level of a row: that of its rule in the set, or `user` for the user's methods."""


@dataclass(frozen=True)
class BaselineRow:
    """A row of a set: a method of the set, or the user's own, on a dataset.

    Args:
        reason: why the row cannot be run; else empty.
        search: the search of its settings, if it is tuned.
        trials: number of trials of the tuned row that its rule asks for beside it.
        by_target: True if the title names the targets, since other rows have the same method with other targets.
    """

    level: RowLevel
    request: Request
    reason: str = ""
    search: Search | None = None
    by_target: bool = False
    trials: int | None = None

    @property
    def title(self) -> str:
        """Method and protocol in words: `cnn_tf + late on ecg,eeg after masked_value`."""
        request = self.request
        encoders, fusion = ",".join(map(display_name, request.encoders)), display_name(request.fusion or "single")
        text = f"{encoders} + {fusion} on {request.modalities or 'the default'}"
        text += f" after {','.join(request.pretrainers)}" if request.pretrainers else ""
        more = [*request.settings, *(f"{n} labelled" for n in (request.label_subjects, request.label_fraction) if n)]
        more += [f"without {request.drop}"] if request.drop else []
        more += [f"calibration data {request.calibration_data}"] if request.calibration_data else []
        more += [f"for {request.targets}"] if request.targets and self.by_target else []
        more += [Path(request.protocol).stem] if request.protocol != Request.protocol else []
        more += [f"tuned ({self.search.trials} trials)"] if self.search else []
        return ", ".join([text, *more])


def baseline_rows(
    found: BaselineSet, level: SetLevel, dataset: str, options: Mapping[str, Any], trials: int | None = None
) -> list[BaselineRow]:
    """Return the rows of a set up to a level on a dataset, each once, including rows that cannot be run.

    Args:
        options: further fields of a request. `modalities` replace the card's defaults, and a recipe replaces those of
            the set; the rows of a paper keep its modalities, targets and protocol.
        trials: number of tuning trials; if set, a tuned row follows each row that can be run. Rules may state one.

    Raises:
        UsageError: the dataset lacks a target or modality, or the protocol is not for it; or `trials` and `dev` are
            combined, which would score the validation subjects that chose the settings.
    """
    if trials and options.get("dev"):
        raise UsageError("a method tuned on validation subjects cannot be scored on them", where="--tune with --dev")
    if found.paper:
        requests = requests_of_paper(found.paper, dataset, options)
        rows = _deduplicate(BaselineRow("core", request, by_target=True) for request in requests)
    else:
        rows = rows_of_rules(found.rules(level), dataset, options)
    return [each for row in rows for each in _add_tuned(row, found, trials or row.trials)]


def _add_tuned(row: BaselineRow, found: BaselineSet, trials: int | None) -> list[BaselineRow]:
    """Return a row and, with `trials`, its tuned version after it."""
    return [row, _tune_row(row, found, trials)] if trials and not row.reason else [row]


def rows_of_rules(
    rules: Sequence[tuple[RowLevel, RowRule]], dataset: str, options: Mapping[str, Any]
) -> list[BaselineRow]:
    """Return the rows that rules generate on a dataset; see `baseline_rows`."""
    options = {name: value for name, value in options.items() if value is not None}
    name = find_source(dataset, options.get("data_root")).entry.name
    return _deduplicate(
        row
        for level, rule in rules
        if not rule.datasets or name in rule.datasets
        for row in _expand_rule(level, rule, dataset, options)
    )


def _deduplicate(rows: Iterable[BaselineRow]) -> list[BaselineRow]:
    """Return each row once, with the reason if it cannot be run, and tuned if any of its rules says so."""
    once = dict[Request, BaselineRow]()
    for row in rows:
        known = once.get(row.request, row)
        first = row if known.reason else known  # of two rules for it, one may be for other targets
        once[row.request] = replace(first, trials=known.trials or row.trials)
    return [_check_fit(row) for row in once.values()]


def _tune_row(row: BaselineRow, found: BaselineSet, trials: int) -> BaselineRow:
    """Return the tuned version of a row; with a reason if there is nothing to tune."""
    request = row.request
    card = request.card
    method = resolve_method(request, card, list(card.modalities), "cpu")
    space: list[str] = []
    for text in request.encoders:
        modality, _, name = text.rpartition("=")
        own = found.search.get(name, ())
        if method.joins == "tokens":  # trained by the recipe of the fusion
            own = tuple(path for path in own if path.startswith(("encoder.build.", "encoder.prepare.")))
        space += [path.replace("encoder.", f"encoder[{modality}].", 1) if modality else path for path in own]
    for name in (request.fusion or "", *(read_pretrainer(text)[1] for text in request.pretrainers)):
        space += found.search.get(name, ())
    try:
        search = Search(space=tuple(dict.fromkeys(space)), trials=trials)
        if not space:
            return replace(row, search=search, reason="nothing to tune")
        check_search(request, search)
    except EmbenchError as error:
        return replace(row, search=search, reason=error.what)
    return replace(row, search=search)


_OF_RULES = ("protocol", "train_dataset", "label_subjects", "label_fraction", "drop", "calibration_data")
"""Fields of a request that a rule may state."""


def _expand_rule(level: RowLevel, rule: RowRule, dataset: str, options: Mapping[str, Any]) -> Iterator[BaselineRow]:
    options = {**options, **{name: value for name in _OF_RULES if (value := getattr(rule, name)) is not None}}
    options |= {"targets": rule.target} if rule.target else {}
    card = Request(dataset, **{name: options[name] for name in ("protocol", "data_root") if name in options}).card
    wanted = options.get("modalities")
    pool: Sequence[str] = [m for m in card.default_modalities if "+" not in m]
    every = list(card.modalities)
    if wanted:
        pool = every = list(choose_modalities(Request(dataset, modalities=wanted), card, every))
    has_classes = {target.traits.has_classes for target in choose_targets(card, options.get("targets"))}
    unfit = ""
    if rule.targets and has_classes != {rule.targets == "classes"}:
        unfit = f"for {'class' if rule.targets == 'classes' else 'continuous'} targets only"
    for encoder, pretrainer, fusion in product(rule.encoder, rule.pretrainer, rule.fusion):
        for modalities, reason in _expand_modalities(rule.modalities, encoder, pool, every):
            fields = {
                **options,
                "encoders": tuple(encoder.split(",")),
                "pretrainers": () if pretrainer == NO_PART else tuple(pretrainer.split(",")),
                "fusion": None if fusion == NO_PART else fusion,
                "modalities": modalities,
                "settings": rule.set,
                "recipe": options.get("recipe", rule.recipe),
            }
            request = Request(dataset, **fields)
            if unfit or reason:
                yield BaselineRow(level, request, unfit or reason)
                continue
            try:
                yield from (BaselineRow(level, each, trials=rule.tune) for each in expand_axes(request))
            except EmbenchError as error:
                yield BaselineRow(level, request, error.what)


def _expand_modalities(
    wanted: Sequence[str], encoder: str, pool: Sequence[str], every: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the values of `--modalities` for the words of a rule, each with the reason if the encoder cannot read it.

    Args:
        wanted: words of the rule.
        pool: modalities to which `each` and `all` refer.
        every: modalities to which names refer.
    """
    texts = [text.rpartition("=") for text in encoder.split(",")]
    if reasons := [reason for _, _, name in texts if (reason := _why_unavailable("encoder", name))]:
        yield from ((word, reasons[0]) for word in wanted)
        return
    accepted = {
        m: registry.load_plugin("encoder", name).accepts for m, _, name in texts
    }  # "": for all other modalities
    readable = [m for m in pool if registry.known_as(accepted.get(m, accepted.get("", frozenset())), m)]
    for word in wanted:
        if word == EACH_ALONE and readable:
            yield from ((m, "") for m in readable)
        elif word == ALL_TOGETHER and len(readable) > 1:
            yield ",".join(readable), ""
        elif word == ALL_BUT_ONE and len(readable) > 2:  # with two modalities it equals `each`
            yield from ((",".join(name for name in readable if name != m), "") for m in readable)
        elif word == EACH_ALONE or (word == ALL_TOGETHER and EACH_ALONE not in wanted):
            yield word, f"{encoder} reads {(f'{readable[0]} only' if readable else 'none')} of {', '.join(pool)}"
        elif word not in (ALL_TOGETHER, ALL_BUT_ONE):
            matching = [m for m in every if re.fullmatch(r"\w+", word) and registry.known_as({word}, m)]
            yield from ((m, "") for m in matching or [word])


def _why_unavailable(kind: str, name: str) -> str:
    """Return the reason why a plugin cannot be used on this machine; empty if it can be used."""
    try:
        plugin = registry.load_plugin(kind, name)
    except UsageError:
        return f"{kind} {name} is not installed"
    except EmbenchError as error:
        return error.what
    absent = [library for library in getattr(plugin, "libraries", ()) if installed_version(library) == "absent"]
    return f"{kind} {name} requires {', '.join(absent)}, which is not installed" if absent else ""


def _check_fit(row: BaselineRow) -> BaselineRow:
    """Return a row, with the reason if its method cannot be run on its dataset."""
    request = row.request
    if row.reason:
        return row
    parts = [("encoder", text.rpartition("=")[2]) for text in request.encoders]
    parts += [("fusion", request.fusion)] if request.fusion else []
    parts += [("pretrainer", read_pretrainer(text)[1]) for text in request.pretrainers]
    if reasons := [reason for kind, name in parts if (reason := _why_unavailable(kind, name))]:
        return replace(row, reason=reasons[0])
    try:
        card = request.card
        method = resolve_method(request, card, list(card.modalities), "cpu")
        targets = choose_targets(card, request.targets)
        if method.joins == "estimator":
            check_target_kinds(method, targets)
    except EmbenchError as error:
        return replace(row, reason=error.what)
    return row
