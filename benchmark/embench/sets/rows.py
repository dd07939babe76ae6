"""The rows of a baseline set on a dataset: rules resolved against its card, through what plugins declare."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from embench import protocols, registry
from embench.claims.examine import claim_pairs
from embench.claims.files import Claim, MeasuredClaim, select_claims
from embench.claims.measured import measured_requests
from embench.data import find
from embench.data.cohort import card_for_protocol, choose_targets
from embench.errors import EmbenchError, UsageError
from embench.interfaces.dataset import Card
from embench.planning.method import chosen_modalities, read_pretrainer, resolve_method
from embench.planning.plan import check_target_kinds
from embench.planning.request import Request
from embench.sets.files import ALL_BUT_ONE, ALL_TOGETHER, EACH_ALONE, NO_PART, BaselineSet, RowRule, SetLevel
from embench.system import version_of


@dataclass(frozen=True)
class BaselineRow:
    """A row of a set on a dataset; `reason` says why it does not fit there, and is empty where it does. `by_target`:
    other rows are of the same method with other targets, so that the title names them."""

    level: SetLevel
    request: Request
    reason: str = ""
    by_target: bool = False

    @property
    def title(self) -> str:
        """Text on the method and the protocol: `cnn_tf + late on ecg,eeg after masked_value`."""
        asked = self.request
        text = f"{','.join(asked.encoders)} + {asked.fusion or 'single'} on {asked.modalities or 'the default'}"
        text += f" after {','.join(asked.pretrainers)}" if asked.pretrainers else ""
        more = [*asked.settings, *(f"{n} labelled" for n in (asked.label_subjects, asked.label_fraction) if n)]
        more += [f"without {asked.drop}"] if asked.drop else []
        more += [f"for {asked.targets}"] if asked.targets and self.by_target else []
        more += [Path(asked.protocol).stem] if asked.protocol != Request.protocol else []
        return ", ".join([text, *more])


def baseline_rows(found: BaselineSet, level: SetLevel, dataset: str, options: Mapping[str, Any]) -> list[BaselineRow]:
    """The rows of a set up to a level on a dataset, each once, with those that do not fit.

    Args:
        options: further fields of a request. `modalities` stand in place of the card's defaults, and a recipe in place
            of those of the set; the rows of a paper have its own modalities, targets and protocol.

    Raises:
        UsageError: the dataset has no such target or modality, or does not go with the protocol.
    """
    options = {name: value for name, value in options.items() if value is not None}
    if found.paper:
        rows = [BaselineRow("core", request, by_target=True) for request in _of_paper(found.paper, dataset, options)]
    else:
        card = _card(options.get("protocol", Request.protocol), dataset, options.get("data_root"))
        rules = found.rules(level)
        rows = [row for each, rule in rules for row in _of_rule(each, rule, dataset, card, options)]
    once = dict[Request, BaselineRow]()
    for row in rows:
        if not row.reason or row.request not in once:  # two rules may name it, one of them for other targets
            once[row.request] = row
    return [_checked(row) for row in once.values()]


def _card(protocol: str, dataset: str, data_root: Path | None) -> Card:
    return card_for_protocol(protocols.load_current_protocol(protocol), find.card_of(dataset, data_root))


def _of_paper(paper: str, dataset: str, options: Mapping[str, Any]) -> Iterator[Request]:
    """The requests of all that a paper's claims compare and measure, under its own protocols and the fixed one."""
    own = {name: value for name, value in options.items() if name not in ("protocol", "modalities", "targets")}
    claims = select_claims(paper, ())
    compared = [claim for claim in claims if isinstance(claim, Claim)]
    for pair in claim_pairs(compared, [dataset], ("own", "fixed"), own):
        yield from (pair.a, pair.b)
    for claim in claims:
        if isinstance(claim, MeasuredClaim):
            yield from measured_requests(claim, dataset, own).values()


