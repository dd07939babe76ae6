"""The mark of synthetic files: written before anything else, so that half a dataset is never taken for a real one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embench.errors import UsageError

MARK = "EMBENCH_SYNTHETIC.json"


def claim(out: Path, made: Mapping[str, Any]) -> None:
    """Marks `out` as generated and removes what an earlier call for the same dataset wrote there.

    Args:
        made: what is written and from what: `generator`, `version`, `dataset`, `seed`, `subjects`, `effect` and so on.

    Raises:
        UsageError: `out` is a file, or holds anything but synthetic files of this dataset; nothing is changed then.
    """
    mark = out / MARK
    if out.exists() and not out.is_dir():
        raise UsageError("this is a file", where=str(out), expected="a folder to write into")
    if out.exists() and any(out.iterdir()):
        try:
            mine = json.loads(mark.read_text("utf-8")).get("dataset") == made["dataset"]
        except (OSError, ValueError, AttributeError):
            mine = False
        if not mine:
            raise UsageError(
                f"the folder holds files that are not generated {made['dataset']} files; nothing was written",
                where=str(out),
                expected="a new or empty folder, or one that was written by this command before",
            )
        for path in out.iterdir():
            if path != mark:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    out.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps(made, indent=2) + "\n", "utf-8")


def check_arguments(subjects: int, most: int, seed: int, effect: float) -> None:
    """Raises UsageError for arguments that no generator of `most` subjects can follow."""
    if not 1 <= subjects <= most:
        raise UsageError(f"{subjects} people", expected=f"1 to {most}, as many as the release has")
    if not 0 <= effect <= 1 or seed < 0:
        raise UsageError(f"effect {effect}, seed {seed}", expected="an effect from 0 to 1 and a seed of 0 or more")
