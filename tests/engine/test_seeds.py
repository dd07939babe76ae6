"""What random numbers hang on: seed, fold, kind, targets and modalities of a stage, and nothing else."""

import hashlib
import random
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from embench.engine import device
from embench.engine.stage import Folder
from embench.engine.work import run_stage
from embench.planning import graph
from embench.planning.plan import make
from embench.registry import loading

from ..pairs import pretended
from ..tiny.running import Bench
from ..tiny.world import plugin, with_sources

CHAIN = ("masked_value", f"eda={plugin('FragileMasked')}")


def stages(plan, *kinds):
    return [stage for stage in plan.graph.stages.values() if not kinds or stage.kind in kinds]


def weights(root, stage):
    return Folder(root, stage.id).file("weights.safetensors").read_bytes()


@pytest.mark.parametrize("fusion", ["late", "concat", "logreg"])
def test_a_library_or_device_moves_no_seed(bench, monkeypatch, fusion):
    plain = {"fusion": fusion, "modalities": "ecg,eda", "seeds": "0,1", "dev": True}
    plan = bench.plan("Pool", pretrainers=() if fusion == "logreg" else CHAIN, **plain)
    request = plan.request
    with pretended.gpu():
        on_gpu = make(replace(request, device="cuda"))
    monkeypatch.setattr(graph, "libraries", lambda _: {"numpy": "9.9.9", "scikit-learn": "9.9", "torch": "9.9"})
    later = make(request)
    for other in (on_gpu, later):
        assert not plan.graph.stages.keys() & other.graph.stages.keys()  # no result is taken for another's
        assert [stage.seed for stage in stages(plan)] == [stage.seed for stage in stages(other)]


@pytest.mark.parametrize(
    ("fusion", "pretrainers", "steps"),
    [("late", CHAIN, 3), ("shared_tf", ("masked_value", "signal_transform"), 3)],
    ids=["a chain on EDA", "a step of the whole model"],
)
def test_no_two_stages_that_fit_draw_the_same(bench, fusion, pretrainers, steps):
    """Neither folds, seeds, targets and modalities, nor a pretraining and what starts from it, nor steps of a chain."""
    options = {"fusion": fusion, "modalities": "ecg,eda", "targets": "arousal,valence", "seeds": "0,1"}
    plan = bench.plan("Pool", pretrainers=pretrainers, **options)
    assert len(stages(plan, "pretrain")) == 2 * len(plan.folds[0]) * steps
    fitting = stages(plan, "pretrain", "unimodal", "fusion")
    assert len({stage.seed for stage in fitting}) == len(fitting) > len(stages(plan, "pretrain"))


def test_steps_on_other_data_draw_each_their_own(tmp_path):
    data = Bench(with_sources(tmp_path / "data"), tmp_path / "runs")
    other, kinds = (f"masked_value:{plugin(name)}" for name in ("Other", "Kinds"))
    shared = data.plan("Pool", modalities="ecg", pretrainers=(other, kinds))
    after_folds = data.plan("Pool", modalities="ecg", pretrainers=("masked_value", other))
    # One for all folds; after what a fold was pretrained on, one for each.
    assert len({stage.seed for stage in stages(shared, "pretrain")}) == 2
    own = stages(after_folds, "pretrain")
    assert len(own) == 2 * len(after_folds.folds[0])
    assert len({stage.seed for stage in own}) == len(own)


def test_what_is_compared_draws_alike(bench):
    """The networks of one modality, whatever encoder, recipe or fusion they belong to."""
    plans = [
        bench.plan("Pool", modalities="ecg"),
        bench.plan("Early", fusion="late", settings=("encoder.lr=0.5",)),
        bench.plan("Pool", fusion="logreg"),
    ]
    seeds = [
        {s.params.common.fold: s.seed for s in stages(plan, "unimodal") if list(s.params.modalities) == ["ecg"]}
        for plan in plans
    ]
    assert seeds[0] == seeds[1] == seeds[2]


def test_the_seed_is_the_documented_hash(bench):
    plan = bench.plan("Pool", modalities="ecg", pretrainers=("masked_value",))
    texts = {
        "pretrain": '{"fold":1,"kind":"pretrain","modalities":["ecg"],"seed":0,"step":0,"targets":[]}',
        "unimodal": '{"fold":1,"kind":"unimodal","modalities":["ecg"],"seed":0,"targets":["arousal"]}',
        "predict": '{"fold":1,"kind":"predict","seed":0}',
    }
    for kind, text in texts.items():
        (stage,) = (stage for stage in stages(plan, kind) if stage.params.common.fold == 1)
        assert stage.seed == int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


DRAWS_ON_IMPORT = """
import random

import numpy as np
import torch

from tests.tiny.plugins import Pool

random.random(), np.random.random(), torch.rand(3)


class Drawing(Pool):
    pass
"""


def test_what_a_module_draws_when_it_is_imported_moves_nothing(bench, tmp_path):
    """A worker imports plugins in its first stage, and has them in its second."""
    (tmp_path / "drawing.py").write_text(DRAWS_ON_IMPORT)
    name = f"{tmp_path / 'drawing.py'}:Drawing"
    stage = stages(bench.plan(name, modalities="eda"), "unimodal")[0]
    for place in ("imported", "not imported"):
        if place == "not imported":
            loading._load_module.cache_clear()
            for module in [key for key in sys.modules if key.startswith(f"{loading.FILE_MODULES}drawing")]:
                del sys.modules[module]
        run_stage(stage, tmp_path / place)
    assert weights(tmp_path / "imported", stage) == weights(tmp_path / "not imported", stage)


def test_a_notebooks_wider_floats_reach_no_stage(bench, tmp_path):
    stage = stages(bench.plan("Pool", modalities="eda"), "unimodal")[0]
    run_stage(stage, tmp_path / "plain")
    torch.set_default_dtype(torch.float64)
    try:
        run_stage(stage, tmp_path / "wider")
    finally:
        torch.set_default_dtype(torch.float32)
    assert weights(tmp_path / "plain", stage) == weights(tmp_path / "wider", stage)


def test_the_streams_of_one_seed_have_nothing_in_common():
    """Bare numbers would start the Mersenne Twisters of torch and numpy, or of numpy and Python, in one state."""
    device.seed_everything(2**32 - 5, 1, "cpu")
    drawn = [
        torch.empty(500, dtype=torch.int32).random_().tolist(),
        (np.random.randint(0, 2**32, 500, dtype=np.uint32) % 2**31).tolist(),  # noqa: NPY002  plugins draw from it
        [random.getrandbits(32) % 2**31 for _ in range(500)],
    ]
    everything = [number for stream in drawn for number in stream]
    assert len(set(everything)) == len(everything)
