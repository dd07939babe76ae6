"""What `embench list --matrix` shows is what the planner takes and refuses, for every combination."""

import math
from functools import cache
from itertools import product

import pytest

from embench import registry
from embench.errors import Refusals, UsageError
from embench.interfaces.dataset import ModalityCard
from embench.planning import compatibility
from embench.planning.combination import check_combination
from embench.planning.method import resolve_method
from embench.planning.request import Request
from embench.protocols import load_protocol

from ..extras import FOUNDATION
from ..sample import sample
from ..tiny.plugins import Tiny, card

BUNDLED = [m.name for m in registry.modalities() if m.package == registry.BUNDLED]
EVERYTHING = card(
    "everything", *Tiny.card.targets, modalities={m: ModalityCard(("x",), math.nan, "a.u.") for m in BUNDLED},
    default_modalities=("eda",),
)  # fmt: skip
DATASETS = [n for n in registry.list_plugins("dataset") if registry.load_plugin("dataset", n).card.targets]
PROTOCOL = load_protocol(Request.protocol)


@pytest.fixture(scope="module")
def matrix():
    return compatibility.matrix()


def planned(modalities, encoders, fusion, pretrainer=None):
    """Whether the planner takes a method."""
    steps = () if pretrainer is None else (pretrainer,)
    request = Request(
        "everything", encoders, modalities=",".join(modalities), fusion=fusion, pretrainers=steps, recipe="small"
    )
    try:
        resolve_method(request, EVERYTHING, BUNDLED, "cpu")
    except UsageError:
        return False
    return True


def test_an_encoder_reads_the_modalities_that_are_listed(matrix):
    listed = {name: reads for name, reads in matrix.reads.items() if name not in FOUNDATION}
    assert {name: tuple(m for m in BUNDLED if planned([m], (name,), "single")) for name in listed} == listed


def test_fusions_take_as_many_modalities_as_are_listed(matrix):
    for fusion, size in matrix.sizes.items():
        found = tuple(planned(BUNDLED[1 : 1 + n], ("tcn",), fusion) for n in (1, 2, 3))
        assert found == {"1": (True, False, False), "at least 2": (False, True, True)}.get(size, (True, True, True))


@pytest.mark.parametrize("pretrainer", sample(registry.list_plugins("pretrainer"), "masked_value"))
def test_a_pretrainer_goes_with_the_encoders_and_fusions_that_are_listed(matrix, pretrainer):
    """Where a fusion needs two modalities, a pretrainer of single encoders trains the first one alone."""
    kind = registry.load_plugin("pretrainer", pretrainer)
    source = ":deap" if kind.labels == "source" else ""
    for encoder, fusion in product(matrix.reads.keys() - FOUNDATION.keys(), matrix.under):
        first, *_ = matrix.reads[encoder]
        several = matrix.sizes[fusion] == "at least 2"
        step = f"{first}={pretrainer}{source}" if kind.scope == "encoder" else pretrainer
        encoders = (f"{first}={encoder}", "temp=tcn") if several else (encoder,)
        taken = planned([first, "temp"] if several else [first], encoders, fusion, step)
        assert taken is matrix.allows(pretrainer, encoder, fusion), (encoder, fusion)


def faults(dataset, modalities, encoders, fusion, pretrainer=None):
    """The faults that the planner names before it reads data."""
    steps = () if pretrainer is None else (pretrainer,)
    names = ",".join(modalities)
    request = Request(dataset, encoders, modalities=names, fusion=fusion, pretrainers=steps, recipe="small")
    try:
        check_combination(request, PROTOCOL, request.card, "cpu", Refusals())
    except UsageError as error:
        return [fault.what for fault in error.faults or [error]]
    return []


@cache
def labelled(dataset, modality):
    """Another dataset with labels and this modality, from which a pretrainer with labels can learn."""
    others = (name for name in DATASETS if name.partition("/")[0] != dataset.partition("/")[0])
    cards = {name: registry.load_plugin("dataset", name).card for name in others}
    return next((name for name, other in cards.items() if other.targets and modality in other.modalities), None)


@pytest.mark.parametrize("dataset", sample(DATASETS, "amigos"))
def test_an_encoder_reads_the_modalities_of_a_dataset_that_are_listed(matrix, dataset):
    for m, encoder in product(BUNDLED, matrix.reads):
        listed = encoder in matrix.datasets[dataset].readers.get(m, ())
        assert (not faults(dataset, [m], (encoder,), "single")) is listed, (m, encoder)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_combination_is_taken_or_refused_as_listed(matrix, dataset):
    """Of each encoder one modality, which it reads if it reads any of the dataset; for a fusion of two or more,
    another modality is read by `signal_mean`."""
    own = matrix.datasets[dataset].readers
    for encoder, fusion in product(matrix.reads, matrix.under):
        m = next((m for m, names in own.items() if encoder in names), next(iter(own)))
        second = next((other for other in own if other not in (m, "video")), None)
        several = matrix.sizes[fusion] == "at least 2"
        if several and second is None:
            continue
        modalities = [m, second] if several else [m]
        encoders = (f"{m}={encoder}", f"{second}=signal_mean") if several else (encoder,)
        fits = matrix.fits(dataset, m, encoder, fusion)
        assert (not faults(dataset, modalities, encoders, fusion)) is fits, (m, encoder, fusion)
        for pretrainer in matrix.under[fusion]:
            kind = registry.load_plugin("pretrainer", pretrainer)
            source = labelled(dataset, m) if kind.labels == "source" else ""
            if source is None or (several and kind.scope == "model"):
                continue
            step = f"{m}={pretrainer}" if kind.scope == "encoder" else pretrainer
            found = faults(dataset, modalities, encoders, fusion, f"{step}:{source}" if source else step)
            wanted = fits and matrix.allows(pretrainer, encoder, fusion)
            assert (not found) is wanted, (m, encoder, fusion, pretrainer, found)


def test_no_fault_shows_the_name_of_a_capability(matrix):
    """Words stand for what plugins declare."""
    kinds = [registry.load_plugin("pretrainer", name) for name in registry.list_plugins("pretrainer")]
    flags = {flag for kind in kinds for flag in kind.needs_encoder | kind.needs_fusion if "_" in flag}
    assert flags
    steps = [f"{name}:deap" for name in registry.list_plugins("pretrainer")]
    for encoder, fusion, step in product(matrix.reads, ("single", "svm"), steps):
        m = matrix.reads[encoder][0]
        assert not [text for text in faults("amigos", [m], (encoder,), fusion, step) if any(f in text for f in flags)]


def test_all_faults_of_a_combination_are_named_at_once():
    """Three faults that took three tries."""
    found = faults("amigos", ["video", "resp"], ("handcrafted",), "single", "masked_value")
    for text in (
        "amigos has no modality `resp`",
        "encoder handcrafted does not read video",
        "fusion single takes 1 modality, but the run has 2: video, resp",
        "pretrainer masked_value requires an encoder that returns one token per sample and reads signals",
    ):
        assert [fault for fault in found if text in fault], text
    assert len(found) == 4
