"""A GPU that is not there: tensors that say they lie on `cuda`, while the CPU computes with the same kernels as ever.

What a real GPU would refuse because tensors lie on two devices is refused here, and whatever would make the host wait
for the GPU is counted with the line that asked for it. Answers are those of the CPU, to the bit.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

aten = torch.ops.aten
GPU = torch.device("cuda:0")
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
WAITS = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten._unique2.default,
    aten.repeat_interleave.Tensor,
    aten.bincount.default,
}


UNREPEATABLE = {
    aten.avg_pool3d_backward.default,
    aten._adaptive_avg_pool2d_backward.default,
    aten._adaptive_avg_pool3d_backward.default,
    aten.adaptive_max_pool2d_backward.default,
    aten.fractional_max_pool2d_backward.default,
    aten.max_unpool2d.default,
    aten.upsample_linear1d_backward.default,
    aten.upsample_bilinear2d_backward.default,
    aten.upsample_bicubic2d_backward.default,
    aten.upsample_trilinear3d_backward.default,
    aten.reflection_pad1d_backward.default,
    aten.reflection_pad2d_backward.default,
    aten.reflection_pad3d_backward.default,
    aten.nll_loss2d_forward.default,
    aten._ctc_loss_backward.default,
    aten.put_.default,
    aten.histc.default,
    aten.median.dim,
    aten.kthvalue.default,
    aten.grid_sampler_2d_backward.default,
}
"""What torch's page of `use_deterministic_algorithms` lists as without a deterministic form on CUDA; and, where their
input says so, sums of floats and counts with weights."""


class Gpu(torch.Tensor):
    """Numbers on the pretended GPU; `elem` holds them."""

    device = property(lambda _: GPU)
    is_cuda, is_cpu = property(lambda _: True), property(lambda _: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, elem):
        return torch.Tensor._make_wrapper_subclass(
            cls, elem.size(), strides=elem.stride(), storage_offset=elem.storage_offset(), dtype=elem.dtype
        )

    def __init__(self, elem):
        self.elem = elem

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return Machine.now.call(func, args, kwargs or {})


class Machine:
    """What was asked of the pretended GPU: `waits` counts (what, file:line) of the host's waiting."""

    now: Machine

    def __init__(self, folders):
        self.waits, self.kernels, self.inside, self.folders = Counter(), 0, False, [f"{f}/" for f in folders]
        Machine.now = self

    def call(self, func, args, kwargs):
        """An operation, computed on the CPU."""
        leaves = tree_leaves((args, kwargs))
        ours = [t for t in leaves if isinstance(t, Gpu)]
        others = [t for t in leaves if isinstance(t, torch.Tensor) and not isinstance(t, Gpu)]
        if ours:
            self.look(func, args, any(t.ndim for t in others))
        plain_args, plain_kwargs = tree_map_only(Gpu, lambda t: t.elem, (args, kwargs))
        found = func(*plain_args, **plain_kwargs)
        if not ours and (others or not self.inside):
            return found
        self.kernels += 1
        found = tree_map_only(torch.Tensor, Gpu, found)
        return return_and_correct_aliasing(func, args, kwargs, found) if ours else found

    def look(self, func, args, mixed):
        sums = func is aten.cumsum.default and args[0].is_floating_point()
        counts = func is aten.bincount.default and len(args) > 1 and args[1] is not None
        strict = (
            torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
        )
        if strict and (sums or counts or func in UNREPEATABLE):
            raise RuntimeError(f"{func._opname} CUDA does not have a deterministic implementation, but you set ...")
        if func is aten.copy_.default and mixed:
            return self.wait("copy_")
        if func in INDEXING:
            index = [i for i in args[1] if i is not None]
            if any(i.dtype in (torch.bool, torch.uint8) for i in index):
                self.wait("an index by mask")
            value = args[2] if len(args) > 2 else None
            if not isinstance(args[0], Gpu) or (value is not None and value.ndim and not isinstance(value, Gpu)):
                raise RuntimeError(f"{func}: indices should be on the device of what they index, at {self.line()}")
            if any(not isinstance(i, Gpu) and i.ndim for i in index):
                self.wait("an index that lies on the CPU")
            return None
        if mixed:
            raise RuntimeError(f"{func}: expected all tensors to be on the same device, at {self.line()}")
        return self.wait(str(func).removeprefix("aten.")) if func in WAITS else None

    def moved(self, tensor, device, dtype, calm):
        """A tensor on another device, as `Tensor.to` gives it."""
        there = isinstance(tensor, Gpu)
        wanted = there if device is None else torch.device(device).type == "cuda"
        if there != wanted and not (calm and wanted):
            self.wait("a copy to the GPU" if wanted else "a copy to the CPU")
        plain = tensor.elem if there else tensor
        if there == wanted:
            return tensor if dtype in (None, tensor.dtype) else tensor.type(dtype)
        plain = plain.detach().type(dtype or plain.dtype)
        return Gpu(plain.clone()) if wanted else plain.clone()

    def wait(self, what):
        self.waits[what, self.line()] += 1

    def line(self):
        """Who asked, in the folders that are watched."""
        frame, found = sys._getframe(), []
        while frame is not None and len(found) < 1:
            name = frame.f_code.co_filename
            found += [f"{name.removeprefix(f)}:{frame.f_lineno}" for f in self.folders if name.startswith(f)]
            frame = frame.f_back
        return found[0] if found else "elsewhere"


