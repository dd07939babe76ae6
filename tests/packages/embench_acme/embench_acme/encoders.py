"""A small encoder."""

from typing import ClassVar

from torch import Tensor, nn

from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import InputSpec, Tokens

from .sizes import DIM


class Plain(Encoder):
    """One linear layer over every sample."""

    accepts: ClassVar = frozenset({"eda", "ppg"})
    offers: ClassVar = frozenset({"token_per_sample"})
    recipes: ClassVar = {preset: Recipe(epochs=1) for preset in ("paper", "small", "quick")}

    def build(self, spec: InputSpec) -> nn.Module:
        return Network(spec.shape[0])


class Network(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.line = nn.Linear(channels, DIM)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        return Tokens(self.line(x.transpose(1, 2)), mask)
