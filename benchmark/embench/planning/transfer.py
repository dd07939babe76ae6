"""Training on another dataset than the one that is tested: what the two share, and why they may not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from embench.data import find
from embench.data.cohort import Cohort, build_cohort, card_for_protocol, choose_targets
from embench.errors import UsageError
from embench.interfaces.dataset import Card
from embench.interfaces.recording import names_in
from embench.interfaces.units import Target
from embench.planning.request import Request
from embench.protocols import Protocol


def of_both(request: Request, protocol: Protocol, card: Card) -> Request:
    """The request with what it leaves open, modalities and targets, set to the tested dataset's default ones as far as
    the dataset that is trained on has them.

    Raises:
        UsageError: they share no default modality or no target.
    """
    other = _card(request, protocol)
    modalities, names = request.modalities, request.targets
    if modalities is None:
        modalities = ",".join(m for m in card.default_modalities if _channels(card, m) == _channels(other, m))
    if names is None:
        usual = choose_targets(card, None)
        names = ",".join(one.name for one in usual if any(_same_target(one, two) for two in other.targets))
    for what, chosen, of in (
        ("modality with the same channels", modalities, list(other.modalities)),
        ("target of one kind", names, [t.name for t in other.targets]),
    ):
        if not chosen:
            raise UsageError(
                f"{card.name} and {other.name} share no {what} among {card.name}'s default ones",
                where=f"--train-dataset {request.train_dataset}",
                expected=f"what {other.name} has: {', '.join(of)}",
            )
    return replace(request, modalities=modalities, targets=names)


def trained_on(request: Request, modalities: Sequence[str], protocol: Protocol, test: Cohort, workers: int) -> Cohort:
    """The cohort to train on: all subjects of the other dataset, with its own card's label rules.

    Raises:
        UsageError: it lacks a modality or target of the run, or has it otherwise; or its subjects are those tested.
            DataError: its data are missing or bad.
    """
    where, name = f"--train-dataset {request.train_dataset}", str(request.train_dataset)
    card = _card(request, protocol)
    if fitted := [t.name for t in test.targets if t.rule.cut == "training_mean"]:
        raise UsageError(
            f"{protocol.name} derives the cut of {', '.join(fitted)} from training labels of the same dataset",
            where=where,
            expected="a protocol whose cuts are fixed, or no --train-dataset",
        )
    if protocol.split.by != "group":
        raise UsageError(
            f"{protocol.name} splits one dataset by {protocol.split.by}, and nothing is split here: all subjects of "
            f"{card.name} train, and all of {test.card.name} are tested",
            where=where,
            hint=f"--protocol {Request.protocol}",
        )
    if find.share_files(name, request.dataset, request.data_root):
        raise UsageError(
            f"{card.name} holds subjects of {test.card.name}, the test dataset: they would be in training and test",
            where=where,
            expected="a dataset of other subjects, or no --train-dataset",
        )
    store = find.prepared(name, request.data_root, protocol, workers)
    for m in (part for joined in modalities for part in names_in(joined)):
        one = store.modalities.get(m)
        if one is None:  # which channels are read of both is seen when the networks are known
            raise UsageError(
                f"{card.name} has no `{m}`, which {test.card.name} has",
                where=where,
                expected=f"modalities among {', '.join(store.modalities)}",
                hint="choose modalities that both have: --modalities",
            )
    fit = build_cohort(store, card, choose_targets(card, ",".join(t.name for t in test.targets)), modalities, protocol)
    for tested, fitted_on in zip(test.targets, fit.targets, strict=True):
        if not _same_target(tested, fitted_on):
            ours, theirs = _describe_target(tested), _describe_target(fitted_on)
            raise UsageError(
                f"{tested.name} is {ours} in {test.card.name}, and {theirs} in {card.name}",
                where=where,
                expected="targets of one kind, and values of one scale",
            )
    return fit


def _card(request: Request, protocol: Protocol) -> Card:
    return card_for_protocol(protocol, find.card_of(str(request.train_dataset), request.data_root))


def _channels(card: Card, modality: str) -> tuple[str, ...] | None:
    return card.modalities[modality].channels if modality in card.modalities else None


def _same_target(one: Target, other: Target) -> bool:
    """Whether a prediction of one is a prediction of the other. Where each dataset cuts its scale is its own rule."""
    same = (one.name, one.kind, one.n) == (other.name, other.kind, other.n)
    return same and (one.traits.has_classes or one.scale == other.scale)


def _describe_target(target: Target) -> str:
    words = target.traits.words_of_one.format(n=target.n)
    scale = None if target.traits.has_classes else target.scale
    return f"{words} of {scale[0]:g} to {scale[1]:g}" if scale else words
