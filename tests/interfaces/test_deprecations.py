"""Old names of the plugin interface: each works for one release more and says what it is called now."""

from __future__ import annotations

import importlib

import pytest
from torch import nn

from embench.interfaces import ranking
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import InputSpec


def test_alike_is_read_as_shared_axes() -> None:
    with pytest.warns(DeprecationWarning, match=r"Series\.alike is called shared_axes") as caught:

        class Series(Encoder):
            def alike(self, modality: str) -> tuple[int, ...]:
                return () if modality == "eeg" else (-1,)

            def build(self, spec: InputSpec) -> nn.Module:
                return nn.Identity()

    assert caught[0].filename == __file__, "the warning points to the plugin, not into embench"
    encoder = Series(Recipe())
    assert encoder.shared_axes("ppg") == (-1,)
    assert encoder.shared_axes("eeg") == ()


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("agreement", "concordance_by_person", "concordance_by_subject"),
        ("metric", "confusion_by_person", "confusion_by_subject"),
        ("metric", "mean_of_people", "resampled_mean"),
        ("ranking", "auroc_by_person", "auroc_by_subject"),
        ("ranking", "compare_people", "compare_subjects"),
        ("ranking", "people_codes", "subject_codes"),
    ],
)
def test_an_old_name_is_the_new_function(module: str, old: str, new: str) -> None:
    home = importlib.import_module(f"embench.interfaces.{module}")
    with pytest.warns(DeprecationWarning, match=rf"{module}\.{old} is called {new} now") as caught:
        assert getattr(home, old) is getattr(home, new)
    assert caught[0].filename == __file__, "the warning points to the plugin, not into embench"


def test_a_name_that_never_was_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="compare_nobody"):
        _ = ranking.compare_nobody
    with pytest.raises(ImportError, match="compare_nobody"):
        from embench.interfaces.ranking import compare_nobody  # noqa: F401
