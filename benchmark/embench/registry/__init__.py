"""What plugins there are, from files alone, and the way from a name to its class."""

from embench.registry.catalogue import entries, find, names, refresh, shipped, written_name
from embench.registry.fragments import BROKEN_PACKAGE, BUNDLED, PLUGIN_KINDS, Entry
from embench.registry.identity import code_identity
from embench.registry.loading import converters, describer, has_synthesizer, load, origin, source_file, synthesizer

__all__ = [
    "BROKEN_PACKAGE",
    "BUNDLED",
    "PLUGIN_KINDS",
    "Entry",
    "code_identity",
    "converters",
    "describer",
    "entries",
    "find",
    "has_synthesizer",
    "load",
    "names",
    "origin",
    "refresh",
    "shipped",
    "source_file",
    "synthesizer",
    "written_name",
]
