"""Stacks: small networks of several folds, seeds or targets, trained as one. Their weights lie side by side in tensors,
and `torch.func` runs one step for all, which costs little more than for one where a step is mostly overhead.

Each network starts from the weights and sees the batches that it would have alone, under its own learning rate, and
stops when it would stop. Sums are added in another order, and what is drawn inside the networks (dropout) is drawn for
all at once; so a network that draws nothing is the one that is trained alone, to rounding. Batches that are short are
filled up with rows that weigh nothing, which is why a network must not use statistics of a batch.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from embench import errors
from embench.engine import device as machine
from embench.engine import loop
from embench.engine.feed import split
from embench.engine.fits import Ready, ready
from embench.engine.loop import FitState
from embench.engine.stage import STACK, Folder, StackParams, Stage, alone
from embench.errors import DataError, EmbenchError, PluginError, UsageError
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Batch
from embench.nn import Supervised

ALONE = "leave out --stack, and each network is trained alone"


@dataclass
class Member:
    """A network of a stack, its groups in the optimiser, how far it is, and why it failed, if it did."""

    ready: Ready
    groups: list[dict[str, Any]]
    state: FitState = field(default_factory=FitState)
    error: EmbenchError | None = None

    @property
    def trains(self) -> bool:
        """Whether it goes on."""
        return self.error is None and not loop.has_ended(self.state, self.ready.stage.params.recipe, self.ready.val)


def run_stack(stage: Stage[StackParams], folder: Folder, root: Path) -> dict[str, Any]:
    """Trains the members of a stack. What comes of each, its files and its result or its error, lies in the stack's
    folder under the id of the stage that it would be alone. Data or a loss that one member fails on are no fault of the
    others.

    Raises:
        UsageError: the networks cannot be trained together.
    """
    common, results = stage.params.common, dict[str, dict[str, Any]]()
    networks: dict[str, Ready] = {}
    for one in stage.params.members:
        machine.seed_everything(one.seed, common.threads, common.device)
        try:
            networks[one.id] = ready(one, Folder(folder.path, one.id), root)
        except (DataError, PluginError) as error:
            results[one.id] = _told(error)
    _check(list(networks.values()))
    machine.seed_everything(stage.seed, common.threads, common.device)
    members = fit_together(list(networks.values()), folder)
    for id_, member in zip(networks, members, strict=True):
        results[id_] = _told(member.error) if member.error else member.ready.finish(member.state)
    return {"members": results}


def run_member(stage: Stage[Any], folder: Folder, root: Path) -> dict[str, Any]:
    """Takes what a stack has made of one of its members. Raises the error that the member failed with."""
    own, stack = alone(stage).id, Folder(root, stage.inputs[STACK])
    result: dict[str, Any] = stack.result()["members"][own]
    if "error" in result:
        told = dict(result["error"])
        raise getattr(errors, told.pop("kind"))(**told)
    for path in stack.file(own).iterdir():
        if path.name != "events.jsonl":
            folder.write(path.name, lambda place, path=path: shutil.copyfile(path, place))
    return result


def _told(error: EmbenchError) -> dict[str, Any]:
    words = {name: getattr(error, name) for name in ("what", "where", "expected", "hint")}
    return {"error": {"kind": type(error).__name__, **words}}


def _check(networks: Sequence[Ready]) -> None:
    """Refuses networks that have no common step. Raises UsageError."""
    for one in networks:
        name = ", ".join(part.short for part in one.stage.params.modalities.values())
        learning = set(one.module.modules()) - set(one.module.frozen)
        if any(isinstance(part, _BatchNorm) or getattr(part, "track_running_stats", False) for part in learning):
            raise UsageError(
                f"a network of {name} uses statistics of a batch, so that its rows cannot be filled up",
                where=one.stage.title,
                expected="networks without batch normalisation",
                hint=ALONE,
            )
        if not one.data.present[np.concatenate([one.train, one.val])].all():
            raise UsageError(
                "some units lack a modality, and a stack has one step for all of its networks",
                where=one.stage.title,
                expected="modalities that all training and validation units have",
                hint=ALONE,
            )
    for one in networks[1:]:
        if different := _shapes(one) ^ _shapes(networks[0]):
            raise UsageError(
                f"the networks of a stack have different shapes: {', '.join(sorted(different)[:4])}",
                where=f"{networks[0].stage.title}, {one.stage.title}",
                expected="the same channels, lengths and features",
                hint=ALONE,
            )


def _shapes(one: Ready) -> set[str]:
    tensors = {**dict(one.module.named_parameters()), **dict(one.module.named_buffers())}
    made = {f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items()}
    return made | {f"{m} {tuple(spec.shape)}" for m, spec in one.specs.items()}


def fit_together(networks: Sequence[Ready], folder: Folder) -> list[Member]:
    """Trains networks of one recipe in place, as `loop.fit` does each, and goes on from the folder's checkpoint."""
    if not networks:
        return []
    recipe, device = networks[0].stage.params.recipe, networks[0].data.device
    fused = True if device != "mps" else None  # one call a network and step
    optimiser = loop.optimiser_of(recipe, *(one.module for one in networks), fused=fused)
    members = _members(networks, optimiser, loop.read_checkpoint(folder, device))
    saved, took, stack = time.monotonic(), 0.0, None
    while together := [member for member in members if member.trains]:
        if stack is None or len(stack.modules) != len(together):
            stack = Stack([member.ready.module for member in together])
            optimiser.zero_grad(set_to_none=True)  # those that have ended stay what they are
        epoch = together[0].state.epoch
        losses = _epoch(stack, optimiser, together, recipe, epoch)
        val_losses = _validate(stack, together, recipe)
        for member, loss, val_loss in zip(together, losses, val_losses, strict=True):
            try:
                loop.check_loss(loss, epoch)
                figures = {"loss": loss} | ({} if val_loss is None else {"val_loss": val_loss})
                loop.conclude_epoch(member.ready.module, member.state, recipe, figures, member.ready.epoch_ended)
            except PluginError as error:
                member.error = error
        folder.event("epoch_ended", epoch=epoch + 1, epochs=recipe.epochs, loss=float(np.mean(losses)))
        began = time.monotonic()
        if began - saved > max(loop.CHECKPOINT_EVERY_S, took / loop.CHECKPOINT_SHARE):
            _checkpoint(members, optimiser, folder, device)
            saved = time.monotonic()
            took = saved - began
    for member in members:
        if member.state.best is not None:
            member.ready.module.load_state_dict(member.state.best)
    return members


