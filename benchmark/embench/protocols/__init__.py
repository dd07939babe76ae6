"""The rules a comparison stands on: which units are scored, who is trained on, who is tested, and the proof of it."""

from embench.protocols.guard import prove
from embench.protocols.partition import Fold, FoldRow, connected_groups, follow, partition, roles
from embench.protocols.schema import Protocol, load, names
from embench.protocols.units import LabelKind, label_units, make_units, unit_length_s

__all__ = [
    "Fold",
    "FoldRow",
    "LabelKind",
    "Protocol",
    "connected_groups",
    "follow",
    "label_units",
    "load",
    "make_units",
    "names",
    "partition",
    "prove",
    "roles",
    "unit_length_s",
]
