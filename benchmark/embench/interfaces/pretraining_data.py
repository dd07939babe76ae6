"""What an encoder's own weights have seen before they meet a run's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Saw = Literal["none", "unlabelled", "labelled", "undisclosed"]
"""What pretraining saw of a dataset's people: nothing, their signals, labels too, or nobody says."""


@dataclass(frozen=True)
class PretrainingData:
    """The data that weights were trained on, as far as it is known.

    Args:
        name: of the weights, such as `paris-noah/MantisV2`.
        licence: theirs, by its SPDX name where it has one.
        source: address of the text that says what they saw.
        declared: only their authors say so, and nobody can check it.
        saw: dataset, by its name without package and variant (`deap`) -> what was seen of its people, in this set or
            in another one that they also took part in.
        others: what was seen of all sets that `saw` does not name.

    >>> PretrainingData("a/b", "MIT", "https://example.org", saw={"deap": "unlabelled"}, others="none").of("faced")
    'none'
    """

    name: str
    licence: str
    source: str
    declared: bool = True
    saw: Mapping[str, Saw] = field(default_factory=dict)
    others: Saw = "undisclosed"

    def of(self, dataset: str) -> Saw:
        """The data seen of the people of a dataset, by its name without package and variant."""
        return self.saw.get(dataset, self.others)
