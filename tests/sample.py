"""Which cases of a test are quick: `make test` runs a sample, `make test-all` the rest."""

from collections.abc import Iterable
from typing import Any

import pytest


def sample(cases: Iterable[Any], *quick: Any) -> list[Any]:
    """The cases for `pytest.mark.parametrize`, all but `quick` of them marked as slow."""
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in cases]
