"""The external sources that pretraining reads: their subjects, with which labels, and whether they fit."""

from __future__ import annotations

from collections.abc import Sequence

from embench.data import find
from embench.data.cohort import Cohort, build_cohort, card_for_protocol, choose_targets, unlabelled_cohort
from embench.errors import UsageError
from embench.interfaces.recording import parts_of
from embench.planning.method import Method, Origin, Pretraining
from embench.planning.request import Request
from embench.protocols import Protocol


def sources(request: Request, method: Method, protocol: Protocol, test: Cohort, workers: int) -> dict[Origin, Cohort]:
    """The cohort of every external source of a method that is tested on `test`.

    Raises:
        UsageError: a source lacks what is pretrained, has no labels where they are wanted, or its subjects are those
            that are tested. DataError: its data are missing or bad.
    """
    found: dict[Origin, Cohort] = {}
    for step in method.pretraining:
        if step.source is None:
            continue
        if step.labels == "source" and find.share_files(step.source, request.dataset, request.data_root):
            raise UsageError(
                f"{step.source} holds subjects of {test.card.name}, so the method would learn from test labels",
                where=f"--pretrainer {step.part.short}:{step.source}",
                expected="a dataset of other subjects",
            )
        if (step.source, step.labels) not in found:
            wanted = [target.name for target in test.targets]
            found[step.source, step.labels] = source_of(step, method, wanted, request, protocol, workers)
        _check_channels(step, method, found[step.source, step.labels], test)
    return found


def source_of(
    step: Pretraining, method: Method, wanted: Sequence[str], request: Request, protocol: Protocol, workers: int
) -> Cohort:
    """The subjects of a step's source: all, or those with labels. The targets are then those called as the
    `wanted` ones, in the card's order, else the card's default ones.

    Raises:
        UsageError: the source has no labels, and the step needs them.
    """
    name = str(step.source)
    store = find.prepared(name, request.data_root, protocol, workers)
    card = card_for_protocol(protocol, find.card_of(name, request.data_root), tested=False)
    if step.labels == "none":
        return unlabelled_cohort(store, card, protocol)
    if not card.targets:
        raise UsageError(
            f"{step.part.short} learns from labels, and {card.name} has none",
            where=f"--pretrainer {step.part.short}:{name}",
            expected="a dataset with targets",
            hint="embench list dataset; without labels: --pretrainer masked_value:" + name,
        )
    common = [target.name for target in card.targets if target.name in wanted]
    return build_cohort(store, card, choose_targets(card, ",".join(common) or None), method.modalities, protocol)


def _check_channels(step: Pretraining, method: Method, source: Cohort, test: Cohort) -> None:
    """Refuses a source that lacks what is pretrained, or channels that cannot start the same network: none of the
    source's channels is called as one of ours."""
    for m, channel in (part for joined in method.of(step) for part in parts_of(joined)):
        one, other = source.store.modalities.get(m), test.store.modalities[m]
        wanted = (channel,) if channel else other.channels
        if one is None or not set(one.channels) & set(wanted):
            raise UsageError(
                f"{step.source} has no `{m}` with the channels of {test.card.name}"
                + (f", but {', '.join(one.channels)}" if one else ""),
                where=f"--pretrainer {step.part.short}:{step.source}",
                expected=f"{m} with some of {', '.join(wanted)}",
                hint="use the same channel names in corpus.yaml" if not source.card.targets else None,
            )


def channels_of(cohort: Cohort, modality: str) -> list[str]:
    """The channels of a modality, or of several joined, in a cohort's data."""
    return [
        name
        for part, channel in parts_of(modality)
        for name in ((channel,) if channel else cohort.store.modalities[part].channels)
    ]
