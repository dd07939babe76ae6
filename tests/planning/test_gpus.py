"""Hours on a GPU that is not here: between what its rates allow and what the ratios measured here suggest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from embench.engine import fits, network
from embench.engine.loop import count_flops
from embench.planning import gpus
from embench.planning.plan import sample_units

from ..tiny.running import Bench
from ..tiny.world import TIMELESS, make_subjects, write


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data"), make_subjects(6, **TIMELESS))


@pytest.fixture
def plan(data: Path, tmp_path: Path):
    def make(*settings: str, **options: object):
        bench = Bench(data, tmp_path)
        return bench.plan("cnn_tf", modalities="eda", recipe="quick", seeds="0", settings=settings, **options)

    return make


def hours(plan, gpu: str) -> list[float]:
    return gpus.describe_hours(list(plan.graph.stages.values()), gpu)["hours"]


def test_hours_grow_with_epochs_and_with_slower_memory(plan) -> None:
    few, many = plan("encoder.epochs=10"), plan("encoder.epochs=30")
    low, high = hours(few, "h100")
    assert 0 < low <= high
    assert hours(many, "h100") == pytest.approx([3 * low, 3 * high], rel=0.1)
    assert all(slow >= fast for slow, fast in zip(hours(few, "l4"), (low, high), strict=True))


def test_work_is_that_of_a_forward_and_a_backward_pass(plan) -> None:
    stage = next(stage for stage in plan().graph.stages.values() if stage.kind == "unimodal")
    work = gpus._count_work(stage)
    rows, specs, train, _, _ = fits.load_labelled_data(sample_units(stage))
    model = network.build_model(stage.params, specs, network.make_output_spec(stage.params))
    forward = count_flops(model, rows, train)
    assert 2 * forward < work.one[:, 0].sum() < 4 * forward
    assert work.two[:, 0].sum() == pytest.approx(2 * work.one[:, 0].sum(), rel=0.05)


def test_estimators_take_no_time_on_a_gpu(data: Path, tmp_path: Path) -> None:
    plan = Bench(data, tmp_path).plan("Moments", fusion="logreg", modalities="eda", seeds="0")
    assert hours(plan, "h100") == [0, 0]


@pytest.mark.slow
def test_a_plan_has_hours_at_the_papers_size_by_default(embench, tmp_path) -> None:
    embench("data", "synthesize", "amigos", "--out", tmp_path / "amigos", "--subjects", "5", "--length-s", "12")
    command = ("run", "--dataset", "amigos", "--data-root", tmp_path, "--runs", tmp_path / "runs", "--modalities")
    command += ("ecg", "--encoder", "cnn_tf", "--seeds", "0", "--forecast-for", "H100")
    document = json.loads(embench(*command, "--dry-run", "--json").out)
    assert document["recipe"] == "paper"
    assert document["forecast_for"]["gpu"] == "h100"
    assert 0 < document["forecast_for"]["hours"][0] <= document["forecast_for"]["hours"][1]
    assert "networks on one H100: " in " ".join(embench(*command, "--dry-run").out.split())
    assert "only a plan has a forecast" in embench(*command).err
    assert "no rates of a GPU `h10` are known" in embench(*command[:-1], "h10", "--dry-run").err
