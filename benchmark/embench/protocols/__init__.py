"""The rules a comparison stands on: which units are scored, who is trained on, who is tested, and the proof of it."""

from embench.protocols.guard import prove
from embench.protocols.partition import Fold, FoldRow, connected_groups, partition, roles
from embench.protocols.schema import Protocol, load, names
from embench.protocols.units import label_units, make_units

__all__ = [
    "Fold",
    "FoldRow",
    "Protocol",
    "connected_groups",
    "label_units",
    "load",
    "make_units",
    "names",
    "partition",
    "prove",
    "roles",
]
