"""What the files of one recording share on one clock, and the moments from which seconds may count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench_plugins.datasets.own.clock import COLUMN, STARTS_APART_S
from embench_plugins.datasets.own.layout import OwnChannels


class Held(NamedTuple):
    """A modality in its file: when its first sample was, in unix seconds, None where the file does not say it; the
    second of it that a column of times states; its rate and length."""

    start: float | None
    second: float
    rate: float
    duration_s: float


class Shared(NamedTuple):
    """The time that all files cover: its start in unix seconds, if known, and its length; modality -> the first sample
    in it; what seconds may count from -> its second in the recording; and findings on the files."""

    start: float | None
    duration_s: float
    offsets: Mapping[str, int]
    origins: Mapping[str, float]
    odd: list[Finding]


def share(
    files: Mapping[str, Held], paths: Mapping[str, Path], channels: Mapping[str, OwnChannels],
    places: Mapping[str, str], origin: str | None,
) -> Shared:  # fmt: skip
    """Find the time that all files of a recording cover: those with dates lie where these say, and those whose
    seconds count from one moment where these do; others are taken to begin together.

    Args:
        files: modality -> what is known of it; the other arguments have the same keys.
        origin: what seconds count from, where the description says it.

    Raises:
        DataError: files do not overlap, or columns of times begin apart and nobody says whether they are of one clock.
    """
    known = {m: _placed(m, files, channels, places) for m in files}
    dated = all(one.start is not None for one in known.values()) and bool(known)
    linked = any(channels[m].from_ for m in files)
    if not dated and (any(one.start is not None for one in known.values()) or not (linked or origin == COLUMN)):
        return _together(known, paths, channels, places)
    begins = {m: one.start if dated and one.start is not None else one.second for m, one in known.items()}
    start = max(begins.values())
    duration = min(begins[m] + one.duration_s for m, one in known.items()) - start
    if duration * min(one.rate for one in known.values()) < 1 - 1e-6:
        first, last = min(begins, key=begins.__getitem__), max(begins, key=begins.__getitem__)
        raise DataError(
            f"{paths[first].name} ends before {paths[last].name} begins",
            where=str(paths[last]),
            expected="files of one recording, which overlap",
            hint=f"are both in one time zone, and of one session? `from: {first}` below {last} places it by hand",
        )
    offsets = {m: round((start - begins[m]) * one.rate) for m, one in known.items()}
    origins = {m: begin - start for m, begin in begins.items()} | ({} if dated else {COLUMN: -start})
    return Shared(start if dated else None, duration, offsets, origins, [])


def _placed(m: str, files: Mapping[str, Held], channels: Mapping[str, OwnChannels], places: Mapping[str, str]) -> Held:
    """A file where the start of another one places it, if the description says so."""
    other, own = channels[m].from_, files[m]
    if other is None:
        return own
    if other not in files:
        raise DataError(
            f"`from: {other}`: there is no file of {other}", where=places[m], expected=f"{other}, or no {m}"
        )
    start = files[other].start
    return own._replace(start=None if start is None else start + own.second, second=files[other].second + own.second)


def _together(
    known: Mapping[str, Held], paths: Mapping[str, Path], channels: Mapping[str, OwnChannels], places: Mapping[str, str]
) -> Shared:
    """Files of which nobody knows more than that they are of one recording."""
    dated = [m for m, one in known.items() if one.start is not None]
    seconds = {m: one.second for m, one in known.items()}
    first, last = (choose(seconds, key=seconds.__getitem__, default="") for choose in (min, max))
    if not dated and len(known) > 1 and seconds[last] - seconds[first] > STARTS_APART_S:
        what = (
            f"{paths[first].name} begins at {seconds[first]:g} s and {paths[last].name} at {seconds[last]:g} s of its "
            f"times; what to do: write `from: {COLUMN}` in `recordings` if these count from one moment, or `from: "
            f"{first}` below {last} if its times count from the start of {paths[first].name}"
        )
        raise DataError(what, where=places[last], expected="times that count from one moment")
    duration = max((one.duration_s for one in known.values()), default=0.0)
    origins = dict.fromkeys(known, 0.0) | ({} if dated or not known else {COLUMN: -seconds[first]})
    return Shared(None, duration, dict.fromkeys(known, 0), origins, list(_undated(dated, paths, channels, places)))


def _undated(
    dated: list[str], paths: Mapping[str, Path], channels: Mapping[str, OwnChannels], places: Mapping[str, str]
) -> Iterator[Finding]:
    """The findings on files that do not say when they began, beside others that do."""
    inexact = [m for m, path in paths.items() if path.suffix.lower() == ".xdf"]
    if len(set(paths.values())) < 2 or not (dated or inexact):
        return
    known = next(iter(dated or inexact))
    for m, path in paths.items():
        if m not in dated and path != paths[known] and not channels[m].from_:
            what = (
                f"{path.name} does not say when it began beside {paths[known].name}: they are taken to begin together; "
                f"what to do: write `from: {known}` below {m} if they do"
            )
            yield Finding("warning", places[m], what)
