"""Any plugin with any other: every pair that may stand in one network does so in one of these, and works there."""

import pytest

from embench.planning.method import resolve_method
from embench.planning.plan import make
from embench.runs.videos import decode_videos

from ..sample import sample
from . import made, networks
from .array import Together, array, covering
from .declared import joins, wanted

NETWORKS = array()
QUICK = covering(lambda together: {level for pair in together.pairs() for level in pair})
"""Networks in which every plugin, kind of join and kind of target stands once, for the quick tests."""


@pytest.mark.parametrize("together", sample(NETWORKS, *QUICK), ids=str)
def test_plugins_work_together(together, world, tmp_path):
    plan = make(together.request(data_root=world, runs=tmp_path))
    decode_videos(plan.cohorts, plan.method, 1)
    networks.check(plan)


@pytest.mark.usefixtures("world")
def test_these_are_all_pairs():
    """Read from what the planner makes of the requests, so that none is a network by name only."""
    found = set()
    for together in NETWORKS:
        card = made.CARDS[together.dataset]
        method = resolve_method(together.request(), card, list(card.modalities), "cpu")
        inputs = tuple((m, part.short) for m, part in method.encoders.items())
        steps = {step.part.short for step in method.pretraining}
        planned = Together(together.dataset, inputs, method.fusion.short, *(steps or {None}), together.targets)
        assert planned == together
        assert {step.modality for step in method.pretraining} <= {None, *(m for m, _ in planned.pretrained)}
        on = method.inputs if method.joins == "estimator" else method.joins
        assert on == joins(planned.fusion, [e for _, e in inputs])
        found |= planned.pairs()
    assert found >= set(wanted())
