import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that other processes can import the small dataset as well

from small_dataset import SmallDataset, write_subjects


@pytest.fixture
def root(tmp_path):
    """A folder with four subjects, as `SmallDataset` reads them."""
    return write_subjects(tmp_path / "data", 4)


@pytest.fixture
def dataset(root):
    return SmallDataset(root)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"
