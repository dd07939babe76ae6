"""Any plugin with any other on a GPU that is not there: nothing lies on another device than what it is joined with, and
no step of training makes the host wait for the GPU, but where `BORNE` says why.

`make test-all` tries half as many networks of the array as let every encoder meet every pretrainer, and every fusion
what it joins, others for every state of the code; `make pairs-gpu` tries all, in ten minutes.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import embench
import embench_plugins
from embench.engine import loop
from embench.engine.executors import Resources, run_graph
from embench.planning.graph import stage_folder
from embench.planning.method import resolve_method
from embench.planning.plan import make
from embench.planning.request import Request
from embench.runs.videos import decode_videos

from ..sample import WHOLE, drawn
from . import made, pretended
from .array import Together, array, holding
from .declared import reads

SOURCES = [Path(package.__file__).parent for package in (embench, embench_plugins)]
BORNE = {
    ("engine/loop.py", "tolist"): "once an epoch, for the figures that are reported",
    ("pretrainers/mae.py", "an index by mask"): "transformers picks cubes by mask; clips with a gap are left out",
    ("encoders/timm_frames.py", "an index by mask"): "frames that were not seen must not count in a batch norm",
    ("pretrainers/mae.py", "a copy to the GPU"): "transformers copies the mean and SD of ImageNet's colours",
    ("engine/loop.py", "an index by mask"): "the gradient of one of these",
}
"""Where, and for what, the host may wait for the GPU in an epoch of training, and why."""
SHORT_S = 10
"""What an encoder sees that would like to see a minute, of recordings of 20 s."""
MEETING = drawn(holding(("encoder", "pretrainer"), ("fusion", "joins")))
SOME = MEETING[: len(MEETING) // 2]


def borne(what: str, line: str) -> bool:
    return (line.partition(":")[0], what) in BORNE


def shortened(request: Request, together: Together) -> Request:
    """The request with views that fit into every recording, for pretrainers that need a whole one."""
    card, settings = made.CARDS[together.dataset], list(request.settings)
    for m, part in resolve_method(request, card, list(card.modalities), "cpu").encoders.items():
        if (part.recipe.view.length_s or 0) > SHORT_S:
            settings.append(f"encoder[{m}].view.length_s={SHORT_S}")
        elif part.recipe.view.kind == "unit" and reads(part.short) == "signal":
            settings.append(f"encoder[{m}].view.length=common")
    return replace(request, settings=tuple(settings))


@pytest.mark.slow
@pytest.mark.parametrize("together", array() if WHOLE else SOME, ids=str)
def test_everything_lies_on_one_device(together, world, tmp_path, monkeypatch):
    waits, epoch = Counter(), loop._train_epoch

    def counted(*given):
        before = Counter(pretended.Machine.now.waits)
        try:
            return epoch(*given)
        finally:
            waits.update(pretended.Machine.now.waits - before)

    monkeypatch.setattr(loop, "_train_epoch", counted)
    request = shortened(together.request(data_root=world, runs=tmp_path), together)
    card = made.CARDS[together.dataset]
    joins = resolve_method(request, card, list(card.modalities), "cpu").joins
    epochs = "fusion.epochs=1" if joins == "tokens" else "encoder.epochs=1"
    request = replace(request, device="cuda", settings=(*request.settings, epochs))
    with pretended.gpu(*SOURCES):
        plan = make(request)
        decode_videos(plan.cohorts, plan.method, 1)
        first = [stage for stage in plan.graph.stages.values() if stage.description.get("fold", 0) == 0]
        outcome = run_graph(first, stage_folder(tmp_path), resources=Resources(1), on_event=lambda _: None)
    assert not outcome.errors
    refused = {(what, line): n for (what, line), n in waits.items() if not borne(what, line)}
    assert not refused
