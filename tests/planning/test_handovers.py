"""What pretraining learned must fit what is fitted, and this is found before anything is trained: channels, shapes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from embench.engine.fits import load_labelled_data
from embench.engine.network import Site, input_spec, load_model
from embench.engine.work import run_stage
from embench.errors import UsageError
from embench.interfaces.tokens import Batch
from embench.planning.plan import make
from embench.planning.request import Request
from embench.runs.run import run
from embench_plugins.datasets.amigos import synthetic
from embench_plugins.datasets.deap import synthetic as deap

from ..tiny.running import Bench
from ..tiny.world import make_subjects, plugin, write


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """AMIGOS with 14 electrodes, DEAP with 32: ten of the paper's in both, in another order."""
    root = tmp_path_factory.mktemp("made")
    synthetic.synthesize(root / "amigos", 3, 0, 1.0, length_s=12.0)
    deap.synthesize(root / "deap", 3, 0, 1.0, length_s=14.0)
    return root


def request(made, tmp_path, encoder, modalities, dataset="amigos", **options):
    named = {"recipe": "quick", "seeds": "0", "targets": "valence", "device": "cpu", "workers": 1, **options}
    return Request(dataset, (encoder,), modalities=modalities, data_root=made, runs=tmp_path / "runs", **named)


@pytest.mark.slow
@pytest.mark.parametrize("way", [{"pretrainers": ("supervised_transfer:deap",)}, {"train_dataset": "deap"}])
@pytest.mark.parametrize(
    ("encoder", "modalities", "fusion"), [("handcrafted", "eda,eeg", "concat"), ("cnn_mlp", "eeg", "single")]
)
def test_one_that_would_read_other_channels_is_refused(made, tmp_path, encoder, modalities, fusion, way):
    with pytest.raises(UsageError, match="would read different channels of eeg in") as refused:
        make(request(made, tmp_path, encoder, modalities, fusion=fusion, **way))
    assert "window" not in str(refused.value)
    assert "AF3" in str(refused.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("train", "test"), [("amigos", "deap"), ("deap", "amigos")])
def test_one_that_reads_what_both_have_is_trained_on_one_and_tested_on_the_other(made, tmp_path, train, test):
    """The same rule as for a pretrainer's source."""
    one_epoch = ("encoder.epochs=1", "pretrainer.epochs=1")
    make(request(made, tmp_path, "cnn_tf", "eeg", test, pretrainers=(f"masked_value:{train}",)))
    done = run(request(made, tmp_path, "cnn_tf", "eeg", test, train_dataset=train, settings=one_epoch[:1]))
    assert done.manifest["trained_on"]["subjects"] == 3


@pytest.mark.slow
def test_it_reads_the_same_channels_wherever_they_stand(made, tmp_path):
    """A network fitted on AMIGOS's 14 electrodes says the same of a signal whose electrodes stand in another order."""
    plan = make(request(made, tmp_path, "cnn_tf", "eeg", settings=("encoder.epochs=1",)))
    stage = next(s for s in plan.graph.stages.values() if s.kind == "unimodal")
    root = tmp_path / "stages"
    run_stage(stage, root)
    model, specs, _ = load_model(root, stage.id)
    channels = specs["eeg"].channels
    order = np.random.default_rng(0).permutation(len(channels))
    other, _, _ = load_model(root, stage.id, channels={"eeg": tuple(channels[i] for i in order)})
    x, rows = torch.randn(2, *specs["eeg"].shape), {"eeg": torch.arange(2)}
    with torch.no_grad():
        one, two = (
            net(Batch({"eeg": part}, {"eeg": None}, rows, 2)).logits for net, part in ((model, x), (other, x[:, order]))
        )
    assert list(order) != sorted(order)
    torch.testing.assert_close(one, two)


@pytest.fixture
def bench(tmp_path):
    write(tmp_path, make_subjects(4))
    write(tmp_path, make_subjects(5, seconds=14.0), dataset="Other", seed=5)
    return Bench(tmp_path, tmp_path / "runs")


def test_shapes_are_compared_too(bench):
    """`cnn_mlp` reads whole units, and those of `Other` are longer."""
    options = {"modalities": "ecg", "targets": "arousal", "pretrainers": (f"supervised_transfer:{plugin('Other')}",)}
    asked = request(bench.data, bench.runs, "cnn_mlp", dataset=plugin("Tiny"), **options)
    with pytest.raises(UsageError, match="do not fit") as refused:
        make(asked)
    assert "give it a window" in str(refused.value)
    assert not bench.runs.exists()
    make(replace(asked, settings=("encoder.view.kind=window", "encoder.view.length_s=10")))


@pytest.mark.parametrize(("encoder", "modality"), [("handcrafted", "eda[left]"), ("Pool", "ecg+eda[right]")])
def test_one_channel_of_a_modality_is_read_at_both_ends_alike(bench, encoder, modality):
    """And as the stages read it, where plugins know no brackets."""
    plan = bench.plan(encoder, modalities=modality, train_dataset=plugin("Other"))
    at = Site("other", plan.fit.store, next(iter(plan.graph.stages.values())).params.common.source)
    (stage, *_) = [s for s in plan.graph.stages.values() if s.kind == "unimodal"]
    found, read = input_spec(at, modality, plan.method.encoders[modality]), load_labelled_data(stage)[1][modality]
    assert (found.modality, found.shape, found.channels, found.rate) == (
        read.modality,
        read.shape,
        read.channels,
        read.rate,
    )


def test_so_are_those_of_a_file(bench, tmp_path):
    for state, text in (
        ({"encoders.ecg.mix.bias": torch.zeros(3)}, r"encoders.ecg.mix.bias is \(3,\), the network has \(4,\)"),
        ({"other": torch.zeros(1)}, "contain nothing for encoders.ecg"),
    ):
        save_file(state, tmp_path / "w.safetensors")
        with pytest.raises(UsageError, match=text):
            bench.plan("Pool", modalities="ecg", pretrained=str(tmp_path / "w.safetensors"))
