"""Synthetic AMIGOS files for its long videos: those of `amigos` with the short videos cut instead of the long ones."""

from __future__ import annotations

from pathlib import Path

from embench_plugins.datasets.amigos.synthetic import short as amigos

LONG_S = 120.0


def synthesize(
    out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None, videos: bool = False
) -> None:
    """As `amigos.synthesize`; the length is that of the longest long video with its 5 s of rest, `LONG_S` if None."""
    amigos.synthesize(out, subjects, seed, effect, length_s=amigos.LEAST_S, long_s=length_s or LONG_S, videos=videos)