class Stack:
    """Networks of one shape: each parameter and buffer of theirs becomes a part of a tensor (N, *shape), so that what
    changes the one changes the other."""

    def __init__(self, modules: Sequence[Supervised]) -> None:
        self.modules, self.first = modules, modules[0]
        self.leaves, self.rest = dict[str, Tensor](), dict[str, Tensor]()
        kinds = [dict(module.named_parameters()) | dict(module.named_buffers()) for module in modules]
        for name, one in kinds[0].items():
            whole = torch.stack([tensors[name].detach() for tensors in kinds])
            for tensors, part in zip(kinds, whole, strict=True):
                tensors[name].data = part
            (self.leaves if one.requires_grad else self.rest)[name] = whole.requires_grad_(one.requires_grad)
        self.learning = [[dict(module.named_parameters())[name] for name in self.leaves] for module in modules]
        self._losses = vmap(self._loss, randomness="different")

    def _loss(self, leaves: Any, rest: Any, content: Any) -> Tensor:
        size = len(content["y"])
        rows = torch.arange(size, device=content["y"].device)
        x, mask = content["x"], content["mask"]
        batch = Batch(x, {m: mask.get(m) for m in x}, dict.fromkeys(x, rows), size, content["y"], content["weight"])
        loss: Tensor = functional_call(self.first, {**leaves, **rest}, (batch,))[0]
        return loss

    def losses(self, batches: Sequence[Batch], device: str) -> Tensor:
        """(N,) the loss of each network on its own batch, all of one size. Raises UsageError where a network does not
        work on several at once."""
        with machine.training_precision(device):
            try:
                losses: Tensor = self._losses(self.leaves, self.rest, _side_by_side(batches))
            except RuntimeError as error:
                if "vmap" not in str(error) and "functorch" not in str(error):
                    raise
                raise UsageError(
                    f"a network cannot be trained in a stack: {str(error).splitlines()[0]}",
                    expected="networks whose steps do not depend on the values of a batch",
                    hint=ALONE,
                ) from error
        return losses

    def backward(self, losses: Tensor, own: Sequence[bool]) -> None:
        """Gives the parameters of each network their gradients; none to one whose step is not its `own`."""
        made = torch.autograd.grad(losses.sum(), list(self.leaves.values()), allow_unused=True)
        # Fused optimisers read a gradient as if its memory lay like the weights'.
        unused = [None] * len(self.modules)
        parts = [unused if gradient is None else gradient.contiguous().unbind() for gradient in made]
        for parameters, gradients, goes in zip(self.learning, zip(*parts, strict=True), own, strict=True):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient if goes else None


