"""The conformance of what adapts to a subject: `personalise` of encoders, fusions and estimators."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

import numpy as np
import torch
from torch import Tensor, nn

from embench.interfaces.fusion import Estimator, TrainingRows
from embench.interfaces.personal import Changes, Personalised, personalised
from embench.interfaces.tokens import Batch, Tokens
from embench.nn import Model
from embench.testing.require import CLOSE_ENOUGH, Check, seeded

_ALONE = "the same result for a subject, independent of earlier subjects"


def check_personalises(check: Check, plugin: Personalised, model: Model, units: Callable[[int], Batch]) -> None:
    """Checks the `personalise` of an encoder or fusion; nothing where it has none of its own.

    It changes what `personalises` names, to finite numbers, with labels and without, of one unit too; the same from one
    seed, and whoever came before; and it leaves its inputs as they are.

    Args:
        units: those of a subject, by a seed; the same number of rows each time.
    """
    if type(plugin).personalise is Personalised.personalise:
        return
    known = get_args(Changes)
    fine = plugin.personalises in known
    check.that(fine, f"`personalises` is {plugin.personalises!r}", expected=f"one of {', '.join(known)}")
    model.eval()
    for told in (True, False):
        with check.during(f"`personalise` {'with' if told else 'without'} labels"):
            first, second = units(11), units(12)
            labels = _labels(first.size) if told else None

            def adapted(batch: Batch, labels: Tensor | None = labels, seed: int = 1) -> dict[str, Tensor]:
                return seeded(lambda: personalised(plugin, model, batch, labels), seed)

            inputs = (part for part in (*second.x.values(), *second.mask.values(), labels))
            with check.untouched("`personalise`", *inputs):
                alone = adapted(second)
            _same(check, adapted(second), alone, "a second call changes other numbers", "one result per seed")
            adapted(first)
            _same(check, adapted(second), alone, "after another subject, `personalise` changes other numbers", _ALONE)
            check.sets_no_seed(partial(personalised, plugin, model, second, labels), "`personalise`")


def _labels(rows: int) -> Tensor:
    return (torch.arange(rows) % 2).float()[:, None]


def _same(check: Check, one: dict[str, Tensor], other: dict[str, Tensor], what: str, expected: str) -> None:
    check.that(one.keys() == other.keys(), what, expected=expected)
    for name, tensor in one.items():
        check.equal(tensor.float(), other[name].float(), f"{what}, of `{name}`", expected=expected)


def check_estimator_personalises(
    check: Check, make: Callable[[], Estimator], rows: TrainingRows, X: np.ndarray
) -> None:
    """Checks the `personalise` of an estimator that is fitted to rows; nothing where it has none of its own.

    It gives an estimator with finite scores, with labels and without, of one unit too; the same each time, and whoever
    came before; and leaves itself and the training rows as they are.

    Args:
        X: (n, features) rows to score; those of two subjects, a half each, are given.
    """
    fitted = make()
    if type(fitted).personalise is Estimator.personalise:
        return
    check.that(bool(type(fitted).strengths), "`strengths` is empty", expected="numbers in ascending order")
    fitted.fit(*_copy(rows))
    before, half = fitted.score(X.copy()), len(X) // 2
    for told in (True, False):
        for strength in type(fitted).strengths:
            with check.during(f"`personalise` {'with' if told else 'without'} labels, strength {strength:g}"):

                def scores(of: slice, strength: float = strength, told: bool = told) -> np.ndarray:
                    units = X[of].copy()
                    y, given = (rows.y[: len(units)].copy() if told else None), _copy(rows)
                    with check.untouched("`personalise`", given.X, given.y, units):
                        made = fitted.personalise(units, y, given, strength)
                    fine = isinstance(made, Estimator)
                    check.that(fine, f"the result has the type {type(made).__name__}", expected="an estimator")
                    found = np.asarray(made.score(X.copy()), float)
                    check.that(bool(np.isfinite(found).all()), "the scores are not finite", expected="finite values")
                    return found

                alone = scores(slice(half, None))
                _near(
                    check,
                    scores(slice(half, None)),
                    alone,
                    "two personalised estimators of one subject differ",
                    "one result per seed",
                )
                scores(slice(0, 1))
                _near(check, scores(slice(half, None)), alone, "the units of another subject change the scores", _ALONE)
                unchanged = "an unchanged original estimator"
                _near(check, fitted.score(X.copy()), before, "`personalise` changes the original estimator", unchanged)


def _copy(rows: TrainingRows) -> TrainingRows:
    return TrainingRows(rows.X.copy(), rows.y.copy(), rows.subjects.copy(), rows.weight.copy(), rows.val)


def _near(check: Check, one: np.ndarray, other: np.ndarray, what: str, expected: str) -> None:
    check.that(bool(np.allclose(one, other, rtol=0, atol=CLOSE_ENOUGH)), what, expected=expected)


class Passed(nn.Module):
    """Hands tokens (b, L, D) on, with their summary where the fusion expects one."""

    def __init__(self, summary: bool) -> None:
        super().__init__()
        self.summary = summary

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tokens:
        """Tokens of rows (b, L, D)."""
        return Tokens(x, mask, Tokens(x, mask).pooled() if self.summary else None)
