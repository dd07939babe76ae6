"""The table of kinds is whole: each kind has its row in every place, and answers fit together."""

from typing import get_args

import numpy as np
import pytest
import torch

from embench.engine.network import probabilities
from embench.interfaces.kinds import KINDS, KindName
from embench.interfaces.units import LabelRule, Target
from embench.nn import OBJECTIVES
from embench.protocols import load_protocol
from embench.statistics.estimates import WITHIN_SUBJECT_SCORES
from embench.statistics.evaluation import decide
from embench.testing import require


def test_every_kind_has_all_that_a_kind_needs():
    assert set(KINDS) == set(OBJECTIVES) == set(get_args(KindName))
    assert {kind.within_metric for kind in KINDS.values()} <= set(WITHIN_SUBJECT_SCORES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_networks_logits_become_scores_and_decisions(kind):
    """Whatever the kind: as many scores as columns, a decision a unit, a loss a row."""
    outputs = require.targets(kind)
    [target] = outputs.targets
    logits = torch.randn(5, target.outputs, generator=torch.Generator().manual_seed(0))
    table = probabilities(outputs, logits).numpy()
    assert table.shape == (5, len(target.columns))
    score, decision = decide(target, table, load_protocol("subject-independent-v4"))
    assert score.shape == ((5, target.n) if target.traits.has_score_per_class else (5,))
    assert decision.shape == (5,)
    labels = torch.from_numpy(np.arange(5.0) % target.n)
    assert OBJECTIVES[kind].loss(logits, labels).shape == (5,)


@pytest.mark.parametrize(
    ("kind", "table", "expected"),
    [
        ("binary", [[0.2], [0.5], [0.7]], [0.0, 1.0, 1.0]),
        ("classes", [[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], [1.0, 0.0]),
        ("value", [[0.2], [7.5]], [0.2, 7.5]),
    ],
)
def test_decisions(kind, table, expected):
    [target] = require.targets(kind).targets
    assert decide(target, np.array(table), load_protocol("subject-independent-v4"))[1].tolist() == expected


def test_a_kind_that_there_is_not_is_told_with_those_there_are():
    with pytest.raises(ValueError, match="target mood is of kind 'moods', which is none of binary, classes, value"):
        Target("mood", "moods", LabelRule(), "mood")