def _of_rule(
    level: SetLevel, rule: RowRule, dataset: str, card: Card, options: Mapping[str, Any]
) -> Iterator[BaselineRow]:
    given = options.get("modalities")
    pool: Sequence[str] = [m for m in card.default_modalities if "+" not in m]
    every = list(card.modalities)
    if given:
        pool = every = list(chosen_modalities(Request(dataset, modalities=given), card, every))
    has_classes = {target.traits.has_classes for target in choose_targets(card, options.get("targets"))}
    unfit = rule.targets and has_classes != {rule.targets == "classes"}
    for encoder, pretrainer, fusion in product(rule.encoder, rule.pretrainer, rule.fusion):
        for modalities, reason in _modalities(rule.modalities, encoder, pool, every):
            fields = {
                **options,
                "encoders": tuple(encoder.split(",")),
                "pretrainers": () if pretrainer == NO_PART else tuple(pretrainer.split(",")),
                "fusion": None if fusion == NO_PART else fusion,
                "modalities": modalities,
                "settings": rule.set,
                "recipe": options.get("recipe", rule.recipe),
            }
            yield BaselineRow(level, Request(dataset, **fields), f"for {rule.targets} only" if unfit else reason)


def _modalities(
    wanted: Sequence[str], encoder: str, pool: Sequence[str], every: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """The values of `--modalities` that the words of a rule stand for, each with the reason why it does not fit, if
    there is one. `each` and `all` are of the modalities in `pool`, names of those in `every`."""
    texts = [text.rpartition("=") for text in encoder.split(",")]
    if reasons := [reason for _, _, name in texts if (reason := _lacking("encoder", name))]:
        yield from ((word, reasons[0]) for word in wanted)
        return
    accepted = {m: registry.load("encoder", name).accepts for m, _, name in texts}  # under "" of all others
    own = [m for m in pool if registry.known_as(accepted.get(m, accepted.get("", frozenset())), m)]
    for word in wanted:
        if word == EACH_ALONE and own:
            yield from ((m, "") for m in own)
        elif word == ALL_TOGETHER and len(own) > 1:
            yield ",".join(own), ""
        elif word == ALL_BUT_ONE and len(own) > 2:  # of two it is each
            yield from ((",".join(name for name in own if name != m), "") for m in own)
        elif word == EACH_ALONE or (word == ALL_TOGETHER and EACH_ALONE not in wanted):
            yield word, f"{encoder} reads {f'{own[0]} alone' if own else 'none'} of {', '.join(pool)}"
        elif word not in (ALL_TOGETHER, ALL_BUT_ONE):
            alike = [m for m in every if re.fullmatch(r"\w+", word) and registry.known_as({word}, m)]
            yield from ((m, "") for m in alike or [word])


def _lacking(kind: str, name: str) -> str:
    """The reason why a plugin cannot be used here; empty where it can."""
    try:
        plugin = registry.load(kind, name)
    except UsageError:
        return f"{kind} {name} is not installed"
    except EmbenchError as error:
        return error.what
    absent = [library for library in getattr(plugin, "libraries", ()) if version_of(library) == "absent"]
    return f"{kind} {name} needs {', '.join(absent)}, which is not installed" if absent else ""


def _checked(row: BaselineRow) -> BaselineRow:
    """The row, with the reason why its dataset or its parts do not go together, as they declare."""
    request = row.request
    if row.reason:
        return row
    parts = [("encoder", text.rpartition("=")[2]) for text in request.encoders]
    parts += [("fusion", request.fusion)] if request.fusion else []
    parts += [("pretrainer", read_pretrainer(text)[1]) for text in request.pretrainers]
    if reasons := [reason for kind, name in parts if (reason := _lacking(kind, name))]:
        return replace(row, reason=reasons[0])
    try:
        card = _card(request.protocol, request.dataset, request.data_root)
        method = resolve_method(request, card, list(card.modalities), "cpu")
        targets = choose_targets(card, request.targets)
        if method.joins == "estimator":
            check_target_kinds(method, targets)
    except EmbenchError as error:
        return replace(row, reason=error.what)
    return row
