"""Pretrained encoders of EEG through braindecode: the same as a call made by hand, weights from files, golden values.

`python -m tests.plugins.encoders.test_eeg_models` writes `eeg_golden.json` anew, for the version that is installed.
"""

import importlib.metadata
import json
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from embench.errors import DataError, UsageError
from embench.interfaces.recording import Signal
from embench.interfaces.tokens import InputSpec
from embench.signals.filters import highpass
from embench.signals.resample import resample
from embench_plugins.datasets.eegmat.reader import ELECTRODES
from embench_plugins.encoders import eeg_models
from embench_plugins.encoders.eeg_foundation import find_positions
from embench_plugins.encoders.eeg_models import CLINICAL, PAIRS, Biot, CBraMod, Eegpt, Labram, Luna, Reve

ALL = (Labram, CBraMod, Biot, Eegpt, Luna, Reve)
GOLDEN = Path(__file__).with_name("eeg_golden.json")
RATE = 500.0


@pytest.fixture(scope="module", autouse=True)
def braindecode():
    return pytest.importorskip("braindecode", reason="braindecode is not installed: pip install '.[foundation]'")


@pytest.fixture(scope="module")
def recorded():
    """Twelve seconds of 19 electrodes in µV, as eegmat has them."""
    rng = np.random.default_rng(0)
    t = np.arange(round(12 * RATE)) / RATE
    x = 10 * rng.standard_normal((19, len(t))) + 30 * np.sin(2 * np.pi * 10 * t + rng.uniform(0, 6, (19, 1)))
    return Signal(x.astype(np.float32), RATE, tuple(ELECTRODES), "uV", modality="eeg")


def made(cls, seconds=None, **build):
    """An encoder with two layers."""
    recipe = cls.recipes["quick"].replace(build=build)
    return cls(recipe if seconds is None else recipe.replace(view=type(recipe.view)("window", seconds, seconds)))


def network(encoder, signal, seed=0):
    """The encoder's network for a streamed signal, and one window of it (1, C, T)."""
    length = round(encoder.recipe.view.length_s * signal.rate)
    torch.manual_seed(seed)
    built = encoder.build(InputSpec("eeg", (len(signal.channels), length), signal.channels, signal.rate)).eval()
    return built, torch.from_numpy(signal.data[:, :length].copy())[None]


def by_hand(cls, signal, model):
    """What somebody computes who has braindecode's network `model`, and a recording in µV, and the paper."""
    row = dict(zip(signal.channels, signal.data, strict=True))
    if cls is Biot:
        x = np.stack([row[a] - row[b] for a, b in (pair.split("-") for pair in PAIRS[:16])])
    else:
        x = np.stack([row[name] for name in (CLINICAL if cls is CBraMod else in_table(cls, row))])
    if cls is Eegpt:
        x = x - x.mean(0)
    if high := {CBraMod: 0.3, Reve: 0.5}.get(cls):
        x = highpass(x, RATE, high, 4)
    rate = 256 if cls in (Eegpt, Luna) else 200
    x = torch.from_numpy(resample(x, RATE, rate))[None, :, : rate * {Eegpt: 4, Luna: 5}.get(cls, 10)]
    if cls is Labram:
        return model(x / 100, ch_names=in_table(cls, row), return_features=True)["features"]
    if cls is CBraMod:
        return model(x / 100).flatten(1, 2)
    if cls is Biot:
        return model.encoder(x / torch.quantile(x.abs(), 0.95, dim=-1, keepdim=True))[:, None]
    if cls is Eegpt:
        return model(x / 1000).flatten(2)
    z = (x - x.mean(-1, keepdim=True)) / x.std(-1, correction=0, keepdim=True)
    at = torch.tensor(find_positions(tuple(in_table(cls, row))))[None]
    if cls is Luna:
        return model(z, channel_locations=at)
    return model(z.clamp(-15, 15), pos=at, return_features=True)["features"].flatten(1, 2)


def in_table(cls, row):
    return [name for name in cls.known if name in row]


