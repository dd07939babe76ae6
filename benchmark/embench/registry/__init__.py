"""Registry of plugins, from files alone, and the import of a class by its name."""

from embench.registry.catalogue import (
    entries,
    find,
    names,
    questions_of,
    refresh,
    releases_of,
    shipped,
    sites,
    written_name,
)
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
from embench.registry.modalities import added_modalities, known_as, modalities, modality_of
from embench.registry.modality import MODALITY, ModalityDefinition
from embench.registry.objects import is_object, object_facts
from embench.registry.question import Question

__all__ = [
    "BROKEN_PACKAGE",
    "BUNDLED",
    "MODALITY",
    "PLUGIN_KINDS",
    "Entry",
    "ModalityDefinition",
    "Question",
    "added_modalities",
    "code_files",
    "code_identity",
    "converters",
    "describer",
    "entries",
    "find",
    "has_synthesizer",
    "is_object",
    "known_as",
    "load",
    "modalities",
    "modality_of",
    "names",
    "object_facts",
    "origin",
    "questions_of",
    "refresh",
    "releases_of",
    "shipped",
    "sites",
    "source_file",
    "synthesizer",
    "written_name",
]
