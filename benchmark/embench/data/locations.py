"""Where data lie: one folder a dataset below the data root."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path

from embench.registry import Entry


def data_root(chosen: Path | None = None) -> Path:
    """The folder of all datasets: `chosen`, else `$EMBENCH_DATA`, else the user's data folder."""
    if chosen is not None:
        return chosen.expanduser()
    named = os.environ.get("EMBENCH_DATA")
    return Path(named).expanduser() if named else user_data_path("embench")


def wrong_root(chosen: Path | None = None) -> str | None:
    """What is wrong with `$EMBENCH_DATA`, in a line, where data are looked for in it; else None."""
    root = data_root(chosen)
    if chosen is not None or not os.environ.get("EMBENCH_DATA") or root.is_dir():
        return None
    return f"$EMBENCH_DATA is {root}, which {'is not a folder' if root.exists() else 'does not exist'}"


def data_folder(dataset: Entry, chosen: Path | None = None) -> Path:
    """Where a dataset's files are looked for; variants (`amigos/long`) share the folder of their dataset."""
    return data_root(chosen) / dataset.name.rpartition(":")[2].partition("/")[0]
