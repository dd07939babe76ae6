"""A checkpoint in the layout of the published code of `wu2023` (WER-SSL), with random numbers, and what that code
computes from it, written out."""

import math

import torch
from torch import nn
from torch.nn.functional import conv1d, layer_norm, linear, pad

WIDTH, FILTERS, KERNEL, HEADS = 128, 16, 6, 4


def shapes():
    """Name -> shape of `state_dict_fusion`."""
    found = {}
    for n in (1, 2, 3):
        for block, before in enumerate((1, FILTERS)):
            for part, width in (("conv1", before), ("conv2", FILTERS), ("net.0", before), ("net.4", FILTERS)):
                at = f"model_fusion.tcn{n}.network.{block}.{part}"
                found |= {f"{at}.bias": (FILTERS,), f"{at}.weight_g": (FILTERS, 1, 1)}
                found[f"{at}.weight_v"] = (FILTERS, width, KERNEL)
        at = f"model_fusion.tcn{n}.network.0.downsample"
        found |= {f"{at}.weight": (FILTERS, 1, 1), f"{at}.bias": (FILTERS,)}
        found |= _linear(f"model_fusion.project_{n}", WIDTH, FILTERS) | _pair(f"model_fusion.layernorm_{n}", WIDTH)
    at = "model_fusion.transformer_encoder.layers.0"
    found |= {f"{at}.self_attn.in_proj_weight": (3 * WIDTH, WIDTH), f"{at}.self_attn.in_proj_bias": (3 * WIDTH,)}
    for name in ("self_attn.out_proj", "linear1", "linear2"):
        found |= _linear(f"{at}.{name}", WIDTH, WIDTH)
    found |= _pair(f"{at}.norm1", WIDTH) | _pair(f"{at}.norm2", WIDTH)
    found |= _linear("model_fusion.project_embed", 64, WIDTH)
    for n in (1, 2, 3):
        found |= _linear(f"fc{n}", 64, WIDTH) | _pair(f"bn{n}", 64) | _linear(f"fc2{n}", 6, 64)
        found |= {f"bn{n}.running_mean": (64,), f"bn{n}.running_var": (64,), f"bn{n}.num_batches_tracked": ()}
    return found | _linear("fc_final", 6, 192)


def _linear(name, after, before):
    return {f"{name}.weight": (after, before), f"{name}.bias": (after,)}


def _pair(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def checkpoint(path, seed=0):
    """Writes such a file; returns its tensors."""
    draw = torch.Generator().manual_seed(seed)
    state = {name: 0.3 * torch.randn(shape, generator=draw) for name, shape in shapes().items()}
    state |= {name: torch.tensor(7) for name in state if name.endswith("num_batches_tracked")}
    for name in list(state):  # `net` holds the very layers that are called conv1 and conv2
        for one, other in (("conv1", "net.0"), ("conv2", "net.4")):
            if f".{one}." in name:
                state[name.replace(one, other)] = state[name]
    torch.save(
        {"epoch": 3, "state_dict_fusion": state, "optimizer": {"state": {}, "param_groups": [{"lr": 5e-3}]}}, path
    )
    return state


def forward(state, signals):
    """The tokens (B, T, 128) of each of three signals (B, 1, T), in evaluation: TCN, sigmoid, projection times the root
    of the width, LayerNorm, all streams along time through one Transformer layer. In float64, as the signals are."""
    state = {name: value.double() for name, value in state.items()}
    streams = [_entered(state, n, x) for n, x in enumerate(signals, 1)]
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, WIDTH, 0.2, batch_first=True).double().eval()
    at = "model_fusion.transformer_encoder.layers.0."
    layer.load_state_dict({name.removeprefix(at): value for name, value in state.items() if name.startswith(at)})
    with torch.no_grad():
        mixed = layer(torch.cat(streams, 1))
    return mixed.split([part.shape[1] for part in streams], 1)


def _entered(state, n, x):
    for block, dilation in enumerate((1, 2)):
        at = f"model_fusion.tcn{n}.network.{block}"
        y, short = x, x
        for part in ("net.0", "net.4"):
            g, v, bias = (state[f"{at}.{part}.{name}"] for name in ("weight_g", "weight_v", "bias"))
            weight = g * v / v.norm(dim=(1, 2), keepdim=True)
            y = torch.relu(conv1d(pad(y, ((KERNEL - 1) * dilation, 0)), weight, bias, dilation=dilation))
        if f"{at}.downsample.weight" in state:
            short = conv1d(x, state[f"{at}.downsample.weight"], state[f"{at}.downsample.bias"])
        x = torch.relu(y + short)
    tokens = torch.sigmoid(x).transpose(1, 2)
    wide = linear(tokens, state[f"model_fusion.project_{n}.weight"], state[f"model_fusion.project_{n}.bias"])
    norm = (state[f"model_fusion.layernorm_{n}.{name}"] for name in ("weight", "bias"))
    return layer_norm(wide * math.sqrt(WIDTH), (WIDTH,), *norm)
