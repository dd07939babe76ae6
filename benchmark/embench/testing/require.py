"""Requirements and synthetic inputs that all conformance checks share."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
import torch
from safetensors.torch import load as unpack
from safetensors.torch import save as pack
from torch import Tensor, nn

from embench.errors import CheckFailed, EmbenchError, UsageError
from embench.interfaces.encoder import Encoder
from embench.interfaces.kinds import KINDS, KindName
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.recording import VIDEO_CHANNELS, Signal
from embench.interfaces.tokens import InputSpec, OutputSpec, Tokens, TokenSpec
from embench.interfaces.units import LabelRule, Target, Units
from embench.nn import FillAbsent, expand_mask
from embench.registry import find_modality
from embench.signals.plausible import PLAUSIBLE_SIZES

# Shared parts of all checks: reporting of faults, and requirements on every module and every recipe.

_T = TypeVar("_T")
_Checks = TypeVar("_Checks", bound=Callable[..., None])
CLOSE_ENOUGH = 1e-5
"""Two predictions of the same row count as equal up to this difference, in checks and in runs."""


class Check:
    """Requirements on a plugin class. A requirement that is not met raises CheckFailed with the class and its file."""

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
        """Raise CheckFailed with the fault `what` if `fine` is False."""
        if not fine:
            raise CheckFailed(what, where=f"{self.where}{self.of}", expected=expected, hint=hint)

    def equal(
        self, one: Tensor | None, other: Tensor | None, what: str, *, expected: str, hint: str | None = None
    ) -> None:
        """Raise CheckFailed unless both are None, or tensors of one shape whose values agree to `CLOSE_ENOUGH`."""
        if one is None or other is None:
            self.that(one is other, what, expected=expected, hint=hint)
            return
        shapes = f"{what}: the shapes are {tuple(one.shape)} and {tuple(other.shape)}"
        self.that(one.shape == other.shape, shapes, expected=expected, hint=hint)
        if one.numel():
            gap = (one.double() - other.double()).abs().max().item()
            scale = max(1.0, other.double().abs().max().item())
            self.that(gap <= CLOSE_ENOUGH * scale, f"{what}: the difference is {gap:.2g}", expected=expected, hint=hint)

    def finite(self, x: Tensor | None, what: str) -> None:
        """Raise CheckFailed if `x` holds NaN or infinity; None passes."""
        if x is not None:
            self.that(bool(torch.isfinite(x).all()), f"{what} is not finite", expected="finite values")

    @contextlib.contextmanager
    def during(self, step: str) -> Iterator[None]:
        """Name the step in faults within the context, and turn exceptions of the class into CheckFailed."""
        before, self.of = self.of, f"{self.of}, {step}"
        try:
            yield
        except EmbenchError as error:
            if isinstance(error, CheckFailed):
                raise
            what = f"the plugin raised: {error}"
            raise CheckFailed(what, where=f"{self.where}{self.of}", expected="no error") from error
        except (Exception, SystemExit) as error:  # the plugin boundary
            what = f"the plugin raised {type(error).__name__}: {error}{self._line(error)}"
            raise CheckFailed(what, where=f"{self.where}{self.of}", expected="no error", hint=self.hint) from error
        finally:
            self.of = before

    def _line(self, error: BaseException) -> str:
        """Return a text with the line in the class's file that raised an error; empty if another file did."""
        with contextlib.suppress(OSError, TypeError):
            file = inspect.getsourcefile(self.cls)
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
            return f" ({file}:{lines[-1]})" if lines else ""
        return ""

    def recipes(self) -> Mapping[str, Recipe]:
        """Return preset -> recipe of the class, after a check of all."""
        recipes, expected = getattr(self.cls, "recipes", None), f"a Recipe for each of {', '.join(PRESETS)}"
        self.that(isinstance(recipes, Mapping), "the class has no `recipes`", expected=expected)
        found: Mapping[str, Recipe] = recipes or {}
        for preset in PRESETS:
            fine = isinstance(found.get(preset), Recipe)
            self.that(fine, f"the class has no recipe `{preset}`", expected=expected)
            with self.during(f"recipe {preset}"):
                fine = Recipe.from_mapping(found[preset].to_mapping()) == found[preset]
                what = "the values of the recipe change in a round trip through plain values"
                self.that(fine, what, expected="plain values")
        return found

    def repeats(self, make: Callable[[], nn.Module]) -> nn.Module:
        """Build a module twice from one seed and once from another, compare them, and return the first."""
        first, second = seeded(make), seeded(make)
        self.sets_no_seed(make, "`build`")
        one, other = first.state_dict(), second.state_dict()
        what = "two builds with one seed have different weights"
        self.that(one.keys() == other.keys(), what, expected="one network per seed")
        for name, weight in one.items():
            what = f"weight `{name}` differs between two builds of one seed"
            self.that(torch.equal(weight, other[name]), what, expected="torch's generator only")
        return first

    def sets_no_seed(self, work: Callable[[], object], what: str) -> None:
        """Raise CheckFailed if `work` sets the seed of a global generator: its state after `work` is then the same for
        different states before."""
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
        """Raise CheckFailed if values of the inputs change within the context."""
        arrays = [np.asarray(x) for x in inputs if x is not None]  # they share the memory of tensors
        before = [array.copy() for array in arrays]
        yield
        same = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(arrays, before, strict=True))
        expected = "unchanged inputs, because others read them too: `x = x * 2`, not `x *= 2`"
        self.that(same, f"{what} changes its input", expected=expected)

    def on_another_device(self, make: Callable[[], nn.Module], output_of: Callable[[nn.Module], Tensor]) -> None:
        """Raise CheckFailed if a module on another device combines its tensors with tensors on the CPU.

        The other device is torch's `meta`, which has shapes but no values. A network that needs values is not checked.
        """
        expected = "tensors on the device of the input, or buffers: `torch.zeros(3, device=x.device)`"
        try:
            output = output_of(make().eval().to("meta"))
        except Exception as error:  # noqa: BLE001  code that needs values raises other errors
            mixed = "meta" in str(error) and "cpu" in str(error) and "device" in str(error)
            what = f"the network fails on another device than the CPU: {_first_line(error)}"
            self.that(not mixed, what, expected=expected)
            return
        self.that(output.device.type == "meta", "the output is on the CPU even if the input is not", expected=expected)

    def survives_saving(self, module: nn.Module, other: nn.Module, output_of: Callable[[nn.Module], Tensor]) -> None:
        """Raise CheckFailed unless `other` gives the same output as `module` after loading its saved weights."""
        state = {name: weight.detach().clone().contiguous() for name, weight in module.state_dict().items()}
        other.load_state_dict(unpack(pack(state)))
        expected = "all state that decides the output in parameters and buffers"
        with torch.no_grad():
            loaded, saved = output_of(other.eval()), output_of(module.eval())
        self.equal(loaded, saved, "the network gives another output after saving and loading", expected=expected)

    def gradients(self, module: nn.Module, loss: Tensor) -> None:
        """Raise CheckFailed unless a finite gradient of `loss` (scalar) reaches every trainable parameter, except
        substitutes for absent modalities."""
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
    """Decorate a conformance check so that it restores the global random states, and fails if the class prints."""

    @functools.wraps(checked)
    def check(cls: type[Any], *args: Any, **named: Any) -> None:
        printed = io.StringIO()
        try:
            with _keep_random_state(), contextlib.redirect_stdout(printed):
                checked(cls, *args, **named)
        finally:
            sys.stdout.write(printed.getvalue())
        if text := _first_line(printed.getvalue()):
            expected = "no text on standard output; use `warnings` or `logging`"
            raise CheckFailed(f"the plugin prints: {text}", where=Check(cls).where, expected=expected)

    return cast("_Checks", check)


