"""Conformance of encoders and pretrainers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from embench import registry
from embench.interfaces.encoder import ANY_SIGNAL, Encoder
from embench.interfaces.pretrainer import Pretrainer
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch, InputSpec, Output, Tokens, TokenSpec
from embench.nn import FillAbsent, Head, Model
from embench.testing import require
from embench.testing.fusions import check_personalises
from embench.testing.require import CLOSE_ENOUGH, Check, leaves_no_trace, lets_print, projected, seeded

# Conformance of encoders.


@leaves_no_trace
def check_encoder(cls: type[Encoder]) -> None:
    """Check that an encoder follows its interface: all presets on one modality, then `quick` on each accepted modality.
    For encoders of clips, `paper` is excluded, since such a network takes minutes on a CPU.

    Checked are:

    - shapes and finite numbers; equal networks and outputs from one seed; rows that do not depend on their batch;
    - masks: unrecorded samples are not read; gradients reach all parameters; weights determine the output;
    - `personalise`: it does what it declares, and does not depend on earlier subjects;
    - features of a span: they do not depend on other spans; all channels of a signal, or those in `picks`, are read.

    Raises:
        CheckFailed: with the expected and the found behaviour.
    """
    check = Check(cls)
    expected = "a subclass of embench.interfaces.encoder.Encoder"
    check.that(issubclass(cls, Encoder), "the class is not an Encoder", expected=expected)
    accepts = getattr(cls, "accepts", None)
    known = list(dict.fromkeys(modality.name for modality in registry.modalities()))
    fine = isinstance(accepts, frozenset) and bool(accepts) and accepts <= {*known, *ANY_SIGNAL}
    check.that(fine, f"`accepts` is {accepts!r}", expected=f"ANY_SIGNAL, or a frozenset of {', '.join(known)}")
    recipes = check.recipes()
    readable = [m for m in known if m in cls.accepts or (cls.accepts >= ANY_SIGNAL and m != "video")]
    readable = [m for m in readable if len(require.channels(m)) >= cls.min_channels]
    expected = "at most the number of channels of a modality"
    check.that(bool(readable), f"`min_channels` is {cls.min_channels}", expected=expected)
    for preset, recipe in recipes.items():
        if preset == "paper" and cls(recipe).reads == "clips":
            continue
        for modality in readable if preset == "quick" else readable[:1]:
            with check.during(f"preset {preset}, {modality}"), torch.random.fork_rng(devices=[]):
                _check_on_modality(check, cls(recipe), modality)


@lets_print
def check_encoder_input(
    cls: type[Encoder], recipe: Recipe, modality: str, channels: tuple[str, ...], rate_hz: float
) -> None:
    """Check an encoder as `check_encoder` does, but with one recipe, and one modality with these channels and this
    rate; the encoder may print. Raises CheckFailed."""
    check = Check(cls)
    with require.recorded_with(modality, channels, rate_hz), check.during(f"{modality} of this run"):
        _check_on_modality(check, cls(recipe), modality)


def _check_on_modality(check: Check, encoder: Encoder, modality: str) -> None:
    fine = (encoder.reads == "clips") == (modality == "video")
    check.that(fine, f"the encoder reads {encoder.reads} of {modality}", expected="only clips of video")
    if encoder.reads == "features":
        _check_features(check, encoder, modality)
    if encoder.reads == "stream":
        whole = require.signal_for(encoder, modality, 40.0)
        with check.untouched("`stream`", whole.data):
            check.sets_no_seed(lambda: encoder.stream(whole), "`stream`")
    sample = require.rows(encoder, modality)
    single = encoder.reads in ("signal", "stream") and len(sample.spec.channels) == 1
    check.hint = "a network that requires several channels declares `min_channels = 2` in its class" if single else None
    with check.during(f"rows of shape {tuple(sample.x.shape)}{_AXES.get(encoder.reads, '')}"):
        _check_rows(check, encoder, modality, sample)


_AXES = dict.fromkeys(("signal", "stream"), ", batch x channels x samples")


def _check_rows(check: Check, encoder: Encoder, modality: str, sample: require.SampleRows) -> None:
    with check.untouched("`fit_stats`", sample.x, sample.mask):
        encoder.fit_stats(sample.x, sample.mask)
    spec = require.with_fitted_stats(encoder, sample)
    _check_stats(check, encoder, sample, spec)
    module = check.repeats(lambda: encoder.build(spec))
    x, mask = sample.tensors()
    module.eval()
    with torch.no_grad():
        with check.untouched("the network", x, mask):
            alone = _run_one_by_one(check, module, x, mask)  # before the network could remember a batch
            tokens = _check_tokens(check, module(x, mask), len(x))
        check.sets_no_seed(lambda: module(x, mask), "the network in eval mode")
        repeated = module(x, mask).pool()
        expected = "the same output in eval mode, independent of earlier calls"
        check.equal(repeated, tokens.pool(), "two calls differ", expected=expected)
        what = "the output of a row depends on the other rows of its batch"
        check.equal(alone, tokens.pool(), what, expected="rows that are independent of each other")
        if mask is not None:
            _check_masks(check, module, x, mask, tokens)
            check.finite(module(x, None).pool(), "the output without a mask")
        if encoder.reads in ("signal", "stream"):
            _check_picks(check, module, x, mask, spec.channels)
    _check_head(check, encoder, tokens)
    _check_personal(check, encoder, modality, module, tokens)
    module.train()
    with check.untouched("the network in training mode", x, mask):
        trained = module(x, mask)
    check.gradients(module, projected(trained.x, trained.summary))
    elsewhere = require.with_fitted_stats(encoder, require.rows(encoder, modality, seed=1))
    other = seeded(lambda: encoder.build(elsewhere), seed=2)
    check.survives_saving(module, other, lambda m: _pool(m(x, mask)))
    away = x.to("meta"), None if mask is None else mask.to("meta")
    check.on_another_device(lambda: encoder.build(spec), lambda m: _pool(m(*away)))


def _pool(tokens: Any) -> Tensor:
    pooled: Tensor = tokens.pool()
    return pooled


def _check_tokens(check: Check, tokens: Any, size: int) -> Tokens:
    check.that(isinstance(tokens, Tokens), f"forward gave {type(tokens).__name__}", expected="Tokens")
    made: Tokens = tokens
    fine = made.x.ndim == 3 and len(made.x) == size and made.x.shape[1] > 0
    check.that(fine, f"the tokens have shape {tuple(made.x.shape)}", expected=f"({size}, L, D)")
    fine = made.x.dtype == torch.float32
    check.that(fine, f"the tokens are {made.x.dtype}", expected="torch.float32", hint="return `Tokens(x.float(), ..)`")
    if made.mask is not None:
        fine = made.mask.shape == made.x.shape[:2] and made.mask.dtype == torch.bool
        check.that(fine, f"the mask has shape {tuple(made.mask.shape)}, {made.mask.dtype}", expected="(B, L) bool")
        check.that(bool(made.mask.any(1).all()), "a row with samples has no valid token", expected="at least one")
    if made.summary is not None:
        fine = made.summary.shape == (size, made.x.shape[2])
        what = f"the summary has shape {tuple(made.summary.shape)}"
        check.that(fine, what, expected="(B, D), with D as in the tokens")
    check.finite(made.pool(), "the pooled output")
    return made


def _run_one_by_one(check: Check, module: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
    """Return the pooled output (B, D) of each row, computed one by one."""
    rows = [slice(row, row + 1) for row in range(len(x))]
    outputs = (module(x[row], None if mask is None else mask[row]) for row in rows)
    return torch.cat([_check_tokens(check, output, 1).pool() for output in outputs])


def _check_masks(check: Check, module: nn.Module, x: Tensor, mask: Tensor, tokens: Tokens) -> None:
    changed = module(require.masked_noise(x, mask, seed=3), mask)
    about = {
        "expected": "an output that masked samples do not change",
        "hint": "zero the masked samples before the first layer: `x = embench.nn.hide(x, mask)`",
    }
    check.equal(changed.pool(), tokens.pool(), "the network reads masked samples", **about)
    counts = tokens.mask
    check.equal(changed.mask, counts, "the output mask depends on masked samples", **about)
    if counts is not None:
        check.equal(changed.x[counts], tokens.x[counts], "the tokens depend on masked samples", **about)


def _check_picks(check: Check, module: nn.Module, x: Tensor, mask: Tensor | None, channels: tuple[str, ...]) -> None:
    """Check that the output depends on exactly the channels in the module's `picks`; without `picks`, on all."""
    picks = getattr(module, "picks", None)
    picked = list(range(len(channels))) if picks is None else _check_positions(check, picks, len(channels))
    rows = x[:1].repeat(len(channels) + 1, 1, 1)  # row k has noise in channel k; the last row has none
    noise = torch.randn(x.shape[2], generator=torch.Generator().manual_seed(5))
    for k in range(len(channels)):
        rows[k, k] += 10 * noise
    tokens = module(rows, None if mask is None else mask[:1].repeat(len(rows), 1))
    output = torch.cat([part.flatten(1) for part in (tokens.x, tokens.summary) if part is not None], 1)
    responds = (output - output[-1]).abs().amax(1) > CLOSE_ENOUGH * max(1.0, output[-1].abs().max().item())
    read = np.flatnonzero(responds.numpy()).tolist()
    if not read:  # nothing can be concluded if the last layer starts at zero
        return
    silent = ", ".join(channels[k] for k in picked if k not in read)
    more = ", ".join(channels[k] for k in read if k not in picked)
    named = " " if picks is None else ", as named by `picks` of its module, "
    extra = f"the network reads channel {more}, which `picks` does not name"
    what = f"channel {silent}{named}changes nothing" if silent else extra
    expected = "a module with `picks`: the positions of the channels that the module reads, in order"
    check.that(not silent and not more, what, expected=expected)


