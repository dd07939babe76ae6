"""Makes torchvision importable beside a torch that its compiled operators were not built for.

timm imports torchvision, and so may transformers. Where a CPU-only torch meets torchvision's usual wheel, the operators
are not loaded, and the import ends with "operator torchvision::nms does not exist". No network here calls them; it is
enough that their names are known.
"""

from __future__ import annotations

import importlib

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_LIBRARIES: list[torch.library.Library] = []
"""Declared libraries, which hold as long as they are kept here."""


def settle() -> None:
    """Imports torchvision; declares its two missing operators first where it cannot be imported without them."""
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
