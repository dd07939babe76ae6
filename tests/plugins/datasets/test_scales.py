"""Ratings as numbers: which datasets have which, on which scale, and what is a control."""

import pytest

from embench import registry
from embench_plugins.datasets.faced.release import FELT

AFFECT = ("arousal", "valence")
SIX = ("joy", "inspiration", "tenderness", "sadness", "fear", "disgust")
FIVE = ("cheerful", "happy", "angry", "nervous", "sad")
SCALES = [
    *((name, (*AFFECT, "dominance"), (1, 9)) for name in ("amigos", "amigos/long", "amigos/all", "deap")),
    ("faced", (*AFFECT, *FELT), (0, 7)),
    ("emoeeg_mc", (*AFFECT, *SIX), (0, 7)),
    ("wesad", AFFECT, (1, 9)),
    ("case", AFFECT, (0.5, 9.5)),
    *(("k_emocon", tuple(f"{name}{who}" for name in AFFECT), (1, 5)) for who in ("", "_partner", "_external",
                                                                                 "_external_vote")),
    ("k_emocon", FIVE, (1, 4)),
]  # fmt: skip


def targets(name):
    return {target.name: target for target in registry.load_plugin("dataset", name).card.targets}


@pytest.mark.parametrize(("name", "ratings", "scale"), SCALES, ids=lambda part: part if isinstance(part, str) else None)
def test_a_rating_is_a_value_and_one_less_the_subjects_mean(name, ratings, scale):
    found = targets(name)
    for rating in ratings:
        plain, centred = found[f"{rating}_value"], found[f"{rating}_centred"]
        assert (plain.kind, plain.label, plain.scale, plain.rule.centred) == ("value", rating, scale, False)
        assert (centred.kind, centred.label, centred.scale, centred.rule.centred) == ("value", rating, scale, True)
        assert centred.find_step([]) == plain.find_step([]) == pytest.approx((scale[1] - scale[0]) / 10)


@pytest.mark.parametrize(
    ("name", "familiarity"),
    [("amigos", (1, 9)), ("amigos/long", (1, 9)), ("deap", (1, 5)), ("faced", (0, 7)), ("emoeeg_mc", (0, 7))],
)
def test_familiarity_and_liking_are_controls_that_no_run_predicts_by_default(name, familiarity):
    card, found = registry.load_plugin("dataset", name).card, targets(name)
    assert found["familiarity_value"].scale == familiarity
    assert found["liking_value"].kind == "value"
    assert not {"familiarity_value", "liking_value"} & set(card.default_targets)
    assert not {"familiarity_centred", "liking_centred"} & set(found)
