"""Any plugin with any other: every pair that may stand in one network does so in one of these, and works there."""

import pytest

from embench.planning.plan import make
from embench.runs.videos import decode_videos

from ..sample import WHOLE, drawn, sample
from . import networks
from .array import Together, array, covering, search
from .declared import CROSSED, joins, load, reads, wanted

NETWORKS = array()
QUICK = covering(
    lambda together: {level for pair in together.pairs() for level in pair},
    leave=lambda together: ("eeg", "catch22") in together.inputs,
)
"""Networks in which every plugin, kind of join and kind of target stands once, for the quick tests; without the
features that take seconds of the channels of an EEG."""
PUTTING = {c for c in CROSSED if "dataset" not in c and c not in (("encoder", "encoder"), ("encoder", "fusion"))}


def putting(together):
    """The pairs that decide how a network is put together; what two encoders and a dataset make of it shows in the
    plan. Of an encoder a fusion sees what it reads and offers."""
    seen = {(reads(e), frozenset(load("encoder", e).offers), together.fusion) for _, e in together.inputs}
    return seen | {pair for pair in together.pairs() if (pair[0][0], pair[1][0]) in PUTTING}


PUT_TOGETHER = drawn(covering(putting))
DRAWN = PUT_TOGETHER if WHOLE else PUT_TOGETHER[: len(PUT_TOGETHER) // 3]
"""Others for every state of the code; the whole proof trains all."""
OLD = "plugins have changed: `python -m tests.pairs.array` searches their pairs anew"


def asked(together, world, tmp_path):
    return make(together.request(data_root=world, runs=tmp_path))


@pytest.mark.parametrize("together", sample([t for t in NETWORKS if WHOLE or t in (*QUICK, *DRAWN)], *QUICK), ids=str)
def test_plugins_work_together(together, world, tmp_path):
    plan = asked(together, world, tmp_path)
    assert planned(plan, together) == together
    decode_videos(plan.cohorts, plan.method, 1)
    networks.check(plan)


def planned(plan, together):
    """What the planner made of a request, so that none is a network by name only."""
    method = plan.method
    assert len(method.encoders) == len(together.inputs)
    inputs = tuple((m, method.encoders[m].short) for m, _ in together.inputs)
    steps = {step.part.short for step in method.pretraining}
    made = Together(together.dataset, inputs, method.fusion.short, *(steps or {None}), together.targets)
    assert {step.modality for step in method.pretraining} <= {None, *(m for m, _ in made.pretrained)}
    on = method.inputs if method.joins == "estimator" else method.joins
    assert on == joins(made.fusion, [e for _, e in inputs])
    return made


@pytest.mark.slow
def test_every_network_can_be_planned(world, tmp_path):
    assert [planned(asked(together, world, tmp_path), together) for together in NETWORKS] == [*NETWORKS]


def test_these_are_all_pairs():
    assert {pair for together in NETWORKS for pair in together.pairs()} >= set(wanted()), OLD


@pytest.mark.slow
def test_the_array_is_what_the_search_finds_now():
    assert search() == NETWORKS, OLD
