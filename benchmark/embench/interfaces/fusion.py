"""The Fusion interface: from several modalities' tokens, some of them absent, to a prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
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
        inputs: `tokens` trains encoders and fusion end to end; `hidden` takes unimodal nets that are fitted and
            frozen first, and gets their heads' hidden layer as one token; `unimodal` is no fusion at all: the
            unimodal stage itself predicts.
        arity: least and greatest number of modalities, None where there is no limit.
        offers: capabilities that others may need: `mixed_tokens`, what its network then has is `MixesTokens`.
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
        """A module `({m: Tokens}, {m: present (B,) bool}) -> Output` whose read-out lies under `.head`.

        Rows where a modality is absent hold zeros and an empty mask: `embench.nn.FillAbsent` puts a learned token
        there.
        """


class MixesTokens(Protocol):
    """Interface of the network of a fusion that offers `mixed_tokens`, for pretext tasks that need tokens of each
    modality after all have seen all: `width` of those tokens, and `mix`, which makes them. What `mix` uses does not lie
    under `.head`, so that it is kept from pretraining."""

    width: int

    def mix(self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]) -> Mapping[str, Tokens]:
        """Each modality's tokens (B, any number, `width`), at least one of which counts in every row, from what
        `forward` gets."""


class TrainingRows(NamedTuple):
    """Rows that an estimator was fitted to, as `Estimator.fit` gets them."""

    X: np.ndarray
    y: np.ndarray
    subjects: np.ndarray
    weight: np.ndarray
    val: tuple[np.ndarray, np.ndarray] | None = None


class Estimator(ABC):
    """A fusion without gradients: fitted on rows of numbers, one estimator a target.

    Class attributes:
        reads: `features` of the encoders, or the hidden layers of fitted unimodal nets where an encoder has none;
            or the `decisions` of such nets: of each modality a probability of the positive class, one of each of
            several classes, or a value.
        strengths: how strongly it may adapt to a subject, from not at all on; one of them is chosen on training
            subjects, see `personalise`.
        kinds: the kinds of targets it predicts; others are refused before anything is run.
        recipes: a recipe for each preset.

    Args:
        recipe: its preset; sizes and switches in `recipe.build`.
        seed: for whatever it draws.
        kind: of the target; one of `kinds`.
        classes: how many classes there are, of which the training rows may lack some.
        modalities: those whose numbers stand side by side in a row, in that order.

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
        """Fits rows `X` (n, features), NaN where absent, to `y` (n,): classes 0 .. `classes` - 1, or values.

        Args:
            subjects: (n,) whose rows they are. `weight`: (n,) of the rows.
            val: rows and labels of validation subjects; None where there are none, or all alike.
        """

    @abstractmethod
    def score(self, X: np.ndarray) -> np.ndarray:
        """(n,) probability of the positive class; (n, `classes`) probabilities of several; (n,) values."""

    def anew(self) -> Self:
        """Another with the same settings, not fitted; an estimator whose `fit` chooses a setting gives it the one that
        it chose, so that the few units of one subject choose nothing."""
        return type(self)(self.recipe, self.seed, self.kind, self.classes, self.modalities)

    def personalise(self, units: np.ndarray, labels: np.ndarray | None, rows: TrainingRows, strength: float) -> Self:
        """The estimator for one subject, made of this fitted one, which stays as it is; by default, with labels, a new
        one fitted to the training rows and the subject's, which together weigh as much as `strength` training subjects.

        Args:
            units: (m, features) rows of what the subject gives, in the order of time. labels: (m,), None where they are
                given without labels.
            rows: what this one was fitted to.
            strength: one of `strengths`, chosen on training subjects; without labels 0.
        """
        if labels is None or not strength:
            return self
        made = self.anew()
        usual = rows.weight.sum() / len(np.unique(rows.subjects))
        weight = np.concatenate([rows.weight, np.full(len(units), strength * usual / len(units))])
        subjects = np.concatenate([rows.subjects, np.full(len(units), "the subject itself")])
        made.fit(np.concatenate([rows.X, units]), np.concatenate([rows.y, labels]), subjects, weight, rows.val)
        return made