def _check_positions(check: Check, picks: Any, channels: int) -> list[int]:
    fine = isinstance(picks, Tensor) and picks.ndim == 1 and picks.dtype in (torch.int32, torch.int64)
    picked: list[int] = picks.tolist() if fine else []
    fine = bool(picked) and set(picked) <= set(range(channels)) and len(set(picked)) == len(picked)
    expected = f"an integer tensor (k,) of unique positions from 0 to {channels - 1}"
    check.that(fine, f"`picks` of the module is {picks!r}", expected=expected)
    return picked


def _check_head(check: Check, encoder: Encoder, tokens: Tokens) -> None:
    outputs = require.targets("binary", "classes")
    spec = TokenSpec(tokens.x.shape[1], tokens.x.shape[2], tokens.summary is not None)
    with check.during("the head"):
        head = check.repeats(lambda: encoder.head(spec, outputs)).eval()
        output = head(require.take_rows(tokens))
        check.that(isinstance(output, Output), f"the result has the type {type(output).__name__}", expected="Output")
        shape, size = tuple(output.logits.shape), (len(tokens.x), outputs.size)
        check.that(shape == size, f"the logits have shape {shape}", expected=f"{size}")
        fine = output.hidden.ndim == 2 and len(output.hidden) == len(tokens.x)
        check.that(fine, f"the hidden layer has shape {tuple(output.hidden.shape)}", expected="(B, H)")
        check.finite(output.logits, "the output")
        check.gradients(head, projected(output.logits, output.hidden))


