"""The files of FACED's BIDS release, NEMAR nm000112 1.0.1 (doi 10.82901/nemar.nm000112): where each is, its size and
digest. The small ones come first, so that all labels are there before the first signal."""

from __future__ import annotations

from pathlib import Path

from embench.interfaces.dataset import Download

ADDRESS = "https://data.nemar.org/nm000112/v1.0.1/"
"""A recording's address leads on to a signed one, which lasts an hour."""


def downloads() -> tuple[Download, ...]:
    """All 741 files, with their paths in the release as names."""
    rows = Path(__file__).with_suffix(".tsv").read_text("utf-8").splitlines()[1:]
    return tuple(_download(*row.split("\t")) for row in rows)


def _download(path: str, size: str, sha256: str) -> Download:
    folder, below, _ = path.partition("/")
    return Download(ADDRESS + path, path, sha256, int(size), subject=folder if below else None)
