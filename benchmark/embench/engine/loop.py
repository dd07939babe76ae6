"""The training loop, which resumes from its checkpoint to identical numbers, and the cost of a forward pass."""

from __future__ import annotations

import hashlib
import io
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from embench.engine import device as machine
from embench.engine.feed import Data, split, split_by_recording
from embench.engine.stage import CHECKPOINT, Folder
from embench.errors import PluginError, UsageError
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch
from embench.nn import Model


def count_flops(model: Model, data: Data, train: np.ndarray) -> int:
    """Return the number of floating-point operations of one row's forward pass, attention included; equal on every
    device. The row is the first of `train` (k,) with all modalities, or simply the first."""
    from torch.utils.flop_counter import FlopCounterMode

    full = data.present[train].all(1)
    row = train[np.flatnonzero(full)[:1]] if full.any() else train[:1]
    model.eval()
    with torch.no_grad(), _in_plain_operations(), FlopCounterMode(display=False) as counter:
        model(data.batch(row))
    return int(counter.get_total_flops())


@contextmanager
def _in_plain_operations() -> Iterator[None]:
    """Run attention and Transformer layers as plain matrix products inside this context, since torch does not count the
    operations of fused kernels."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


CHECKPOINT_EVERY_S = 10.0
CHECKPOINT_SHARE = 0.02
"""Largest proportion of the training time that checkpoints may take; large networks are saved less often."""
_SEAL = hashlib.sha256().digest_size
"""Bytes of the SHA-256 with which a checkpoint begins."""

LossFunction = Callable[[Batch], tuple[Tensor, Mapping[str, Any]]]


def make_optimiser(recipe: Recipe, *modules: nn.Module) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over all trainable parameters, with one learning rate per layer under
    `layer_decay`. On CUDA its step is fused into few kernels."""
    groups = [group for module in modules for group in parameter_groups(recipe, module)]
    fused = any(p.is_cuda for group in groups for p in group["params"]) or None
    decay = recipe.weight_decay
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, recipe.lr, momentum=recipe.momentum, weight_decay=decay, fused=fused)
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, recipe.lr, betas=recipe.betas, weight_decay=decay, fused=fused)


def parameter_groups(recipe: Recipe, module: nn.Module) -> list[dict[str, Any]]:
    """Return the groups of trainable parameters for an optimiser: one group, or under `layer_decay` one per layer.
    `share` is a layer's factor of the learning rate.

    Raises:
        UsageError: no network lists its layers, as `layer_decay` requires."""
    trained = [p for p in module.parameters() if p.requires_grad]
    if recipe.layer_decay == 1.0:
        return [{"params": trained}]
    named = [getattr(part, "layers_in_order", None) for part in module.modules()]
    stacks: list[list[nn.Module]] = [list(layers()) for layers in named if layers is not None]
    if not stacks:
        raise UsageError(
            "layer-wise decay of the learning rate is not possible: no network here lists its layers",
            where=f"layer_decay={recipe.layer_decay:g}",
            expected="an encoder whose network has `layers_in_order`, or layer_decay=1",
        )
    factors = {
        p: recipe.layer_decay**distance
        for layers in stacks
        for distance, layer in enumerate(reversed(layers), 1)
        for p in layer.parameters()
    }
    groups: dict[float, list[nn.Parameter]] = {}
    for p in trained:
        groups.setdefault(factors.get(p, 1.0), []).append(p)
    return [{"params": parameters, "share": factor} for factor, parameters in groups.items()]


def rate_at(recipe: Recipe, epoch: float) -> float:
    """Return the factor by which the recipe's learning rate is multiplied at an epoch, which may be a fraction."""
    if epoch < recipe.warmup:
        return (epoch + 1e-3) / recipe.warmup
    if recipe.schedule == "step":
        return recipe.factor ** (int(epoch) // recipe.every)
    left = (recipe.epochs - epoch) / max(recipe.epochs - recipe.warmup, 1e-9)
    if recipe.schedule == "linear":
        return max(left, 0.0)
    if recipe.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (1 - max(left, 0.0))))
    return 1.0


@dataclass
class FitState:
    """State of training, all of which a checkpoint stores: the number of finished epochs; loss, epoch and weights of
    the best epoch; and the figures of each epoch."""

    epoch: int = 0
    best_loss: float = math.inf
    best_epoch: int = -1
    best: dict[str, Tensor] | None = None
    history: list[dict[str, float]] = field(default_factory=list)