def _check_personal(check: Check, encoder: Encoder, modality: str, module: nn.Module, tokens: Tokens) -> None:
    spec = TokenSpec(tokens.x.shape[1], tokens.x.shape[2], tokens.summary is not None)
    head = seeded(lambda: encoder.head(spec, require.targets("binary")))
    model = Model({modality: module}, {modality: spec}, head=head)

    def units(seed: int) -> Batch:
        x, mask = require.rows(encoder, modality, seed=seed).tensors()
        return Batch({modality: x}, {modality: mask}, {modality: torch.arange(len(x))}, len(x))

    check_personalises(check, encoder, model, units)


def _check_stats(check: Check, encoder: Encoder, sample: require.SampleRows, spec: InputSpec) -> None:
    """Check that statistics are plain arrays, are reproducible, and use recorded samples only."""
    for name, value in spec.stats.items():
        check.that(bool(np.isfinite(value).all()), f"`fit_stats` gives a {name} that is not finite", expected="numbers")
    if sample.mask is None or not spec.stats:
        return
    noise = np.random.default_rng(4).standard_normal(sample.x.shape).astype(np.float32) * 10
    changed = replace(sample, x=np.where(sample.mask[:, None], sample.x, noise))
    for name, value in require.with_fitted_stats(encoder, changed).stats.items():
        same = np.allclose(value, spec.stats[name], rtol=1e-4, atol=1e-5)
        check.that(same, f"`fit_stats` uses masked samples for {name}", expected="recorded samples only")


