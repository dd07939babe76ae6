"""Real recordings, where this machine has them."""

import os
from pathlib import Path

import pytest


def released(name: str) -> Path:
    """The folder of a release; a test that asks for one that is not here is skipped."""
    data = os.environ.get("EMBENCH_TEST_DATA")
    if not data or not Path(data, name).is_dir():
        pytest.skip(f"EMBENCH_TEST_DATA holds no {name}: the real recordings are not here")
    return Path(data, name)
