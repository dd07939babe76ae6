"""Combinations of datasets, sources and parts drawn at random: each runs to its end, or is refused with every reason
before anything is trained."""

import random
from dataclasses import replace

import pytest

from embench import registry
from embench.data.find import find_source
from embench.errors import UsageError
from embench.interfaces.fusion import Estimator
from embench.planning.plan import make
from embench.planning.request import Request
from embench.runs.run import run

from ..extras import FOUNDATION
from ..pairs.declared import lacks, lacks_fusion, takes

pytestmark = pytest.mark.slow

SIZES = {
    "amigos": (4, 12.0), "deap": (4, 12.0), "k_emocon": (4, 80.0), "case": (4, 400.0), "wesad": (4, 90.0),
    "stress_predict": (4, 400.0), "corpus": (4, 44.0),
}  # fmt: skip
TESTED = ["amigos", "deap", "k_emocon", "case", "wesad", "wesad/chest", "stress_predict"]
MODALITIES = ["eeg", "ecg", "ppg", "eda", "resp", "temp", "emg", "acc"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    for name, (subjects, length_s) in SIZES.items():
        registry.synthesizer(name)(root / name, subjects=subjects, seed=0, effect=1.0, length_s=length_s)
    return root


def drawn(rng, data):
    """A request for 1 or 2 modalities, in one of six as it comes and else of those that the tested dataset has."""
    dataset, other = rng.choice(TESTED), rng.choice([*TESTED, "corpus"])
    own = [m for m in registry.load_plugin("dataset", dataset).card.modalities if m in MODALITIES]
    modalities = rng.sample(MODALITIES if rng.random() < 1 / 6 else own, rng.choice([1, 1, 2]))
    encoders = [name for name in registry.list_plugins("encoder") if name not in FOUNDATION]
    readers = [n for n in encoders if set(modalities) & registry.load_plugin("encoder", n).accepts]
    encoder = rng.choice(encoders if rng.random() < 1 / 6 else readers)
    pretrainer = rng.choice(registry.list_plugins("pretrainer"))
    ways = [
        {}, {"pretrainers": (pretrainer,)}, *[{"pretrainers": (f"{pretrainer}:{other}",)}] * 2,
        *[{"train_dataset": other}] * 2,
    ]  # fmt: skip
    return Request(
        dataset, (encoder,), modalities=",".join(modalities),
        fusion=rng.choice([None, *registry.list_plugins("fusion")]),
        recipe="quick", seeds="0", device="cpu", workers=1, data_root=data, runs=data / "runs", **rng.choice(ways),
    )  # fmt: skip


def reasons(request):
    """Beginnings of all faults of a request that need no data, by what plugins declare."""
    dataset, (encoder,), modalities = request.dataset, request.encoders, request.modalities.split(",")
    card, reads = card_of(request, dataset), registry.load_plugin("encoder", encoder)
    fusion = registry.load_plugin("fusion", request.fusion or "single")
    named = request.fusion or len(modalities) == 1
    yield from (f"{dataset} has no modality `{m}`" for m in modalities if m not in card.modalities)
    yield from (f"encoder {encoder} does not read {m}" for m in modalities if m not in reads.accepts)
    if not named:
        yield f"{len(modalities)} modalities ("
    elif not takes(request.fusion or "single", len(modalities)):
        yield f"fusion {request.fusion or 'single'} takes "
    estimator = issubclass(fusion, Estimator)
    targets = [target for target in card.targets if target.name in card.default_targets]
    if request.train_dataset:
        theirs = card_of(request, request.train_dataset).targets
        shared = [one for one in targets if any(same(one, two) for two in theirs)]
        yield from reasons_of_training(request, shared, modalities)
        targets = shared or targets
    if estimator and not {target.kind for target in targets} <= fusion.kinds:
        yield f"{request.fusion} cannot predict "
    for text in request.pretrainers:
        name, _, source = text.partition(":")
        kind = registry.load_plugin("pretrainer", name)
        if lacks(encoder, name):
            yield f"pretrainer {name} requires an encoder that "
        if named and lacks_fusion(request.fusion or "single", name):
            yield f"pretrainer {name} trains the complete model and requires a fusion that "
        elif named and estimator and fusion.reads == "features" and "features" in reads.offers:
            yield f"{request.fusion} is fitted on features"
        yield from reasons_of_source(request, kind, name, source)


def reasons_of_source(request, kind, name, source):
    dataset, modalities = request.dataset, request.modalities.split(",")
    if kind.labels == "source" and not source:
        yield f"{name} learns from the labels of another dataset"
    if not source:
        return
    if kind.labels == "source" and not card_of(request, source).targets:
        yield f"{name} learns from labels, but {source} has none"
    if kind.labels == "source" and one_folder(source, dataset):
        yield f"{source} contains subjects of {dataset}"
    yield from (
        f"{source} has no {m}, which {name} " for m in modalities if m not in card_of(request, source).modalities
    )


def reasons_of_training(request, shared, modalities):
    dataset, other = request.dataset, request.train_dataset
    if not shared:
        yield f"{dataset} and {other} share no target "
    if one_folder(other, dataset):
        yield f"{other} contains subjects of the test dataset {dataset}"
    yield from (f"{other} has no {m}, which " for m in modalities if m not in card_of(request, other).modalities)


def card_of(request, dataset):
    """The dataset's card; that of a corpus has the modalities of its folder."""
    return find_source(dataset, request.data_root).card


def one_folder(one, other):
    return one.partition("/")[0] == other.partition("/")[0]


def same(one, other):
    return (one.name, one.kind, one.n) == (other.name, other.kind, other.n)


OF_DATA = ("would read different channels", "share no modality")
"""What only prepared data show: the channels that a network picks."""


@pytest.mark.filterwarnings("ignore:.*starts from random weights")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_of_sixty_is_planned_or_refused_with_every_reason(data, seed):
    rng = random.Random(seed)
    refused = 0
    for request in [drawn(rng, data) for _ in range(60)]:
        wanted, found = list(reasons(request)), []
        try:
            make(request)
        except UsageError as error:
            found = [fault.what for fault in error.faults or [error]]
        refused += bool(found)
        if found and not wanted:
            assert any(text in found[0] for text in OF_DATA), (request, found)
            continue
        missing = [text for text in wanted if not any(fault.startswith(text) for fault in found)]
        beyond = [fault for fault in found if not any(fault.startswith(text) for text in wanted)]
        assert not missing, (request, found)
        assert not beyond, (request, wanted)
    assert 10 < refused < 58


@pytest.mark.filterwarnings("ignore")
def test_what_is_planned_runs_to_its_end(data):
    """The planned ones among sixty: none fails after it was planned."""
    rng, ran = random.Random(0), 0
    for request in [drawn(rng, data) for _ in range(60)]:
        try:
            make(request)
        except UsageError:
            continue
        assert run(replace(request, confounds=False)).folder.is_dir(), request
        ran += 1
    assert ran >= 10