def _check_features(check: Check, encoder: Encoder, modality: str) -> None:
    """Check that features of a span do not depend on the other requested spans, and that an empty span has none."""
    signal = require.signal_for(encoder, modality, 40.0)
    spans = np.array([[0.0, 10.0], [5.0, 15.0], [12.0, 40.0]])
    with check.untouched("`features`", signal.data, spans):
        found = np.asarray(encoder.features(signal, spans))
    check.sets_no_seed(lambda: encoder.features(signal, spans), "`features`")
    check.that(found.ndim >= 2 and len(found) == 3, f"features have shape {found.shape}", expected="(n, *shape)")
    expected = "finite values for ten seconds of signal"
    check.that(bool(np.isfinite(found).any()), "features contain only NaN", expected=expected)
    check.that(not np.isinf(found).any(), "features contain infinity", expected="numbers, or NaN without a signal")
    for row in range(3):
        alone = np.asarray(encoder.features(signal, spans[row : row + 1].copy()))[0]
        same = np.allclose(alone, found[row], rtol=1e-4, atol=1e-5, equal_nan=True)
        check.that(same, "features of a span depend on the other spans", expected="independent features for each span")
    names = encoder.feature_names(modality, signal.channels)
    if names and found.ndim == 2:
        what = f"the encoder has {len(names)} feature names for {found.shape[1]} features"
        check.that(len(names) == found.shape[1], what, expected="one each")


# Conformance of pretrainers.

_CHANNELS = {"eda": ("eda",), "acc": ("x", "y", "z")}
_LENGTH, _DIM, _SIZE = 320, 16, 6
_OUTPUTS = require.targets("binary")


@leaves_no_trace
def check_pretrainer(cls: type[Pretrainer]) -> None:
    """Check that a pretrainer follows its interface, in all presets, on a small network.

    Checked are: a finite loss and named figures; the whole model at `.model`; gradients that reach the encoders; equal
    losses from one seed; masked samples that are not read; a batch with an absent modality. Of tasks that need clips,
    only the recipes are checked.

    Raises:
        CheckFailed: with the expected and the found behaviour.
    """
    check = Check(cls)
    check.that(issubclass(cls, Pretrainer), "the class is not a Pretrainer", expected="a subclass of Pretrainer")
    check.that(cls.scope in ("encoder", "model"), f"`scope` is {cls.scope!r}", expected="encoder or model")
    check.that(cls.labels in ("none", "source"), f"`labels` is {cls.labels!r}", expected="none or source")
    names = tuple(_CHANNELS) if cls.scope == "model" else ("acc",)
    for preset, recipe in check.recipes().items():
        if "clips" not in cls.needs_input:
            with check.during(f"preset {preset}"), torch.random.fork_rng(devices=[]):
                _check_pretrainer(check, cls(recipe), names)


def _check_pretrainer(check: Check, pretrainer: Pretrainer, names: tuple[str, ...]) -> None:
    inputs = {m: InputSpec(m, (len(_CHANNELS[m]), _LENGTH), _CHANNELS[m], 32.0) for m in names}
    labelled = pretrainer.labels == "source"
    model = seeded(lambda: _make_model(inputs, fused=pretrainer.scope == "model"))
    objective = check.repeats(lambda: pretrainer.objective(model, inputs, _OUTPUTS if labelled else None))
    fine = getattr(objective, "model", None) is model
    check.that(fine, "the task does not hold the model as `.model`", expected="the model that was passed in")
    batch = _make_batch(inputs, labelled)
    with check.untouched("the objective", *batch.x.values(), *batch.mask.values(), batch.y, batch.weight):
        loss, figures = _get_loss(check, objective, batch)
    check.sets_no_seed(lambda: objective(batch), "the objective")
    check.that(isinstance(figures, Mapping), f"the figures are {type(figures).__name__}", expected="{name: figure}")
    for name, figure in figures.items():
        check.finite(torch.as_tensor(figure).detach(), f"figure {name}")
    what = "two calls with one seed differ"
    check.equal(_get_loss(check, objective, batch)[0], loss, what, expected="torch's generator only")
    noisy = replace(batch, x={m: _add_noise(x, batch.mask[m]) for m, x in batch.x.items()})
    expected = "no effect of samples with a False mask"
    what = "the loss depends on masked samples"
    check.equal(_get_loss(check, objective, noisy)[0], loss, what, expected=expected)
    check.finite(_get_loss(check, objective, _drop(batch, names[0]))[0], "the loss of a row without one modality")
    objective.train()
    loss = _get_loss(check, objective, batch)[0]
    check.that(loss.requires_grad, "the loss has no gradient", expected="a differentiable loss")
    loss.backward()
    for m, encoder in model.encoders.items():
        reached = any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in encoder.parameters())
        check.that(reached, f"no gradient reaches the encoder of {m}", expected="encoders that learn")
    for name, p in objective.named_parameters():
        check.finite(p.grad, f"the gradient of `{name}`")


