"""Faults of `personalise` are found and told."""

from pathlib import Path

import pytest

from embench import registry
from embench.errors import CheckFailed
from embench.interfaces.fusion import Fusion
from embench.testing import check_encoder, check_estimator, check_fusion
from embench_plugins.fusions.late import Late

PLUGINS = Path(__file__).parents[1] / "tiny" / "personal.py"


def plugin(kind: str, name: str) -> type:
    return registry.load_plugin(kind, f"{PLUGINS}:{name}")


@pytest.mark.parametrize("name", ["Normalised", "Adapting"])
def test_what_adapts_to_one_subject_conforms(name: str) -> None:
    check_encoder(plugin("encoder", name))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ByArrival", "after another subject|a second call"),
        ("TooMuch", "`personalise` changed encoders.*mix.bias"),
        ("OtherNetwork", "left a network of other weights"),
        ("BatchStatistics", "left a network of other weights"),
        ("Unheard", "`personalises` is 'everything'"),
        ("ByOneLabel", "the plugin raised"),
    ],
)
def test_faults_of_encoders_are_told(name: str, found: str) -> None:
    with pytest.raises(CheckFailed, match=found) as error:
        check_encoder(plugin("encoder", name))
    assert name in str(error.value.where)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("RemembersSubjects", "units of another subject change the scores|two personalised estimators"),
        ("ChangesItself", "changes its input"),
        ("FitsItself", "changes the original estimator|units of another subject"),
        ("Neglects", "the type NoneType"),
    ],
)
def test_faults_of_estimators_are_told(name: str, found: str) -> None:
    with pytest.raises(CheckFailed, match=found):
        check_estimator(plugin("fusion", name))


class ShiftsHead(Late):
    """A fusion whose read-out is shifted by what a subject gives."""

    def personalise(self, network, units, labels):
        for name, parameter in network.fusion.named_parameters():
            if name.endswith("bias") and "head" in name.split("."):
                parameter.data += 0.5 if labels is None else labels.mean()


class ShiftsMore(ShiftsHead):
    """And whose later subjects follow the earlier ones."""

    before = 0

    def personalise(self, network, units, labels):
        type(self).before += 1
        super().personalise(network, units, labels)
        for parameter in network.fusion.head.parameters():
            parameter.data += self.before


def test_fusions_adapt_to_one_subject() -> None:
    assert issubclass(ShiftsHead, Fusion)
    check_fusion(ShiftsHead)
    with pytest.raises(CheckFailed, match="a second call"):
        check_fusion(ShiftsMore)