@pytest.mark.parametrize("cls", ALL)
def test_what_is_handed_over_is_what_a_call_by_hand_hands_over(cls, recorded):
    built, x = network(made(cls), made(cls).stream(recorded))
    with torch.no_grad():
        torch.testing.assert_close(built(x).x, by_hand(cls, recorded, built.model), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("cls", ALL)
def test_random_weights_are_those_of_the_class_from_the_same_seed(cls, recorded, monkeypatch):
    signal = made(cls).stream(recorded)
    built, x = network(made(cls), signal)
    if cls is Reve:  # the class asks the network for positions
        monkeypatch.setattr("braindecode.models.reve.RevePositionBank", torch.nn.Identity)
    import braindecode.models

    name, layers = cls.network, {"num_layers": 2, "n_layer": 2, "depth": 2}
    own = {
        key: value for key, value in made(cls).recipe.build.items() if key in {*layers, "drop_prob", "drop_path_prob"}
    }
    more = {CBraMod: {"return_encoder_output": True}, Eegpt: {
        "return_encoder_output": True, "chan_proj_type": "none", "chs_info": [{"ch_name": n} for n in signal.channels],
    }}.get(cls, {})  # fmt: skip
    chans = {} if cls is Eegpt else {"n_chans": len(signal.channels)}
    torch.manual_seed(0)
    fresh = getattr(braindecode.models, name)(
        n_outputs=1, n_times=x.shape[-1], sfreq=signal.rate, **chans, **own, **more
    )
    state = fresh.state_dict()
    for key, value in built.model.state_dict().items():
        torch.testing.assert_close(value, state[key], atol=0, rtol=0)


@pytest.mark.parametrize("cls", ALL)
def test_a_window_alone_is_as_in_a_batch(cls, recorded):
    built, x = network(made(cls), made(cls).stream(recorded))
    batch = torch.cat([x, x.flip(-1), 3 * x])
    with torch.no_grad():
        torch.testing.assert_close(built(batch).x[:1], built(x).x, atol=2e-5, rtol=2e-5)


def test_the_order_of_electrodes_matters_to_cbramod(recorded):
    """Which is why the adapter has one order for all datasets."""
    built, x = network(made(CBraMod), made(CBraMod).stream(recorded))
    order = torch.randperm(19, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = built(x).x.unflatten(1, (19, 10))[:, order], built(x[:, order]).x.unflatten(1, (19, 10))
    assert (one - other).abs().mean() > 0.01 * one.abs().mean()


@pytest.mark.parametrize("cls", [Labram, Eegpt, Luna, Reve])
def test_a_network_that_knows_its_electrodes_does_not_mind_their_order(cls, recorded):
    signal = made(cls).stream(recorded)
    order = np.random.default_rng(0).permutation(19)
    shuffled = Signal(signal.data[order], signal.rate, tuple(signal.channels[k] for k in order), "uV")
    (one, x), (other, y) = network(made(cls), signal), network(made(cls), shuffled)
    other.model.load_state_dict({n: v for n, v in one.model.state_dict().items() if n != "chans_id"}, strict=False)
    with torch.no_grad():
        torch.testing.assert_close(one(x).pool(), other(y).pool(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("cls", ALL)
def test_lost_samples_are_not_read_and_their_tokens_do_not_count(cls, recorded):
    built, x = network(made(cls), made(cls).stream(recorded))
    mask = torch.ones(1, x.shape[-1], dtype=torch.bool)
    mask[:, x.shape[-1] // 2 :] = False
    with torch.no_grad():
        one, other = built(x, mask), built(torch.where(mask[:, None], x, torch.tensor(1e4)), mask)
    torch.testing.assert_close(one.x, other.x)
    share = one.mask.float().mean()
    assert share == 1 if cls is Biot else 0.5 <= share <= 0.6


def test_the_cls_token_of_labram_is_pooled_where_the_recipe_says_so(recorded):
    built, x = network(made(Labram, pooling="cls"), made(Labram).stream(recorded))
    with torch.no_grad():
        found = built(x)
        expected = built.model(x / 100, ch_names=list(made(Labram).stream(recorded).channels), return_features=True)
    torch.testing.assert_close(found.pool(), expected["cls_token"])


@pytest.fixture
def checkpoint(tmp_path, recorded):
    """`checkpoint(cls)`: a folder with the weights of another random network, as its package would save them."""

    def write(cls):
        encoder = made(cls)
        torch.manual_seed(7)
        seconds = 15 if cls is Labram else encoder.recipe.view.length_s
        state = encoder.load_model(encoder.stream(recorded).channels, round(seconds * cls.rate)).state_dict()
        save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "model.safetensors")
        return tmp_path, state

    return write


@pytest.mark.parametrize("cls", ALL)
def test_weights_come_from_a_file_and_decide_the_output(cls, recorded, checkpoint):
    folder, state = checkpoint(cls)
    encoder = made(cls, weights=str(folder))
    (one, x), (other, _) = (
        network(encoder, encoder.stream(recorded)),
        network(encoder, encoder.stream(recorded), seed=1),
    )
    with torch.no_grad():
        torch.testing.assert_close(one(x).x, other(x).x)
    for name, value in one.model.state_dict().items():
        expected = state[name][:, : value.shape[1]] if name == "temporal_embedding" else state[name]
        torch.testing.assert_close(value, expected)


def test_switches_that_the_config_beside_the_weights_names_hold_and_its_window_does_not(recorded, checkpoint):
    folder, state = checkpoint(Labram)
    biases = {f"blocks.{k}.attn.{name}_bias": torch.full((200,), 0.1) for k in (0, 1) for name in "qv"}
    save_file({**{n: v.contiguous() for n, v in state.items()}, **biases}, folder / "model.safetensors")
    encoder = made(Labram, weights=str(folder))
    with pytest.raises(DataError, match=r"these weights are of another network: blocks\.0\.attn\.q_bias"):
        network(encoder, encoder.stream(recorded))
    said = {"qkv_bias": True, "n_times": 3000, "n_chans": 128, "n_outputs": 4}
    (folder / "config.json").write_text(json.dumps(said))
    built, x = network(encoder, encoder.stream(recorded))
    assert biases.keys() <= built.model.state_dict().keys()
    assert built(x).x.shape == (1, 19 * 10, 200)


def test_labram_reads_fewer_seconds_with_the_first_positions_of_its_checkpoint(recorded, checkpoint):
    folder, state = checkpoint(Labram)
    assert state["temporal_embedding"].shape[1] == 16
    encoder = made(Labram, seconds=4.0, weights=str(folder))
    built, x = network(encoder, encoder.stream(recorded))
    torch.testing.assert_close(built.model.temporal_embedding.data, state["temporal_embedding"][:, :5])
    assert x.shape[-1] == 800


def test_luna_reads_the_names_of_its_authors(recorded, checkpoint):
    folder, state = checkpoint(Luna)
    theirs = {mine: name for name, mine in made(Luna).make_model(n_chans=19, n_times=1280).mapping.items()}
    save_file(
        {theirs.get(name, name): value.contiguous() for name, value in state.items() if "final" not in name}
        | {"decoder_head.norm.weight": torch.ones(3), "channel_emb.embeddings.weight": torch.ones(90, 64)},
        folder / "model.safetensors",
    )
    encoder = made(Luna, weights=str(folder))
    built, _ = network(encoder, encoder.stream(recorded))
    torch.testing.assert_close(built.model.cross_attn.temperature.data, state["cross_attn.temperature"])


@pytest.mark.parametrize("cls", ALL)
def test_weights_of_another_network_are_refused(cls, recorded, checkpoint):
    folder, state = checkpoint(cls)
    lost = min(name for name in state if name.startswith(cls.stack))
    save_file({n: v.contiguous() for n, v in state.items() if n != lost}, folder / "model.safetensors")
    encoder = made(cls, weights=str(folder))
    with pytest.raises(DataError, match=f"these weights are of another network: no {lost}"):
        network(encoder, encoder.stream(recorded))


def test_a_size_that_the_class_does_not_have_is_refused(recorded):
    with pytest.raises(UsageError, match=r"braindecode's CBraMod does not take this: .*n_layers"):
        network(made(CBraMod, n_layers=3), made(CBraMod).stream(recorded))


def test_reve_asks_no_network_for_positions(recorded, monkeypatch):
    def refused(*_):
        raise AssertionError("it opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setenv("REVE_POSITIONS_PATH", "/nonexistent")
    network(made(Reve), made(Reve).stream(recorded))


def test_electrodes_are_those_that_the_packages_know():
    from braindecode.models.biot import BIOT_CHANNEL_ORDER
    from braindecode.models.eegpt import EEGPT_CHANNELS
    from braindecode.models.labram import LABRAM_CHANNEL_ORDER

    assert [name.upper() for name in PAIRS] == BIOT_CHANNEL_ORDER
    assert [name.upper() for name in Eegpt.known] == EEGPT_CHANNELS
    assert {name.upper() for name in Labram.known} <= {name.upper() for name in LABRAM_CHANNEL_ORDER}
    assert {*("T3", "T4", "T5", "T6")} <= {*LABRAM_CHANNEL_ORDER}, "so that one spelling must be chosen"


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("head", ["mean", "paper"])
def test_heads_read_all_tokens(cls, head, recorded):
    from embench.testing.require import targets

    if head == "paper" and "head" not in cls.offered:
        pytest.skip("it has no other head")
    encoder = made(cls, head=head)
    built, x = network(encoder, encoder.stream(recorded))
    with torch.no_grad():
        tokens = built(x)
    from embench.interfaces.tokens import TokenSpec

    output = encoder.head(TokenSpec(*tokens.x.shape[1:], summary=False), targets("binary", "classes")).eval()(tokens)
    assert output.logits.shape == (1, 4)


def filled(cls):
    """The encoder's network with weights that no generator has drawn, and its output for a sine."""
    channels = PAIRS[:16] if cls is Biot else CLINICAL
    encoder = made(cls)
    length = round(encoder.recipe.view.length_s * cls.rate)
    built = encoder.build(InputSpec("eeg", (len(channels), length), channels, cls.rate)).eval()
    state = built.model.state_dict()
    for k, name in enumerate(sorted(state)):
        value = state[name]
        if value.is_floating_point():
            sine = 0.02 * torch.sin((k + 1) * torch.arange(value.numel(), dtype=torch.float64))
            value.copy_((1 + sine if "norm" in name and name.endswith("weight") else sine).view(value.shape))
    with torch.no_grad():
        x = 50 * torch.sin(0.037 * torch.arange(len(channels) * length, dtype=torch.float64)).float()
        found = built(x.view(1, len(channels), length)).x.flatten()
    return state, found


def summary(found):
    return [*(round(value, 6) for value in found[:8].tolist()), round(found.abs().mean().item(), 6)]


@pytest.mark.parametrize("cls", ALL)
def test_golden_values_and_names_of_weights(cls):
    """A renamed layer or another computation in a new version fails here, and not at a user's who has weights."""
    known = json.loads(GOLDEN.read_text())
    state, found = filled(cls)
    expected = known[cls.__name__]
    assert {name: list(value.shape) for name, value in sorted(state.items())} == expected["weights"], known[
        "braindecode"
    ]
    np.testing.assert_allclose(summary(found), expected["output"], atol=1e-4, err_msg=known["braindecode"])


if __name__ == "__main__":
    content = {"braindecode": importlib.metadata.version("braindecode")}
    for kind in (getattr(eeg_models, cls.__name__) for cls in ALL):
        weights, output = filled(kind)
        content[kind.__name__] = {
            "output": summary(output), "weights": {n: list(v.shape) for n, v in sorted(weights.items())},
        }  # fmt: skip
    lines = ",\n ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content.items())
    GOLDEN.write_text("{" + lines + "}\n")
