"""Prepared data on disk: addressed by content, memory-mapped, with labels in a separate file."""

from embench.files import cache_root
from embench.store.derive import Clips, Derived, blank_clips, clips, decoder_versions, derive_features, joined, stream
from embench.store.prepare import prepare
from embench.store.store import ModalityEntry, RecordingEntry, SignalArray, Span, Store, VideoEntry, open_store

__all__ = [
    "Clips",
    "Derived",
    "ModalityEntry",
    "RecordingEntry",
    "SignalArray",
    "Span",
    "Store",
    "VideoEntry",
    "blank_clips",
    "cache_root",
    "clips",
    "decoder_versions",
    "derive_features",
    "joined",
    "open_store",
    "prepare",
    "stream",
]
