"""Check the datasets, plugins and targets of a request by what they declare, before data are read, and name all
faults."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress

from embench import registry
from embench.data.cohort import card_for_protocol, check_centred, check_one_target, choose_targets
from embench.data.find import Source
from embench.engine import channels
from embench.errors import DataError, MachineError, Refusals, UsageError
from embench.interfaces.dataset import Card
from embench.interfaces.kinds import KINDS
from embench.interfaces.units import Target
from embench.planning.hub import find_assets, offline
from embench.planning.method import check_method, read_method
from embench.planning.parts import Method, Pretraining
from embench.planning.request import Request
from embench.protocols import Protocol
from embench.records.pretraining_comparison import RANDOM


def check_combination(request: Request, protocol: Protocol, card: Card, device: str, refusals: Refusals) -> Method:
    """Return the method of a request after checks that need no data. Nothing is prepared or downloaded.

    Args:
        card: card of the test dataset under the protocol. `device`: cpu, cuda or mps, for networks.
        refusals: faults that were found before.

    Raises:
        UsageError: something does not fit; the error names all faults, also those in `refusals`."""
    targets: tuple[Target, ...] = ()
    with refusals:
        targets = choose_targets(card, request.targets)
        check_centred(targets, protocol)
        check_one_target(protocol, targets)
    method = read_method(request, card, list(card.modalities), device, refusals)
    method = check_method(request, method, card, refusals)
    with refusals:
        check_used(request, method)
    _check_weights(method, refusals)
    with refusals:
        if method.joins == "estimator":
            check_target_kinds(method, targets)
    train_source = request.train_source
    for step in method.pretraining:
        for source in step.sources:
            with refusals:
                refuse_test_subjects(
                    step, source, request.source, train_source, shared=source.same_folder(request.source)
                )
            _check_source(step, source, method, protocol, refusals)
    if train_source:
        wanted = targets if request.targets else ()
        shared = train_source.same_folder(request.source)
        check_training_dataset(train_source, card, method, protocol, wanted, refusals, shared=shared)
    refusals.raise_all()
    return method


def check_used(request: Request, method: Method) -> None:
    """Raise UsageError if the request names weights although its method trains no network that could use them."""
    by_themselves = any("weights" in part.recipe.build for part in method.encoders.values())
    if request.pretrained and method.inputs == "features" and not (request.pretrained == RANDOM and by_themselves):
        raise UsageError(
            f"{method.fusion.short} is fitted on features, and weights do not change them",
            where=f"--pretrained {request.pretrained}",
        )


def _check_weights(method: Method, refusals: Refusals) -> None:
    """Check the weights that encoders include, without downloading any. Weights that are missing or damaged are no
    wrong arguments: they are reported when they are read."""
    for part in method.encoders.values():
        with refusals, suppress(DataError, MachineError), offline(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            find_assets(registry.load_plugin("encoder", part.name)(part.recipe))


def check_target_kinds(method: Method, targets: Sequence[Target]) -> None:
    """Refuse targets whose kind the method's estimator does not predict, or that the estimator itself refuses."""
    plugin = registry.load_plugin("fusion", method.fusion.name)
    kinds = plugin.kinds
    if unfit := [t for t in targets if t.kind not in kinds]:
        fitting = [t.name for t in targets if t.kind in kinds]
        usual = "logreg" if unfit[0].traits.has_classes else "ridge"
        raise UsageError(
            f"{method.fusion.short} cannot predict {unfit[0].traits.plural}, and {unfit[0].name} requires this",
            where=f"--fusion {method.fusion.short}",
            expected=f"targets of {' or '.join(about.plural for kind, about in KINDS.items() if kind in kinds)}",
            hint=f"--target {','.join(fitting)}" if fitting else f"choose another fusion: --fusion {usual}",
        )
    for target in targets:
        plugin(method.fusion.recipe, 0, target.kind, target.n, method.modalities)


# Datasets of pretraining, and another training dataset.


def refuse_test_subjects(
    step: Pretraining, source: Source, tested: Source, train_source: Source | None, *, shared: bool
) -> None:
    """Raise UsageError if a source of a pretraining step contains test subjects. `shared`: True if the source and the
    test dataset share files."""
    if not shared:
        return
    if step.labels == "source":
        raise UsageError(
            f"{source.name} contains subjects of {tested.card.name}, so the method would learn from test labels",
            where=step.option,
            expected="a dataset of other subjects",
        )
    if len(step.sources) + step.own > 1:
        raise UsageError(
            f"{source.name} contains subjects of {tested.name}, so pretraining would include test subjects",
            where=step.option,
            expected=f"{tested.name} itself; each fold then uses its training subjects only"
            if train_source is None
            else "datasets of other subjects",
        )


