"""What intervals and p values say of a claim."""

import numpy as np
import pytest

from embench.claims.examine import direction_verdict, size_verdict
from embench.statistics.comparison import compare

from .simulated import auroc, method, study


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.01, 0.09, 0.01, "supported"),
        (0.001, 0.015, 0.01, "supported"),  # small, but the direction is clear
        (0.01, 0.09, 0.051, "undecided"),  # not after the correction
        (-0.09, -0.01, 0.01, "contradicted"),
        (-0.02, 0.02, 0.9, "equivalent"),
        (-0.021, 0.01, 0.9, "undecided"),
        (-0.10, 0.30, 0.04, "undecided"),  # the interval decides, not the test alone
        (0.0, 0.30, 0.04, "undecided"),
        (None, None, 0.01, "undecided"),
    ],
)
def test_direction(low, high, p, expected):
    assert direction_verdict(low, high, p, seeds=3, allowance=True) == expected
    turned = {"supported": "contradicted", "contradicted": "supported"}
    assert direction_verdict(low, high, p, "lower", seeds=3, allowance=True) == turned.get(expected, expected)


@pytest.mark.parametrize(("low", "high"), [(0.01, 0.09), (-0.09, -0.01), (-0.01, 0.01)])
def test_fewer_than_three_seeds_decide_nothing(low, high):
    assert direction_verdict(low, high, 0.01, seeds=1, allowance=False) == "one seed"
    assert direction_verdict(low, high, 0.01, seeds=2, allowance=True) == "two seeds"
    assert direction_verdict(low, high, 0.01, seeds=3, allowance=False) == "no overlap correction"
    assert direction_verdict(-0.1, 0.3, 0.2, seeds=1, allowance=False) == "undecided"


@pytest.mark.parametrize(
    ("published", "low", "high", "expected"),
    [
        (0.05, 0.01, 0.09, "agrees"),
        (0.05, -0.03, 0.04, "smaller"),
        (0.05, 0.06, 0.09, "larger"),
        (0.05, -0.09, -0.01, "opposite"),
        (-0.03, -0.09, -0.04, "larger"),
        (-0.03, -0.01, 0.04, "smaller"),
        (-0.03, 0.01, 0.04, "opposite"),
        (0.05, None, None, None),
    ],
)
def test_size(published, low, high, expected):
    assert size_verdict(published, low, high) == expected


class TestOnMethodsOfKnownStrength:
    """From made-up predictions through the comparison to the verdict."""

    @staticmethod
    def verdict(a, b, direction="higher"):
        gap = compare(a, b, "stress")
        allowance = gap.difference.shared is not None
        return direction_verdict(
            gap.difference.low, gap.difference.high, gap.p, direction, seeds=len(gap.seeds), allowance=allowance
        )

    def test_a_better_method_is_supported_and_contradicted_the_other_way(self):
        rng = np.random.default_rng(1)
        of = study(24, 40, rng)
        good, poor = (method(n, of, s * of["y"] + rng.normal(size=len(of["y"]))) for n, s in (("a", 1.2), ("b", 0.5)))
        assert self.verdict(good, poor) == "supported"
        assert self.verdict(poor, good) == "contradicted"
        assert self.verdict(poor, good, "lower") == "supported"
        true = auroc(1.2) - auroc(0.5)
        gap = compare(good, poor, "stress").difference
        assert size_verdict(true, gap.low, gap.high) == "agrees"
        assert size_verdict(true + 0.2, gap.low, gap.high) == "smaller"

    def test_nearly_the_same_answers_are_equivalent(self):
        rng = np.random.default_rng(2)
        of = study(40, 60, rng)
        latent = 1.0 * of["y"] + rng.normal(size=len(of["y"]))
        again = latent + 0.05 * rng.normal(size=len(latent))
        assert self.verdict(method("a", of, latent), method("b", of, again)) == "equivalent"

    def test_few_subjects_leave_it_undecided_and_say_what_they_could_have_shown(self):
        rng = np.random.default_rng(3)
        of = study(8, 10, rng)
        one, other = (method(n, of, 0.8 * of["y"] + rng.normal(size=len(of["y"]))) for n in "ab")
        assert self.verdict(one, other) == "undecided"
        assert compare(one, other, "stress").smallest_detectable > 0.05

    @pytest.mark.slow
    def test_how_often_verdicts_are_right_over_many_studies(self):
        """A direction is claimed of equally good methods in about 5 % of studies, and of others hardly ever the wrong
        one."""
        verdicts_by_gap = {0.0: [], 0.4: []}
        for apart, verdicts in verdicts_by_gap.items():
            for study_number in range(100):
                rng = np.random.default_rng([study_number, int(10 * apart)])
                of = study(15, 30, rng)
                a, b = (
                    method(n, of, s * of["y"] + rng.normal(size=len(of["y"])))
                    for n, s in (("a", 0.6 + apart), ("b", 0.6))
                )
                verdicts.append(self.verdict(a, b))
        wrong = sum(verdict in ("supported", "contradicted") for verdict in verdicts_by_gap[0.0])
        assert wrong <= 12, verdicts_by_gap  # a binomial of 100 at .05 is above 12 in one of 700
        assert verdicts_by_gap[0.4].count("contradicted") == 0
        assert verdicts_by_gap[0.4].count("supported") > 60
