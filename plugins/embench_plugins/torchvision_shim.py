"""Make torchvision importable with a torch build that its compiled operators do not match.

timm imports torchvision, and so may transformers. With a CPU-only torch and torchvision's usual wheel, the operators
are not loaded, and the import fails with "operator torchvision::nms does not exist". No network here calls them, so it
is enough to declare their names.
"""

from __future__ import annotations

import importlib

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_LIBRARIES: list[torch.library.Library] = []
"""Declared libraries; torch forgets a declaration when its library is garbage-collected."""


def settle() -> None:
    """Import torchvision; if that fails for two missing operators, declare them and import it again."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        for schema in _SCHEMAS:
            library.define(schema)
        _LIBRARIES.append(library)
        importlib.import_module("torchvision")
