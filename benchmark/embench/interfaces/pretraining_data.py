"""Training data of the weights that an encoder includes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

DataUse = Literal["none", "unlabelled", "labelled", "undisclosed"]
"""Use of a dataset's subjects in pretraining: none, signals only, signals and labels, or undisclosed."""


@dataclass(frozen=True)
class PretrainingData:
    """The known training data of weights.

    Args:
        name: name of the weights, such as `paris-noah/MantisV2`.
        licence: licence of the weights, by its SPDX name if it has one.
        source: address of the text that describes the training data.
        declared: True if only the authors state this, and nobody can check it.
        saw: name of a dataset without package and variant (`deap`) -> use of its subjects, in this dataset or in
            another one with the same subjects.
        others: use of all datasets that `saw` does not name.

    >>> PretrainingData("a/b", "MIT", "https://example.org", saw={"deap": "unlabelled"}, others="none").look_up("faced")
    'none'
    """

    name: str
    licence: str
    source: str
    declared: bool = True
    saw: Mapping[str, DataUse] = field(default_factory=dict)
    others: DataUse = "undisclosed"

    def look_up(self, dataset: str) -> DataUse:
        """Return the use of a dataset's subjects, by the dataset's name without package and variant."""
        return self.saw.get(dataset, self.others)
