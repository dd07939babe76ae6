"""Old names of the plugin interface: each works for one release more and says what it is called now."""

from __future__ import annotations

import pytest
from torch import nn

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
