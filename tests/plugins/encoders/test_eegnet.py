"""`eegnet`: the weights of the paper's table, limits of norms, gaps, and a rhythm that it learns."""

import pytest
import torch

from embench.interfaces.tokens import InputSpec, OutputSpec, TokenSpec
from embench.interfaces.units import LabelRule, Target
from embench_plugins.encoders.eegnet import PAPER, SMALL, EegNet, limit_norm

RATE = 128


def spec(channels, samples, rate=RATE):
    return InputSpec("eeg", (channels, samples), tuple(f"E{k}" for k in range(channels)), float(rate))


def networks(recipe, channels, samples, targets=1, seed=0):
    torch.manual_seed(seed)
    encoder = EegNet(recipe)
    network = encoder.build(spec(channels, samples))
    with torch.no_grad():
        tokens = network.eval()(torch.zeros(1, channels, samples))
    outputs = OutputSpec(tuple(Target(f"t{k}", "binary", LabelRule(), "t") for k in range(targets)))
    return network, encoder.head(TokenSpec(*tokens.x.shape[1:]), outputs)


@pytest.mark.parametrize(("channels", "samples", "classes", "expected"), [(22, 1000, 4, 3444), (64, 128, 2, 2258)])
def test_there_are_as_many_weights_as_in_the_table(channels, samples, classes, expected):
    """Of EEGNet-8,2: 8 * 64 + 16 + 16 C + 32 + 16 * 16 + 16 * 16 + 32, and 16 (T // 32) + 1 for each class."""
    network, head = networks(PAPER, channels, samples, classes)
    assert sum(weight.numel() for part in (network, head) for weight in part.parameters()) == expected


def test_filters_are_half_a_second_long_at_any_rate():
    network = EegNet(SMALL).build(spec(4, 640, rate=64))
    assert (network.time.kernel_size[1], network.each.kernel_size[0]) == (32, 8)


def test_norms_of_spatial_filters_and_of_the_last_layer_are_limited():
    network, head = networks(PAPER, 8, 256)
    x = torch.randn(3, 8, 256)
    with torch.no_grad():
        network.space.weight.mul_(100), head.linear.weight.mul_(100)
        large = head(network(x)).logits
        network.space.weight.mul_(100), head.linear.weight.mul_(100)
        torch.testing.assert_close(head(network(x)).logits, large)
    weight = torch.randn(5, 3, 4)
    assert limit_norm(weight * 10, 0.25).flatten(1).norm(dim=1).max() <= 0.25 + 1e-6
    torch.testing.assert_close(limit_norm(weight * 1e-3, 0.25), weight * 1e-3)


def test_tokens_of_a_gap_do_not_count_and_nothing_of_it_is_read():
    network, head = networks(PAPER, 4, 640)
    x, mask = torch.randn(2, 4, 640), torch.ones(2, 640, dtype=torch.bool)
    mask[1, 320:] = False
    changed = torch.where(mask[:, None], x, 100 * torch.randn_like(x))
    with torch.no_grad():
        tokens = network(x, mask)
        torch.testing.assert_close(head(network(changed, mask)).logits, head(tokens).logits)
    assert tokens.mask.sum(1).tolist() == [20, 10]


def test_it_learns_which_electrode_has_a_rhythm():
    """Two electrodes; a class has alpha at the first, the other at the second."""
    torch.manual_seed(0)
    t = torch.arange(256) / RATE
    y = torch.arange(64) % 2
    x = torch.randn(64, 2, 256)
    x[torch.arange(64), y] += 2 * torch.sin(2 * torch.pi * 10 * t + 6 * torch.rand(64, 1))
    network, head = networks(PAPER, 2, 256)
    network.train(), head.train()
    optimiser = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(network(x[:32])).logits[:, 0], y[:32].float())
        loss.backward()
        optimiser.step()
    network.eval()
    with torch.no_grad():
        found = head(network(x[32:])).logits[:, 0] > 0
    assert (found == y[32:].bool()).float().mean() > 0.9
