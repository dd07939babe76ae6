"""Everything registered conforms."""

import os
from pathlib import Path

import pytest

from embench import registry
from embench.testing import check, check_dataset

from ..extras import FOUNDATION
from ..sample import WHOLE, drawn, proof, sample

PLUGINS = [(e.kind, e.name) for e in registry.entries() if e.kind != "dataset" and e.package == registry.BUNDLED]
LONG = (
    "cnn_tf", "cnn_mlp", "timm_frames", "videomae", "unet_se", "tcn", "cross_attn", "mlp", "forest", "boosting", "svm",
    "linear_svm", "linear_svr", "ridge", "knn", "catch22", "multirocket", "mantis",
    "amigos_features", "differential_entropy", "eegnet", "labram", "cbramod", "biot", "eegpt", "luna", "reve",
)  # fmt: skip
"""Plugins that take long to check; others of their kinds do not."""
REAL = ("stress_predict", "wearable_stress", "hku956", "eegmat", "quiroz2018")
LATER = () if WHOLE else ("mlp", *drawn(LONG)[len(LONG) // 2 :])
"""Those that are checked for another state of the code, and one of 5,000 iterations; `make rates` checks all."""


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(k, n, id=f"{k}-{n}", marks=[pytest.mark.slow] * (n in LONG) + [proof] * (n in LATER))
        for k, n in PLUGINS
    ],
)
def test_plugin_conforms(kind, name):
    if name == "tensorboard":
        pytest.importorskip(name, reason=f"{name} is not installed: pip install {name}")
    if name in FOUNDATION:
        pytest.importorskip(FOUNDATION[name], reason="not installed: pip install '.[foundation]'")
    check(kind, registry.load_plugin(kind, name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["amigos", "faced"])
def test_dataset_conforms_on_generated_files(name, tmp_path):
    cls = registry.load_plugin("dataset", name)
    registry.synthesizer(name)(tmp_path / name, subjects=3, seed=0, effect=1.0, length_s=12.0)
    check_dataset(cls, tmp_path / name)


@pytest.mark.parametrize("name", sample(REAL, "wearable_stress"))
def test_dataset_conforms_on_real_files(name):
    root = os.environ.get("EMBENCH_TEST_DATA")
    if not root:
        pytest.skip("EMBENCH_TEST_DATA does not say where real data are")
    check_dataset(registry.load_plugin("dataset", name), Path(root) / name)


def test_an_outside_package_conforms(acme):
    assert acme
    check("encoder", registry.load_plugin("encoder", "plain"))
    check("observer", registry.load_plugin("observer", "counter"))
