"""Encoder `mantis`: the Mantis family of Transformers, pretrained on series of any kind, of each channel by itself.

Feofanov et al. 2025 (`feofanov2025`). A channel is resized to 512 values, as they do it, whatever its rate; 32 patches
and a token for the whole go through six layers. Networks are `MantisV1` and `MantisV2` of their package mantis-tsfm
(extra `foundation`), and the head is theirs: batch normalisation and a linear layer on the channels side by side. What
is frozen is read after the third layer, and the mean of its patches stands beside the token, as they recommend;
fine-tuning reads the last layer.

The network standardises each series itself, but means and spreads of its patches go in as they are, so that what comes
out depends on the unit: here signals are z-scored by the protocol. The authors resize without a filter, so that what is
faster than half of 512 values in a window is folded down.

Weights: `build.weights`, see `embench_plugins.pretrained`. Those of Mantis+ (`build.model=v1`) and MantisV2 (`v2`) are
of synthetic series alone.

Not in the paper: windows of 10 s. Rates, epochs and batches are the defaults of their trainer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from embench.errors import UsageError
from embench.interfaces.encoder import ANY_SIGNAL, Encoder
from embench.interfaces.pretraining_data import PretrainingData
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import InputSpec, Output, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import View
from embench.nn import hide
from embench_plugins import pretrained, weights

FAMILY = "mantis"
VALUES = 512
"""The number of values that a channel is resized to."""

SIZES = frozenset(
    (
        *("seq_len", "hidden_dim", "num_patches", "kernel_size", "scalar_scales", "hidden_dim_scalar_enc"),
        *("epsilon_scalar_enc", "transf_depth", "transf_num_heads", "transf_mlp_dim", "transf_dim_head"),
    )
)
"""What a `config.json` may say of a network; of any other key nothing is taken."""

PAPER = Recipe(
    optimiser="adamw", lr=2e-4, weight_decay=0.05, schedule="cosine", warmup=10, epochs=500, batch=256,
    view=View("window", 10.0, 10.0),
    build={**pretrained.BUILD, "weights": weights.UNNAMED, "model": "v1", "layer": -1, "token": "cls_token"},
    assumed=("selection", "class_weight", "view.length_s", "view.step_s"),
)  # fmt: skip

SMALL = PAPER.replace(
    adapt="frozen", lr=1e-3, warmup=1, epochs=20, batch=64, class_weight="balanced", assumed=(),
    build={"weights": weights.RANDOM, "layer": 2, "token": "combined"},
)  # fmt: skip


class Mantis(Encoder):
    """Tokens (B, C, D): one of each channel; D is 256, or 512 where `build.token` is `combined`.

    Build keys: `model` (`v1`, `v2`), `layer` (the one that is read, from 0; -1 the last) and `token` (`cls_token`,
    `mean_token`, `combined`).
    """

    accepts: ClassVar = ANY_SIGNAL
    libraries: ClassVar = ("mantis-tsfm",)
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=4, view=View("window", 10.0, 20.0), build={"layer": 0}),
    }

    def assets(self) -> tuple[Path, ...]:
        """The files of `build.weights`. Raises as `embench_plugins.pretrained.assets`, and MachineError without the
        package."""
        pretrained.require("mantis", f"encoder {FAMILY}")
        return pretrained.find_assets(self.recipe, FAMILY)

    @classmethod
    def known_weights(cls) -> Mapping[str, PretrainingData]:
        """Those of the family."""
        return pretrained.list_family(FAMILY)

    def pretraining_data(self) -> PretrainingData | None:
        """The data that the weights have seen, see `embench_plugins.pretrained.data`."""
        return pretrained.find_data(self.recipe, FAMILY)

    def build(self, spec: InputSpec) -> nn.Module:
        """The network for signals (C, T), from the recipe's weights or at random.

        Raises:
            UsageError: the recipe names no such network, layer or token. DataError: the weights are another network's.
            MachineError: the package is not installed.
        """
        pretrained.require("mantis", f"encoder {FAMILY}")
        build = self.recipe.build
        unnamed = build["weights"] == weights.UNNAMED  # a run stops at `assets` before
        files = () if unnamed else pretrained.find_assets(self.recipe, FAMILY)
        network = {"v1": "MantisV1", "v2": "MantisV2"}.get(build["model"])
        if network is None or build["token"] not in ("cls_token", "mean_token", "combined"):
            raise UsageError(
                f"there is no Mantis {build['model']} with {build['token']}",
                where="encoder.build",
                expected="model v1 or v2; token cls_token, mean_token or combined",
            )
        kind = getattr(import_module("mantis.architecture"), network)
        taken = SIZES & signature(kind).parameters.keys()
        sizes = {name: value for name, value in pretrained.read_config(files).items() if name in taken}
        # Not with its own arguments: version 1 would widen a part that is in no file of weights.
        net = kind(device="cpu", **sizes)
        if files:
            pretrained.fill(net, files, str(build["weights"]))
        return Network(net, sizes.get("seq_len", VALUES), build["layer"], build["token"])

    def head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Batch normalisation and a linear layer on all channels' tokens."""
        return Standardised(tokens.length * tokens.dim, outputs.size)


class Network(nn.Module):
    """(B, C, T), mask (B, T) | None -> Tokens(x (B, C, D)).

    Args:
        net: a `MantisV1` or `MantisV2`, of which the layers behind the one that is read are dropped.
        values: the number that a channel is resized to.
        layer, token: what is read of it.
    """

    def __init__(self, net: Any, values: int, layer: int, token: str) -> None:
        super().__init__()
        stack = net.transf_unit.transformer
        if not -1 <= layer < len(stack.layers):
            raise UsageError(
                f"there is no layer {layer}",
                where="encoder.build.layer",
                expected=f"-1 (the last), or 0 to {len(stack.layers) - 1}",
            )
        net.return_transf_layer, net.output_token = -1, token
        net.prj = nn.Identity()  # of its pretraining alone
        if layer >= 0:
            stack.layers = stack.layers[: layer + 1]
        self.net, self.values = net, values

    def layers_in_order(self) -> Sequence[nn.Module]:
        """Layers from the input to the output, for `layer_decay`."""
        return [self.net.tokgen_unit, *self.net.transf_unit.transformer.layers]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """`x` (B, C, T), z-scored, with 0 where `mask` (B, T) says that nothing was recorded -> tokens (B, C, D)."""
        series = functional.interpolate(hide(x, mask), self.values, mode="linear", align_corners=False)
        return Tokens(self.net(series.flatten(0, 1).unsqueeze(1)).unflatten(0, x.shape[:2]))


class Standardised(nn.Module):
    """`Tokens -> Output`: `hidden` (B, L * D) are the tokens side by side, each value standardised by its batches."""

    def __init__(self, size: int, outputs: int) -> None:
        super().__init__()
        self.norm, self.linear = nn.BatchNorm1d(size), nn.Linear(size, outputs)

    def forward(self, tokens: Tokens) -> Output:
        """`logits` (B, n) and `hidden` (B, L * D) from tokens (B, L, D)."""
        hidden = self.norm(tokens.x.flatten(1))
        return Output(self.linear(hidden), hidden)