def lets_print(checked: _Checks) -> _Checks:
    """Decorate a check that a user runs on an own class: it restores the global random states, and discards what the
    class prints."""

    @functools.wraps(checked)
    def check(cls: type[Any], *args: Any, **named: Any) -> None:
        with _keep_random_state(), contextlib.redirect_stdout(io.StringIO()):
            checked(cls, *args, **named)

    return cast("_Checks", check)


@contextlib.contextmanager
def _keep_random_state() -> Iterator[None]:
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
    """Return the result of `make` with torch's global generator started from `seed`."""
    torch.manual_seed(seed)
    return make()


def set_seeds(seed: int) -> None:
    """Start the global generators of torch, NumPy and Python from `seed`."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  the very generator that a plugin must leave alone
    torch.manual_seed(seed)


def random_states() -> dict[str, object]:
    """Return library -> state of its global generator; equal states draw equal numbers."""
    numpy: Any = np.random.get_state()  # noqa: NPY002  the very generator that a plugin must leave alone
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (numpy[1].tobytes(), *numpy[2:]),
        "random": random.getstate(),
    }


def projected(*tensors: Tensor | None) -> Tensor:
    """Return a weighted sum of all values of the tensors, with random weights, so that gradients do not cancel."""
    generator = torch.Generator().manual_seed(7)
    parts = [(t * torch.randn(t.shape, generator=generator)).sum() for t in tensors if t is not None]
    return torch.stack(parts).sum()


# Synthetic signals, tokens, targets and units that resemble real ones, for checks.

RATE_HZ = 128.0
VIEW_S = 10.0
"""Length of a row in seconds if an encoder's recipe does not set it."""

