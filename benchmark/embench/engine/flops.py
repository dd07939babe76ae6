"""Cost of a network: the operations of one row's forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from embench.engine.feed import Data
from embench.nn import Model


def flops_of(model: Model, data: Data, train: np.ndarray) -> int:
    """Floating-point operations of one row's forward pass, attention included, the same on every device; the row is a
    training row (positions `train`, (k,)) with all modalities where there is one."""
    from torch.utils.flop_counter import FlopCounterMode

    full = data.present[train].all(1)
    row = train[np.flatnonzero(full)[:1]] if full.any() else train[:1]
    model.eval()
    with torch.no_grad(), _in_plain_operations(), FlopCounterMode(display=False) as counter:
        model(data.batch(row))
    return int(counter.get_total_flops())


@contextmanager
def _in_plain_operations() -> Iterator[None]:
    """Attention and Transformer layers as the products that they are made of: of their fused forms torch counts none on
    a CPU, and not all on a GPU."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
