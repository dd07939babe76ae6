"""Shared parts of all checks: the report of a fault, and requirements on every module and every recipe."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

import numpy as np
import torch
from safetensors.torch import load as unpack
from safetensors.torch import save as pack
from torch import Tensor, nn

from embench.errors import CheckFailed, EmbenchError
from embench.interfaces.recipe import PRESETS, Recipe
from embench.nn import FillAbsent

_T = TypeVar("_T")
_Checks = TypeVar("_Checks", bound=Callable[..., None])
CLOSE_ENOUGH = 1e-5
"""Largest difference allowed between two predictions of the same row, as in a run."""


class Check:
    """Faults of one class, reported with its name and place."""

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls
        try:
            file, line = inspect.getsourcefile(cls), inspect.getsourcelines(cls)[1]
            self.where = f"{cls.__module__}.{cls.__qualname__} ({file}:{line})"
        except (OSError, TypeError):
            self.where = f"{cls.__module__}.{cls.__qualname__}"
        self.of = ""
        self.hint: str | None = None

    def that(self, fine: bool, what: str, *, expected: str, hint: str | None = None) -> None:
        """Raises CheckFailed with `what` is wrong unless `fine`."""
        if not fine:
            raise CheckFailed(what, where=f"{self.where}{self.of}", expected=expected, hint=hint)

    def equal(
        self, one: Tensor | None, other: Tensor | None, what: str, *, expected: str, hint: str | None = None
    ) -> None:
        """Raises CheckFailed unless both are None, or tensors of one shape whose values agree to `TOLERANCE`."""
        if one is None or other is None:
            self.that(one is other, what, expected=expected, hint=hint)
            return
        self.that(
            one.shape == other.shape,
            f"{what}: the shapes are {tuple(one.shape)} and {tuple(other.shape)}",
            expected=expected,
            hint=hint,
        )
        if one.numel():
            gap = (one.double() - other.double()).abs().max().item()
            scale = max(1.0, other.double().abs().max().item())
            self.that(gap <= CLOSE_ENOUGH * scale, f"{what}: the difference is {gap:.2g}", expected=expected, hint=hint)

    def finite(self, x: Tensor | None, what: str) -> None:
        """Raises CheckFailed where `x` holds NaN or infinity; None passes."""
        if x is not None:
            self.that(bool(torch.isfinite(x).all()), f"{what} is not finite", expected="finite values")

    @contextlib.contextmanager
    def during(self, step: str) -> Iterator[None]:
        """Names the step in every fault, and turns what the class raises into CheckFailed."""
        before, self.of = self.of, f"{self.of}, {step}"
        try:
            yield
        except EmbenchError as error:
            if isinstance(error, CheckFailed):
                raise
            raise CheckFailed(
                f"the plugin raised: {error}", where=f"{self.where}{self.of}", expected="no error"
            ) from error
        except (Exception, SystemExit) as error:  # the plugin boundary
            what = f"the plugin raised {type(error).__name__}: {error}{self._line(error)}"
            raise CheckFailed(what, where=f"{self.where}{self.of}", expected="no error", hint=self.hint) from error
        finally:
            self.of = before

    def _line(self, error: BaseException) -> str:
        """The line of the file of the class in which an error was raised; empty where none took part."""
        with contextlib.suppress(OSError, TypeError):
            file = inspect.getsourcefile(self.cls)
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
            return f" ({file}:{lines[-1]})" if lines else ""
        return ""

    def recipes(self) -> Mapping[str, Recipe]:
        """The class's recipes, one for each preset."""
        recipes = getattr(self.cls, "recipes", None)
        self.that(
            isinstance(recipes, Mapping),
            "the class has no `recipes`",
            expected=f"a Recipe for each of {', '.join(PRESETS)}",
        )
        found: Mapping[str, Recipe] = recipes or {}
        for preset in PRESETS:
            fine = isinstance(found.get(preset), Recipe)
            self.that(
                fine, f"the class has no recipe `{preset}`", expected=f"a Recipe for each of {', '.join(PRESETS)}"
            )
            with self.during(f"recipe {preset}"):
                read_back = Recipe.of(found[preset].mapping())
                self.that(
                    read_back == found[preset],
                    "the values of the recipe change in a round trip through plain values",
                    expected="plain values",
                )
        return found

    def repeats(self, make: Callable[[], nn.Module]) -> nn.Module:
        """Builds twice from one seed, and gives the first; and once from another seed."""
        first, second = seeded(make), seeded(make)
        self.sets_no_seed(make, "`build`")
        one, other = first.state_dict(), second.state_dict()
        self.that(
            one.keys() == other.keys(),
            "two builds with one seed have different weights",
            expected="one network per seed",
        )
        for name, weight in one.items():
            same = torch.equal(weight, other[name])
            self.that(
                same, f"weight `{name}` differs between two builds of one seed", expected="torch's generator only"
            )
        return first

    def sets_no_seed(self, work: Callable[[], object], what: str) -> None:
        """Raises CheckFailed where `work` leaves a global generator in one state, whatever its state was before."""
        ends = []
        for seed in (11, 12):
            set_seeds(seed)
            work()
            ends.append(random_states())
        same = [library for library, state in ends[0].items() if state == ends[1][library]]
        expected = "no global seed, because it changes the random numbers of everything else"
        self.that(not same, f"{what} sets the global seed of {', '.join(same)}", expected=expected)

    @contextlib.contextmanager
    def untouched(self, what: str, *inputs: Tensor | np.ndarray | None) -> Iterator[None]:
        """Raises CheckFailed where an input has other values at the end than at the beginning."""
        arrays = [np.asarray(x) for x in inputs if x is not None]  # they share the memory of tensors
        before = [array.copy() for array in arrays]
        yield
        same = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(arrays, before, strict=True))
        expected = "unchanged inputs, because others read them too: `x = x * 2`, not `x *= 2`"
        self.that(same, f"{what} changes its input", expected=expected)

    def on_another_device(self, make: Callable[[], nn.Module], output_of: Callable[[nn.Module], Tensor]) -> None:
        """Raises CheckFailed where a module that was moved to another device combines its tensors with some of the CPU.

        The device is torch's `meta`, which has shapes and no values: what needs values to go on is not found out.
        """
        expected = "tensors on the device of the input, or buffers: `torch.zeros(3, device=x.device)`"
        try:
            output = output_of(make().eval().to("meta"))
        except Exception as error:  # noqa: BLE001  whatever asks for values raises something else
            mixed = "meta" in str(error) and "cpu" in str(error) and "device" in str(error)
            self.that(
                not mixed, f"the network fails on another device than the CPU: {_first_line(error)}", expected=expected
            )
            return
        self.that(output.device.type == "meta", "the output is on the CPU even if the input is not", expected=expected)

    def survives_saving(self, module: nn.Module, other: nn.Module, output_of: Callable[[nn.Module], Tensor]) -> None:
        """Raises CheckFailed unless weights written and read into `other`, built elsewhere, give the same output."""
        state = {name: weight.detach().clone().contiguous() for name, weight in module.state_dict().items()}
        other.load_state_dict(unpack(pack(state)))
        expected = "all state that decides the output in parameters and buffers"
        with torch.no_grad():
            loaded, saved = output_of(other.eval()), output_of(module.eval())
        self.equal(loaded, saved, "the network gives another output after saving and loading", expected=expected)

    def gradients(self, module: nn.Module, loss: Tensor) -> None:
        """Raises CheckFailed unless a finite gradient of `loss` (scalar) reaches every trainable parameter; what stands
        in for an absent modality may stay without."""
        idle = {id(p) for part in module.modules() if isinstance(part, FillAbsent) for p in part.parameters()}
        wanted = [(name, p) for name, p in module.named_parameters() if p.requires_grad and id(p) not in idle]
        if not wanted:
            return
        self.that(loss.requires_grad, "the output has no gradient", expected="a differentiable output")
        for p in module.parameters():
            p.grad = None
        loss.backward()
        for name, p in wanted:
            self.that(p.grad is not None, f"no gradient reaches `{name}`", expected="only parameters that are used")
            self.finite(p.grad, f"the gradient of `{name}`")


