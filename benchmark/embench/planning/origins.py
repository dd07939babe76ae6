"""Origins of a method besides the tested dataset: the sources of its pretraining, weights, and the dataset that it is
trained on; checks that it can go from each to the next, and places of sensors on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from embench import registry
from embench.data import find
from embench.data.cohort import Cohort, build_cohort, card_for_protocol, choose_targets, unlabelled_cohort
from embench.engine import channels
from embench.engine.channels import Channel
from embench.engine.network import (
    Site,
    channels_at,
    channels_read,
    check_channels,
    check_file,
    check_rows,
    check_shapes,
)
from embench.engine.stage import Part
from embench.errors import UsageError
from embench.interfaces.dataset import Card
from embench.interfaces.recording import names_in
from embench.interfaces.units import Target
from embench.planning.parts import FUSION, Method, Origin, Pretraining
from embench.planning.request import Request
from embench.planning.setting import source_spec
from embench.planning.weights import Weights
from embench.protocols import Protocol
from embench.store import Store


def with_data(request: Request, method: Method) -> Method:
    """The method. Raises DataError where data of its run are missing, before any are read or weights downloaded."""
    others = (source for step in method.pretraining for source in step.sources)
    for name in filter(None, (request.dataset, request.train_dataset, *others)):
        find.open_dataset(name, request.data_root)
    return method


def sources(request: Request, method: Method, protocol: Protocol, test: Cohort, workers: int) -> dict[Origin, Cohort]:
    """The cohort of every external source of a method that is tested on `test`.

    Raises:
        UsageError: a source lacks what is pretrained, has no labels where they are wanted, or its subjects are those
            that are tested. DataError: its data are missing or bad.
    """
    found: dict[Origin, Cohort] = {}
    for step in method.pretraining:
        for name in step.sources:
            if step.labels == "source" and find.share_files(name, request.dataset, request.data_root):
                raise UsageError(
                    f"{name} contains subjects of {test.card.name}, so the method would learn from test labels",
                    where=step.option,
                    expected="a dataset of other subjects",
                )
            if len(step.sources) + step.own > 1 and find.share_files(name, request.dataset, request.data_root):
                raise UsageError(
                    f"{name} contains subjects of {request.dataset}, so pretraining would include test subjects",
                    where=step.option,
                    expected=f"{request.dataset} itself; each fold then uses its training subjects only"
                    if not request.train_dataset
                    else "datasets of other subjects",
                )
            wanted = [target.name for target in test.targets]
            origin = (name, step.labels)
            if origin in found:  # of a step on other modalities
                _check_source(step, method, found[origin].store, found[origin].card)
            else:
                found[origin] = source_of(name, step, method, wanted, request, protocol, workers)
    return found


def source_of(
    name: str,
    step: Pretraining,
    method: Method,
    wanted: Sequence[str],
    request: Request,
    protocol: Protocol,
    workers: int,
) -> Cohort:
    """The subjects of a step's source of this name: all, or those with labels. The targets are then those called as
    the `wanted` ones, in the card's order, else the card's default ones.

    Raises:
        UsageError: the source lacks a modality of the step, or has no labels, and the step needs them.
    """
    store = find.prepared(name, request.data_root, protocol, workers)
    card = card_for_protocol(protocol, find.card_of(name, request.data_root), tested=False)
    _check_source(step, method, store, card)
    if step.labels == "none":
        return unlabelled_cohort(store, card, protocol)
    if not card.targets:
        raise UsageError(
            f"{step.part.short} learns from labels, but {card.name} has none",
            where=f"--pretrainer {step.part.short}:{name}",
            expected="a dataset with targets",
            hint="without labels: --pretrainer masked_value:" + name,
        )
    common = [target.name for target in card.targets if target.name in wanted]
    rules = protocol.giving_nothing()
    return build_cohort(store, card, choose_targets(card, ",".join(common) or None), method.modalities, rules)


def _check_source(step: Pretraining, method: Method, store: Store, card: Card) -> None:
    for m in method.of(step):
        _check_there(store, card, m, f"{step.part.short} would learn from", step.option)


def of_both(request: Request, protocol: Protocol, card: Card) -> Request:
    """The request with what it leaves open, modalities and targets, set to the tested dataset's default ones as far as
    the dataset that is trained on has them.

    Raises:
        UsageError: they share no default modality or no target.
    """
    other = _card(request, protocol)
    modalities, names = request.modalities, request.targets
    if modalities is None:
        cards = {
            find.full_name(name, request.data_root): each
            for name, each in ((request.dataset, card), (str(request.train_dataset), other))
        }
        modalities = ",".join(
            m
            for m in card.default_modalities
            if m in other.modalities and channels.all_fit(*(_of_card(name, each, m) for name, each in cards.items()))
        )
    if names is None:
        usual = choose_targets(card, None)
        names = ",".join(one.name for one in usual if any(_same_target(one, two) for two in other.targets))
    for what, chosen, others in (
        ("modality with the same channels", modalities, list(other.modalities)),
        ("target of one kind", names, [t.name for t in other.targets]),
    ):
        if not chosen:
            raise UsageError(
                f"{card.name} and {other.name} share no {what} among the defaults of {card.name}",
                where=f"--train-dataset {request.train_dataset}",
                expected=f"one of the {what}s of {other.name}: {', '.join(others)}",
            )
    return replace(request, modalities=modalities, targets=names)


def trained_on(request: Request, method: Method, protocol: Protocol, test: Cohort, workers: int) -> Cohort:
    """The cohort to train on: all subjects of the other dataset, with its own card's label rules.

    Raises:
        UsageError: it lacks a modality or target of the run, or has it otherwise; or its subjects are those tested.
            DataError: its data are missing or bad.
    """
    where, name = f"--train-dataset {request.train_dataset}", str(request.train_dataset)
    card = _card(request, protocol)
    if fitted := [t.name for t in test.targets if t.rule.cut == "training_mean"]:
        raise UsageError(
            f"{protocol.name} derives the threshold of {', '.join(fitted)} from training labels of the same dataset",
            where=where,
            expected="a protocol with fixed thresholds, or no --train-dataset",
        )
    if protocol.split.by != "group":
        raise UsageError(
            f"{protocol.name} splits one dataset by {protocol.split.by}, but --train-dataset needs no split: all "
            f"subjects of {card.name} train, and all subjects of {test.card.name} are tested",
            where=where,
            hint=f"--protocol {Request.protocol}",
        )
    if find.share_files(name, request.dataset, request.data_root):
        raise UsageError(
            f"{card.name} contains subjects of the test dataset {test.card.name}, who would be in training and test",
            where=where,
            expected="a dataset of other subjects, or no --train-dataset",
        )
    store = find.prepared(name, request.data_root, protocol, workers)
    for m, part in method.encoders.items():
        _check_there(store, card, m, f"{part.short} would be trained on", where)
    targets = choose_targets(card, ",".join(t.name for t in test.targets))
    fit = build_cohort(store, card, targets, method.modalities, protocol)
    for tested, fitted_on in zip(test.targets, fit.targets, strict=True):
        if not _same_target(tested, fitted_on):
            ours, theirs = _describe_target(tested), _describe_target(fitted_on)
            raise UsageError(
                f"{tested.name} is {ours} in {test.card.name} but {theirs} in {card.name}",
                where=where,
                expected="targets of the same kind, and values on the same scale",
            )
    return fit


class _Step(NamedTuple):
    """A place where encoders learn, and the fusion over them where the `whole` model does; `where` is for messages."""

    site: Site
    modalities: Sequence[str]
    whole: bool
    where: str


def check_handovers(
    method: Method,
    protocol: Protocol,
    fit: Cohort,
    test: Cohort,
    sources: Mapping[Origin, Cohort],
    started: Weights | None,
) -> dict[str, str]:
    """Follows each network from the weights that it starts from, through every step of pretraining, to the data that it
    is fitted on, and to those that it is tested on.

    Returns:
        Each modality whose sensors were not at one place all the way, with the places in words.

    Raises:
        UsageError: from one to the next it would read other channels, or have tensors of other shapes.
    """
    for step in method.pretraining:
        check_mixed(method, step, protocol, _seen_by(step, fit, sources))
    learned: dict[str, Site] = {}  # modality or fusion -> where it learned last
    way: dict[str, list[tuple[str, Sequence[Channel]]]] = {m: [] for m in method.modalities}
    for site, modalities, whole, where in _steps(method, protocol, fit, sources):
        parts = {m: method.encoders[m] for m in modalities}
        for m, part in parts.items():
            if m in learned:
                check_channels(learned[m], site, m, part, where)
                check_shapes(learned[m], site, {m: part}, None, where)
            elif started:
                current = channels_read(site, m, part)
                if before := _channels_of(started, m, part, site, current):
                    way[m].append(("pretrained", before))
                    source = site.name if started.data == site.store.key else f"weights of {started.dataset}"
                    channels.check_fit(part.short, m, (source, before), (site.name, current), str(started.files[m]))
                check_file(started.files[m], f"encoders.{m}", site, {m: part}, None)
            way[m].append(("pretrained", channels_at(site, m)))
        if whole and FUSION in learned:
            check_shapes(learned[FUSION], site, parts, method.fusion, where)
        elif whole and started and FUSION in started.files:
            check_file(started.files[FUSION], FUSION, site, parts, method.fusion)
        learned |= dict.fromkeys([*modalities, *([FUSION] if whole else [])], site)
    tested = _site(protocol, test)
    for m, part in method.encoders.items():
        *earlier, (_, last) = way[m]
        if test is not fit:
            check_channels(_site(protocol, fit), tested, m, part, "--train-dataset")
            earlier.append(("trained", last))
        way[m] = [*earlier, ("tested", channels_at(tested, m))]
    return {m: words for m, stops in way.items() if (words := channels.moved(stops))}


def _channels_of(started: Weights, m: str, part: Part, site: Site, current: Sequence[Channel]) -> Sequence[Channel]:
    """The channels that weights learned from: those that their manifest names; without one, what their encoder would
    read of the dataset of their run, if it is installed; none where neither is known."""
    names: Sequence[str] = started.channels(m)
    known: tuple[Channel, ...] = ()
    entry = next((e for e in registry.entries("dataset") if e.full_name == started.dataset and not e.broken), None)
    if entry:
        card = registry.load("dataset", entry.full_name).card
        known = _of_card(entry.full_name, card, m) if set(names_in(m)) <= card.modalities.keys() else ()
    if not names:
        return channels_read(site, m, part, known) if known else ()
    kinds = [channel.modality for channel in current] if len(current) == len(names) else [m] * len(names)
    return [
        next((channel for channel in known if channel.name == name), Channel.of(kind, name, alone=len(names) == 1))
        for kind, name in zip(kinds, names, strict=True)
    ]


def _steps(method: Method, protocol: Protocol, fit: Cohort, sources: Mapping[Origin, Cohort]) -> Iterator[_Step]:
    named = ""
    for step in method.pretraining:
        named = step.option
        for cohort in _seen_by(step, fit, sources):
            yield _Step(_site(protocol, cohort), method.of(step), step.modality is None, named)
    yield _Step(_site(protocol, fit), method.modalities, method.joins == "tokens", named)


def _seen_by(step: Pretraining, fit: Cohort, sources: Mapping[Origin, Cohort]) -> list[Cohort]:
    return [*([fit] if step.own else []), *(sources[name, step.labels] for name in step.sources)]


def check_mixed(method: Method, step: Pretraining, protocol: Protocol, cohorts: Sequence[Cohort]) -> None:
    """Refuses to learn from the rows of several datasets at once where they have other channels, rates or lengths, or
    the run's own subjects are normalised by what they give, and others by all that they have.

    Raises:
        UsageError: any of it.
    """
    if step.own and step.sources and protocol.normalise == "given":
        raise UsageError(
            f"under {protocol.name}, test subjects are normalised by their calibration data and other datasets by "
            "all their data, so a network could tell them apart",
            where=step.option,
            expected="one pretraining after the other: "
            + " ".join(
                f"--pretrainer {each}" for each in (f"{step.part.short}:{'+'.join(step.sources)}", step.part.short)
            ),
        )
    first, *others = (_site(protocol, cohort) for cohort in cohorts)
    for other in others:
        for m in method.of(step):
            check_channels(first, other, m, method.encoders[m], step.option)
            check_rows(first, other, m, method.encoders[m], step.option)


def _site(protocol: Protocol, cohort: Cohort) -> Site:
    return Site(cohort.card.name, cohort.store, source_spec(protocol, cohort))


def _check_there(store: Store, card: Card, modality: str, reader: str, where: str) -> None:
    available = {m: entry.channels for m, entry in store.modalities.items()}
    channels.check_there(card.name, available, modality, reader, where)


def _of_card(name: str, card: Card, modality: str) -> tuple[Channel, ...]:
    return channels.channels_of(name, {m: one.channels for m, one in card.modalities.items()}, modality)


def _card(request: Request, protocol: Protocol) -> Card:
    return card_for_protocol(protocol, find.card_of(str(request.train_dataset), request.data_root))


def _same_target(one: Target, other: Target) -> bool:
    """True if a prediction of one is a prediction of the other; each dataset may cut its scale by its own rule."""
    same = (one.name, one.kind, one.n) == (other.name, other.kind, other.n)
    return same and (one.traits.has_classes or one.scale == other.scale)


def _describe_target(target: Target) -> str:
    words = target.traits.words_of_one.format(n=target.n)
    scale = None if target.traits.has_classes else target.scale
    return f"{words} of {scale[0]:g} to {scale[1]:g}" if scale else words


def check_rest_alone(protocol: Protocol, dataset: str, overlap: str, where: str) -> None:
    """Raises UsageError where pretraining saw test subjects of whom a protocol reveals only their rest."""
    if protocol.normalise == "baseline" and overlap in ("unlabelled_target", "labelled_target"):
        raise UsageError(
            f"pretraining used test subjects of {dataset}, but {protocol.name} allows only their resting data",
            where=where,
            expected="pretraining on the training subjects of each fold, or on other datasets",
        )
