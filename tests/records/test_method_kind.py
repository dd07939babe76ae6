"""Whether a row is an estimator on features or a network, as its record says."""

import pytest

from embench import registry
from embench.interfaces.fusion import Estimator
from embench.records.manifest import MethodPart, method_kind


def method(encoder, fusion, **recorded):
    return MethodPart(encoders={"eda": encoder}, fusion=fusion, pretrainers=[], modalities=["eda"], **recorded)


def test_a_record_decides_for_an_encoder_of_a_package_that_is_not_here():
    encoder, fusion = "embench_elsewhere/rocket", "embench_plugins/logreg"
    assert method_kind(method(encoder, fusion, joins="estimator", inputs="features")) == "features"
    assert method_kind(method(encoder, fusion, joins="estimator", inputs="hidden")) == "network"


def test_a_submission_is_of_no_features():
    assert (
        method_kind(MethodPart(encoders={}, fusion=None, pretrainers=[], modalities=[], submission="mine")) == "network"
    )


@pytest.mark.parametrize(
    "entry", [e for kind in ("encoder", "fusion") for e in registry.entries(kind)], ids=lambda e: e.name
)
def test_the_catalogue_says_of_features_what_the_class_does(entry):
    found = registry.load_plugin(entry.kind, entry.full_name)
    gives = "features" in found.offers if entry.kind == "encoder" else issubclass(found, Estimator)
    assert entry.features == (gives and getattr(found, "reads", "") != "decisions")