def leaves_no_trace(checked: _Checks) -> _Checks:
    """Decorates a conformance check: it leaves the global random numbers as they were, and the class must print nothing
    meanwhile."""

    @functools.wraps(checked)
    def check(cls: type[Any], *args: Any, **named: Any) -> None:
        printed = io.StringIO()
        try:
            with _random_state_kept(), contextlib.redirect_stdout(printed):
                checked(cls, *args, **named)
        finally:
            sys.stdout.write(printed.getvalue())
        if text := _first_line(printed.getvalue()):
            expected = "no text on standard output; use `warnings` or `logging`"
            raise CheckFailed(f"the plugin prints: {text}", where=Check(cls).where, expected=expected)

    return cast("_Checks", check)


def lets_print(checked: _Checks) -> _Checks:
    """Decorates a check of a class that nobody else uses: it leaves the global random numbers as they were, and what
    the class prints meanwhile is dropped."""

    @functools.wraps(checked)
    def check(cls: type[Any], *args: Any, **named: Any) -> None:
        with _random_state_kept(), contextlib.redirect_stdout(io.StringIO()):
            checked(cls, *args, **named)

    return cast("_Checks", check)


@contextlib.contextmanager
def _random_state_kept() -> Iterator[None]:
    numpy, python = np.random.get_state(), random.getstate()  # noqa: NPY002  what plugins may have drawn from
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            np.random.set_state(numpy)  # noqa: NPY002
            random.setstate(python)


def _first_line(text: object) -> str:
    return (str(text).strip().splitlines() or [""])[0][:200]


def seeded(make: Callable[[], _T], seed: int = 1) -> _T:
    """The result of `make` with torch's generator started from `seed`; the others go on from where they are."""
    torch.manual_seed(seed)
    return make()


def set_seeds(seed: int) -> None:
    """Starts all global generators from `seed`."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  the very generator that a plugin must leave alone
    torch.manual_seed(seed)


def random_states() -> dict[str, object]:
    """The states of the global generators, by the name of their library; equal states draw equal numbers."""
    numpy: Any = np.random.get_state()  # noqa: NPY002  the very generator that a plugin must leave alone
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (numpy[1].tobytes(), *numpy[2:]),
        "random": random.getstate(),
    }


def projected(*tensors: Tensor | None) -> Tensor:
    """A scalar in which every value counts with a weight of its own, so that no gradient cancels."""
    generator = torch.Generator().manual_seed(7)
    parts = [(t * torch.randn(t.shape, generator=generator)).sum() for t in tensors if t is not None]
    return torch.stack(parts).sum()