def _get_loss(check: Check, objective: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, object]]:
    output = seeded(lambda: objective(batch), seed=3)
    fine = isinstance(output, tuple) and len(output) == 2 and isinstance(output[0], Tensor) and output[0].ndim == 0
    check.that(fine, "the call did not return a loss and figures", expected="(loss of shape (), {name: figure})")
    loss, figures = output
    check.finite(loss.detach(), "the loss")
    return loss, figures


def _make_batch(inputs: Mapping[str, InputSpec], labelled: bool) -> Batch:
    generator = torch.Generator().manual_seed(0)
    x, mask = {}, {}
    for m, spec in inputs.items():
        keep = torch.ones(_SIZE, _LENGTH, dtype=torch.bool)
        keep[1, : _LENGTH // 3] = False
        x[m] = torch.randn(_SIZE, *spec.shape, generator=generator) * keep[:, None]
        mask[m] = keep
    y = (torch.arange(_SIZE) % 2).float()[:, None] if labelled else None
    return Batch(x, mask, {m: torch.arange(_SIZE) for m in inputs}, _SIZE, y, torch.ones(_SIZE))


def _drop(batch: Batch, modality: str) -> Batch:
    """Return the batch with a modality absent in the last row."""
    mask = batch.mask[modality]
    return replace(
        batch,
        x={**batch.x, modality: batch.x[modality][:-1]},
        mask={**batch.mask, modality: None if mask is None else mask[:-1]},
        rows={**batch.rows, modality: batch.rows[modality][:-1]},
    )


def _add_noise(x: Tensor, mask: Tensor | None) -> Tensor:
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(4)) * 10
    return x if mask is None else torch.where(mask[:, None], x, noise)


class _Encoder(nn.Module):
    """An encoder with a token for each sample and a summary, so that any pretext task can use it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.line = nn.Linear(channels, _DIM)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        tokens = Tokens(torch.tanh(self.line(x.transpose(1, 2))), mask)
        return Tokens(tokens.x, mask, tokens.pool())


class _Fusion(nn.Module):
    """A fusion with one token for each modality: the modality's summary, mixed with those of the others."""

    width = _DIM

    def __init__(self, specs: Mapping[str, TokenSpec]) -> None:
        super().__init__()
        self.fill, self.line, self.head = FillAbsent(specs), nn.Linear(_DIM, _DIM), Head(_DIM, _OUTPUTS.size)

    def mix(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> dict[str, Tokens]:
        filled = self.fill(tokens, present)
        stacked = torch.stack([t.pool() for t in filled.values()], 1)
        mixed = stacked + self.line(stacked.mean(1, keepdim=True))
        return {m: Tokens(mixed[:, i : i + 1]) for i, m in enumerate(filled)}

    def forward(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> Output:
        mixed = torch.cat([t.x for t in self.mix(tokens, present).values()], 1)
        output: Output = self.head(Tokens(mixed))
        return Output(output.logits, output.hidden, mixed)


def _make_model(inputs: Mapping[str, InputSpec], *, fused: bool) -> Model:
    specs = {m: TokenSpec(_LENGTH, _DIM, summary=True) for m in inputs}
    encoders = {m: _Encoder(spec.shape[0]) for m, spec in inputs.items()}
    return Model(encoders, specs, _Fusion(specs) if fused else None, None if fused else Head(_DIM, _OUTPUTS.size))
