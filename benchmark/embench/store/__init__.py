"""Prepared data on disk: content-addressed, memory-mapped, labels apart."""

from embench.store.derive import Derived, features, joined, stream
from embench.store.folders import cache_root
from embench.store.prepare import prepare
from embench.store.store import ModalityEntry, RecordingEntry, Span, Store, open_store

__all__ = [
    "Derived",
    "ModalityEntry",
    "RecordingEntry",
    "Span",
    "Store",
    "cache_root",
    "features",
    "joined",
    "open_store",
    "prepare",
    "stream",
]
