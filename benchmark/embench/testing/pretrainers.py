"""The conformance of pretrainers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from embench.interfaces.pretrainer import Pretrainer
from embench.interfaces.tokens import Batch, InputSpec, Output, Tokens, TokenSpec
from embench.nn import FillAbsent, Head, Model
from embench.testing import samples
from embench.testing.require import Check, leaves_no_trace, seeded

_CHANNELS = {"eda": ("eda",), "acc": ("x", "y", "z")}
_LENGTH, _DIM, _SIZE = 320, 16, 6
_OUTPUTS = samples.targets("binary")


@leaves_no_trace
def check_pretrainer(cls: type[Pretrainer]) -> None:
    """Checks that a pretrainer keeps its interface, in all presets, on a small network of its own.

    A finite loss and named figures; the whole model at `.model`; gradients that reach the encoders; the same loss from
    one seed; nothing read of masked samples; a batch in which a modality is absent. A task that needs clips is not
    tried: only its recipes are looked at.

    Raises:
        CheckFailed: with what was expected and what was found.
    """
    check = Check(cls)
    check.that(issubclass(cls, Pretrainer), "the class is not a Pretrainer", expected="a subclass of Pretrainer")
    check.that(cls.scope in ("encoder", "model"), f"`scope` is {cls.scope!r}", expected="encoder or model")
    check.that(cls.labels in ("none", "source"), f"`labels` is {cls.labels!r}", expected="none or source")
    names = tuple(_CHANNELS) if cls.scope == "model" else ("acc",)
    for preset, recipe in check.recipes().items():
        if "clips" not in cls.needs_input:
            with check.during(f"preset {preset}"), torch.random.fork_rng(devices=[]):
                _check(check, cls(recipe), names)


def _check(check: Check, pretrainer: Pretrainer, names: tuple[str, ...]) -> None:
    inputs = {m: InputSpec(m, (len(_CHANNELS[m]), _LENGTH), _CHANNELS[m], 32.0) for m in names}
    labelled = pretrainer.labels == "source"
    model = seeded(lambda: _model(inputs, fused=pretrainer.scope == "model"))
    objective = check.repeats(lambda: pretrainer.objective(model, inputs, _OUTPUTS if labelled else None))
    check.that(
        getattr(objective, "model", None) is model,
        "the task does not hold the model as `.model`",
        expected="the model that was passed in",
    )
    batch = _batch(inputs, labelled)
    with check.untouched("the objective", *batch.x.values(), *batch.mask.values(), batch.y, batch.weight):
        loss, figures = _loss(check, objective, batch)
    check.sets_no_seed(lambda: objective(batch), "the objective")
    check.that(isinstance(figures, Mapping), f"the figures are {type(figures).__name__}", expected="{name: figure}")
    for name, figure in figures.items():
        check.finite(torch.as_tensor(figure).detach(), f"figure {name}")
    check.equal(
        _loss(check, objective, batch)[0], loss, "two calls with one seed differ", expected="torch's generator only"
    )
    noisy = replace(batch, x={m: _noise(x, batch.mask[m]) for m, x in batch.x.items()})
    expected = "no effect of samples with a False mask"
    check.equal(_loss(check, objective, noisy)[0], loss, "the loss depends on masked samples", expected=expected)
    check.finite(_loss(check, objective, _without(batch, names[0]))[0], "the loss of a row without one modality")
    objective.train()
    loss = _loss(check, objective, batch)[0]
    check.that(loss.requires_grad, "the loss has no gradient", expected="a differentiable loss")
    loss.backward()
    for m, encoder in model.encoders.items():
        reached = any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in encoder.parameters())
        check.that(reached, f"no gradient reaches the encoder of {m}", expected="encoders that learn")
    for name, p in objective.named_parameters():
        check.finite(p.grad, f"the gradient of `{name}`")


def _loss(check: Check, objective: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, object]]:
    output = seeded(lambda: objective(batch), seed=3)
    fine = isinstance(output, tuple) and len(output) == 2 and isinstance(output[0], Tensor) and output[0].ndim == 0
    check.that(fine, "the call did not return a loss and figures", expected="(loss of shape (), {name: figure})")
    loss, figures = output
    check.finite(loss.detach(), "the loss")
    return loss, figures


def _batch(inputs: Mapping[str, InputSpec], labelled: bool) -> Batch:
    generator = torch.Generator().manual_seed(0)
    x, mask = {}, {}
    for m, spec in inputs.items():
        keep = torch.ones(_SIZE, _LENGTH, dtype=torch.bool)
        keep[1, : _LENGTH // 3] = False
        x[m] = torch.randn(_SIZE, *spec.shape, generator=generator) * keep[:, None]
        mask[m] = keep
    y = (torch.arange(_SIZE) % 2).float()[:, None] if labelled else None
    return Batch(x, mask, {m: torch.arange(_SIZE) for m in inputs}, _SIZE, y, torch.ones(_SIZE))


def _without(batch: Batch, modality: str) -> Batch:
    """The batch where the last row lacks a modality."""
    mask = batch.mask[modality]
    return replace(
        batch,
        x={**batch.x, modality: batch.x[modality][:-1]},
        mask={**batch.mask, modality: None if mask is None else mask[:-1]},
        rows={**batch.rows, modality: batch.rows[modality][:-1]},
    )


def _noise(x: Tensor, mask: Tensor | None) -> Tensor:
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(4)) * 10
    return x if mask is None else torch.where(mask[:, None], x, noise)


class _Encoder(nn.Module):
    """A token a sample, with a summary: what any pretext task may need."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.line = nn.Linear(channels, _DIM)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        tokens = Tokens(torch.tanh(self.line(x.transpose(1, 2))), mask)
        return Tokens(tokens.x, mask, tokens.pooled())


class _Fusion(nn.Module):
    """The mean over modalities, each with one token: its summary, mixed with the others'."""

    width = _DIM

    def __init__(self, specs: Mapping[str, TokenSpec]) -> None:
        super().__init__()
        self.fill, self.line, self.head = FillAbsent(specs), nn.Linear(_DIM, _DIM), Head(_DIM, _OUTPUTS.size)

    def mix(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> dict[str, Tokens]:
        filled = self.fill(tokens, present)
        stacked = torch.stack([t.pooled() for t in filled.values()], 1)
        mixed = stacked + self.line(stacked.mean(1, keepdim=True))
        return {m: Tokens(mixed[:, i : i + 1]) for i, m in enumerate(filled)}

    def forward(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> Output:
        mixed = torch.cat([t.x for t in self.mix(tokens, present).values()], 1)
        output: Output = self.head(Tokens(mixed))
        return Output(output.logits, output.hidden, mixed)


def _model(inputs: Mapping[str, InputSpec], *, fused: bool) -> Model:
    specs = {m: TokenSpec(_LENGTH, _DIM, summary=True) for m in inputs}
    encoders = {m: _Encoder(spec.shape[0]) for m, spec in inputs.items()}
    return Model(encoders, specs, _Fusion(specs) if fused else None, None if fused else Head(_DIM, _OUTPUTS.size))
