"""The conformance of fusions."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from embench.errors import UsageError
from embench.interfaces.fusion import Estimator, Fusion
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch, Output, Tokens, TokenSpec
from embench.nn import Model
from embench.testing import samples
from embench.testing.estimators import check_estimator
from embench.testing.personal import Passed, check_personalises
from embench.testing.require import Check, leaves_no_trace, lets_print, projected, seeded

_OUTPUTS = samples.targets("binary", "binary", "classes")
_NAMES = ("eda", "ppg", "temp")
_SIZE = 5


@leaves_no_trace
def check_fusion(cls: type[Fusion | Estimator]) -> None:
    """Checks that a fusion keeps its interface, in all presets; an estimator is handed to `check_estimator`.

    Shapes; its read-out under `.head`; the same network and output from one seed; rows that don't depend on their
    batch; nothing read of masked tokens or of absent modalities; gradients everywhere; weights that hold all that
    decides the output; a `personalise` that does what it declares, whoever came before. A fusion with `inputs =
    "unimodal"` has no network, and only its recipes are checked.

    Raises:
        CheckFailed: with what was expected and what was found.
    """
    if issubclass(cls, Estimator):
        check_estimator(cls)
        return
    check = Check(cls)
    check.that(issubclass(cls, Fusion), "the class is not a Fusion", expected="a subclass of Fusion or Estimator")
    known = ("tokens", "hidden", "unimodal")
    check.that(cls.inputs in known, f"`inputs` is {cls.inputs!r}", expected=f"one of {', '.join(known)}")
    least, most = cls.arity
    check.that(1 <= least <= (most or least), f"`arity` is {cls.arity!r}", expected="(least, greatest or None)")
    for preset, recipe in check.recipes().items():
        if cls.inputs != "unimodal":
            for count in sorted({least, min(most or 3, 3)}):
                with check.during(f"preset {preset}, {count} modalities"), torch.random.fork_rng(devices=[]):
                    _check(check, cls(recipe), _NAMES[:count])


@lets_print
def check_arity_of(cls: type[Fusion | Estimator], recipe: Recipe, modalities: int) -> None:
    """Checks a fusion or estimator, which may print, as `check_fusion` does, with one recipe and number of modalities.
    Raises CheckFailed."""
    if issubclass(cls, Estimator):
        inspect.unwrap(check_estimator)(cls)
        return
    check = Check(cls)
    if cls.inputs != "unimodal":
        with check.during(f"{modalities} modalities"):
            _check(check, cls(recipe), tuple(f"{_NAMES[i % len(_NAMES)]}{i}" for i in range(modalities)))


def _check(check: Check, fusion: Fusion, names: tuple[str, ...]) -> None:
    specs, module = _built(check, fusion, names)
    check.that(hasattr(module, "head"), "the network has no `.head`", expected="the read-out layer under `.head`")
    tokens, present = _inputs(specs)
    module.eval()
    parts = [part for t in tokens.values() for part in (t.x, t.mask, t.summary)]
    with torch.no_grad():
        with check.untouched("the network", *parts, *present.values()):
            rows = [_rows(tokens, present, slice(row, row + 1)) for row in range(_SIZE)]
            alone = torch.cat([_shapes(check, module(*row), 1).logits for row in rows])  # before it has seen a batch
            output = _shapes(check, module(tokens, present), _SIZE)
        check.sets_no_seed(lambda: module(tokens, present), "the network in eval mode")
        repeated = module(tokens, present).logits
        expected = "the same output in eval mode, independent of earlier calls"
        check.equal(repeated, output.logits, "two calls differ", expected=expected)
        what = "the output of a row depends on the other rows of its batch"
        check.equal(alone, output.logits, what, expected="rows that are independent of each other")
        noisy = module(_noise(tokens), present).logits
        check.equal(
            noisy,
            output.logits,
            "the network reads masked tokens or absent modalities",
            expected="an output that masked tokens and modalities without `present` do not change",
            hint="pool with `tokens.pooled()` and mask the softmax by `present`: `scores.masked_fill(~there, -inf)`; "
            "or replace absent modalities by a learned token: `embench.nn.FillAbsent`",
        )
        if "mixed_tokens" in fusion.offers:
            _mixed(check, module, tokens, present)
    check_personalises(check, fusion, _model(seeded(lambda: fusion.build(specs, samples.targets("binary"))), specs),
                       partial(_units, specs))  # fmt: skip
    module.train()
    trained = module(tokens, present)
    check.gradients(module, projected(trained.logits, trained.hidden))
    other = seeded(lambda: fusion.build(specs, _OUTPUTS), seed=2)
    check.survives_saving(module, other, lambda m: _logits(m(tokens, present)))
    away = {m: samples.without_values(t) for m, t in tokens.items()}
    there = {m: p.to("meta") for m, p in present.items()}
    check.on_another_device(lambda: fusion.build(specs, _OUTPUTS), lambda m: _logits(m(away, there)))


def _mixed(check: Check, module: Any, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> None:
    """Checks the promises of `mixed_tokens`: `embench.interfaces.fusion.MixesTokens`."""
    mixed = module.mix(tokens, present)
    check.that(set(mixed) == set(tokens), f"`mix` returned {', '.join(mixed)}", expected=", ".join(tokens))
    for m, t in mixed.items():
        fine = t.x.ndim == 3 and len(t.x) == _SIZE and t.x.shape[2] == module.width
        check.that(
            fine, f"`mix` returned {m} with the shape {tuple(t.x.shape)}", expected=f"({_SIZE}, L, {module.width})"
        )
        check.finite(t.pooled(), f"the mixed {m}")
        there = t.mask is None or bool(t.mask.any(1).all())
        check.that(there, f"`mix` leaves a row of {m} without a valid token", expected="at least one")


def _built(check: Check, fusion: Fusion, names: tuple[str, ...]) -> tuple[Mapping[str, TokenSpec], nn.Module]:
    """The network for modalities that differ in width; in length only, where it says that it wants one width."""
    if fusion.inputs == "hidden":
        specs = {m: TokenSpec(1, 16 + 8 * i, head=16 + 8 * i) for i, m in enumerate(names)}
        return specs, check.repeats(lambda: fusion.build(specs, _OUTPUTS))
    specs = {m: TokenSpec(4 + i, 16 * (i + 1), summary=i == 0) for i, m in enumerate(names)}
    try:
        fusion.build(specs, _OUTPUTS)
    except UsageError:
        specs = {m: TokenSpec(4 + i, 32, summary=i == 0) for i, m in enumerate(names)}
    return specs, check.repeats(lambda: fusion.build(specs, _OUTPUTS))


def _inputs(specs: Mapping[str, TokenSpec]) -> tuple[dict[str, Tokens], dict[str, Tensor]]:
    """Tokens of a batch in which every modality is absent somewhere, where there are several; none in all."""
    tokens, present = {}, {}
    for i, (m, spec) in enumerate(specs.items()):
        there = torch.ones(_SIZE, dtype=torch.bool)
        if len(specs) > 1:
            there[i + 1] = False
        present[m] = there
        tokens[m] = samples.tokens(spec, there, seed=i)
    return tokens, present


def _model(module: nn.Module, specs: Mapping[str, TokenSpec]) -> Model:
    return Model({m: Passed(spec.summary) for m, spec in specs.items()}, specs, fusion=module)


def _units(specs: Mapping[str, TokenSpec], seed: int) -> Batch:
    """Rows of a subject with all modalities, whose tokens come as they are."""
    there = torch.ones(_SIZE, dtype=torch.bool)
    tokens = {m: samples.tokens(spec, there, seed=seed + i) for i, (m, spec) in enumerate(specs.items())}
    rows = {m: torch.arange(_SIZE) for m in specs}
    return Batch({m: t.x for m, t in tokens.items()}, {m: t.mask for m, t in tokens.items()}, rows, _SIZE)


def _noise(tokens: Mapping[str, Tokens]) -> dict[str, Tokens]:
    """A copy of the tokens with noise wherever nothing is there."""
    generator = torch.Generator().manual_seed(5)
    noisy = {}
    for m, t in tokens.items():
        counts = torch.ones(t.x.shape[:2], dtype=torch.bool) if t.mask is None else t.mask
        x = torch.where(counts[:, :, None], t.x, torch.randn(t.x.shape, generator=generator) * 10)
        summary = t.summary
        if summary is not None:
            summary = torch.where(counts.any(1)[:, None], summary, torch.randn(summary.shape, generator=generator) * 10)
        noisy[m] = Tokens(x, t.mask, summary)
    return noisy


def _rows(
    tokens: Mapping[str, Tokens], present: Mapping[str, Tensor], rows: slice
) -> tuple[dict[str, Tokens], dict[str, Tensor]]:
    cut = {m: samples.take_rows(t, rows) for m, t in tokens.items()}
    return cut, {m: there[rows] for m, there in present.items()}


def _logits(output: Any) -> Tensor:
    logits: Tensor = output.logits
    return logits


def _shapes(check: Check, output: Any, size: int) -> Output:
    check.that(isinstance(output, Output), f"forward gave {type(output).__name__}", expected="Output")
    made: Output = output
    wanted = (size, _OUTPUTS.size)
    check.that(made.logits.shape == wanted, f"the logits have shape {tuple(made.logits.shape)}", expected=str(wanted))
    fine = made.hidden.ndim == 2 and len(made.hidden) == size
    check.that(fine, f"the hidden layer has shape {tuple(made.hidden.shape)}", expected="(B, H)")
    check.finite(made.logits, "the output")
    return made
