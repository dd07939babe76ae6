"""Which part of a test runs when: `make test` and `make test-all` run samples, and each long proof has a target of its
own that runs the whole (bench/testing.md)."""

import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from embench.leaderboard.rows import hash_code

WHOLE = "EMBENCH_WHOLE_PROOFS" in os.environ
"""Whether long proofs run whole; their targets in the Makefile set this."""

proof = pytest.mark.skipif(not WHOLE, reason="a part of a long proof, see bench/testing.md")
"""Marks what only the whole proof runs."""


def sample(cases: Iterable[Any], *quick: Any) -> list[Any]:
    """The cases for `pytest.mark.parametrize`, all but `quick` of them marked as slow."""
    return [case if case in quick else _slow(case) for case in cases]


def drawn(cases: Iterable[Any], named: Callable[[Any], str] = str) -> list[Any]:
    """The cases in another order for every state of the code, of which a test takes the first few."""
    return sorted(cases, key=lambda case: hashlib.sha256(f"{hash_code()}/{named(case)}".encode()).hexdigest())


def _slow(case: Any) -> Any:
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
