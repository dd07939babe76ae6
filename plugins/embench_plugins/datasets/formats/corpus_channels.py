"""The channels of a modality among those that a file has, and their units; for corpora and own recordings."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from embench.errors import DataError
from embench_plugins.datasets.formats.corpus_layout import POTENTIALS, VOLTS, Channels, canonical
from embench_plugins.datasets.formats.corpus_tracks import Track


def chosen(path: Path, modality: str, own: Channels, tracks: Sequence[Track], says: str) -> list[Track]:
    """A file's channels of one modality, in the layout's order. A name that fits as it is written goes before one that
    fits without case, dots and the like.

    Args:
        says: name of the file that names them, for errors.

    Raises:
        DataError: one is missing or ambiguous, or they differ in rate or length.
    """
    found = []
    for wanted in own.channels.values():
        fitting = [track for track in tracks if track.name == wanted]
        fitting = fitting or [t for t in tracks if canonical(t.name, modality) == canonical(wanted, modality)]
        if len(fitting) != 1:
            held = [track.name for track in tracks]
            plain = {canonical(name, modality): name for name in held}
            near = [plain[name] for name in difflib.get_close_matches(canonical(wanted, modality), plain, 1)]
            raise DataError(
                f"there are {len(fitting)} channels `{wanted}` for {modality}" if fitting else
                f"there is no channel `{wanted}` for {modality}" + (f"; did you mean {near[0]}?" if near else ""),
                where=str(path),
                expected=f"one of {', '.join(held[:40]) or 'no channel at all'}",
                hint=f"name the file's own channels in {says}",
            )  # fmt: skip
        found.append(fitting[0])
    if len({(track.rate, track.samples) for track in found}) > 1:
        rates = ", ".join(f"{track.name} {track.samples} at {track.rate:g} Hz" for track in found)
        raise DataError(f"the channels of {modality} differ in length: {rates}", where=str(path), expected="one rate")
    if found[0].samples < 1:
        raise DataError(f"no sample of {modality} is in it", where=str(path), expected="a recording")
    return found


def factor(path: Path, modality: str, own: Channels, track: Track, says: str) -> float:
    """What a voltage is multiplied with to be in the card's unit; other signals stay in their files' units. Raises
    DataError where nobody says what its unit is."""
    if modality not in POTENTIALS:
        return 1.0
    stated = own.unit or track.unit
    unit = (stated or "").replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    known = {name.lower(): volts for name, volts in VOLTS.items()}
    if unit.lower() not in known:
        raise DataError(
            f"channel {track.name} is in {'no unit that the file names' if stated is None else f'`{stated}`'}",
            where=str(path),
            expected=", ".join(VOLTS),
            hint=f"say `unit: {POTENTIALS[modality]}` for {modality} in {says}, if that is what it is",
        )
    ratio = known[unit.lower()] / VOLTS[POTENTIALS[modality]]
    return float(f"{ratio:.12g}")  # a power of ten, without the last bit's rounding
