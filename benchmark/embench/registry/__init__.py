"""What plugins there are, from files alone, and the way from a name to its class."""

from embench.registry.catalogue import entries, find, names, refresh, shipped
from embench.registry.fragments import BROKEN_PACKAGE, BUNDLED, PLUGIN_KINDS, Entry
from embench.registry.identity import code_identity
from embench.registry.loading import (
    code_files,
    converters,
    describer,
    has_synthesizer,
    load,
    origin,
    source_file,
    synthesizer,
)
from embench.registry.objects import is_object, object_facts

__all__ = [
    "BROKEN_PACKAGE",
    "BUNDLED",
    "PLUGIN_KINDS",
    "Entry",
    "code_files",
    "code_identity",
    "converters",
    "describer",
    "entries",
    "find",
    "has_synthesizer",
    "is_object",
    "load",
    "names",
    "object_facts",
    "origin",
    "refresh",
    "shipped",
    "source_file",
    "synthesizer",
]
