"""Synthetic data in a dataset's format, written to a folder of one's choice."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embench import registry
from embench.errors import UsageError
from embench.files import aside, temporary
from embench.store.fingerprint import synthetic as mark_of


def write_synthetic(
    dataset: str,
    out: Path,
    *,
    subjects: int,
    seed: int = 0,
    effect: float = 1.0,
    length_s: float | None = None,
    videos: bool = False,
    exist_ok: bool = False,
) -> bool:
    """Writes synthetic data to `out`, which must be empty or not exist; returns whether anything was written.

    Args:
        effect: how strongly signals depend on labels, from 0 (not at all) to 1.
        length_s: length of the longest recording; by default short.
        videos: also writes videos of faces.
        exist_ok: leaves data of the same settings that are in `out` as they are.

    Raises:
        UsageError: there is no such dataset or generator, `out` holds something else, or the generator takes no
            `length_s` or `videos`.
    """
    entry = registry.find("dataset", dataset)
    write = registry.synthesizer(entry.full_name)
    known, more = inspect.signature(write).parameters, dict[str, Any]()
    if length_s is not None:
        more["length_s"] = length_s
        if "length_s" not in known:
            raise UsageError(f"the synthesizer of {entry.name} has a fixed duration", where="--length-s")
    if videos:
        more["videos"] = True
        if "videos" not in known:
            raise UsageError(
                f"{entry.name} has no face videos, or its synthesizer does not write them", where="--videos"
            )
    settings = {"subjects": subjects, "seed": seed, "effect": effect, **more}
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        earlier = mark_of(out) if out.is_dir() else None
        if exist_ok and earlier is not None and _is_made_so(earlier, entry.name, settings):
            return False
        held = "contains other synthetic data" if exist_ok and earlier is not None else "is not empty"
        raise UsageError(f"{out} {held}", where="--out", hint="use a new folder")
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    with temporary(aside(out)) as whole:  # so that half of them is never taken for all
        write(whole, **settings)
        if out.exists():
            out.rmdir()
        whole.rename(out)
    return True


def _is_made_so(mark: Mapping[str, Any], name: str, settings: Mapping[str, Any]) -> bool:
    """True where data bear the mark of a dataset and of these settings, as far as the mark has them."""
    wanted = {"dataset": name.partition("/")[0], **settings}
    return all(mark.get(key, value) == value for key, value in wanted.items())
