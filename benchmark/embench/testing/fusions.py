"""Conformance of fusions, estimators, adaptation, metrics and observers."""

from __future__ import annotations

import contextlib
import inspect
import secrets
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn

from embench.errors import CheckFailed, UsageError
from embench.interfaces.fusion import Estimator, Fusion, TrainingRows
from embench.interfaces.kinds import KINDS, KindName
from embench.interfaces.metric import Metric, Undefined
from embench.interfaces.personal import Changes, Personalised, collect_changes
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch, Output, Tokens, TokenSpec
from embench.interfaces.units import Units
from embench.nn import Model
from embench.registry.loading import Observers
from embench.testing import require
from embench.testing.require import CLOSE_ENOUGH, Check, leaves_no_trace, lets_print, projected, seeded

# Conformance of adaptation to a subject: `personalise` of encoders, fusions and estimators.

_ALONE = "the same result for a subject, independent of earlier subjects"


def check_personalises(check: Check, plugin: Personalised, model: Model, units: Callable[[int], Batch]) -> None:
    """Check the method `personalise` of an encoder or fusion, if it overrides it. The method must change what
    `personalises` names, to finite numbers, with and without labels. It must be reproducible from one seed, independent
    of earlier subjects, and leave its inputs unchanged.

    Args:
        units: function from a seed to the units of a subject, always with the same number of rows.
    """
    if type(plugin).personalise is Personalised.personalise:
        return
    known = get_args(Changes)
    fine = plugin.personalises in known
    check.that(fine, f"`personalises` is {plugin.personalises!r}", expected=f"one of {', '.join(known)}")
    model.eval()
    for with_labels in (True, False):
        with check.during(f"`personalise` {'with' if with_labels else 'without'} labels"):
            first, second = units(11), units(12)
            labels = (torch.arange(first.size) % 2).float()[:, None] if with_labels else None

            def adapted(batch: Batch, labels: Tensor | None = labels, seed: int = 1) -> dict[str, Tensor]:
                return seeded(lambda: collect_changes(plugin, model, batch, labels), seed)

            inputs = (part for part in (*second.x.values(), *second.mask.values(), labels))
            with check.untouched("`personalise`", *inputs):
                alone = adapted(second)
            _same(check, adapted(second), alone, "a second call changes other numbers", "one result per seed")
            adapted(first)
            _same(check, adapted(second), alone, "after another subject, `personalise` changes other numbers", _ALONE)
            check.sets_no_seed(partial(collect_changes, plugin, model, second, labels), "`personalise`")


def _same(check: Check, one: dict[str, Tensor], other: dict[str, Tensor], what: str, expected: str) -> None:
    check.that(one.keys() == other.keys(), what, expected=expected)
    for name, tensor in one.items():
        check.equal(tensor.float(), other[name].float(), f"{what}, of `{name}`", expected=expected)


def check_estimator_personalises(
    check: Check, make: Callable[[], Estimator], rows: TrainingRows, X: np.ndarray
) -> None:
    """Check the method `personalise` of a fitted estimator, if it overrides it. The method must return an estimator
    with finite scores, with and without labels, also from a single unit. It must be reproducible, independent of
    earlier subjects, and leave the estimator and the training rows unchanged.

    Args:
        rows: training rows.
        X: rows (n, features) to score; each half is also the calibration data of a subject.
    """
    fitted = make()
    if type(fitted).personalise is Estimator.personalise:
        return
    check.that(bool(type(fitted).strengths), "`strengths` is empty", expected="numbers in ascending order")
    fitted.fit(*_copy(rows))
    before, half = fitted.score(X.copy()), len(X) // 2
    for with_labels in (True, False):
        for strength in type(fitted).strengths:
            with check.during(f"`personalise` {'with' if with_labels else 'without'} labels, strength {strength:g}"):

                def scores(of: slice, strength: float = strength, with_labels: bool = with_labels) -> np.ndarray:
                    units = X[of].copy()
                    y, training = (rows.y[: len(units)].copy() if with_labels else None), _copy(rows)
                    with check.untouched("`personalise`", training.X, training.y, units):
                        made = fitted.personalise(units, y, training, strength)
                    fine = isinstance(made, Estimator)
                    check.that(fine, f"the result has the type {type(made).__name__}", expected="an estimator")
                    found = np.asarray(made.score(X.copy()), float)
                    check.that(bool(np.isfinite(found).all()), "the scores are not finite", expected="finite values")
                    return found

                alone = scores(slice(half, None))
                what = "two personalised estimators of one subject differ"
                check.that(_are_near(scores(slice(half, None)), alone), what, expected="one result per seed")
                scores(slice(0, 1))
                what = "the units of another subject change the scores"
                check.that(_are_near(scores(slice(half, None)), alone), what, expected=_ALONE)
                what = "`personalise` changes the original estimator"
                fine = _are_near(fitted.score(X.copy()), before)
                check.that(fine, what, expected="an unchanged original estimator")


