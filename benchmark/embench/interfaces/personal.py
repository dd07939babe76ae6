"""The optional method `personalise`, by which a plugin adapts to the first units of a test subject."""

from __future__ import annotations

from copy import deepcopy
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from embench.errors import PluginError
from embench.interfaces.tokens import Batch

Changes = Literal["head", "normalisation", "all"]
"""What `personalise` changes of a network."""
_NORMALISATION = (_NormBase, nn.LayerNorm, nn.GroupNorm)


class Personalised:
    """The part of encoders and fusions by which a fitted network adapts to one subject, under protocols to which a test
    subject gives its first units.

    Class attributes:
        personalises: what `personalise` changes: parameters under `.head`, those of normalisation layers and their
            running statistics, or all. Whatever else has changed afterwards is refused.

    Where a plugin does not override `personalise`, a network with labels gets a linear layer beside the head, on its
    last hidden layer, that is fitted by a few steps from zero; how many is chosen on training subjects. Of a fusion,
    the fusion's own method is asked, of one encoder with its head the encoder's.
    """

    personalises: ClassVar[Changes] = "head"

    def personalise(self, network: nn.Module, units: Batch, labels: Tensor | None) -> None:
        """Adapts a fitted network in place: a copy that is this subject's alone. Of it the harness keeps the parameters
        and buffers, and of the plugin, which is a copy too, nothing, so that nothing of one subject reaches another.

        Args:
            network: `embench.nn.Model`, in evaluation mode, as which it predicts afterwards too.
            units: the rows of what the subject gives, in the order of time, normalised as all of its rows are.
            labels: (B, targets) theirs; None where they are given without labels.
        """
        raise NotImplementedError


def personalised(plugin: Personalised, network: nn.Module, units: Batch, labels: Tensor | None) -> dict[str, Tensor]:
    """The tensors that a plugin changes of a network for the subject who gives some units, by their names in the state
    dict. Plugin and network are left as they are.

    Args:
        labels: (B, targets) of the units; None where they are given without labels.

    Raises:
        PluginError: it changes what `personalises` does not name, leaves a network of other weights, or numbers that
            are not finite.
    """
    made, own = deepcopy(network), deepcopy(plugin)
    with torch.enable_grad():
        own.personalise(made, units, labels)
    before, after = network.state_dict(), made.state_dict()
    shapes, known = ({name: tensor.shape for name, tensor in state.items()} for state in (after, before))
    others = [name for name in shapes.keys() | known.keys() if shapes.get(name) != known.get(name)]
    _refuse(others, "left a network of other weights:", "the parameters and buffers that it had, with other values")
    changed = {name: tensor.detach().clone() for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    wrong = [name for name, tensor in changed.items() if not torch.isfinite(tensor).all()]
    _refuse(wrong, "left numbers that are not finite in", "finite numbers, of one unit and of units without labels too")
    declared = f"`personalises = {plugin.personalises!r}`, or another value that says what it changes"
    _refuse([name for name in changed if name not in _declared(plugin, network)], "changed", declared)
    return changed


def _declared(plugin: Personalised, network: nn.Module) -> set[str]:
    names = network.state_dict().keys()
    if plugin.personalises == "all":
        return set(names)
    if plugin.personalises == "head":
        return {name for name in names if "head" in name.split(".")}
    owners = [name for name, part in network.named_modules() if isinstance(part, _NORMALISATION)]
    return {name for name in names if name.rpartition(".")[0] in owners}


def _refuse(names: list[str], what: str, expected: str) -> None:
    if names:
        listed = ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise PluginError(f"`personalise` {what} {listed}", expected=expected)
