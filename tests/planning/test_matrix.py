"""What `embench list --matrix` shows is what the planner takes and refuses, for every combination."""

import math
from itertools import product

import pytest

from embench import registry
from embench.errors import UsageError
from embench.interfaces.dataset import ModalityCard
from embench.planning import compatibility
from embench.planning.method import resolve_method
from embench.planning.request import Request

from ..extras import FOUNDATION
from ..sample import sample
from ..tiny.plugins import Tiny, card

BUNDLED = [m.name for m in registry.modalities() if m.package == registry.BUNDLED]
EVERYTHING = card(
    "everything", *Tiny.card.targets, modalities={m: ModalityCard(("x",), math.nan, "a.u.") for m in BUNDLED},
    default_modalities=("eda",),
)  # fmt: skip


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