def _copy(rows: TrainingRows) -> TrainingRows:
    return TrainingRows(rows.X.copy(), rows.y.copy(), rows.subjects.copy(), rows.weight.copy(), rows.val)


class Passed(nn.Module):
    """An encoder that returns tokens (b, L, D) unchanged, and their mean as a summary if `summary` is set."""

    def __init__(self, summary: bool) -> None:
        super().__init__()
        self.summary = summary

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Return tokens of rows (b, L, D)."""
        return Tokens(x, mask, Tokens(x, mask).pool() if self.summary else None)


# Conformance of fusions without gradients.

_CLASSES = 3
_ROWS = 12
"""Number of rows of each subject."""


class _Table(NamedTuple):
    X: np.ndarray
    y: np.ndarray
    subjects: np.ndarray
    weight: np.ndarray


@leaves_no_trace
def check_estimator(cls: type[Estimator], nonce: str | None = None) -> None:
    """Check that an estimator follows its interface, in all presets and for every kind of target that it predicts.

    Checked are:

    - probabilities (for each of several classes, even if training rows lack one), or values, for rows with missing
      values and for a feature without any value;
    - equal scores from one seed; rows that do not depend on their batch; unchanged inputs;
    - higher scores for the true class if classes are separable; no memory of labels from another fit;
    - `personalise`: it leaves the estimator unchanged, and does not depend on earlier subjects.

    Args:
        nonce: text that determines the rows and labels for detecting a memory; default: random. A failure names it.

    Raises:
        CheckFailed: with the expected and the found behaviour.
    """
    check = Check(cls)
    check.that(issubclass(cls, Estimator), "the class is not an Estimator", expected="a subclass of Estimator")
    fine = bool(cls.kinds) and cls.kinds <= set(KINDS)
    check.that(fine, f"`kinds` is {set(cls.kinds)!r}", expected=f"some of {', '.join(KINDS)}")
    known = ("features", "decisions")
    check.that(cls.reads in known, f"`reads` is {cls.reads!r}", expected=f"one of {', '.join(known)}")
    checked: list[Recipe] = []
    nonce = nonce or secrets.token_hex(8)
    for preset, recipe in check.recipes().items():
        if recipe in checked:  # presets may share one
            continue
        checked.append(recipe)
        for kind in KINDS:
            if kind in cls.kinds:
                make = partial(cls, recipe, 1, kind, _n_classes(kind))
                with check.during(f"preset {preset}, {kind} targets"):
                    _check_estimator(check, make, kind, cls.reads)
                    with check.during(f"nonce {nonce}"):
                        _check_memory(
                            check, make, _make_decisions if cls.reads == "decisions" else _make_table, kind, nonce
                        )


def _n_classes(kind: KindName) -> int:
    return _CLASSES if KINDS[kind].has_score_per_class else 2


def _check_estimator(check: Check, make: Callable[[], Estimator], kind: KindName, reads: str) -> None:
    build = _make_decisions if reads == "decisions" else _make_table
    table, val, test = build(8, 0, kind), build(3, 1, kind), build(3, 2, kind)
    before = [part.copy() for part in table]
    one, other, without_val = make(), make(), make()
    for estimator in (one, other):
        estimator.fit(*table, val=(val.X, val.y))
    untouched = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(table, before, strict=True))
    check.that(untouched, "fitting changed the inputs", expected="unchanged arrays")
    # Single rows come first, before the estimator could remember a batch. scikit-learn's imputer fills rows in place,
    # so they are copied, as in a run.
    alone = np.concatenate([np.asarray(one.score(test.X[[row]])) for row in range(len(test.X))])
    score = _check_scores(check, one, test, kind)
    expected = "one result per seed; use `self.seed`, for example as `random_state`"
    check.that(_are_near(other.score(test.X.copy()), score), "two fits with one seed differ", expected=expected)
    other.fit(*val, val=(test.X, test.y))
    other.fit(*table, val=(val.X, val.y))
    what = "scores depend on an earlier fit to other rows"
    check.that(_are_near(other.score(test.X.copy()), score), what, expected="a fit that is independent of earlier fits")
    check.sets_no_seed(lambda: make().fit(*val, val=(test.X, test.y)), "`fit`")
    check.sets_no_seed(lambda: one.score(test.X.copy()), "`score`")
    what = "the score of a row depends on the other rows of its batch"
    check.that(_are_near(alone, score), what, expected="rows that are independent of each other")
    _check_separation(check, score, test.y, kind)
    rows = TrainingRows(*table, val=(val.X, val.y))
    check_estimator_personalises(check, make, rows, test.X[:_ROWS])
    without_val.fit(*table)
    fine = bool(np.isfinite(without_val.score(test.X)).all())
    check.that(fine, "without `val` the scores are not finite", expected="scores")
    if KINDS[kind].has_score_per_class:
        lacking, others = make(), table.y != 1
        lacking.fit(*(part[others] for part in table))
        _check_scores(check, lacking, test, kind)


def _check_memory(
    check: Check, make: Callable[[], Estimator], build: Callable[..., _Table], kind: KindName, nonce: str
) -> None:
    """Check that an estimator does not remember labels. Its scores must not change after another fit, to the scored
    rows and their labels, as in another fold. Fits to labels and to permuted labels are checked."""
    random = np.random.default_rng(list(nonce.encode()))
    train, test = (build(count, int(random.integers(2**32)), kind) for count in (4, 3))
    permuted, revealed = (
        table._replace(y=random.permuted(table.y.reshape(-1, _ROWS), axis=1).ravel()) for table in (train, test)
    )

    def scores() -> np.ndarray:
        fitted = make(), make()
        for estimator, rows in zip(fitted, (train, permuted), strict=True):
            estimator.fit(*rows)
        return np.stack([estimator.score(test.X.copy()) for estimator in fitted])

    before = scores()
    make().fit(*_Table(*map(np.concatenate, zip(train, revealed, strict=True))))
    expected = "scores that depend only on the rows of the estimator's own fit"
    check.that(_are_near(scores(), before), "the estimator remembers labels of another fit", expected=expected)


def _check_separation(check: Check, score: np.ndarray, y: np.ndarray, kind: KindName) -> None:
    if not KINDS[kind].has_classes:
        follows = float(np.corrcoef(score, y)[0, 1])
        expected = "a positive correlation"
        check.that(follows > 0, f"the values correlate {follows:.3f} with the labels", expected=expected)
        return
    several = KINDS[kind].has_score_per_class
    for k in range(_CLASSES) if several else (1,):
        of_class, what = (score[:, k], f"class {k}") if several else (score, "the positive class")
        high, low = of_class[y == k].mean(), of_class[y != k].mean()
        check.that(high > low, f"{what} scores {high:.3f}, the other {low:.3f}", expected=f"{what} higher")


def _check_scores(check: Check, estimator: Estimator, test: _Table, kind: KindName) -> np.ndarray:
    """Return the scores of the test rows, after a check of shape and values (probabilities for classes)."""
    score = np.asarray(estimator.score(test.X.copy()))
    shape = (len(test.y), _CLASSES) if KINDS[kind].has_score_per_class else test.y.shape
    check.that(score.shape == shape, f"scores have shape {score.shape}", expected=f"{shape}")
    check.that(bool(np.isfinite(score).all()), "scores are not finite", expected="finite values")
    if not KINDS[kind].has_classes:
        return score
    fine = bool((score >= 0).all() and (score <= 1).all())
    check.that(fine, f"scores range from {score.min():.3g} to {score.max():.3g}", expected="probabilities")
    if KINDS[kind].has_score_per_class:
        fine = _are_near(score.sum(1), np.ones(len(score)))
        check.that(fine, "the probabilities of a row do not sum to 1", expected="a distribution over the classes")
    return score


def _are_near(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.allclose(one, other, rtol=0, atol=CLOSE_ENOUGH))


def _make_table(subjects: int, seed: int, kind: KindName) -> _Table:
    """Return synthetic rows of subjects: two of six features separate the classes, some values are missing, and one
    feature has no values."""
    random = np.random.default_rng(seed)
    n = subjects * _ROWS
    y = np.tile(np.arange(_ROWS) % (_n_classes(kind) if KINDS[kind].has_classes else _CLASSES), subjects).astype(float)
    if not KINDS[kind].has_classes:
        y = y + random.normal(0, 0.2, n)
    X = random.standard_normal((n, 6)).astype(np.float32)
    X[:, :2] += 2 * y[:, None]
    if KINDS[kind].has_score_per_class:
        X[:, 1] += np.where(y == 1, 3, 0)
    X[random.random((n, 6)) < 0.1] = np.nan
    X[:, 5] = np.nan
    return _Table(X, y, np.repeat([f"p{seed}{i}" for i in range(subjects)], _ROWS), np.ones(n))


def _make_decisions(subjects: int, seed: int, kind: KindName) -> _Table:
    """Return rows with the decisions of three networks for the labels of `_make_table`. Each network lacks some rows,
    but no row lacks all."""
    near_labels, random = _make_table(subjects, seed, kind), np.random.default_rng([seed, 1])
    scores = random.normal(0, 1, (len(near_labels.y), 3, _CLASSES if KINDS[kind].has_score_per_class else 1))
    if KINDS[kind].has_score_per_class:
        scores[np.arange(len(scores)), :, near_labels.y.astype(int)] += 2
        scores = np.exp(scores) / np.exp(scores).sum(2, keepdims=True)
    else:
        scores += 2 * (near_labels.y - near_labels.y.mean())[:, None, None]
        scores = scores if not KINDS[kind].has_classes else 1 / (1 + np.exp(-scores))
    some = np.arange(len(scores)) % 4  # the network that lacks the row; 3: none
    scores[np.arange(len(scores))[some < 3], some[some < 3]] = np.nan
    return near_labels._replace(X=scores.reshape(len(scores), -1))


# Conformance of fusions.

_OUTPUTS = require.targets("binary", "binary", "classes")
_NAMES = ("eda", "ppg", "temp")
_SIZE = 5


@leaves_no_trace
def check_fusion(cls: type[Fusion | Estimator]) -> None:
    """Check that a fusion follows its interface, in all presets; estimators are passed to `check_estimator`.

    Checked are: shapes; the read-out under `.head`; equal networks and outputs from one seed; rows that do not depend
    on their batch; masked tokens and absent modalities that are not read; gradients for all parameters; weights that
    determine the output; a `personalise` that does what it declares and does not depend on earlier subjects. A fusion
    with `inputs = "unimodal"` has no network, so only its recipes are checked.

    Raises:
        CheckFailed: with the expected and the found behaviour.
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
                    _check_on_modalities(check, cls(recipe), _NAMES[:count])


