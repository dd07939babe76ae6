"""Fusion `cross_attn`: one modality attends to the others, in layers of cross-attention trained end to end.

Strizhkova et al. 2024 (`strizhkova2024`): queries from physiology, keys and values from video, 8 layers of 8 heads, one
network with a logit for each target. The query stream is updated layer by layer; keys and values stay the encoder's
tokens. With one modality the layers attend to the stream itself, the paper's single-modality models.

The paper has two modalities of equal width. Ours: the tokens of all other modalities are joined in one sequence, each
with a learned vector that marks its modality; tokens of other widths are projected; long sequences may be averaged to
fewer tokens first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from embench.errors import UsageError
from embench.interfaces.fusion import Fusion
from embench.interfaces.recipe import Recipe
from embench.interfaces.recording import split_modality
from embench.interfaces.tokens import Output, OutputSpec, Tokens, TokenSpec
from embench.nn import FillAbsent, Head, sinusoidal_positions
from embench_plugins.attention import Layer

QUERY_ORDER = ("ecg+eda", "ppg+eda", "ecg", "ppg", "eda", "resp", "temp", "emg", "hr", "acc", "eeg")
"""Order of preference for the modality that provides the queries if `build.query` is null. Others follow, by name."""

PAPER = Recipe(
    optimiser="adamw", lr=1e-4, weight_decay=1e-4, schedule="cosine", epochs=50, batch=8,
    selection="early_stop", patience=50, targets="joint",
    build={
        "width": 512, "layers": 8, "heads": 8, "ffn": 2048, "norm": "pre", "dropout": 0.1, "query": None,
        "tokens": None,
    },
    assumed=("optimiser", "lr", "weight_decay", "schedule", "epochs", "selection", "class_weight",
             "build.ffn", "build.norm", "build.dropout"),
)  # fmt: skip

# An encoder with one token per sample gives hundreds; with 40, each stands for a quarter of a second of a 10 s window.
SMALL = Recipe(
    optimiser="adamw", lr=1e-3, weight_decay=1e-2, schedule="cosine", warmup=1, epochs=16, batch=16, clip=1.0,
    selection="last", patience=16, class_weight="balanced", targets="joint",
    build={
        "width": 64, "layers": 2, "heads": 4, "ffn": 128, "norm": "pre", "dropout": 0.1, "query": None, "tokens": 40,
    },
    datasets={"stress_predict": {"epochs": 8, "patience": 8, "batch": 64, "selection": "early_stop"}},
)  # fmt: skip


class CrossAttn(Fusion):
    """Build keys: `query`, the modality that provides the queries (None: see QUERY_ORDER); `tokens`, the most tokens of
    a stream, beyond which neighbours are averaged (None: no limit); `norm`, `pre` or `post`, see `Layer`. Positions are
    sines."""

    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=3, patience=3, datasets={"stress_predict": {"batch": 64}}),
    }

    def build(self, tokens: Mapping[str, TokenSpec], outputs: OutputSpec) -> nn.Module:
        """Return the network; `query_modality` chooses which modality in `tokens` provides the queries."""
        build = {name: value for name, value in self.recipe.build.items() if name != "query"}
        return Network(tokens, outputs.size, self.query_modality(tokens), **build)

    def query_modality(self, modalities: Iterable[str]) -> str:
        """Return the modality that provides the queries. Raises UsageError if `build.query` is not one of them."""
        present, query = sorted(modalities), self.recipe.build["query"]
        if query is None:
            return min(present, key=_place)
        if query not in present:
            raise UsageError(
                f"{query} cannot provide the queries, since the run has no such modality",
                where="fusion.build.query",
                expected=" or ".join(present),
            )
        return str(query)


def _place(modality: str) -> int:
    names = set(split_modality(modality))
    return next((i for i, each in enumerate(QUERY_ORDER) if set(each.split("+")) == names), len(QUERY_ORDER))


class Network(nn.Module):
    """Tokens of each modality -> Output(logits (B, n), hidden (B, width), tokens (B, N, width) of the query stream)."""

    def __init__(
        self,
        specs: Mapping[str, TokenSpec],
        outputs: int,
        query: str,
        *,
        width: int,
        layers: int,
        heads: int,
        ffn: int,
        norm: Literal["pre", "post"],
        dropout: float,
        tokens: int | None,
    ) -> None:
        super().__init__()
        self.query, self.others, self.most = query, tuple(m for m in specs if m != query), tokens
        most = tokens or max(spec.length for spec in specs.values())
        plain = {m: TokenSpec(min(spec.length, most), spec.dim) for m, spec in specs.items()}
        self.fill = FillAbsent(plain)
        self.project = nn.ModuleDict(
            {m: nn.Identity() if spec.dim == width else nn.Linear(spec.dim, width) for m, spec in plain.items()}
        )
        if len(self.others) > 1:
            self.whose = nn.ParameterDict({m: nn.Parameter(torch.randn(width) * 0.02) for m in self.others})
        self.register_buffer(
            "positions", sinusoidal_positions(max(s.length for s in plain.values()), width), persistent=False
        )
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            Layer(width, heads, ffn, dropout, norm=norm, activation=nn.GELU) for _ in range(layers)
        )
        self.head = Head(width, outputs)

    positions: Tensor

    def forward(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> Output:
        """Update the query stream by cross-attention, layer by layer, and classify the mean of its tokens.

        Args:
            tokens: (B, L, D) of each modality; L and D may differ between modalities.
            present: (B,) bool of each modality.

        Returns:
            `logits` (B, n), `hidden` (B, width) and `tokens` (B, N, width) of the query stream.
        """
        shortened = {m: shorten(Tokens(t.x, t.mask), self.most) for m, t in tokens.items()}
        streams = {m: self._enter(m, t) for m, t in self.fill(shortened, present).items()}
        x, mask = streams[self.query].x, streams[self.query].mask
        context, context_mask = self._join(streams) if self.others else (None, mask)
        for layer in self.layers:
            x = layer(x, context_mask, context)
        return self.head(Tokens(x, mask))._replace(tokens=x)

    def _enter(self, modality: str, tokens: Tokens) -> Tokens:
        x = self.project[modality](tokens.x)
        return tokens._replace(x=self.dropout(x + self.positions[: x.shape[1]]))

    def _join(self, streams: Mapping[str, Tokens]) -> tuple[Tensor, Tensor | None]:
        """Return the tokens of all other streams side by side (B, K, width), and their mask (B, K)."""
        parts = [streams[m] for m in self.others]
        if len(parts) == 1:
            return parts[0].x, parts[0].mask
        x = torch.cat([t.x + self.whose[m] for m, t in zip(self.others, parts, strict=True)], 1)
        return x, join_masks(parts)


def join_masks(parts: Sequence[Tokens]) -> Tensor | None:
    """Return the masks of several modalities' tokens side by side (B, sum of L); None if none of them has a mask."""
    if all(t.mask is None for t in parts):
        return None
    masks = (torch.ones_like(t.x[..., 0], dtype=torch.bool) if t.mask is None else t.mask for t in parts)
    return torch.cat(list(masks), 1)


def shorten(tokens: Tokens, most: int | None) -> Tokens:
    """Return tokens (B, L, D) reduced to at most `most`: the unmasked ones are averaged in groups of neighbours, of
    nearly equal size."""
    length = tokens.x.shape[1]
    if most is None or length <= most:
        return tokens
    group = torch.arange(length, device=tokens.x.device) * most // length
    # (most, L): a matrix product gives the same result every time on a GPU, other ways to sum groups do not.
    member = torch.nn.functional.one_hot(group, most).T.to(tokens.x.dtype)
    if tokens.mask is None:
        return Tokens((member / member.sum(1, keepdim=True)) @ tokens.x)
    weight = tokens.mask.to(tokens.x.dtype)
    count = weight @ member.T  # (B, most)
    x = member @ (tokens.x * weight[..., None]) / count.clamp_min(1)[..., None]
    return Tokens(x, count > 0)