def fit(
    module: nn.Module,
    objective: LossFunction,
    data: Data,
    train: np.ndarray,
    val: np.ndarray,
    recipe: Recipe,
    folder: Folder,
    seed: int,
    epoch_ended: Callable[[int], None] | None = None,
) -> FitState:
    """Train `module` in place and leave it with the weights that the recipe selects. Return the final state.

    Args:
        objective: batch -> (loss, named figures), for training and validation rows.
        train, val: row positions in `data`; `val` may be empty.
        epoch_ended: called after each epoch with its number, while the module has that epoch's weights.

    Raises:
        PluginError: when the loss is not finite.
        UsageError: when the recipe selects by a figure that the objective does not give."""
    optimiser = make_optimiser(recipe, module)
    state = _restore(module, optimiser, folder, data.device)
    saved, saving_s = time.monotonic(), 0.0
    while not has_ended(state, recipe, val):
        order = np.random.default_rng([seed, state.epoch]).permutation(train)
        batches = _batches(order, data, recipe)
        figures = _train_epoch(module, objective, data, batches, optimiser, recipe, state.epoch)
        if len(val):
            figures["val_loss"] = _validate(module, objective, data, _validation_batches(val, data, recipe))
        conclude_epoch(module, state, recipe, figures, epoch_ended)
        folder.event("epoch_ended", epoch=state.epoch, epochs=recipe.epochs, **figures)
        began = time.monotonic()
        if began - saved > max(CHECKPOINT_EVERY_S, saving_s / CHECKPOINT_SHARE) and not has_ended(state, recipe, val):
            _save_checkpoint(module, optimiser, state, folder, data.device)
            saved = time.monotonic()
            saving_s = saved - began
    if state.best is not None:
        module.load_state_dict(state.best)
    return state


def _batches(order: np.ndarray, data: Data, recipe: Recipe) -> list[np.ndarray]:
    """Return the batches of an epoch, as arrays (b,) of the row positions in `order` (n,)."""
    if data.recording is not None:
        return split_by_recording(order, data.recording, data.present, recipe.batch)
    return split(order, data.present, recipe.batch)


def _validation_batches(val: np.ndarray, data: Data, recipe: Recipe) -> list[np.ndarray]:
    """Return the batches of the validation rows, as arrays (b,) of the row positions in `val` (v,)."""
    size = 4 * recipe.batch
    if data.recording is not None:
        return split_by_recording(val, data.recording, data.present, size)
    return [val[i : i + size] for i in range(0, len(val), size)]


def has_ended(state: FitState, recipe: Recipe, val: np.ndarray) -> bool:
    """Return True if all epochs are over, or the loss on the validation rows `val` (v,) stopped falling."""
    may_stop = recipe.selection == "early_stop" and len(val) > 0 and state.epoch > 0
    return state.epoch >= recipe.epochs or (may_stop and state.epoch - 1 - state.best_epoch >= recipe.patience)


def conclude_epoch(
    module: nn.Module,
    state: FitState,
    recipe: Recipe,
    figures: Mapping[str, float],
    epoch_ended: Callable[[int], None] | None,
) -> None:
    """Add an epoch's figures to the state, and the module's weights if they are the best so far. Raises UsageError if
    the recipe selects by a missing figure."""
    state.history.append({"epoch": state.epoch, **figures})
    if epoch_ended:
        epoch_ended(state.epoch)
    score = _selection_loss(recipe, figures)
    if score is not None and score < state.best_loss:
        state.best_loss, state.best_epoch = score, state.epoch
        state.best = {k: v.detach().to("cpu", copy=True) for k, v in module.state_dict().items()}
    state.epoch += 1


def _selection_loss(recipe: Recipe, figures: Mapping[str, float]) -> float | None:
    """Return the figure by which the recipe selects an epoch, lower is better: the validation loss, or the proportion
    of wrongly predicted training rows. Return None if the last epoch is selected."""
    if recipe.selection == "last":
        return None
    if recipe.selection == "early_stop":
        return figures.get("val_loss")
    if "accuracy" not in figures:
        raise UsageError(
            f"no epoch can be selected by training accuracy: there are only {', '.join(figures)}",
            where="selection=best_train",
            expected="a pretext task with a figure `accuracy`",
            hint="choose `last` or `early_stop`",
        )
    return 1.0 - figures["accuracy"]