@lets_print
def check_fusion_arity(cls: type[Fusion | Estimator], recipe: Recipe, modalities: int) -> None:
    """Check a fusion as `check_fusion` does, but with one recipe and number of modalities; it may print."""
    if issubclass(cls, Estimator):
        inspect.unwrap(check_estimator)(cls)
        return
    check = Check(cls)
    if cls.inputs != "unimodal":
        with check.during(f"{modalities} modalities"):
            _check_on_modalities(check, cls(recipe), tuple(f"{_NAMES[i % len(_NAMES)]}{i}" for i in range(modalities)))


def _check_on_modalities(check: Check, fusion: Fusion, names: tuple[str, ...]) -> None:
    specs, module = _build_network(check, fusion, names)
    check.that(hasattr(module, "head"), "the network has no `.head`", expected="the read-out layer under `.head`")
    tokens, present = _make_inputs(specs)
    module.eval()
    parts = [part for t in tokens.values() for part in (t.x, t.mask, t.summary)]
    with torch.no_grad():
        with check.untouched("the network", *parts, *present.values()):
            rows = [
                (
                    {m: require.take_rows(t, at) for m, t in tokens.items()},
                    {m: there[at] for m, there in present.items()},
                )
                for at in (slice(row, row + 1) for row in range(_SIZE))
            ]
            alone = torch.cat([_checked(check, module(*row), 1).logits for row in rows])  # before it has seen a batch
            output = _checked(check, module(tokens, present), _SIZE)
        check.sets_no_seed(lambda: module(tokens, present), "the network in eval mode")
        repeated = module(tokens, present).logits
        expected = "the same output in eval mode, independent of earlier calls"
        check.equal(repeated, output.logits, "two calls differ", expected=expected)
        what = "the output of a row depends on the other rows of its batch"
        check.equal(alone, output.logits, what, expected="rows that are independent of each other")
        noisy = module(_add_noise(tokens), present).logits
        check.equal(
            noisy,
            output.logits,
            "the network reads masked tokens or absent modalities",
            expected="an output that masked tokens and modalities without `present` do not change",
            hint="pool with `tokens.pool()` and mask the softmax by `present`: `scores.masked_fill(~there, -inf)`; "
            "or replace absent modalities by a learned token: `embench.nn.FillAbsent`",
        )
        if "mixed_tokens" in fusion.offers:
            _check_mixed(check, module, tokens, present)
    network = seeded(lambda: fusion.build(specs, require.targets("binary")))
    model = Model({m: Passed(spec.summary) for m, spec in specs.items()}, specs, fusion=network)
    check_personalises(check, fusion, model, partial(_make_units, specs))
    module.train()
    trained = module(tokens, present)
    check.gradients(module, projected(trained.logits, trained.hidden))
    other = seeded(lambda: fusion.build(specs, _OUTPUTS), seed=2)
    check.survives_saving(module, other, lambda m: _logits(m(tokens, present)))
    away = {m: require.without_values(t) for m, t in tokens.items()}
    there = {m: p.to("meta") for m, p in present.items()}
    check.on_another_device(lambda: fusion.build(specs, _OUTPUTS), lambda m: _logits(m(away, there)))


