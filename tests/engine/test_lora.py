"""Low-rank additions learn, all else of an encoder stays, and merged weights answer as the additions did."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from embench.engine.lora import add_lora, check_lora, merge_lora, merged_state
from embench.errors import UsageError

LORA = {"rank": 2, "alpha": 8.0, "dropout": 0.0}


class Attending(nn.Module):
    """What encoders are made of: convolution, statistics of batches, both forms of attention, and dropout."""

    def __init__(self):
        super().__init__()
        self.lift, self.norm = nn.Conv1d(3, 8, 3, padding=1), nn.BatchNorm1d(8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.cross = nn.MultiheadAttention(8, 2, batch_first=True, kdim=3, vdim=3)

    def forward(self, x):
        tokens = self.layer(self.norm(self.lift(x)).transpose(1, 2))
        return self.cross(tokens, x.transpose(1, 2), x.transpose(1, 2))[0]


@pytest.fixture
def adapted():
    """A network before and after additions, and rows."""
    torch.manual_seed(0)
    network, x = Attending(), torch.randn(6, 3, 10)
    network.eval()
    with torch.no_grad():
        before = network(x)
    still = add_lora(network, LORA)
    return network, still, x, before


def trained(network, still, x, steps=3):
    learning = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learning, 1e-2)
    for _ in range(steps):
        network.train()
        for part in still:
            part.training = False
        optimiser.zero_grad()
        (network(x) - 1).square().mean().backward()
        optimiser.step()
    return network.eval()


def test_nothing_changes_at_first(adapted):
    network, _, x, before = adapted
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(x), before, rtol=0, atol=1e-6)


def test_only_additions_learn(adapted):
    network, still, x, before = adapted
    kept = {
        name: value.clone()
        for name, value in network.state_dict().items()
        if "parametrizations" not in name or name.endswith("original")
    }
    trained(network, still, x)
    after = network.state_dict()
    assert kept
    assert all(torch.equal(after[name], value) for name, value in kept.items())
    additions = [name for name in after if name not in kept]
    assert len(additions) == 2 * (4 + 4)  # out, two of the feed-forward and in; out, q, k, v
    assert not torch.allclose(network(x), before, atol=1e-2)


def test_merged_weights_answer_alike_under_the_first_names(adapted):
    network, still, x, _ = adapted
    trained(network, still, x)
    fresh = Attending().eval()
    fresh.load_state_dict(merged_state(network))
    with torch.no_grad():
        expected = network(x)
        torch.testing.assert_close(fresh(x), expected, rtol=0, atol=1e-6)
    trained(network, still, x)  # which goes on learning
    with torch.no_grad():
        expected = network(x)
        merge_lora(network)
        torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-6)
    assert network.state_dict().keys() == fresh.state_dict().keys()


def test_what_is_saved_in_the_middle_of_an_epoch_has_no_dropout():
    layer = nn.Linear(50, 5)
    add_lora(layer, {**LORA, "dropout": 0.5})
    nn.init.normal_(layer.parametrizations.weight[0].up)
    one, other = merged_state(layer), merged_state(layer)
    assert torch.equal(one["weight"], other["weight"])
    torch.testing.assert_close(one["weight"], layer.eval().weight)


def test_additions_have_the_rank_and_size_that_are_asked_for():
    layer = nn.Linear(6, 5)
    before = layer.weight.detach().clone()
    add_lora(layer, LORA)
    addition = layer.parametrizations.weight[0]
    nn.init.normal_(addition.up)
    added = layer.weight - before
    assert torch.linalg.matrix_rank(added) == 2
    torch.testing.assert_close(added, 4.0 * addition.up @ addition.down)


def test_dropout_hides_inputs_from_the_addition_in_training_alone():
    layer = nn.Linear(50, 5)
    add_lora(layer, {**LORA, "dropout": 0.5})
    nn.init.normal_(layer.parametrizations.weight[0].up)
    base = layer.parametrizations.weight.original
    hidden = ((layer.weight - base).abs().sum(0) == 0).float().mean()
    assert 0.2 < hidden < 0.8
    layer.eval()
    assert ((layer.weight - base).abs().sum(0) > 0).all()


def test_what_a_network_computes_from_other_weights_stays():
    network = nn.Sequential(nn.Linear(4, 4), weight_norm(nn.Linear(4, 4)))
    names = network.state_dict().keys()
    add_lora(network, LORA)
    merge_lora(network)
    assert network.state_dict().keys() == names
    assert not any(p.requires_grad for p in network[1].parameters())


def test_a_network_without_linear_layers_is_refused():
    check_lora(Attending(), "here")
    with pytest.raises(UsageError, match="has none"):
        check_lora(nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU()), "here")
