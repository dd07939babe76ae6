"""Balanced partitions deal subjects so that any two of them are tested by one model."""

from collections import Counter
from itertools import combinations

import pytest

from embench.protocols.partition import balanced_partitions


def _names(n: int) -> list[str]:
    return [f"S{k:02d}" for k in range(n)]


def _shared(partitions: list[dict[str, int]], one: str, other: str) -> int:
    return sum(fold_of[one] == fold_of[other] for fold_of in partitions)


@pytest.mark.parametrize("n", [5, 9, 15, 16, 17, 20, 24, 25])
def test_any_two_subjects_share_a_fold_exactly_once(n: int) -> None:
    partitions = balanced_partitions(_names(n))
    assert len(partitions) == (5 if n <= 16 else 6)
    assert {_shared(partitions, *pair) for pair in combinations(_names(n), 2)} == {1}


@pytest.mark.parametrize("n", [26, 34, 60, 131])
def test_subjects_on_one_point_share_all_folds_and_others_one(n: int) -> None:
    partitions = balanced_partitions(_names(n))
    points = {name: tuple(fold_of[name] for fold_of in partitions) for name in _names(n)}
    sizes = Counter(points.values())
    assert len(sizes) == 25
    assert max(sizes.values()) - min(sizes.values()) == 1
    for one, other in combinations(_names(n), 2):
        assert _shared(partitions, one, other) == (6 if points[one] == points[other] else 1)


@pytest.mark.parametrize("n", [*range(5, 26), 27, 34, 38, 60, 79])
def test_folds_are_about_equally_large(n: int) -> None:
    for fold_of in balanced_partitions(_names(n)):
        assert set(fold_of) == set(_names(n))
        sizes = [list(fold_of.values()).count(fold) for fold in range(4 if n <= 16 else 5)]
        assert sum(sizes) == n
        assert max(sizes) - min(sizes) <= 3


def test_partitions_follow_the_order_of_names_and_are_fixed_for_good() -> None:
    names = _names(6)
    assert balanced_partitions(names) != balanced_partitions(names[::-1])
    first, second, *_ = balanced_partitions(names)
    assert [first[name] for name in names] == [0, 0, 0, 1, 1, 1]
    assert [second[name] for name in names] == [1, 2, 3, 0, 1, 2]
