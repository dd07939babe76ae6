"""On a GPU what can't be repeated is refused, by name; a row alone may be rounded otherwise than in a batch."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from embench.engine.executors import Resources, run_graph
from embench.engine.stage import Folder
from embench.engine.work import run_stage
from embench.errors import PluginError
from embench.planning.graph import stage_folder
from embench.planning.plan import make

from ..pairs import pretended


def fold_on_gpu(bench, *arguments, **options):
    """What came of fold 0 on a pretended GPU: its errors, and the kinds of the stages that ended."""
    with pretended.gpu():
        plan = make(replace(bench.request(*arguments, **options), device="cuda"))
        first = [stage for stage in plan.graph.stages.values() if stage.description.get("fold", 0) == 0]
        outcome = run_graph(first, stage_folder(bench.runs), resources=Resources(1), on_event=lambda _: None)
    return list(outcome.errors.values()), {stage.kind for stage in first if stage.id in outcome.results}


def test_an_operation_without_a_repeatable_form_is_named_with_its_line(bench):
    (error,), _ = fold_on_gpu(bench, "Unpooling", modalities="ecg")
    assert isinstance(error, PluginError)
    assert "encoder " in error.what
    assert "Unpooling uses max_unpooling2d_forward" in error.what
    assert "plugins.py:" in error.where
    assert "--device cpu" in error.hint


def test_a_gradient_without_a_repeatable_form_is_named_with_the_plugins_it_may_be_of(bench):
    (error,), _ = fold_on_gpu(bench, "Stretching", modalities="ecg,eda", fusion="concat")
    assert isinstance(error, PluginError)
    assert "Stretching or fusion embench_plugins/concat uses upsample_linear1d_backward CUDA" in error.what
    assert "--device cpu" in error.hint


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:max_unpooling")
@pytest.mark.parametrize("encoder", ["Unpooling", "Stretching"])
def test_on_the_cpu_they_run(bench, encoder):
    assert bench.run(encoder, modalities="ecg").predictions


def test_a_gpu_may_round_a_row_alone_otherwise_the_cpu_not(bench):
    errors, ended = fold_on_gpu(bench, "Rounding", modalities="ecg")
    assert not errors
    assert "predict" in ended
    with pytest.raises(PluginError, match="depends on the other units") as refused:
        bench.run("Rounding", modalities="ecg")
    assert "1e-05" in refused.value.expected


def test_a_gpu_finds_what_depends_on_the_batch(bench):
    (error,), _ = fold_on_gpu(bench, "BatchBound", modalities="ecg")
    assert "depends on the other units" in error.what
    assert "0.0001" in error.expected


def test_a_gpu_starts_from_the_weights_that_the_cpu_starts_from(bench, tmp_path):
    options = {"modalities": "ecg", "settings": ("encoder.epochs=1", "encoder.lr=1e-12")}
    stages = []
    for device in ("cpu", "cuda"):
        with pretended.gpu() if device == "cuda" else nullcontext():
            plan = make(replace(bench.request("Pool", **options), device=device))
            stages.append(next(stage for stage in plan.graph.stages.values() if stage.kind == "unimodal"))
            run_stage(stages[-1], tmp_path)
    on_cpu, on_gpu = (load_file(Folder(tmp_path, stage.id).file("weights.safetensors")) for stage in stages)
    assert stages[0].id != stages[1].id
    for name, value in on_cpu.items():
        torch.testing.assert_close(on_gpu[name], value, atol=1e-6, rtol=0, msg=name)