TEN_TWENTY = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2",
)  # fmt: skip
"""Electrodes of the 10-20 system, for encoders that cannot read the channels of `_CHANNELS`."""

_CHANNELS = {
    "eeg": ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4"),
    "ecg": ("left", "right"),
    "acc": ("x", "y", "z"),
    "eog": ("horizontal", "vertical"),
    "eeg_bands": ("delta", "theta", "low_alpha", "high_alpha", "low_beta", "high_beta", "low_gamma", "middle_gamma"),
    "face_au": tuple(f"AU{n:02d}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)),
}


_RECORDED: dict[str, tuple[tuple[str, ...], float]] = {}


@contextmanager
def recorded_with(modality: str, names: tuple[str, ...], rate_hz: float) -> Iterator[None]:
    """Give synthetic signals of a modality these channels and this rate within the context."""
    _RECORDED[modality] = names, rate_hz
    try:
        yield
    finally:
        del _RECORDED[modality]


def channels(modality: str) -> tuple[str, ...]:
    """Return the channels of a synthetic signal; one channel if the modality has no default ones."""
    if modality in _RECORDED:
        return _RECORDED[modality][0]
    return _CHANNELS.get(modality, (modality,))


def signal(modality: str, seconds: float, seed: int = 0) -> Signal:
    """Return a z-scored synthetic signal of slow waves, noise and, for ECG and PPG, heart beats. Its rate is 128 Hz
    unless the modality has another one.

    >>> signal("ecg", seconds=2.0).data.shape
    (2, 256)
    """
    random = np.random.default_rng([seed, *modality.encode()])
    names = channels(modality)
    rate = _RECORDED[modality][1] if modality in _RECORDED else find_modality(modality).rate_hz or RATE_HZ
    n = round(seconds * rate)
    t = np.arange(n) / rate
    data = 0.3 * random.standard_normal((len(names), n))
    for hz in (0.1, 0.3, 2.0, 10.0):
        phase = random.uniform(0, 2 * np.pi, (len(names), 1))
        data += random.uniform(0.2, 1.0, (len(names), 1)) * np.sin(2 * np.pi * hz * t + phase)
    if modality in ("ecg", "ppg"):
        beats = np.cumsum(random.normal(0.8, 0.05, round(seconds / 0.8) + 4))
        width = 0.02 if modality == "ecg" else 0.12
        data += 6 * np.exp(-0.5 * ((t[None, :] - beats[:, None]) / width) ** 2).sum(0)
    data = (data - data.mean(1, keepdims=True)) / data.std(1, keepdims=True)
    return Signal(data.astype(np.float32), rate, names, "z", modality=modality)


def signal_for(encoder: Encoder, modality: str, seconds: float, seed: int = 0) -> Signal:
    """Return a synthetic signal as an encoder receives it: with channels of the 10-20 system if the encoder refuses the
    usual ones, and in the modality's measurement unit if the encoder keeps it."""
    base = signal(modality, seconds, seed)
    try:
        encoder.network_channels(modality, base.channels)
    except UsageError:
        data = np.resize(base.data, (len(TEN_TWENTY), base.data.shape[1])) + np.arange(len(TEN_TWENTY))[:, None] / 10
        base = replace(base, data=data.astype(np.float32), channels=TEN_TWENTY)
    known = PLAUSIBLE_SIZES.get(modality)
    if known is None or not encoder.keeps_unit:
        return base
    low, scale = (known.usual, 0.1 * known.usual) if known.measure == "median" else (0.0, known.usual / 4)
    return replace(base, data=np.float32(low) + np.float32(scale) * base.data, unit=known.unit)


def take_rows(tokens: Tokens, rows: slice = slice(None)) -> Tokens:
    """Return rows of tokens (B, L, D), detached from gradients."""
    mask, summary = tokens.mask, tokens.summary
    cut = tokens.x[rows].detach(), None if mask is None else mask[rows]
    return Tokens(*cut, None if summary is None else summary[rows].detach())


def without_values(tokens: Tokens) -> Tokens:
    """Return tokens of the same shapes on torch's `meta` device."""
    moved = (None if part is None else part.to("meta") for part in (tokens.mask, tokens.summary))
    return Tokens(tokens.x.to("meta"), *moved)


@dataclass(frozen=True)
class SampleRows:
    """Rows of a batch: `x` (n, *shape) float32 (uint8 for clips), `mask` (n, T) bool or None, and their spec."""

    x: np.ndarray
    mask: np.ndarray | None
    spec: InputSpec

    def tensors(self) -> tuple[Tensor, Tensor | None]:
        """Return `x` (n, *shape) and `mask` (n, T) as torch tensors that share their memory."""
        return torch.from_numpy(self.x), None if self.mask is None else torch.from_numpy(self.mask)


def rows(encoder: Encoder, modality: str, n: int = 4, seed: int = 0) -> SampleRows:
    """Return n rows of a modality as an encoder reads it. The second row starts late, and the third ends early."""
    view = encoder.recipe.view
    length_s = (view.length_s if view else None) or VIEW_S
    if encoder.reads == "clips":
        return _clips(encoder, modality, n, length_s, seed)
    whole = signal_for(encoder, modality, length_s + 2.0 * n, seed)
    starts = 2.0 * np.arange(n)
    if encoder.reads == "features":
        x = np.asarray(encoder.features(whole, np.stack([starts, starts + length_s], 1)), np.float32)
        return SampleRows(x, None, InputSpec(modality, x.shape[1:], encoder.feature_names(modality, whole.channels)))
    if encoder.reads == "stream":
        whole = encoder.stream(whole)
    length = round(length_s * whole.rate)
    x = np.stack([whole.data[:, (a := round(start * whole.rate)) : a + length] for start in starts]).astype(np.float32)
    mask = _mask(n, length)
    spec = InputSpec(modality, x.shape[1:], whole.channels, whole.rate)
    return SampleRows(np.where(mask[:, None], x, np.float32(0)), mask, spec)


def _mask(n: int, length: int) -> np.ndarray:
    mask = np.ones((n, length), bool)
    mask[1, : length // 3] = False
    mask[2, -length // 4 :] = False
    return mask


def _clips(encoder: Encoder, modality: str, n: int, length_s: float, seed: int) -> SampleRows:
    """Return clips with a bright spot that moves over a plain background; its place and colours differ between rows."""
    rate, size = float(encoder.recipe.prepare["frames_hz"]), int(encoder.recipe.prepare["size"])
    length, random = round(length_s * rate), np.random.default_rng(seed)
    mask, axis = _mask(n, length), np.linspace(-1, 1, size)
    x = np.zeros((n, length, 3, size, size), np.uint8)
    for row, t in np.argwhere(mask):
        centre, colours = random.uniform(-0.5, 0.5, 2) + 0.1 * t, random.uniform(50, 200, (3, 1, 1))
        spot = np.exp(-8 * ((axis[:, None] - centre[0]) ** 2 + (axis[None] - centre[1]) ** 2))
        x[row, t] = (colours * (0.3 + spot) / 1.3).astype(np.uint8)
    return SampleRows(x, mask, InputSpec(modality, x.shape[1:], VIDEO_CHANNELS, rate, torch.uint8))


def masked_noise(x: Tensor, mask: Tensor, seed: int) -> Tensor:
    """Return rows with noise in unrecorded samples: signals (B, C, T), or clips (B, T, 3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    if x.dtype == torch.uint8:
        noise = torch.randint(0, 256, x.shape, generator=generator, dtype=torch.uint8)
    else:
        noise = torch.randn(x.shape, generator=generator) * 10
    return torch.where(expand_mask(mask, x), x, noise)


def with_fitted_stats(encoder: Encoder, sample: SampleRows) -> InputSpec:
    """Return the spec with the result of `fit_stats` on these rows."""
    stats = encoder.fit_stats(sample.x, sample.mask)
    return replace(sample.spec, stats={name: np.asarray(value, np.float32) for name, value in stats.items()})


def targets(*kinds: KindName) -> OutputSpec:
    """Return targets of these kinds; `classes` targets have three classes.

    >>> targets("binary", "classes").size
    4
    """
    rule = LabelRule()
    made = (
        Target(f"{kind}_{i}", kind, rule, kind, n=3 if KINDS[kind].has_score_per_class else 2)
        for i, kind in enumerate(kinds)
    )
    return OutputSpec(tuple(made))


def tokens(spec: TokenSpec, present: Tensor, seed: int = 0) -> Tokens:
    """Return tokens (B, L, D) as encoders do: zeros and an empty mask where `present` (B,) is False.

    >>> tokens(TokenSpec(length=3, dim=8), torch.tensor([True, False])).mask.sum(1)
    tensor([2, 0])
    """
    generator = torch.Generator().manual_seed(seed)
    size = len(present)
    x = torch.randn(size, spec.length, spec.dim, generator=generator)
    mask = present[:, None].repeat(1, spec.length)
    if spec.length > 2:
        mask[0, -spec.length // 3 :] = False
    summary = torch.randn(size, spec.dim, generator=generator) * present[:, None] if spec.summary else None
    return Tokens(x * mask[:, :, None], mask, summary)


def units(kind: KindName, subjects: int = 6, each: int = 12, seed: int = 0) -> Units:
    """Return units of subjects who have all labels, with scores slightly better than chance; `each`: units of a
    subject.

    >>> len(units("binary"))
    72
    """
    random = np.random.default_rng(seed)
    n = subjects * each
    subject = np.repeat([f"p{i:02d}" for i in range(subjects)], each)
    if not KINDS[kind].has_classes:
        y = random.standard_normal(n)
        score = 0.5 * y + random.standard_normal(n)
        decision = score
    elif KINDS[kind].has_score_per_class:
        y = np.tile(np.arange(each) % 3, subjects).astype(float)
        score = random.dirichlet([1.0, 1.0, 1.0], n) + 0.3 * np.eye(3)[y.astype(int)]
        score /= score.sum(1, keepdims=True)
        decision = score.argmax(1).astype(float)
    else:
        y = np.tile(np.arange(each) % 2, subjects).astype(float)
        score = np.clip(0.5 + 0.2 * (y - 0.5) + 0.2 * random.standard_normal(n), 0.01, 0.99)
        decision = (score > 0.5).astype(float)
    return Units(
        kind=kind,
        y_true=y,
        score=score,
        decision=decision,
        subject=subject,
        stimulus=np.tile([f"s{i % 4}" for i in range(each)], subjects),
        start_s=np.tile(np.arange(each) * 10.0, subjects),
        fold=np.zeros(n, int),
        group=subject.copy(),
        length_s=10.0,
        recording=np.repeat(np.arange(subjects), each) * 4 + np.tile(np.arange(each) % 4, subjects),
    )


def ratings(subjects: int = 6, each: int = 12, seed: int = 0) -> Units:
    """Return units as `units("value")` does, with whole numbers from 1 to 5 as labels.

    >>> np.unique(ratings().y_true)
    array([1., 2., 3., 4., 5.])
    """
    made = units("value", subjects, each, seed)
    score = made.score + 3
    rated = np.rint(made.y_true + 3).clip(1, 5)
    return replace(made, y_true=rated, score=score, decision=score, whole_numbers=True)