def _side_by_side(batches: Sequence[Batch]) -> dict[str, Any]:
    """Batches of one size as tensors (N, B, ...), a mask where one of them has one."""
    mask = {}
    for m in batches[0].x:
        masks = [batch.mask[m] for batch in batches]
        if some := [part for part in masks if part is not None]:
            mask[m] = torch.stack([torch.ones_like(some[0]) if part is None else part for part in masks])
    return {
        "x": {m: torch.stack([batch.x[m] for batch in batches]) for m in batches[0].x},
        "mask": mask,
        "y": torch.stack([batch.y for batch in batches if batch.y is not None]),
        "weight": torch.stack([batch.weight for batch in batches if batch.weight is not None]),
    }


def _turns(
    together: Sequence[Member], orders: Sequence[Sequence[np.ndarray]]
) -> Iterator[tuple[list[Batch], list[bool]]]:
    """The batches of each step, filled up to one size with rows that weigh nothing, and whose they are: a network that
    has had all of its own sees its last one again, for nothing."""
    for step in range(max(map(len, orders))):
        own = [step < len(order) for order in orders]
        rows = [order[min(step, len(order) - 1)] for order in orders]
        size = max(map(len, rows))
        batches = []
        for member, index in zip(together, rows, strict=True):
            batch = member.ready.data.batch(index if len(index) == size else np.resize(index, size))
            if batch.weight is not None:
                batch.weight[len(index) :] = 0
            batches.append(batch)
        yield batches, own


def _epoch(
    stack: Stack, optimiser: torch.optim.Optimizer, together: Sequence[Member], recipe: Recipe, epoch: int
) -> list[float]:
    """One pass of each network over its own batches; the mean losses."""
    stack.first.train()
    device = together[0].ready.data.device
    orders = []
    for one in (member.ready for member in together):
        shuffled = np.random.default_rng([one.stage.seed, epoch]).permutation(one.train)
        orders.append(split(shuffled, one.data.present, recipe.batch))
    totals = torch.zeros(len(together), dtype=machine.widest(device), device=device)
    for step, (batches, own) in enumerate(_turns(together, orders)):
        losses = stack.losses(batches, device)
        stack.backward(losses, own)
        totals += torch.where(torch.tensor(own, device=device), losses.detach(), 0)
        for member, order, parameters, goes in zip(together, orders, stack.learning, own, strict=True):
            if goes:
                loop.set_rate(member.groups, recipe, epoch + step / len(order))
                if recipe.clip is not None:
                    nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimiser.step()
    return [total / len(order) for total, order in zip(totals.tolist(), orders, strict=True)]


def _validate(stack: Stack, together: Sequence[Member], recipe: Recipe) -> list[float | None]:
    """The loss of each network on its own validation rows; None where it has none."""
    stack.first.eval()
    size = 4 * recipe.batch
    given = [m.ready.val if len(m.ready.val) else m.ready.train[:1] for m in together]
    orders = [[of[i : i + size] for i in range(0, len(of), size)] for of in given]
    sums = np.zeros(len(together))
    with torch.no_grad():
        for step, (batches, own) in enumerate(_turns(together, orders)):
            losses = stack.losses(batches, together[0].ready.data.device).tolist()
            for i, goes in enumerate(own):
                sums[i] += losses[i] * len(orders[i][step]) if goes else 0.0
    means = zip((sums / list(map(len, given))).tolist(), together, strict=True)
    return [mean if len(m.ready.val) else None for mean, m in means]


def _checkpoint(members: Sequence[Member], optimiser: torch.optim.Optimizer, folder: Folder, device: str) -> None:
    content = [
        {
            "module": member.ready.module.state_dict(),
            "state": vars(member.state),
            "error": None if member.error is None else member.error.what,
        }
        for member in members
    ]
    loop.write_checkpoint({"members": content, "optimiser": optimiser.state_dict()}, folder, device)


def _members(
    networks: Sequence[Ready], optimiser: torch.optim.Optimizer, held: Mapping[str, Any] | None
) -> list[Member]:
    """The networks where the checkpoint `held` has them, at their beginning where there is none."""
    if held is not None:
        optimiser.load_state_dict(held["optimiser"])
    each = len(optimiser.param_groups) // len(networks)
    members = [Member(one, optimiser.param_groups[i * each : (i + 1) * each]) for i, one in enumerate(networks)]
    for member, content in zip(members, held["members"] if held else (), strict=held is not None):
        member.error = None if content["error"] is None else PluginError(content["error"])
        member.ready.module.load_state_dict(content["module"])
        member.state = FitState(**content["state"])
    return members
