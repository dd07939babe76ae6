"""Prepared data on disk: content-addressed, memory-mapped, labels apart."""

from embench.store.clips import Clips, clips, made_by
from embench.store.derive import Derived, features, joined, stream
from embench.store.folders import cache_root
from embench.store.prepare import prepare
from embench.store.store import ModalityEntry, RecordingEntry, Span, Store, VideoEntry, open_store

__all__ = [
    "Clips",
    "Derived",
    "ModalityEntry",
    "RecordingEntry",
    "Span",
    "Store",
    "VideoEntry",
    "cache_root",
    "clips",
    "features",
    "joined",
    "made_by",
    "open_store",
    "prepare",
    "stream",
]
