"""Fixtures of test subjects who give units before they are tested."""

import pytest
import yaml

from .running import Bench
from .world import RULES, make_subjects, write


@pytest.fixture(scope="session")
def giving(tmp_path_factory):
    """Nine subjects with twelve recordings each, and the rules of personalise-v1 in three folds, with the scores of
    version 2."""
    folder = tmp_path_factory.mktemp("calibration_split")
    path = folder / "mine.yaml"
    personal = {"gives": "units", "most": 10, "guard_s": 60.0}
    path.write_text(
        yaml.safe_dump({**RULES, "primary_metric": "by_design", "normalise": "given", "personal": personal})
    )
    return write(folder, make_subjects(9, stimuli=12)), str(path)


@pytest.fixture
def bench(giving, tmp_path):
    """The nine subjects, and an empty runs folder."""
    data, protocol = giving
    return Bench(data, tmp_path / "runs", protocol=protocol)
