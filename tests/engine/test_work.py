"""A stage runs once, whoever wants it, and draws from a seed of its own."""

import gc
import threading

import pytest
import torch
from safetensors.torch import load_file

from embench import registry
from embench.engine.stage import Folder
from embench.engine.work import run_stage
from embench.errors import MachineError, PluginError
from embench.system import locked

from ..tiny.world import plugin


def unimodal(plan):
    return [stage for stage in plan.graph.stages.values() if stage.kind == "unimodal"]


def test_a_stage_that_another_process_finished_meanwhile_is_not_run_again(shared, tmp_path):
    stage = unimodal(shared.plan("Pool", modalities="ecg"))[0]
    run_stage(stage, tmp_path / "other")
    results, folder = [], Folder(tmp_path / "stages", stage.id)
    folder.path.mkdir(parents=True)
    with locked(folder.path / "lock"):  # as the other process holds it while it works
        waiting = threading.Thread(target=lambda: results.append(run_stage(stage, tmp_path / "stages")))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        for file in Folder(tmp_path / "other", stage.id).path.iterdir():
            if file.name != "lock":
                (folder.path / file.name).write_bytes(file.read_bytes())
    waiting.join()
    assert results == [Folder(tmp_path / "other", stage.id).result()]  # with its duration, to the last digit


def test_networks_of_different_folds_start_from_different_weights(shared, tmp_path):
    plan = shared.plan("Pool", modalities="ecg", settings=("encoder.epochs=1", "encoder.lr=1e-12"))
    one, other = unimodal(plan)[:2]
    assert one.seed != other.seed
    weights = []
    for stage in (one, other):
        run_stage(stage, tmp_path)
        weights.append(load_file(Folder(tmp_path, stage.id).file("weights.safetensors")))
    for name, value in weights[0].items():
        if name.endswith("mix.weight"):
            assert not torch.allclose(value, weights[1][name], atol=1e-3)
            break
    else:
        raise AssertionError("no weights of the encoder are kept")


def test_networks_of_other_recipes_start_from_the_same_weights(shared, tmp_path):
    """So that two methods differ by what they are, not by what they drew."""
    weights = []
    for settings in (("encoder.batch=4",), ("encoder.batch=16", "encoder.optimiser=sgd")):
        plan = shared.plan("Pool", modalities="ecg", settings=("encoder.epochs=1", "encoder.lr=1e-12", *settings))
        stage = unimodal(plan)[0]
        run_stage(stage, tmp_path)
        weights.append(load_file(Folder(tmp_path, stage.id).file("weights.safetensors")))
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], atol=1e-6, rtol=0, msg=name)


def test_what_a_failed_stage_held_is_given_up_while_its_error_is_kept(shared, tmp_path):
    stage = unimodal(shared.plan("Hungry", modalities="ecg"))[0]
    with pytest.raises(MachineError, match="out of memory") as kept:
        run_stage(stage, tmp_path)
    assert not registry.load_plugin("encoder", plugin("Hungry")).networks
    assert kept.value.hint
    assert "allocate memory" in Folder(tmp_path, stage.id).file("error.txt").read_text()


def test_a_fault_of_a_plugin_walks_no_heap(shared, tmp_path):
    """A notebook's heap is large, and a search has many trials that fail."""
    stage = unimodal(shared.plan("Raising", modalities="ecg"))[0]
    walks = []

    def note(_, info):
        walks.append(info["generation"])

    gc.disable()
    gc.callbacks.append(note)
    try:
        with pytest.raises(PluginError):
            run_stage(stage, tmp_path)
    finally:
        gc.callbacks.remove(note)
        gc.enable()
    assert 2 not in walks
