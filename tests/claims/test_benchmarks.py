"""Differences that claims quote of benchmarks follow from the scores that these printed, which were read twice."""

from pathlib import Path

import pytest
import yaml

from embench.claims.files import Claim, installed_claims

PRINTED = yaml.safe_load(Path(__file__).with_name("printed.yaml").read_text())
SPAN = {"guetschel2026": {"eegmat": 1 - 1 / 2, "faced": 1 - 1 / 9}}
"""What 100 is as balanced accuracy, where scores count from chance, of two and of nine classes."""

QUOTING = [
    claim
    for claim in installed_claims()
    if isinstance(claim, Claim) and claim.paper in PRINTED and any(d.published for d in claim.datasets.values())
]


def printed(claim, side, dataset):
    """The second reading of the score of one side, in %."""
    options, scores = claim.options(side, dataset), PRINTED[claim.paper][dataset]
    (encoder,) = options["encoder"]
    adapted = [text.removeprefix("encoder.adapt=") for text in options.get("set", ()) if "adapt" in text]
    return scores[adapted[0]][encoder] if "full" in scores else scores[encoder]


@pytest.mark.parametrize("claim", QUOTING, ids=lambda claim: f"{claim.paper}-{claim.id}")
def test_a_published_difference_is_that_of_the_printed_scores(claim):
    for dataset, place in claim.datasets.items():
        span = SPAN.get(claim.paper, {}).get(dataset, 1)
        gap = (printed(claim, "a", dataset) - printed(claim, "b", dataset)) / 100 * span
        (quoted,) = place.published.values()
        assert quoted == pytest.approx(gap, abs=6e-5)
        assert (quoted > 0) == (claim.direction == "higher")


def test_every_claim_of_a_benchmark_on_pretrained_networks_is_checked():
    assert {claim.paper for claim in QUOTING} == set(PRINTED)
    assert len(QUOTING) == len([c for c in installed_claims() if isinstance(c, Claim) and c.paper in PRINTED]) > 20