class Calls(TorchFunctionMode):
    """Calls of torch from Python: those that name the GPU, and those that move tensors."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, machine = dict(kwargs or {}), Machine.now
        name = getattr(func, "__name__", "")
        if name in ("to", "cpu", "cuda") and isinstance(args[0], torch.Tensor):
            return self.to(name, *args, **kwargs)
        if func is torch.Tensor.pin_memory:
            return args[0]
        if isinstance(args[0] if args else None, Gpu) and name in ("numpy", "__array__"):
            raise TypeError(f"can't convert cuda:0 device type tensor to numpy, at {machine.line()}")
        if isinstance(args[0] if args else None, Gpu) and name == "tolist":
            machine.wait("tolist")
            return args[0].elem.tolist()
        kwargs.pop("pin_memory", None)
        on_gpu = kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cuda"
        if on_gpu and func in (torch.tensor, torch.as_tensor):
            if isinstance(args[0], torch.Tensor):
                return machine.moved(args[0], GPU, kwargs.get("dtype"), False)
            return machine.moved(torch.tensor(args[0], dtype=kwargs.get("dtype")), GPU, None, False)
        if on_gpu:
            kwargs["device"] = "cpu"
        before = machine.inside
        machine.inside = before or on_gpu or any(isinstance(t, Gpu) for t in tree_leaves((args, kwargs)))
        try:
            return func(*args, **kwargs)
        finally:
            machine.inside = before

    def to(self, name, tensor, *args, **kwargs):
        if name != "to":
            return Machine.now.moved(tensor, {"cpu": "cpu", "cuda": GPU}[name], None, False)
        if args and isinstance(args[0], torch.Tensor):
            return Machine.now.moved(tensor, args[0].device, args[0].dtype, False)
        copy = kwargs.pop("copy", False)
        device, dtype, calm, _ = torch._C._nn._parse_to(*args, **kwargs)
        found = Machine.now.moved(tensor, device, dtype, calm)
        return found.clone() if copy and found is tensor else found


class Kernels(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return Machine.now.call(func, args, kwargs or {})


@contextlib.contextmanager
def gpu(*folders, free=8 << 30, kept=0) -> Iterator[Machine]:
    """Inside, `--device cuda` runs, the first of two GPUs that are alike. Autocast is the CPU's: bf16 too, for nearly
    the same operations. `kept` bytes of tensors that are gone wait for the next ones."""
    autocast, chosen = torch.autocast, [0]
    pretended = {
        "is_available": lambda: True,
        "current_device": lambda: chosen[-1],
        "set_device": chosen.append,
        "device_count": lambda: 2,
        "memory_reserved": lambda *_: kept,
        "memory_allocated": lambda *_: 0,
        "mem_get_info": lambda *_: (free, free),
        "get_device_name": lambda *_: "pretended",
        "synchronize": lambda *_: None,
        "reset_peak_memory_stats": lambda *_: None,
        "max_memory_allocated": lambda *_: 0,
        "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": lambda _state, *_: None,
        "manual_seed_all": lambda _seed: None,
        "is_current_stream_capturing": lambda: False,
    }
    with contextlib.ExitStack() as stack:
        warned = torch.is_deterministic_algorithms_warn_only_enabled()
        stack.callback(
            torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled(), warn_only=warned
        )
        stack.callback(setattr, torch.utils.deterministic, "fill_uninitialized_memory", True)
        for name, value in pretended.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        stack.enter_context(mock.patch.object(torch, "autocast", lambda _kind, dtype: autocast("cpu", dtype)))
        before = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, before)
        from torch.nn.utils import clip_grad

        grouped = clip_grad._group_tensors_by_device_and_dtype
        stack.enter_context(
            mock.patch.object(
                clip_grad,
                "_group_tensors_by_device_and_dtype",
                lambda lists, *a: {
                    (GPU if isinstance(t[0][0], Gpu) else k[0], k[1]): (t, i)
                    for k, (t, i) in grouped(lists, *a).items()
                },
            )
        )  # it reads what C++ takes for the device
        machine = Machine(folders)
        stack.enter_context(Kernels())
        stack.enter_context(Calls())
        yield machine
