"""Decisions joined by hand, and refused before anything is trained."""

import numpy as np
import pytest

from embench.errors import UsageError
from embench_plugins.fusions.vote import Vote

RECIPE = Vote.recipes["paper"]
NO = np.nan


def joined(rule, X, kind="binary", classes=2):
    vote, X = Vote(RECIPE.replace(build={"rule": rule}), 0, kind, classes), np.array(X)
    vote.fit(np.zeros((4, X.shape[1])), np.array([0.0, 1.0, 1.0, 1.0]), np.zeros(4), np.ones(4))
    return vote.score(X)


@pytest.mark.parametrize(
    ("rule", "said", "expected"),
    [
        ("mean", [0.9, 0.6, 0.3], 0.6),
        ("mean", [0.9, NO, 0.3], 0.6),
        ("product", [0.8, 0.6], 0.48 / (0.48 + 0.08)),
        ("product", [0.8, NO], 0.8),
        ("product", [1.0, 0.0], 0.5),
        ("max", [0.9, 0.2], 0.9 / (0.9 + 0.8)),
        ("max", [NO, 0.2], 0.2),
        ("majority", [0.9, 0.6, 0.3], (2 + 0.6) / 4),
        ("majority", [0.51, 0.51, 0.0], (2 + 0.34) / 4),
        ("majority", [0.9, 0.4], (1 + 0.65) / 3),
    ],
)
def test_the_rules_by_hand(rule, said, expected):
    np.testing.assert_allclose(joined(rule, [said]), [expected])


def test_a_majority_wins_whatever_the_probabilities_and_a_tie_is_decided_by_their_mean():
    assert joined("majority", [[0.51, 0.51, 0.0]]) > 0.5
    assert joined("majority", [[0.1, 0.6]]) < 0.5 < joined("majority", [[0.9, 0.4]])


def test_several_classes_by_hand():
    said = [[0.6, 0.3, 0.1, 0.2, 0.5, 0.3], [NO, NO, NO, 0.2, 0.5, 0.3]]
    np.testing.assert_allclose(joined("mean", said, "classes", 3), [[0.4, 0.4, 0.2], [0.2, 0.5, 0.3]])
    product = np.array([0.12, 0.15, 0.03])
    np.testing.assert_allclose(joined("product", said, "classes", 3)[0], product / product.sum())


def test_values_are_averaged_and_have_no_other_rule():
    np.testing.assert_allclose(joined("mean", [[5.0, 7.0], [NO, 7.0]], "value"), [6.0, 7.0])
    with pytest.raises(UsageError, match="values are not joined by `max`"):
        joined("max", [[5.0]], "value")
    with pytest.raises(UsageError, match="decisions are not joined by `median`"):
        joined("median", [[0.5]])


@pytest.mark.parametrize("rule", ["mean", "product", "max", "majority"])
def test_a_row_without_any_modality_gets_the_shares_of_the_classes(rule):
    np.testing.assert_allclose(joined(rule, [[NO, NO], [0.9, 0.9]])[0], 0.75)
    np.testing.assert_allclose(joined(rule, [[NO] * 6], "classes", 3), [[0.25, 0.75, 0.0]])
    np.testing.assert_allclose(joined("mean", [[NO, NO]], "value"), [0.75])
