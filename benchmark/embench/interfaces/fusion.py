"""The Fusion interface: from tokens of several modalities, some of them absent, to a prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
from torch import Tensor, nn

from embench.interfaces.kinds import KindName
from embench.interfaces.personal import Personalised
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import OutputSpec, Tokens, TokenSpec


class Fusion(Personalised, ABC):
    """Joins modalities in one network.

    Class attributes:
        inputs: `tokens` trains encoders and fusion end to end. `hidden` takes unimodal networks that were fitted and
            frozen before, and gets the hidden layer of each head as one token. `unimodal` is not a fusion: the unimodal
            stage itself predicts.
        arity: least and greatest number of modalities, None without a limit.
        offers: capabilities that other plugins may need: with `mixed_tokens`, its network implements `MixesTokens`.
        recipes: a recipe for each preset.

    >>> from embench.nn import Head
    >>> class First(nn.Module):
    ...     def __init__(self, modality, spec, outputs):
    ...         super().__init__()
    ...         self.modality, self.head = modality, Head(spec.dim, outputs.size)
    ...     def forward(self, tokens, present):
    ...         return self.head(tokens[self.modality])
    >>> class OnlyFirst(Fusion):  # reads one modality and ignores the others
    ...     recipes = dict.fromkeys(("paper", "small", "quick"), Recipe())
    ...     def build(self, tokens, outputs):
    ...         return First(*next(iter(tokens.items())), outputs)
    >>> from embench.testing.require import targets
    >>> OnlyFirst(Recipe()).build({"ecg": TokenSpec(length=10, dim=4)}, targets("binary")).head.linear.out_features
    1
    """

    inputs: ClassVar[Literal["tokens", "hidden", "unimodal"]] = "tokens"
    arity: ClassVar[tuple[int, int | None]] = (1, None)
    offers: ClassVar[frozenset[str]] = frozenset()
    recipes: ClassVar[Mapping[str, Recipe]]

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @abstractmethod
    def build(self, tokens: Mapping[str, TokenSpec], outputs: OutputSpec) -> nn.Module:
        """Return a module `({m: Tokens}, {m: present (B,) bool}) -> Output` whose read-out is named `.head`.

        Rows without a modality hold zeros and an empty mask; `embench.nn.FillAbsent` puts a learned token there."""

    def query_modality(self, modalities: Iterable[str]) -> str | None:
        """Return the modality that provides the queries of attention, whatever the order of `modalities`; None for a
        fusion without queries. With a query, `build` gets this modality first, then the others by name."""
        return None


class MixesTokens(Protocol):
    """Network of a fusion that offers `mixed_tokens`: pretext tasks get tokens of each modality after all modalities
    were combined.

    `width` is the width of these tokens, and `mix` makes them. Parameters of `mix` lie outside `.head`, so that they
    are kept after pretraining."""

    width: int

    def mix(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> Mapping[str, Tokens]:
        """Return modality -> its combined tokens (B, any number, `width`), from the input of `forward`. In every row,
        at least one token counts (mask True)."""


class TrainingRows(NamedTuple):
    """Rows to which an estimator was fitted, as `Estimator.fit` receives them."""

    X: np.ndarray
    y: np.ndarray
    subjects: np.ndarray
    weight: np.ndarray
    val: tuple[np.ndarray, np.ndarray] | None = None


class Estimator(ABC):
    """A fusion without gradients, fitted on rows of numbers, one estimator per target.

    Class attributes:
        reads: `features`, those of the encoders; an encoder without features gives the hidden layer of its fitted
            unimodal network. Or `decisions` of such networks: per modality the probability of the positive class, one
            probability per class, or a value.
        strengths: candidate strengths of adaptation to a subject, starting with none; one is chosen on training
            subjects, see `personalise`.
        kinds: kinds of targets it predicts; others are refused before anything runs.
        recipes: a recipe for each preset.

    Args:
        recipe: its preset; sizes and switches in `recipe.build`.
        seed: seed of its random numbers.
        kind: of the target; one of `kinds`.
        classes: number of classes; training rows may lack some.
        modalities: modalities whose numbers are concatenated in a row, in this order.

    >>> class Prior(Estimator):
    ...     recipes = dict.fromkeys(("paper", "small", "quick"), Recipe())
    ...     def fit(self, X, y, subjects, weight, val=None):
    ...         self.share = np.average(y, weights=weight)
    ...     def score(self, X):
    ...         return np.full(len(X), self.share)
    >>> prior = Prior(Recipe(), seed=0)
    >>> prior.fit(np.zeros((4, 2)), np.array([0, 1, 1, 1]), np.array(list("aabb")), np.ones(4))
    >>> prior.score(np.zeros((2, 2)))
    array([0.75, 0.75])
    """

    reads: ClassVar[Literal["features", "decisions"]] = "features"
    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})
    strengths: ClassVar[tuple[float, ...]] = (0.0, 1.0, 8.0, 64.0)
    recipes: ClassVar[Mapping[str, Recipe]]

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        kind: KindName = "binary",
        classes: int = 2,
        modalities: tuple[str, ...] = (),
    ) -> None:
        self.recipe, self.seed, self.kind, self.classes, self.modalities = recipe, seed, kind, classes, modalities

    @abstractmethod
    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        subjects: np.ndarray,
        weight: np.ndarray,
        val: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        """Fit to rows `X` (n, features), NaN where absent, and `y` (n,): classes 0 .. `classes` - 1, or values.

        Args:
            subjects: (n,) the subject of each row. `weight`: (n,) of the rows.
            val: rows and labels of validation subjects; None if there are none, or their labels are constant."""

    @abstractmethod
    def score(self, X: np.ndarray) -> np.ndarray:
        """Return (n,) probabilities of the positive class; (n, `classes`) probabilities of several classes; or (n,)
        values."""

    def make_unfitted(self) -> Self:
        """Return an unfitted estimator with the same settings. Settings that `fit` chose are kept, so that the few
        units of one subject do not choose them again."""
        return type(self)(self.recipe, self.seed, self.kind, self.classes, self.modalities)

    def personalise(self, units: np.ndarray, labels: np.ndarray | None, rows: TrainingRows, strength: float) -> Self:
        """Return an estimator for one subject, made from this fitted one, which is unchanged. By default, with labels,
        a new estimator is fitted to the training rows and the subject's rows. The latter weigh together as much as
        `strength` training subjects.

        Args:
            units: (m, features) rows of the subject's calibration data, in temporal order.
            labels: (m,) their labels; None for unlabelled calibration data.
            rows: the rows to which this estimator was fitted.
            strength: one of `strengths`, chosen on training subjects; without labels 0."""
        if labels is None or not strength:
            return self
        made = self.make_unfitted()
        usual = rows.weight.sum() / len(np.unique(rows.subjects))
        weight = np.concatenate([rows.weight, np.full(len(units), strength * usual / len(units))])
        subjects = np.concatenate([rows.subjects, np.full(len(units), "the subject itself")])
        made.fit(np.concatenate([rows.X, units]), np.concatenate([rows.y, labels]), subjects, weight, rows.val)
        return made
