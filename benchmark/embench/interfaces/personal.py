"""The optional method `personalise`, by which a plugin adapts to calibration data of a test subject."""

from __future__ import annotations

from copy import deepcopy
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from embench.errors import PluginError
from embench.interfaces.tokens import Batch

Changes = Literal["head", "normalisation", "all"]
"""What `personalise` changes in a network."""
_NORMALISATION = (_NormBase, nn.LayerNorm, nn.GroupNorm)


class Personalised:
    """Part of encoders and fusions that adapts a fitted network to one subject, under protocols with calibration units.

    Class attributes:
        personalises: what `personalise` changes: parameters under `.head`, those of normalisation layers with their
            running statistics, or all. Any other change is refused.

    If a plugin does not override `personalise`, a network with labelled calibration data gets a linear layer beside its
    head, on its last hidden layer. It is fitted by a few gradient steps from zero; their number is chosen on training
    subjects. The method of the fusion is called; in a unimodal network, that of the encoder."""

    personalises: ClassVar[Changes] = "head"

    def personalise(self, network: nn.Module, units: Batch, labels: Tensor | None) -> None:
        """Adapt a fitted network in place; the network and the plugin are copies for this subject. Only the network's
        parameters and buffers are kept afterwards, so that no data of one subject reach another.

        Args:
            network: `embench.nn.Model`, in evaluation mode, in which it also predicts afterwards.
            units: rows of the subject's calibration data, in temporal order, normalised like all of its rows.
            labels: (B, targets) their labels; None for unlabelled calibration data."""
        raise NotImplementedError


def collect_changes(plugin: Personalised, network: nn.Module, units: Batch, labels: Tensor | None) -> dict[str, Tensor]:
    """Return name in the state dict -> new value of each tensor that a plugin changes in a network for a subject.
    Plugin and network are unchanged.

    Args:
        labels: (B, targets) of the units; None for unlabelled calibration data.

    Raises:
        PluginError: the plugin changes more than `personalises` declares, adds or removes tensors, or writes numbers
            that are not finite."""
    network_copy, plugin_copy = deepcopy(network), deepcopy(plugin)
    with torch.enable_grad():
        plugin_copy.personalise(network_copy, units, labels)
    before, after = network.state_dict(), network_copy.state_dict()
    shapes, known = ({name: tensor.shape for name, tensor in state.items()} for state in (after, before))
    others = [name for name in shapes.keys() | known.keys() if shapes.get(name) != known.get(name)]
    _refuse(others, "left a network of other weights:", "the parameters and buffers that it had, with other values")
    changed = {name: tensor.detach().clone() for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    wrong = [name for name, tensor in changed.items() if not torch.isfinite(tensor).all()]
    _refuse(wrong, "left numbers that are not finite in", "finite numbers, of one unit and of units without labels too")
    declared = f"`personalises = {plugin.personalises!r}`, or another value that says what it changes"
    _refuse([name for name in changed if name not in _declared_tensors(plugin, network)], "changed", declared)
    return changed


def _declared_tensors(plugin: Personalised, network: nn.Module) -> set[str]:
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
