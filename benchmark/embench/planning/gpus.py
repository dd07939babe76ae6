"""Forecast of training times on a GPU that need not be here: from operations of a training step and measured ratios.

A step cannot be faster than its operations and bytes allow (the roofline), nor than the host can launch its kernels.
That is the lower end of a forecast. The upper end is longer by the ratio by which a step on this CPU takes longer than
its own roofline, whose rates are measured here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils import flop_counter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from embench.engine import device as machine
from embench.engine import fits, network
from embench.engine.stage import FitParams, Stage
from embench.errors import UsageError
from embench.files import cached_call
from embench.planning.plan import (
    estimate_training_s,
    measure_networks,
    measure_once,
    network_identity,
    sample_units,
)
from embench.system import limited_threads
from embench.vocabulary import did_you_mean


class Rates(NamedTuple):
    """Operations of dense matrix products per second (bf16 on a GPU, float32 on a CPU), and bytes of memory per
    second."""

    flops: float
    bandwidth: float


GPUS = {
    "a100": Rates(312e12, 2.04e12),
    "h100": Rates(989e12, 3.35e12),
    "h200": Rates(989e12, 4.8e12),
    "l4": Rates(121e12, 0.3e12),
    "l40s": Rates(362e12, 0.864e12),
}
"""Peak rates by the makers' data sheets: A100 of 80 GB and H100 and H200 as SXM modules."""
_LAUNCH_S = 10e-6
"""Seconds in which the host launches an operation. Assumed, not measured."""
_OPTIMISER_BYTES = 28
"""Bytes that Adam moves for a parameter: weight, gradient and two moments read, three of them written, 4 bytes each."""


def check_gpu(name: str) -> str:
    """Return the name of a GPU in small letters. Raises UsageError for an unknown one."""
    if name.lower() not in GPUS:
        raise UsageError(
            f"no rates of a GPU `{name}` are known",
            where="--forecast-for",
            expected=f"one of {', '.join(GPUS)}",
            hint=did_you_mean(name.lower(), list(GPUS)),
        )
    return name.lower()


def forecast_on_gpu(stages: Sequence[Stage[Any]], gpu: str) -> dict[str, tuple[float, float]]:
    """Return stage id -> lower and upper end of its seconds on one GPU, for all stages that train a network; 0 for a
    network that fails when it is measured."""

    def estimate(end: int) -> dict[str, float]:
        return estimate_training_s(stages, measure_networks(stages, Exception, lambda s: (0, 0, _row_s(s, gpu)[end])))

    low, high = estimate(0), estimate(1)
    return {id_: (seconds, high[id_]) for id_, seconds in low.items()}


def describe_hours(stages: Sequence[Stage[Any]], gpu: str) -> dict[str, Any]:
    """Return the forecast for a plan: the GPU, and the lower and upper end of its hours for all stages."""
    seconds = forecast_on_gpu(stages, gpu).values()
    return {"gpu": gpu, "hours": [sum(each[end] for each in seconds) / 3600 for end in (0, 1)]}


def _row_s(stage: Stage[FitParams], gpu: str) -> tuple[float, float]:
    """Return both ends of the seconds for training on a row."""
    parameters, _, here_s = measure_once(stage)
    work = cached_call((_count_work, *network_identity(stage)), lambda: _count_work(stage))
    batch = stage.params.recipe.batch
    ideal, launches = work.step_s(GPUS[gpu], batch, parameters), len(work.two) * _LAUNCH_S
    ratio = max(1.0, here_s * batch / work.step_s(cached_call((_rates_here,), _rates_here), batch, parameters))
    return max(ideal, launches) / batch, max(ideal * ratio, launches) / batch


class _Work(NamedTuple):
    """Operations of a forward and backward pass on one row and on two rows: FLOPs and bytes of each, (n, 2)."""

    one: np.ndarray
    two: np.ndarray

    def step_s(self, rates: Rates, batch: int, parameters: int) -> float:
        """Return the shortest seconds of a training step with `batch` rows, and with the optimiser's part."""
        one, two = (float(np.maximum(w[:, 0] / rates.flops, w[:, 1] / rates.bandwidth).sum()) for w in self)
        return one + max(two - one, 0.0) * (batch - 1) + _OPTIMISER_BYTES * parameters / rates.bandwidth


def _count_work(stage: Stage[FitParams]) -> _Work:
    machine.seed_everything(0, stage.params.common.threads, stage.params.common.device)
    data, specs, train, _, _ = fits.load_labelled_data(sample_units(stage))
    model = network.build_model(stage.params, specs, network.make_output_spec(stage.params)).to(data.device)
    model.eval()  # without dropout, attention is one operation, as on a GPU
    fullest = train[np.argsort(~data.present[train].all(1), kind="stable")]

    def count(rows: int) -> np.ndarray:
        with _Counter() as counter:
            model(data.batch(np.resize(fullest, rows))).logits.float().sum().backward()
        return np.array(counter.work, float).reshape(-1, 2)

    return _Work(count(1), count(2))


class _Counter(TorchDispatchMode):
    """Collects FLOPs and bytes of each operation; `work`: one pair for each."""

    def __init__(self) -> None:
        super().__init__()
        self.work: list[tuple[int, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            moved = [each for each in tree_leaves((args, kwargs, out)) if isinstance(each, Tensor)]
            flops = _count_flops(func, args, kwargs or {}, out)
            size = sum(each.nbytes for each in moved)
            self.work.append((flops, size // 2 if flops else size))  # products are of bf16 on a GPU
        return out


_FUSED: Mapping[str, tuple[Callable[..., int], int]] = {
    "aten._scaled_dot_product_flash_attention_for_cpu": (flop_counter.sdpa_flop_count, 3),
    "aten._scaled_dot_product_flash_attention_for_cpu_backward": (flop_counter.sdpa_backward_flop_count, 4),
}
"""Operations whose FLOPs torch does not count -> function of the shapes of the first inputs, and their number."""


def _count_flops(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> int:
    """Return the FLOPs of an operation; 0 except for matrix products, convolutions and attention."""
    packet = func.overloadpacket
    if str(packet) in _FUSED:
        of_shapes, inputs = _FUSED[str(packet)]
        return int(of_shapes(*(each.shape for each in args[:inputs])))
    count = flop_counter.flop_registry.get(packet)
    return int(count(*args, **kwargs, out_val=out)) if count else 0


def _rates_here() -> Rates:
    """Return the rates that one core of this machine reaches in a product of matrices and in a copy."""
    a, long = torch.ones(1024, 1024), torch.ones(1 << 24)
    with limited_threads(1):
        product = min(_seconds(lambda: a @ a) for _ in range(5))
        copy = min(_seconds(long.clone) for _ in range(5))
    return Rates(2 * 1024**3 / product, 2 * long.nbytes / copy)


def _seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
