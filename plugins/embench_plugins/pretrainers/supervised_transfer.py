"""Pretrainer `supervised_transfer`: learns another dataset's labels before those of the dataset itself.

The intermediate supervised step of Strizhkova et al. 2024 (`strizhkova2024`): an encoder that was pretrained without
labels is trained on the emotion labels of one dataset, and then fitted to another. Each modality's encoder is trained
with its own head, which is then discarded; nothing is frozen. The source's labels have the names of the run's targets
and are defined by the source's own rule, so that valence is learned from valence.

The paper gives no schedule. The default here is the one of VideoMAE's fine-tuning (AdamW, weight decay .05, 5e-4 for a
batch of 256, warm-up for a tenth of the epochs, cosine), for ten epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from embench.interfaces.pretrainer import Pretrainer
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import InputSpec, OutputSpec
from embench.nn import Model, Supervised

PAPER = Recipe(
    optimiser="adamw", lr=5e-4 * 8 / 256, weight_decay=0.05, schedule="cosine", warmup=1, epochs=10, batch=8,
    targets="joint",
    assumed=("optimiser", "lr", "weight_decay", "schedule", "warmup", "epochs", "batch", "selection", "class_weight",
             "targets"),
)  # fmt: skip

SMALL = PAPER.replace(lr=1e-3, weight_decay=1e-2, batch=16, clip=1.0, class_weight="balanced", assumed=())


class SupervisedTransfer(Pretrainer):
    """Supervised loss on the labelled units of the source, with one head for all of its targets."""

    scope: ClassVar = "encoder"
    labels: ClassVar = "source"
    recipes: ClassVar[Mapping[str, Recipe]] = {
        "paper": PAPER,
        "small": SMALL,
        "quick": SMALL.replace(epochs=2, warmup=0),
    }

    def objective(self, model: Model, inputs: Mapping[str, InputSpec], outputs: OutputSpec | None) -> nn.Module:
        """Return the supervised loss on the source's targets.

        Raises:
            ValueError: `outputs` is None.
        """
        if outputs is None:
            raise ValueError("labels are learned, and no targets were given")
        return Supervised(model, outputs)
