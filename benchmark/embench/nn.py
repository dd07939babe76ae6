"""Public building blocks for plugins: the whole model, its loss on labels, the default head, and tokens for absent
modalities."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from embench.errors import PluginError
from embench.interfaces.kinds import KindName
from embench.interfaces.tokens import Batch, Output, OutputSpec, Tokens, TokenSpec


class Head(nn.Module):
    """Default read-out: LayerNorm and Linear on the pooled tokens, (B, D) -> (B, n_out).

    >>> Head(dim=16, outputs=2)(Tokens(torch.zeros(4, 10, 16))).logits.shape
    torch.Size([4, 2])
    """

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(dim), nn.Linear(dim, outputs)

    def forward(self, tokens: Tokens) -> Output:
        """Return `logits` (B, n_out) and `hidden` (B, D), the normalised pooled tokens."""
        hidden = self.norm(tokens.pool())
        return Output(self.linear(hidden), hidden)


class Present(dict[str, Tensor]):
    """Modality -> (B,) bool, True for samples that have it. `whole` names the modalities that every sample
    has. It is a plain set, so that `lacks` need not wait for a GPU.

    >>> Present({"ecg": torch.tensor([True, True])}, whole={"ecg"}).lacks("ecg")
    False
    """

    def __init__(self, there: Mapping[str, Tensor], whole: Collection[str]) -> None:
        super().__init__(there)
        self.whole = frozenset(whole)

    def lacks(self, modality: str) -> bool:
        """Return True if the modality is absent in any sample."""
        return modality not in self.whole


class FillAbsent(nn.Module):
    """Puts a learned token where a modality is absent, so that no attention row is fully masked.

    A sample without the modality gets a learned token at the first position, the only one with a mask of True, and a
    learned summary if the modality has summaries. Other samples are unchanged.

    >>> fill = FillAbsent({"ecg": TokenSpec(length=3, dim=8)})
    >>> absent = Tokens(torch.zeros(2, 3, 8), torch.tensor([[True, True, True], [False, False, False]]))
    >>> fill({"ecg": absent}, {"ecg": torch.tensor([True, False])})["ecg"].mask[1]
    tensor([ True, False, False])
    """

    def __init__(self, specs: Mapping[str, TokenSpec]) -> None:
        super().__init__()
        self.token = nn.ParameterDict({m: nn.Parameter(torch.randn(s.dim) * 0.02) for m, s in specs.items()})
        self.summary = nn.ParameterDict(
            {m: nn.Parameter(torch.randn(s.dim) * 0.02) for m, s in specs.items() if s.summary}
        )

    def forward(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> dict[str, Tokens]:
        """Return the tokens (B, L, D) of each modality, filled in rows where `present` (B,) is False. Pass on the
        fusion's own `present` rather than a copy: this avoids waiting for the GPU."""
        if not isinstance(present, Present):
            present = Present(present, [m for m in tokens if bool(present[m].all())])
        return {m: self._fill(m, t, present[m]) if present.lacks(m) else t for m, t in tokens.items()}

    def _fill(self, modality: str, tokens: Tokens, present: Tensor) -> Tokens:
        absent = ~present
        x, summary = tokens.x, tokens.summary
        mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if tokens.mask is None else tokens.mask
        first = torch.zeros_like(mask)
        first[:, 0] = True
        mask = torch.where(absent[:, None], first, mask)
        x = torch.where(absent[:, None, None], self.token[modality].to(x.dtype), x)
        if summary is not None:
            summary = torch.where(absent[:, None], self.summary[modality].to(summary.dtype), summary)
        return Tokens(x, mask, summary)


def expand_mask(mask: Tensor, x: Tensor) -> Tensor:
    """Return a mask (B, T) that broadcasts over `x`: (B, 1, T) for signals (B, C, T), else (B, T, 1, 1, 1) for frames.

    >>> expand_mask(torch.ones(2, 5, dtype=torch.bool), torch.zeros(2, 3, 5)).shape
    torch.Size([2, 1, 5])
    """
    return mask[:, None] if x.ndim == 3 else mask[:, :, None, None, None]


