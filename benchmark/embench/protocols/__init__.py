"""The rules a comparison stands on: which units are scored, who is trained on, who is tested, and the proof of it."""

from embench.protocols.guard import protocol_deviations, prove
from embench.protocols.loading import (
    about_protocol,
    load_current_protocol,
    load_protocol,
    protocol_names,
    recorded_protocol,
    superseded_by,
)
from embench.protocols.partition import Fold, FoldRow, connected_groups, follow, partition, roles
from embench.protocols.schema import Design, Protocol, ReferenceName, without_lag
from embench.protocols.units import (
    Cut,
    LabelKind,
    UnitId,
    cut_of,
    fitted_rule,
    including,
    label_units,
    make_units,
    session_lengths,
    whole,
)

__all__ = [
    "Cut",
    "Design",
    "Fold",
    "FoldRow",
    "LabelKind",
    "Protocol",
    "ReferenceName",
    "UnitId",
    "about_protocol",
    "connected_groups",
    "cut_of",
    "fitted_rule",
    "follow",
    "including",
    "label_units",
    "load_current_protocol",
    "load_protocol",
    "make_units",
    "partition",
    "protocol_deviations",
    "protocol_names",
    "prove",
    "recorded_protocol",
    "roles",
    "session_lengths",
    "superseded_by",
    "whole",
    "without_lag",
]