def _check_source(step: Pretraining, source: Source, method: Method, protocol: Protocol, refusals: Refusals) -> None:
    """Check by its card that a source of a pretraining step has the modalities and labels that the step needs."""
    with refusals:
        card = card_for_protocol(protocol, source.card, tested=False)
        _check_modalities(
            card, method.find_trained_modalities(step), f"{step.part.short} would learn from", step.option, refusals
        )
        check_source_labels(step, source, card)


def check_source_labels(step: Pretraining, source: Source, card: Card) -> None:
    """Raise UsageError if a pretraining step learns from labels and its source has none."""
    if step.labels == "source" and not card.targets:
        raise UsageError(
            f"{step.part.short} learns from labels, but {card.name} has none",
            where=f"--pretrainer {step.part.short}:{source.name}",
            expected="a dataset with targets",
            hint="without labels: --pretrainer masked_value:" + source.name,
        )


def check_training_dataset(
    source: Source, tested: Card, method: Method, protocol: Protocol, targets: Sequence[Target], refusals: Refusals,
    *, shared: bool,
) -> None:  # fmt: skip
    """Check by its card that another training dataset has the modalities and targets of a run, and other subjects than
    the test dataset. Faults are added to `refusals`.

    Args:
        tested: card of the test dataset. `shared`: True if both datasets share files.
        targets: targets of the run; empty if both datasets share none, which is reported already."""
    where = f"--train-dataset {source.name}"
    with refusals:
        if fitted := [t.name for t in targets if t.rule.cut == "training_mean"]:
            raise UsageError(
                f"{protocol.name} derives the threshold of {', '.join(fitted)} from training labels of the same "
                "dataset",
                where=where,
                expected="a protocol with fixed thresholds, or no --train-dataset",
            )
    with refusals:
        if protocol.split.by != "group":
            raise UsageError(
                f"{protocol.name} splits one dataset by {protocol.split.by}, but --train-dataset needs no split: all "
                f"subjects of {source.card.name} train, and all subjects of {tested.name} are tested",
                where=where,
                hint=f"--protocol {Request.protocol}",
            )
    with refusals:
        if shared:
            raise UsageError(
                f"{source.card.name} contains subjects of the test dataset {tested.name}, who would be in training and "
                "test",
                where=where,
                expected="a dataset of other subjects, or no --train-dataset",
            )
    with refusals:
        card = card_for_protocol(protocol, source.card)
        for m, part in method.encoders.items():
            _check_modalities(card, [m], f"{part.short} would be trained on", where, refusals)
        if targets:
            _check_same_targets(targets, tested, card, where)


def _check_same_targets(targets: Sequence[Target], tested: Card, card: Card, where: str) -> None:
    """Raise UsageError if the card of the training dataset defines a target in another way than that of the test
    dataset, `tested`."""
    for one, other in zip(targets, choose_targets(card, ",".join(t.name for t in targets)), strict=True):
        if not is_same_target(one, other):
            raise UsageError(
                f"{one.name} is {_describe_target(one)} in {tested.name} but {_describe_target(other)} in {card.name}",
                where=where,
                expected="targets of the same kind, and values on the same scale",
            )


def _check_modalities(card: Card, modalities: Sequence[str], reader: str, where: str, refusals: Refusals) -> None:
    """Check that a card has modalities. `reader`: see `embench.engine.channels.check_available`."""
    available: Mapping[str, Sequence[str]] = {m: entry.channels for m, entry in card.modalities.items()}
    for m in modalities:
        with refusals:
            channels.check_available(card.name, available, m, reader, where)


def is_same_target(one: Target, other: Target) -> bool:
    """Return True if two targets have the same name, kind, number of classes and, if continuous, the same scale."""
    same = (one.name, one.kind, one.n) == (other.name, other.kind, other.n)
    return same and (one.traits.has_classes or one.scale == other.scale)


def _describe_target(target: Target) -> str:
    """Return the kind of a target in words, with the scale of a continuous target."""
    words = target.traits.singular.format(n=target.n)
    scale = None if target.traits.has_classes else target.scale
    return f"{words} of {scale[0]:g} to {scale[1]:g}" if scale else words