def hide(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return `x` (B, C, T), or frames (B, T, 3, H, W), with zeros where `mask` (B, T) is False.

    >>> hide(torch.ones(1, 2, 3), torch.tensor([[True, True, False]]))
    tensor([[[1., 1., 0.],
             [1., 1., 0.]]])
    """
    return x if mask is None else x.masked_fill(~expand_mask(mask, x), 0)


def sinusoidal_positions(length: int, dim: int) -> Tensor:
    """Return (length, dim) fixed sinusoidal positions (Vaswani et al. 2017, section 3.5).

    >>> sinusoidal_positions(100, 16).shape
    torch.Size([100, 16])
    """
    position = torch.arange(length).unsqueeze(1)
    rate = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    table = torch.zeros(length, dim)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)[:, : dim // 2]
    return table


class ValueScale(nn.Module):
    """Converts predictions for continuous targets from standard scores of the training labels to the labels'
    measurement unit.

    `mean` and `std` (n_out,) are buffers, saved with the weights; 0 and 1 for other outputs.

    >>> scale = ValueScale(outputs=1)
    >>> _ = scale.mean.fill_(5.0), scale.std.fill_(2.0)
    >>> scale(torch.tensor([[0.5]]))
    tensor([[6.]])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("std", torch.ones(outputs))

    def forward(self, logits: Tensor) -> Tensor:
        """Return `logits` (B, n_out) times `std` plus `mean`, in the labels' measurement unit."""
        return logits * self.std + self.mean


class Model(nn.Module):
    """Encoders and the module that combines them.

    `fusion` is a fusion's module, or None if a single encoder's head predicts; `scale` exists if a target is
    continuous. An encoder receives only rows with its modality; absent rows come back as zeros with an empty mask.

    >>> class Encode(nn.Module):
    ...     def forward(self, x, mask):
    ...         return Tokens(x.transpose(1, 2), mask)
    >>> model = Model({"eda": Encode()}, {"eda": TokenSpec(length=4, dim=1)}, head=Head(1, 2))
    >>> batch = Batch({"eda": torch.zeros(3, 1, 4)}, {"eda": None}, {"eda": torch.arange(3)}, size=3)
    >>> model(batch).logits.shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        specs: Mapping[str, TokenSpec],
        fusion: nn.Module | None = None,
        head: nn.Module | None = None,
        scale: ValueScale | None = None,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(dict(encoders))
        self.specs = dict(specs)
        self.fusion, self.head, self.scale = fusion, head, scale

    def encode(self, batch: Batch) -> tuple[dict[str, Tokens], Present]:
        """Return the tokens (B, L, D) of each modality and its `present` (B,) bool; absent rows hold zeros and an empty
        mask."""
        tokens, present = {}, {}
        whole = {m for m in self.encoders if len(batch.rows[m]) == batch.size}
        for m, encoder in self.encoders.items():
            rows = batch.rows[m]
            present[m] = torch.full((batch.size,), m in whole, dtype=torch.bool, device=rows.device)
            if m not in whole:
                present[m][rows] = True
            if len(rows) == batch.size:
                tokens[m] = check_tokens(encoder(batch.x[m], batch.mask[m]), len(rows), m)
            elif len(rows):
                encoded = check_tokens(encoder(batch.x[m], batch.mask[m]), len(rows), m)
                tokens[m] = _scatter(encoded, rows, batch.size)
            else:
                tokens[m] = _absent_tokens(self.specs[m], batch.size, rows.device)
        return tokens, Present(present, whole)

    def forward(self, batch: Batch) -> Output:
        """Return `logits` (B, n_out), for continuous targets in the labels' measurement unit, and `hidden` (B, H).

        Raises:
            ValueError: the model has neither a fusion nor a head.
            PluginError: the output of a plugin's module has a wrong type or shape."""
        tokens, present = self.encode(batch)
        if self.fusion is not None:
            output = _checked_output(self.fusion(tokens, present), batch.size, "fusion")
        elif self.head is None:
            raise ValueError("a model without fusion and head has encoders only: call `encode`")
        else:
            output = _checked_output(self.head(next(iter(tokens.values()))), batch.size, "encoder's head")
        return output if self.scale is None else output._replace(logits=self.scale(output.logits))


def check_tokens(tokens: Any, rows: int, modality: str) -> Tokens:
    """Return `tokens`, an encoder's output for `rows` samples. Raises PluginError for a wrong type or shape."""
    expected = f"Tokens with x ({rows}, L, D), mask (B, L) or None, summary (B, D) or None"
    if not isinstance(tokens, Tokens):
        raise PluginError(f"the encoder of {modality} gave {type(tokens).__name__}", expected=expected)
    wrong = {"x": tokens.x.ndim != 3 or len(tokens.x) != rows}
    if tokens.mask is not None:
        wrong["mask"] = tokens.mask.shape != tokens.x.shape[:2]
    if tokens.summary is not None:
        wrong["summary"] = tokens.summary.shape != (rows, tokens.x.shape[-1])
    for name in (name for name, off in wrong.items() if off):
        shape = tuple(getattr(tokens, name).shape)
        raise PluginError(f"the encoder of {modality} gave a {name} of shape {shape}", expected=expected)
    return tokens


def check_logits(output: Output, outputs: OutputSpec) -> Tensor:
    """Return the logits (B, n_out) of an output in float32. Raises PluginError unless n_out is `outputs.size`."""
    if output.logits.shape[1] != outputs.size:
        raise PluginError(f"{output.logits.shape[1]} logits a row", expected=f"{outputs.size}, as many as `build` asks")
    return output.logits.float()


def _checked_output(output: Any, rows: int, what: str) -> Output:
    expected = f"Output with logits ({rows}, n_out) and hidden ({rows}, H)"
    if not isinstance(output, Output):
        raise PluginError(f"the {what} gave {type(output).__name__}", expected=expected)
    for name, part in (("logits", output.logits), ("hidden", output.hidden)):
        if part.ndim != 2 or len(part) != rows:
            raise PluginError(f"the {what} gave {name} of shape {tuple(part.shape)}", expected=expected)
    return output


def _scatter(tokens: Tokens, rows: Tensor, size: int) -> Tokens:
    """Return tokens for `size` samples: `tokens` at the positions `rows`, zeros with an empty mask elsewhere."""

    def spread(part: Tensor) -> Tensor:
        return part.new_zeros((size, *part.shape[1:])).index_copy(0, rows, part)

    mask = tokens.mask
    if mask is None:
        mask = torch.ones(tokens.x.shape[:2], dtype=torch.bool, device=tokens.x.device)
    full = torch.zeros((size, mask.shape[1]), dtype=torch.bool, device=mask.device)
    full[rows] = mask
    return Tokens(spread(tokens.x), full, None if tokens.summary is None else spread(tokens.summary))


def _absent_tokens(spec: TokenSpec, size: int, device: torch.device) -> Tokens:
    x = torch.zeros(size, spec.length, spec.dim, device=device)
    mask = torch.zeros(size, spec.length, dtype=torch.bool, device=device)
    return Tokens(x, mask, torch.zeros(size, spec.dim, device=device) if spec.summary else None)


class Objective(NamedTuple):
    """The loss and the activation for a kind of target. `loss` maps logits (B, outputs) and labels (B,) to losses (B,).
    `activation` maps logits (B, outputs) to scores (B, columns)."""

    loss: Callable[[Tensor, Tensor], Tensor]
    activation: Callable[[Tensor], Tensor]


OBJECTIVES: Mapping[KindName, Objective] = {
    "binary": Objective(
        lambda logits, y: functional.binary_cross_entropy_with_logits(logits[:, 0], y, reduction="none"),
        lambda logits: logits.sigmoid(),
    ),
    "classes": Objective(
        lambda logits, y: functional.cross_entropy(logits, y.long(), reduction="none"),
        lambda logits: logits.softmax(1),
    ),
    "value": Objective(lambda logits, y: (logits[:, 0] - y) ** 2, lambda logits: logits),
}
"""Kind of target -> objective of networks; other properties of a kind are in `embench.interfaces.kinds`."""


def concordance_loss(predicted: Tensor, labels: Tensor, weight: Tensor, group: Tensor) -> Tensor:
    """Return 1 minus Lin's concordance of predictions and labels, averaged over groups: a scalar from 0 to 2.

    Moments are weighted means, as in `embench.interfaces.agreement.concordance`. A group with constant labels has
    concordance 0 and no gradient.

    Args:
        predicted, labels: (B,) float, in standard deviations of the labels.
        weight: (B,) weight of each row; rows of weight 0 are ignored.
        group: (B,) int64 from 0 to B - 1, the group of each row.

    >>> labels, one = torch.tensor([0.0, 1.0, 2.0]), torch.ones(3)
    >>> concordance_loss(labels + 1, labels, one, torch.zeros(3, dtype=torch.int64))
    tensor(0.4286)
    """
    member = (group == torch.arange(len(group), device=group.device)[:, None]) * weight
    total = member.sum(1)

    def mean(values: Tensor) -> Tensor:
        return (member * values).sum(1) / total.clamp_min(1e-12)

    level, expected = mean(predicted), mean(labels)
    x, y = predicted - level[group], labels - expected[group]
    spread = mean(x * x) + mean(y * y) + (level - expected) ** 2
    return 1 - (2 * mean(x * y) / (spread + 1e-8)).sum() / (total > 0).sum().clamp_min(1)


class Supervised(nn.Module):
    """Loss on labels, `Batch -> (loss, figures)`, for every labelled stage.

    The loss of a target is the mean over labelled rows. A row is weighted by its proportion of the unit and by the
    weight of its class. Losses are summed over targets. The recipe's `loss` applies to continuous targets, in SDs of
    the training labels: squared error (`mse`), absolute error (`mae`), or `concordance_loss` of a batch (`ccc_batch`;
    Weninger et al. 2016, IJCAI, 2196) or of each recording (`ccc_recording`, as in the baselines of the MuSe
    challenges). Atmaja & Akagi 2020 (arXiv 2003.10724) compare them. `frozen` parts of the model stay in evaluation
    mode."""

    def __init__(self, model: Model, outputs: OutputSpec, frozen: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.model, self.outputs, self.frozen = model, outputs, tuple(frozen)
        weights = outputs.class_weights or (None,) * len(outputs.targets)
        for t, by_class in enumerate(weights):
            value = None if by_class is None else torch.tensor(by_class, dtype=torch.float32)
            self.register_buffer(f"classes_{t}", value, persistent=False)

    def train(self, mode: bool = True) -> Supervised:
        """Set the mode of all parts except the frozen ones, which stay in evaluation mode."""
        super().train(mode)
        for part in self.frozen:
            part.training = False
        return self

    def forward(self, batch: Batch) -> tuple[Tensor, Mapping[str, Any]]:
        """Return the loss (scalar) of a batch, and no figures.

        Raises:
            ValueError: the batch has no labels, or no recordings although the loss is computed by recording.
            PluginError: the number of logits is not that of `outputs`."""
        if batch.y is None or batch.weight is None:
            raise ValueError("a labelled stage got a batch without labels")
        logits = check_logits(self.model(batch), self.outputs)
        loss = logits.new_zeros(())
        for t, (target, columns) in enumerate(zip(self.outputs.targets, self.outputs.get_slices(), strict=True)):
            y = batch.y[:, t]
            there = torch.isfinite(y)
            value = torch.where(there, y, torch.zeros_like(y))
            weight = batch.weight * there
            classes: Tensor | None = getattr(self, f"classes_{t}")
            if classes is not None:
                weight = weight * classes[value.long()]
            if not target.traits.has_classes and self.outputs.loss != "mse":
                loss = loss + self._value_loss(logits[:, columns][:, 0], value, weight, columns, batch)
                continue
            rows = OBJECTIVES[target.kind].loss(logits[:, columns], value)
            if not target.traits.has_classes and self.model.scale is not None:
                rows = rows / self.model.scale.std[columns] ** 2
            loss = loss + (rows * weight).sum() / weight.sum().clamp_min(1e-12)
        return loss, {}

    def _value_loss(self, predicted: Tensor, y: Tensor, weight: Tensor, part: slice, batch: Batch) -> Tensor:
        """Return a loss other than squared error of predictions and labels (B,), in standard scores of the labels."""
        if self.model.scale is not None:
            level, spread = self.model.scale.mean[part], self.model.scale.std[part]
            predicted, y = (predicted - level) / spread, (y - level) / spread
        if self.outputs.loss == "mae":
            return ((predicted - y).abs() * weight).sum() / weight.sum().clamp_min(1e-12)
        if self.outputs.loss == "ccc_batch":
            return concordance_loss(predicted, y, weight, torch.zeros_like(y, dtype=torch.int64))
        if batch.recording is None:
            raise ValueError("a loss by recording got a batch that does not say which recordings its rows are of")
        return concordance_loss(predicted, y, weight, batch.recording)
