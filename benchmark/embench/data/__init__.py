"""A dataset on disk: its folder, download, checks, labels, and the subjects of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embench.registry import Entry


# Folders of data: one for each dataset below the data root.


def default_data_root(chosen: Path | None = None) -> Path:
    """Return the folder of all datasets: `chosen`, else `$EMBENCH_DATA`, else the user's data folder."""
    if chosen is not None:
        return chosen.expanduser()
    if named := os.environ.get("EMBENCH_DATA"):
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("embench")


def describe_root_fault(chosen: Path | None = None) -> str | None:
    """Return what is wrong with the data root set by `--data-root` or `$EMBENCH_DATA`, as text: the folder does not
    exist, or it is the folder of a single dataset. None if nothing is wrong, or if neither is set."""
    root = default_data_root(chosen)
    if chosen is None and not os.environ.get("EMBENCH_DATA"):
        return None
    named = "EMBENCH_DATA=" if chosen is None else "--data-root "
    if not root.is_dir():
        return f"{named}{root} {'is not a folder' if root.exists() else 'does not exist'}"
    from embench import registry

    known = {name.partition("/")[0] for name in registry.list_plugins("dataset")}
    if root.resolve().name in known and not any((root / name).is_dir() for name in known):
        parent = root.resolve().parent
        return f"{named}{root} looks like the folder of one dataset; use its parent folder: {named}{parent}"
    return None


def data_folder(dataset: Entry, chosen: Path | None = None) -> Path:
    """Return the folder for a dataset's files; variants (`amigos/long`) share the folder of their dataset."""
    return default_data_root(chosen) / dataset.name.rpartition(":")[2].partition("/")[0]
