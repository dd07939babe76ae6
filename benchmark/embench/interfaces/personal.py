"""What a plugin may do with the first units of a test subject: the optional method `personalise`."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from embench.interfaces.tokens import Batch


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

    personalises: ClassVar[Literal["head", "normalisation", "all"]] = "head"

    def personalise(self, network: nn.Module, units: Batch, labels: Tensor | None) -> None:
        """Adapts a fitted network in place. The harness restores it after each subject, so that nothing of one reaches
        another.

        Args:
            network: `embench.nn.Model`, in evaluation mode.
            units: the rows of what the subject gives, in the order of time, normalised as all of its rows are.
            labels: (B, targets) theirs; None where they are given without labels.
        """
        raise NotImplementedError
