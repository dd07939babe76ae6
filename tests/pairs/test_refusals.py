"""What cannot work is refused by the plan, with what is missing; that is all that plugins do not declare, no more."""

from itertools import product

import pytest

from embench.errors import UsageError
from embench.interfaces.fusion import Estimator
from embench.planning.method import resolve_method
from embench.planning.plan import make

from ..extras import FOUNDATION
from ..sample import sample
from . import made
from .array import Together
from .declared import JOINED, LEVELS, joins, lacks, lacks_fusion, load, predicts, readable, reads, takes

pytestmark = pytest.mark.usefixtures("world")
CARD = made.CARDS["everything"]
KINDS = {"binary": "two classes", "classes": "several classes", "value": "values"}


def refused(inputs, fusion="single", pretrainer=None):
    together = Together("everything", tuple(inputs), fusion, pretrainer)
    with pytest.raises(UsageError) as error:
        resolve_method(together.request(), CARD, list(CARD.modalities), "cpu")
    return str(error.value)


def cells(one, other, fine):
    return [(a, b) for a, b in product(LEVELS[one], LEVELS[other]) if not fine(a, b)]


def estimator(fusion):
    return issubclass(load("fusion", fusion), Estimator)


def able(pretrainer):
    """An encoder that can be pretrained so, and fusions of one modality under which it can."""
    encoder = next(e for e in LEVELS["encoder"] if lacks(e, pretrainer) is None and reads(e) != "features")
    return encoder, [f for f in LEVELS["fusion"] if takes(f, 1) and lacks_fusion(f, pretrainer) is None]


def inputs_of(encoder, count=1):
    return [(m, encoder) for m in readable(encoder)[:count]]


@pytest.mark.parametrize(
    ("modality", "encoder"), cells("modality", "encoder", lambda m, e: m == JOINED or m in readable(e))
)
def test_an_encoder_that_does_not_read_a_modality(modality, encoder):
    for whole in (modality, f"{readable(encoder)[0]}+{modality}"):
        assert f"encoder {encoder} does not read {modality}" in refused([(whole, encoder)])


@pytest.mark.parametrize("encoder", [e for e in LEVELS["encoder"] if reads(e) == "features" and len(readable(e)) > 1])
def test_an_encoder_that_computes_features_of_one_modality(encoder):
    assert "joined" in refused([("+".join(readable(encoder)[:2]), encoder)])


@pytest.mark.parametrize(("encoder", "pretrainer"), cells("encoder", "pretrainer", lambda e, p: lacks(e, p) is None))
def test_an_encoder_without_what_a_pretrainer_needs(encoder, pretrainer):
    for fusion in able(pretrainer)[1]:
        if estimator(fusion):
            continue
        text = refused(inputs_of(encoder), fusion, pretrainer)
        assert f"requires an encoder that {lacks(encoder, pretrainer)}, and {encoder} is not one" in text
        named = _plugins_named(text, "an encoder of")
        m = inputs_of(encoder)[0][0]
        taken = [e for e in LEVELS["encoder"] if m in readable(e) and lacks(e, pretrainer) is None]
        assert [e for e in named if e not in FOUNDATION] == taken


@pytest.mark.parametrize(
    ("pretrainer", "fusion"), cells("pretrainer", "fusion", lambda p, f: lacks_fusion(f, p) is None)
)
def test_a_fusion_without_what_a_pretrainer_needs(pretrainer, fusion):
    count = next(n for n in LEVELS["count"] if takes(fusion, n))
    text = refused(inputs_of(able(pretrainer)[0], count), fusion, pretrainer)
    assert f"trains the complete model and requires a fusion that {lacks_fusion(fusion, pretrainer)}" in text
    assert f"--fusion {fusion}" in text
    fine = [f for f in LEVELS["fusion"] if lacks_fusion(f, pretrainer) is None and takes(f, count)]
    assert _plugins_named(text, "a fusion") == fine


def _plugins_named(text, what):
    """Those that a refusal says would fit."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(f"expected: {what}")]
    return sorted(line.rpartition("such as ")[2].split(", ")) if "such as" in line else []


@pytest.mark.parametrize("pretrainer", sample(LEVELS["pretrainer"], LEVELS["pretrainer"][0]))
def test_features_that_no_pretraining_changes(pretrainer):
    for encoder, fusion in product(LEVELS["encoder"], LEVELS["fusion"]):
        if joins(fusion, [encoder]) == "features":
            text = refused(inputs_of(encoder), fusion, pretrainer)
            reason = "trains the complete model" if lacks_fusion(fusion, pretrainer) else "is fitted on features"
            assert reason in text, (encoder, fusion)


@pytest.mark.parametrize(("fusion", "count"), cells("fusion", "count", takes))
def test_a_fusion_of_another_number_of_modalities(fusion, count):
    several = inputs_of(max(LEVELS["encoder"], key=lambda e: len(readable(e))), count)
    text = refused(several, fusion)
    assert f"fusion {fusion} takes " in text
    assert f"the run has {count}: {', '.join(m for m, _ in several)}" in text


@pytest.mark.parametrize(
    ("fusion", "target"), [(f, t) for f, t in product(LEVELS["fusion"], made.TARGETS) if not predicts(f, t.name)]
)
def test_an_estimator_of_other_labels(world, tmp_path, fusion, target):
    together = Together("everything", tuple(inputs_of(LEVELS["encoder"][0])), fusion, targets=target.name)
    with pytest.raises(UsageError, match=f"cannot predict {KINDS[target.kind]}, and {target.name} requires this"):
        make(together.request(data_root=world, runs=tmp_path))