def _train_epoch(
    module: nn.Module,
    objective: LossFunction,
    data: Data,
    order: list[np.ndarray],
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    epoch: int,
) -> dict[str, float]:
    """Train for one pass over the batches; return the means of the loss and of the objective's figures."""
    module.train()
    totals: dict[str, Tensor] = {}
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for step, batch in enumerate(data.batches(order)):
        set_rate(optimiser.param_groups, recipe, epoch + step / len(order))
        optimiser.zero_grad(set_to_none=True)
        with machine.training_precision(data.device):
            loss, figures = _check_objective(objective(batch))
        loss.backward()
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimiser.step()
        for name, value in {"loss": loss, **figures}.items():
            part = machine.to_summand(value, data.device)
            totals[name] = totals.get(name, torch.zeros_like(part)) + part
    sums = torch.stack(list(totals.values())).tolist()  # the host waits for the device once per epoch
    means = {name: total / len(order) for name, total in zip(totals, sums, strict=True)}
    check_loss(means["loss"], epoch)
    return means


def set_rate(groups: Iterable[dict[str, Any]], recipe: Recipe, epoch: float) -> None:
    """Set the learning rate of each group of an optimiser to the rate at an epoch, which may be a fraction."""
    for group in groups:
        group["lr"] = recipe.lr * rate_at(recipe, epoch) * group.get("share", 1.0)


def check_loss(loss: float, epoch: int) -> None:
    """Raise PluginError if an epoch's mean loss is not finite."""
    if not math.isfinite(loss):
        raise PluginError(
            f"the training loss became {loss} in epoch {epoch + 1}", hint="try a smaller lr: --set ...lr=1e-4"
        )


def _check_objective(output: Any) -> tuple[Tensor, Mapping[str, Any]]:
    """Return the output of an objective if it is (loss, figures). Raises PluginError otherwise."""
    is_pair = isinstance(output, tuple) and len(output) == 2
    if is_pair and isinstance(output[0], Tensor) and output[0].ndim == 0 and isinstance(output[1], Mapping):
        return output
    found: object = type(output).__name__
    if is_pair:
        found = [tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__ for part in output]
    raise PluginError(f"the objective gave {found}", expected="(loss, figures): a scalar, a mapping")


def _validate(module: nn.Module, objective: LossFunction, data: Data, batches: list[np.ndarray]) -> float:
    """Return the loss on validation rows; the random state is restored afterwards, so that training is unaffected."""
    module.eval()
    drawn = machine.random_state(data.device)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sums, rows = machine.to_summand(0.0, data.device), 0
        for batch in data.batches(batches):
            with machine.training_precision(data.device):
                loss, _ = _check_objective(objective(batch))
            sums, rows = sums + machine.to_summand(loss, data.device) * batch.size, rows + batch.size
    machine.set_random_state(data.device, drawn)
    return float(sums) / rows


def _save_checkpoint(
    module: nn.Module, optimiser: torch.optim.Optimizer, state: FitState, folder: Folder, device: str
) -> None:
    """Write a checkpoint of the module, the optimiser and the state of training. Raises MachineError."""
    content = {"module": module.state_dict(), "optimiser": optimiser.state_dict(), "state": vars(state)}
    write_checkpoint(content, folder, device)


def _restore(module: nn.Module, optimiser: torch.optim.Optimizer, folder: Folder, device: str) -> FitState:
    """Load the checkpoint in `folder` into the module and the optimiser. Return the state of training that it stores,
    or the initial state if there is no checkpoint."""
    content = read_checkpoint(folder, device)
    if content is None:
        return FitState()
    module.load_state_dict(content["module"])
    optimiser.load_state_dict(content["optimiser"])
    return FitState(**content["state"])


def write_checkpoint(content: Mapping[str, Any], folder: Folder, device: str) -> None:
    """Write a checkpoint: the SHA-256 of the rest, then `content` with the states of the random generators. Raises
    MachineError if the disk refuses."""
    # `cuda_rng` is also the state of an MPS device. The key stays, because existing checkpoints have it.
    content = {**content, "rng": torch.get_rng_state(), "cuda_rng": machine.random_state(device)}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getbuffer()
    folder.write(CHECKPOINT, lambda path: path.write_bytes(hashlib.sha256(data).digest() + data))


def read_checkpoint(folder: Folder, device: str) -> dict[str, Any] | None:
    """Return the content of a checkpoint, after restoring the random generators; None if the file is missing, or if it
    is damaged and was removed."""
    path = folder.file(CHECKPOINT)
    if not path.is_file():
        return None
    data = path.read_bytes()
    seal, saved = data[:_SEAL], data[_SEAL:]
    if seal != hashlib.sha256(saved).digest():
        path.unlink()
        warnings.warn(f"{path} was damaged and is removed: training starts again from the first epoch", stacklevel=2)
        return None
    content: dict[str, Any] = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    torch.set_rng_state(content["rng"])
    machine.set_random_state(device, content["cuda_rng"])
    return content
