"""Requests that stand for several: numbers of labelled subjects, shares of labels, lags, what
test subjects give, modalities that are taken away."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from embench.data import find
from embench.data.cohort import card_for_protocol
from embench.errors import UsageError
from embench.planning.method import chosen_modalities
from embench.planning.origins import of_both
from embench.planning.request import Request
from embench.protocols import load_protocol

DROP_EACH, DROP_ALL = "each", "all"


def expand_axes(request: Request) -> list[Request]:
    """A request for each point of its axes: `label_subjects`, `label_fraction`, `lag` and `given` may hold several with
    commas between; `drop` may be `each`, nothing and then every modality by itself, or `all`, nothing and then every
    choice but all of them.

    Raises:
        UsageError: names do not fit, or there is one modality only, which can't be taken away.
    """
    return [
        replace(request, label_subjects=count, label_fraction=share, lag=lag, given=given, drop=drop)
        for count in _several(request.label_subjects)
        for share in _several(request.label_fraction)
        for lag in _several(request.lag)
        for given in _several(request.given)
        for drop in _drops(request)
    ]


def _several(text: str | None) -> list[str | None]:
    return [part.strip() for part in text.split(",")] if text else [None]


def _drops(request: Request) -> list[str | None]:
    if request.drop not in (DROP_EACH, DROP_ALL):
        return [request.drop]
    modalities = _modalities(request)
    if len(modalities) < 2:
        raise UsageError(
            f"the run has only one modality, {modalities[0]}, so no modality can be dropped",
            where=f"--drop {request.drop}",
            expected="several --modalities",
        )
    sizes = range(1, 2 if request.drop == DROP_EACH else len(modalities))
    return [None, *(",".join(some) for size in sizes for some in combinations(modalities, size))]


def _modalities(request: Request) -> tuple[str, ...]:
    """Modalities that the method of a request reads, found without its data."""
    protocol = load_protocol(request.protocol)
    card = card_for_protocol(protocol, find.card_of(request.dataset, request.data_root))
    if request.train_dataset:
        request = of_both(request, protocol, card)
    return chosen_modalities(request, card, list(card.modalities))
