"""What a plan says of the smallest detectable difference, against what comparisons of published methods say."""

from pathlib import Path

import pytest

from embench.statistics.answerable import describe_difference, published_spread
from embench.statistics.comparison import compare

BOARD = Path(__file__).parents[2] / "leaderboards" / "eegmat" / "subject-independent-v4"


def test_a_range_is_of_published_pairs_of_the_kind_on_the_dataset():
    here, other = published_spread("network", "stress_predict"), published_spread("network", "a study of mine")
    assert here.source.endswith("pairs of published networks, stress_predict")
    assert other.source.endswith("pairs of published networks, 3 other datasets")
    assert published_spread("features", "stress_predict").source.endswith("feature methods, stress_predict")


def test_more_subjects_show_smaller_differences():
    few, many = (describe_difference(n, published_spread("features"), "AUROC") for n in (10, 40))
    low, high = many["smallest_difference_range"]
    assert low < many["smallest_difference"] < high < few["smallest_difference_range"][1]
    assert many["smallest_difference"] < few["smallest_difference"]


@pytest.mark.parametrize("kind", ["features", "network"])
def test_published_methods_differ_as_their_plan_foretells(kind):
    names = {"features": ("handcrafted-lda-*", "handcrafted-knn-*"), "network": ("unet_se-single-*", "tcn-single-*")}
    one, other = (next(iter(sorted(BOARD.glob(name)))) for name in names[kind])
    found = compare(one, other, "task", "auroc_within").smallest_detectable
    low, high = describe_difference(36, published_spread(kind, "eegmat"), "AUROC")["smallest_difference_range"]
    assert low <= found <= high
