"""What a stage does for a GPU, shown on a pretended one: what goes there, in which precision, and how much fits."""

import sys
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from embench import registry
from embench.engine import device as machine
from embench.engine import loop
from embench.engine.executors import Resources, run_graph
from embench.engine.feed import Data, FeatureFeed
from embench.engine.rows import build_grid
from embench.engine.stage import Folder
from embench.engine.work import run_stage
from embench.errors import MachineError, UsageError
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Tokens, TokenSpec
from embench.nn import FillAbsent, Present
from embench.planning import plan as planning
from embench.planning.graph import stage_folder
from embench.planning.plan import make

from ..pairs import pretended
from ..tiny.world import plugin


def plan_on(device, bench, *arguments, **options):
    with pretended.gpu() if device.startswith("cuda") else nullcontext():
        return make(replace(bench.request(*arguments, **options), device=device))


def test_an_estimator_on_features_is_planned_for_the_cpu(shared):
    options = {"fusion": "logreg", "modalities": "ecg,eda", "recipe": None}
    here, there = (plan_on(device, shared, "Moments", **options) for device in ("cpu", "cuda"))
    assert there.id == here.id
    assert list(there.graph.stages) == list(here.graph.stages)
    assert there.method.preset == "small"
    with pretended.gpu():
        assert there.describe()["expected_s"] == 0


def test_an_estimator_over_networks_has_them_trained_on_the_gpu(shared):
    plan = plan_on("cuda", shared, "Pool", fusion="logreg", modalities="ecg,eda")
    assert {stage.params.common.device for stage in plan.graph.stages.values()} == {"cuda"}


@pytest.mark.parametrize(("device", "precision"), [("cpu", torch.float32), ("cuda", torch.bfloat16)])
def test_validation_is_as_precise_as_training(tmp_path, device, precision):
    seen = set()

    def objective(batch):
        logits = net(batch.x["ecg"])
        seen.add((net.training, logits.dtype))
        return logits.float().square().mean(), {}

    with pretended.gpu() if device == "cuda" else nullcontext():
        net = torch.nn.Linear(3, 1).to(device)
        data = Data({"ecg": FeatureFeed(torch.ones(20, 3).to(device), np.ones(20, bool), device)}, 20, device)
        recipe = Recipe("adam", epochs=2, batch=5)
        folder = Folder(tmp_path, "stage")
        folder.path.mkdir()
        state = loop.fit(net, objective, data, np.arange(10), np.arange(10, 20), recipe, folder, 0)
    assert seen == {(True, precision), (False, precision)}
    assert all(np.isfinite(row["val_loss"]) for row in state.history)


def test_a_gpu_is_chosen_by_its_number_which_decides_no_result(bench):
    request = bench.request("Pool", modalities="ecg")
    with pretended.gpu():
        first = make(replace(request, device="cuda"))
    with pretended.gpu():
        second = make(replace(request, device="cuda:1"))
        assert torch.cuda.current_device() == 1
    assert second.id == first.id
    fold = [stage for stage in second.graph.stages.values() if stage.description.get("fold", 0) == 0]
    with pretended.gpu():  # as in a worker, which starts with the first
        outcome = run_graph(fold, stage_folder(bench.runs), resources=Resources(1), on_event=lambda _: None)
        assert not outcome.errors
        assert torch.cuda.current_device() == 1


def test_a_gpu_that_is_not_there_is_refused():
    with pretended.gpu():
        with pytest.raises(MachineError, match="no GPU 2") as refused:
            machine.resolve_device("cuda:2")
        assert refused.value.expected == "cuda:0, cuda:1"
    with pytest.raises(MachineError, match="no CUDA device"):
        machine.resolve_device("cuda:1")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1.0", "cpu:0", "auto:1", "CUDA", ""])
def test_what_no_device_is_called(name):
    with pytest.raises(UsageError, match="no device is called") as refused:
        machine.resolve_device(name)
    assert "cuda:1" in refused.value.expected


def test_what_torch_keeps_of_tensors_that_are_gone_is_free():
    with pretended.gpu(free=3 << 30, kept=2 << 30):
        assert machine.free_bytes("cuda") == 5 << 30


