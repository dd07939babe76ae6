"""Published predictions of models of confounds are those that a fit gives, and are read for the same labels and folds
alone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.confound_predictions import differences, studies_in
from embench.statistics.nuisance_columns import (
    has_predictions,
    is_published,
    pack_predictions,
    published_file,
    published_predictions,
)

DATASETS = ("stress_predict", "wearable_stress")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of published predictions of a package `acme_confounds`."""
    folder = tmp_path / "acme_confounds" / "confounds"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_package_brings_predictions_for_some_labels_and_folds(package: Path) -> None:
    rng = np.random.default_rng(0)
    made = {"elapsed": rng.normal(size=(6, 1)), "contact trees": rng.normal(size=(6, 1))}
    np.savez_compressed(package / "study.npz", key=pack_predictions(made))
    found = published_predictions("acme_confounds/study", "key", list(made))
    assert found is not None
    for name, values in made.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6)
    assert has_predictions("acme_confounds/study", "key")
    assert not has_predictions("acme_confounds/study", "of other folds")
    assert published_predictions("acme_confounds/study", "of other folds", list(made)) is None
    assert published_predictions("acme_confounds/another", "key", list(made)) is None
    with pytest.raises(ValueError):  # noqa: PT011 (models have changed without a new version)
        published_predictions("acme_confounds/study", "key", ["elapsed"])


@pytest.mark.parametrize("name", ["own/tasks", "no_such_package/study", "./study.py:Reader"])
def test_most_datasets_have_none(name: str) -> None:
    assert published_predictions(name, "key", ["elapsed"]) is None


def test_datasets_whose_labels_are_withheld_have_none() -> None:
    assert all(published_file(f"embench_plugins/{name}") for name in DATASETS)
    assert published_file("embench_plugins/hku956") is None


@pytest.mark.slow
@pytest.mark.skipif("EMBENCH_TEST_DATA" not in os.environ, reason="needs the published recordings: EMBENCH_TEST_DATA")
@pytest.mark.parametrize("name", DATASETS)
def test_a_refitted_fold_has_the_published_predictions(name: str) -> None:
    [study] = studies_in(name, Path(os.environ["EMBENCH_TEST_DATA"]))[:1]
    apart = differences(study)
    # Its 116 columns are nearly collinear, so a change of 1e-12 in them moves where its optimiser stops by up to 0.04.
    assert apart.pop("bands linear").mean() < 0.01
    assert max(values.max() for values in apart.values()) < 1e-4
    assert all(is_published(block, study) for block in ("local", "contact"))
    assert not is_published("local", replace(study, y=1 - study.y))
