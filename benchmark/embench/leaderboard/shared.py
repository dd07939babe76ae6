"""Key of an entry's labels, folds and controls: entries with the same key can confirm each other's."""

from __future__ import annotations

from typing import Any

from embench.records.manifest import Manifest

CONTROL_LIBRARIES = ("numpy", "scikit-learn")
"""The libraries that decide the digits of controls, which are trees."""


def board_of(run: Manifest) -> tuple[Any, ...]:
    """The facts that entries have to share so that their labels and folds are the same on the same people."""
    return run.dataset.name, run.protocol.hash, tuple(run.targets), run.config.get("train_dataset")


def few_labels(run: Manifest) -> tuple[Any, ...]:
    """The number or share of labels that the method and its controls were fitted on; None where it is all."""
    return run.config.get("label_subjects"), run.config.get("label_fraction")


def shared_by(run: Manifest) -> tuple[Any, ...]:
    """The facts that entries share whose controls are the same: tables of labels, folds, units and controls
    among them. Of sealed ones, which hold no tables but folds, the controls' scores."""
    entry = run.entry
    tables = entry and (entry.labels, entry.folds, entry.rows, entry.controls or entry.control_scores)
    return board_of(run), few_labels(run), tables
