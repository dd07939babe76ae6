"""torchvision can be imported, and what transformers and timm need of it, whatever torch it meets."""

import subprocess
import sys

import pytest

CODE = """
from embench_plugins import torchvision_shim
torchvision_shim.settle()
torchvision_shim.settle()
import torchvision, timm
from transformers import VideoMAEModel
print(torchvision.ops.nms.__name__, VideoMAEModel.__name__, len(torchvision_shim._LIBRARIES) <= 1)
"""

WORKS = """
import sys, types
from embench_plugins import torchvision_shim
sys.modules["torchvision"] = types.ModuleType("torchvision")
torchvision_shim.settle()
print(torchvision_shim._LIBRARIES)
"""

QUICK = """
import sys
import embench_plugins.encoders.videomae, embench_plugins.encoders.timm_frames, embench_plugins.pretrainers.mae
print([m for m in ("transformers", "timm", "torchvision") if m in sys.modules])
"""


def output_of(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_it_makes_the_imports_work_twice_over() -> None:
    assert output_of(CODE) == "nms VideoMAEModel True"


@pytest.mark.slow
def test_it_does_nothing_where_the_operators_are_there() -> None:
    assert output_of(WORKS) == "[]"


@pytest.mark.slow
def test_importing_the_plugins_imports_none_of_them() -> None:
    assert output_of(QUICK) == "[]"
