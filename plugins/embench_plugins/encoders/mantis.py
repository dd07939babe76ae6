"""Encoder `mantis`: the Mantis family of Transformers, pretrained on time series of any kind, which read each channel
by itself.

Feofanov et al. 2025 (`feofanov2025`). A channel is resized to 512 values, whatever its rate; 32 patches and a token for
the whole channel go through six layers. Networks are `MantisV1` and `MantisV2` of the authors' package mantis-tsfm
(extra `foundation`). The head is theirs too: batch normalisation and a linear layer on all channels' tokens. As they
recommend, a frozen network is read after the third layer, with the mean of the patches beside the token; fine-tuning
reads the last layer.

The network standardises each series, but also reads means and spreads of its patches unscaled. The output thus depends
on the measurement unit, so here signals are z-scored by the protocol. The authors resize without a filter, which folds
down frequencies above half of 512 values in a window.

Weights: `build.weights`, see `embench_plugins.pretrained`. Those of Mantis+ (`build.model=v1`) and MantisV2 (`v2`) were
trained on synthetic series alone.

Not in the paper: windows of 10 s. Rates, epochs and batches are the defaults of the authors' trainer.
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
from embench_plugins import pretrained

FAMILY = "mantis"
VALUES = 512
"""The number of values that a channel is resized to."""

SIZES = frozenset(
    (
        *("seq_len", "hidden_dim", "num_patches", "kernel_size", "scalar_scales", "hidden_dim_scalar_enc"),
        *("epsilon_scalar_enc", "transf_depth", "transf_num_heads", "transf_mlp_dim", "transf_dim_head"),
    )
)
"""Keys of a `config.json` that are used; others are ignored."""

PAPER = Recipe(
    optimiser="adamw", lr=2e-4, weight_decay=0.05, schedule="cosine", warmup=10, epochs=500, batch=256,
    view=View("window", 10.0, 10.0),
    build={**pretrained.BUILD, "weights": pretrained.UNNAMED, "model": "v1", "layer": -1, "token": "cls_token"},
    assumed=("selection", "class_weight", "view.length_s", "view.step_s"),
)  # fmt: skip

SMALL = PAPER.replace(
    adapt="frozen", lr=1e-3, warmup=1, epochs=20, batch=64, class_weight="balanced", assumed=(),
    build={"weights": pretrained.RANDOM, "layer": 2, "token": "combined"},
)  # fmt: skip


class Mantis(Encoder):
    """Tokens (B, C, D), one for each channel; D is 256, or 512 if `build.token` is `combined`.

    Build keys: `model` (`v1`, `v2`), `layer` (the layer to read, from 0; -1 is the last) and `token` (`cls_token`,
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
        """Return the files of `build.weights`. Raises as `pretrained.find_assets`; MachineError without the package."""
        pretrained.require("mantis", f"encoder {FAMILY}")
        return pretrained.find_assets(self.recipe, FAMILY)

    @classmethod
    def known_weights(cls) -> Mapping[str, PretrainingData]:
        """Return the known weights of the family."""
        return pretrained.list_family(FAMILY)

    def pretraining_data(self) -> PretrainingData | None:
        """Return the data on which the weights were trained, see `pretrained.find_data`."""
        return pretrained.find_data(self.recipe, FAMILY)

    def build(self, spec: InputSpec) -> nn.Module:
        """Return the network for signals (C, T), from the recipe's weights or at random.

        Raises:
            UsageError: the recipe names no such network, layer or token. DataError: the weights are another network's.
            MachineError: the package is not installed.
        """
        pretrained.require("mantis", f"encoder {FAMILY}")
        build = self.recipe.build
        unnamed = build["weights"] == pretrained.UNNAMED  # a run stops at `assets` before
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
        # With its default arguments version 1 would widen a part that no file of weights has.
        net = kind(device="cpu", **sizes)
        if files:
            pretrained.fill(net, files, str(build["weights"]))
        return Network(net, sizes.get("seq_len", VALUES), build["layer"], build["token"])

    def head(self, tokens: TokenSpec, outputs: OutputSpec) -> nn.Module:
        """Return batch normalisation and a linear layer on all channels' tokens."""
        return Standardised(tokens.length * tokens.dim, outputs.size)


class Network(nn.Module):
    """(B, C, T), mask (B, T) | None -> Tokens(x (B, C, D)).

    Args:
        net: a `MantisV1` or `MantisV2`; layers after the one to read are removed.
        values: number of values that a channel is resized to.
        layer, token: what is read, see `Mantis`.
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
        net.prj = nn.Identity()  # used in pretraining only
        if layer >= 0:
            stack.layers = stack.layers[: layer + 1]
        self.net, self.values = net, values

    def layers_in_order(self) -> Sequence[nn.Module]:
        """Return the layers from the input to the output, for `layer_decay`."""
        return [self.net.tokgen_unit, *self.net.transf_unit.transformer.layers]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Return tokens (B, C, D) for `x` (B, C, T), z-scored; samples where `mask` (B, T) is False become 0."""
        series = functional.interpolate(hide(x, mask), self.values, mode="linear", align_corners=False)
        return Tokens(self.net(series.flatten(0, 1).unsqueeze(1)).unflatten(0, x.shape[:2]))


class Standardised(nn.Module):
    """`Tokens -> Output`: a linear layer on `hidden` (B, L * D), the tokens side by side after batch normalisation."""

    def __init__(self, size: int, outputs: int) -> None:
        super().__init__()
        self.norm, self.linear = nn.BatchNorm1d(size), nn.Linear(size, outputs)

    def forward(self, tokens: Tokens) -> Output:
        """Return `logits` (B, n) and `hidden` (B, L * D) from tokens (B, L, D)."""
        hidden = self.norm(tokens.x.flatten(1))
        return Output(self.linear(hidden), hidden)