@pytest.mark.skipif(torch.version.cuda is not None, reason="torch's own optimisers ask CUDA, which this torch has")
def test_nothing_touches_a_gpu_under_device_cpu(bench, monkeypatch):
    """This torch has no CUDA, so that whatever would open it fails."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", -1.0)
    plan = bench.plan("Pool", modalities="ecg")
    fold = [stage for stage in plan.graph.stages.values() if stage.description.get("fold", 0) == 0]
    for stage in fold:
        run_stage(stage, stage_folder(bench.runs))
    assert plan.describe()["expected_s"] >= 0
    assert not torch.cuda.is_initialized()


def test_a_fusion_need_not_ask_the_gpu_who_is_there():
    fill = FillAbsent({"ecg": TokenSpec(3, 8), "eda": TokenSpec(3, 8)})
    with pretended.gpu() as machine_asked:
        fill.to("cuda")
        tokens = {m: Tokens(torch.randn(4, 3, 8).to("cuda")) for m in ("ecg", "eda")}
        there = {"ecg": torch.ones(4, dtype=torch.bool).to("cuda"), "eda": (torch.arange(4) < 2).to("cuda")}
        before = machine_asked.waits.total()
        known = fill(tokens, Present(there, whole={"ecg"}))
        assert machine_asked.waits.total() == before
        asked = fill(tokens, dict(there))
        assert machine_asked.waits.total() > before
        assert known["ecg"].mask is None
        for m in tokens:
            assert torch.equal(known[m].x.cpu(), asked[m].x.cpu())
        assert torch.equal(known["eda"].mask.cpu(), asked["eda"].mask.cpu())


class Clock:
    """Time that passes only where a test says so."""

    now = 0.0

    def monotonic(self):
        return self.now

    perf_counter = monotonic


def test_checkpoints_that_cost_much_come_seldom(tmp_path, monkeypatch):
    clock, made = Clock(), []
    monkeypatch.setattr(loop, "time", clock)

    class Disk(Folder):
        def write(self, name, write):
            made.append(clock.now)
            clock.now += cost
            return super().write(name, write)

    def passed(_):
        clock.now += 5.0

    for cost in (0.01, 4.0):
        made.clear()
        net = torch.nn.Linear(3, 1)
        data = Data({"ecg": FeatureFeed(torch.ones(20, 3), np.ones(20, bool), "cpu")}, 20, "cpu")
        folder = Disk(tmp_path, f"stage-{cost}")
        folder.path.mkdir()
        loop.fit(
            net, lambda b, net=net: (net(b.x["ecg"]).square().mean(), {}), data, np.arange(20), np.arange(0),
            Recipe("adam", epochs=100, batch=20), folder, 0, passed,
        )  # fmt: skip
        assert made
        assert all(gap > 10 for gap in np.diff(made))
        assert cost * len(made) <= 0.02 * clock.now
        assert len(made) > 20 or cost > 1


def test_a_forecast_measures_a_whole_batch_after_a_first_one(shared, monkeypatch):
    clock, batches = Clock(), []
    network = sys.modules[registry.load_plugin("encoder", plugin("Pool")).__module__].PoolNetwork
    encode = network.forward

    def counted(net, x, mask=None):
        if net.training:
            batches.append(len(x))
            clock.now += 2.0 if len(batches) > 1 else 1000.0
        return encode(net, x, mask)

    monkeypatch.setattr(network, "forward", counted)
    monkeypatch.setattr(planning, "time", clock)
    plan = plan_on("cuda", shared, "Pool", modalities="ecg", settings=("encoder.batch=8", "encoder.epochs=4"))
    with pretended.gpu():
        expected = plan.describe()["expected_s"]
    assert batches == [8, 8]
    fitting = [stage for stage in plan.graph.stages.values() if stage.kind == "unimodal"]
    rows = 0
    for stage in fitting:
        for role, cost in ((0, 1), (1, 1 / 3)):  # validation goes forward only
            some = (stage.task[name][stage.task["role"] == role] for name in ("recording", "start", "stop"))
            rows += cost * len(build_grid(stage.params.modalities, stage.params.recipe.view, *some))
    assert expected == pytest.approx(2.0 / 8 * rows * 4, abs=0.05)