def _check_mixed(check: Check, module: Any, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> None:
    """Check the method `mix` of a network that offers `mixed_tokens`, see `embench.interfaces.fusion.MixesTokens`."""
    mixed = module.mix(tokens, present)
    check.that(set(mixed) == set(tokens), f"`mix` returned {', '.join(mixed)}", expected=", ".join(tokens))
    for m, t in mixed.items():
        fine = t.x.ndim == 3 and len(t.x) == _SIZE and t.x.shape[2] == module.width
        what = f"`mix` returned {m} with the shape {tuple(t.x.shape)}"
        check.that(fine, what, expected=f"({_SIZE}, L, {module.width})")
        check.finite(t.pool(), f"the mixed {m}")
        there = t.mask is None or bool(t.mask.any(1).all())
        check.that(there, f"`mix` leaves a row of {m} without a valid token", expected="at least one")


def _build_network(check: Check, fusion: Fusion, names: tuple[str, ...]) -> tuple[Mapping[str, TokenSpec], nn.Module]:
    """Return token specs of modalities and a network for them. The modalities differ in width, unless the fusion
    requires equal widths."""
    if fusion.inputs == "hidden":
        specs = {m: TokenSpec(1, 16 + 8 * i, head=16 + 8 * i) for i, m in enumerate(names)}
        return specs, check.repeats(lambda: fusion.build(specs, _OUTPUTS))
    specs = {m: TokenSpec(4 + i, 16 * (i + 1), summary=i == 0) for i, m in enumerate(names)}
    try:
        fusion.build(specs, _OUTPUTS)
    except UsageError:
        specs = {m: TokenSpec(4 + i, 32, summary=i == 0) for i, m in enumerate(names)}
    return specs, check.repeats(lambda: fusion.build(specs, _OUTPUTS))


def _make_inputs(specs: Mapping[str, TokenSpec]) -> tuple[dict[str, Tokens], dict[str, Tensor]]:
    """Return tokens and presence (B,) of each modality; each of several modalities is absent from one row."""
    tokens, present = {}, {}
    for i, (m, spec) in enumerate(specs.items()):
        there = torch.ones(_SIZE, dtype=torch.bool)
        if len(specs) > 1:
            there[i + 1] = False
        present[m] = there
        tokens[m] = require.tokens(spec, there, seed=i)
    return tokens, present


def _make_units(specs: Mapping[str, TokenSpec], seed: int) -> Batch:
    """Return a batch with all modalities of a subject, as tokens."""
    there = torch.ones(_SIZE, dtype=torch.bool)
    tokens = {m: require.tokens(spec, there, seed=seed + i) for i, (m, spec) in enumerate(specs.items())}
    rows = {m: torch.arange(_SIZE) for m in specs}
    return Batch({m: t.x for m, t in tokens.items()}, {m: t.mask for m, t in tokens.items()}, rows, _SIZE)


def _add_noise(tokens: Mapping[str, Tokens]) -> dict[str, Tokens]:
    """Return a copy of the tokens with noise in place of masked tokens."""
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


def _logits(output: Any) -> Tensor:
    logits: Tensor = output.logits
    return logits


def _checked(check: Check, output: Any, size: int) -> Output:
    check.that(isinstance(output, Output), f"forward gave {type(output).__name__}", expected="Output")
    result: Output = output
    wanted = (size, _OUTPUTS.size)
    form = f"the logits have shape {tuple(result.logits.shape)}"
    check.that(result.logits.shape == wanted, form, expected=str(wanted))
    fine = result.hidden.ndim == 2 and len(result.hidden) == size
    check.that(fine, f"the hidden layer has shape {tuple(result.hidden.shape)}", expected="(B, H)")
    check.finite(result.logits, "the output")
    return result


# Conformance of metrics.


@leaves_no_trace
def check_metric(cls: type[Metric]) -> None:
    """Check that a metric follows its interface, for every kind of target that it scores.

    Checked are:

    - a number in its range, or a reason; a chance level in its range; a reason instead of an error for a single class;
    - independence of the order of units; unchanged inputs; right predictions that score no worse than noisy ones;
    - decisions that are read only where declared; scores of samples of subjects that agree with the score itself.

    Raises:
        CheckFailed: with the expected and the found behaviour.
    """
    check = Check(cls)
    expected = "a subclass of embench.interfaces.metric.Metric"
    check.that(issubclass(cls, Metric), "the class is not a Metric", expected=expected)
    low, high = cls.range
    check.that(low < high, f"`range` is {cls.range!r}", expected="(least, greatest)")
    fine = cls.direction in ("higher", "lower")
    check.that(fine, f"`direction` is {cls.direction!r}", expected="higher or lower")
    fine = bool(cls.kinds) and cls.kinds <= set(KINDS)
    check.that(fine, f"`kinds` is {set(cls.kinds)!r}", expected=f"some of {', '.join(KINDS)}")
    for kind in KINDS:
        if kind in cls.kinds:
            with check.during(f"{kind} targets"):
                _check_metric(check, cls(), _make_units_for(cls(), kind))


def _make_units_for(metric: Metric, kind: KindName) -> Units:
    """Return synthetic units for a metric; whole numbers as labels if it accepts no others."""
    units = require.units(kind)
    return require.ratings() if kind == "value" and isinstance(metric(units), Undefined) else units


def _check_metric(check: Check, metric: Metric, units: Units) -> None:
    before = {name: value.copy() for name, value in vars(units).items() if isinstance(value, np.ndarray)}
    score = _compute_value(check, metric, units)
    what = "the metric is undefined for units of six subjects with all labels"
    check.that(score is not None, what, expected="a number")
    same = all(np.array_equal(getattr(units, name), value) for name, value in before.items())
    check.that(same, "scoring changed the inputs", expected="unchanged arrays")
    check.sets_no_seed(lambda: metric(units), "scoring")
    shuffled = _compute_value(check, metric, units.take(np.random.default_rng(1).permutation(len(units))))
    what = f"the score in another order is {shuffled}, not {score}"
    check.that(_are_equal(shuffled, score), what, expected="a score that does not depend on the order of units")
    best = _compute_value(check, metric, _predict_correctly(units))
    sign = 1 if metric.direction == "higher" else -1
    better = best is not None and score is not None and sign * best >= sign * score
    what = f"perfect predictions score {best}, noisy ones {score}"
    check.that(better, what, expected=f"{metric.direction} is better")
    _check_attributes(check, metric, units, score)
    if KINDS[units.kind].has_classes:
        _compute_value(check, metric, units.take(units.y_true == units.y_true[0]))
    _check_resampling(check, metric, units, score)


def _check_attributes(check: Check, metric: Metric, units: Units, score: float | None) -> None:
    """Check the attributes `chance_level` and `depends_on_cut`, and the chance level of units."""
    chance = float(metric.compute_chance(units))
    _check_range(check, metric, chance, "chance")
    level = metric.chance_level
    fine = level is None or _are_equal(level, chance)
    check.that(
        fine, f"`chance_level` is {level}, but `compute_chance` gives {chance}", expected="the same value, or None"
    )
    if not metric.depends_on_cut:
        other = _compute_value(check, metric, replace(units, decision=units.decision[::-1].copy()))
        what = "the metric depends on decisions but does not declare this"
        check.that(_are_equal(other, score), what, expected="`depends_on_cut = True`")


def _check_resampling(check: Check, metric: Metric, units: Units, score: float | None) -> None:
    subjects = np.unique(units.subject)
    counts = np.ones((3, len(subjects)), int)  # all once; the second twice instead of the first; the first only
    counts[1, :2] = 0, 2
    counts[2] = np.where(np.arange(len(subjects)) == 0, len(subjects), 0)
    scores = np.asarray(metric.resample(units, subjects, counts))
    check.that(scores.shape == (3,), f"`resample` has shape {scores.shape}", expected="one score per sample")
    fine = _are_equal(float(scores[0]), score)
    what = f"with each subject once, `resample` gives {scores[0]}, but the score is {score}"
    check.that(fine, what, expected="the same")
    for value in scores[np.isfinite(scores)]:
        _check_range(check, metric, float(value), "a sample's score")


def _predict_correctly(units: Units) -> Units:
    """Return a copy of the units with correct and certain predictions."""
    if units.score.ndim == 2:
        return replace(units, score=np.eye(3)[units.y_true.astype(int)], decision=units.y_true.copy())
    return replace(units, score=units.y_true.copy(), decision=units.y_true.copy())


def _compute_value(check: Check, metric: Metric, units: Units) -> float | None:
    value = metric(units)
    if isinstance(value, Undefined):
        check.that(bool(value.reason), "the metric is undefined without a reason", expected="Undefined(reason)")
        return None
    fine = isinstance(value, float)
    check.that(fine, f"the result has the type {type(value).__name__}", expected="a float, or Undefined(reason)")
    _check_range(check, metric, value, "a score")
    return value


def _check_range(check: Check, metric: Metric, value: float, what: str) -> None:
    low, high = metric.range
    fine = bool(np.isfinite(value)) and low - 1e-9 <= value <= high + 1e-9
    check.that(fine, f"{what} of {value}", expected=f"a number from {low} to {high}, or Undefined(reason)")


def _are_equal(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= 1e-9


# Conformance of observers.

_RUN = {"id": "r", "dataset": "amigos"}
_STAGE = {"id": "0" * 20, "kind": "fusion", "fold": 0, "seed": 0, "target": "arousal", "runs": ["r"]}
_SCORES = {
    "primary_metrics": {"arousal": "auroc_within"},
    "scores": {"arousal": {"auroc_within": {"mean": 0.5, "std": 0.1, "low": 0.4, "high": 0.6}}},
    "confound_only": {},
}


@leaves_no_trace
def check_observer(cls: type[Any]) -> None:
    """Check that an observer can be created without arguments, has only known hooks, and raises no exception during a
    run. The check runs in an empty folder, which is deleted afterwards.

    Raises:
        CheckFailed: with the expected and the found behaviour.
    """
    check = Check(cls)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as empty, contextlib.chdir(empty):
        with check.during("made without arguments"):
            observers = Observers([cls()])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check.sets_no_seed(lambda: _run_hooks(observers), "watching")
    if caught:
        raise CheckFailed(str(caught[0].message), where=check.where, expected="hooks that do not raise")


def _run_hooks(observers: Observers) -> None:
    observers.tell("run_started", run=_RUN)
    observers.tell("stage_started", stage=_STAGE)
    observers.tell("epoch_ended", stage=_STAGE, epoch=1, figures={"loss": 0.7})
    observers.tell("stage_ended", stage=_STAGE, figures={"seconds": 1.0})
    observers.tell("run_ended", run=_RUN, scores=_SCORES)
