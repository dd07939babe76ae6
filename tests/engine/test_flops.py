"""The operations of a prediction, counted by hand: attention is among them on every device."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from embench.engine.feed import Data, FeatureFeed
from embench.engine.loop import count_flops
from embench.interfaces.tokens import Tokens, TokenSpec
from embench.nn import Head, Model

from ..pairs import pretended

L, D, HEADS, FFN = 10, 32, 4, 64


class Fused(nn.Module):
    """Attention of tokens among themselves, without weights."""

    def forward(self, x, mask):
        heads = x.unflatten(-1, (HEADS, -1)).transpose(1, 2)
        return Tokens(scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2))


class Torchs(nn.Module):
    """torch's own layer, which has a fused form of its own where nothing learns."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(D, HEADS, FFN, batch_first=True)

    def forward(self, x, mask):
        return Tokens(self.layer(x))


ATTENTION = 2 * 2 * L * L * D
PRODUCTS = 2 * L * (4 * D * D + 2 * D * FFN)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(("encoder", "made_of"), [(Fused, ATTENTION), (Torchs, ATTENTION + PRODUCTS)])
def test_attention_is_counted(device, encoder, made_of):
    with pretended.gpu() if device == "cuda" else nullcontext():
        model = Model({"ecg": encoder()}, {"ecg": TokenSpec(L, D)}, head=Head(D, 2)).to(device)
        data = Data({"ecg": FeatureFeed(torch.zeros(3, L, D).to(device), np.ones(3, bool), device)}, 3, device)
        assert count_flops(model, data, np.arange(3)) == made_of + 2 * D * 2
    assert torch.backends.mha.get_fastpath_enabled()
