"""FACED's original release, Synapse syn50614194: `Data/sub000` to `Data/sub122` with `data.bdf`, `evt.bdf` and
`After_remarks.mat`.

Annotations of `evt.bdf` are codes as text: a clip's number, then 101 where it begins and 102 where it ends. Some people
have another experiment before, with 101 and no 102: only what stands between a number and a 102 is a clip. The rows of
`After_remark` are in the order of play.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError
from embench.interfaces.dataset import Finding
from embench_plugins.datasets.faced.bids import AGAIN, Cohort, Folder, cohort, who
from embench_plugins.datasets.faced.card import Shown, shown
from embench_plugins.datasets.faced.layout import CLIPS, RATINGS
from embench_plugins.datasets.formats import edf_notes
from embench_plugins.datasets.formats.matlab import variables

MOST_BYTES = 10_000_000
"""Of an unpacked file of ratings, which takes some kilobytes."""
UNRATED = (math.nan,) * len(RATINGS)
_REMARKS = f"`After_remark`, 28 structs with score ({len(RATINGS)} ratings) and vid (1 to 28, each once)"


class Original(Folder):
    """The release in the folder of `sub000` and so on."""

    expected = "Data/sub000/evt.bdf and After_remarks.mat, to sub122"
    kinds = ("After_remarks.mat", "evt.bdf", "data.bdf")

    def clips(self, subject: str) -> list[Shown]:
        """What the person saw, in the order of play."""
        path, ratings, found = self._path(subject, "evt.bdf"), dict(self.rated(subject)), list[Shown]()
        number: int | None = None
        start_s: float | None = None
        for onset_s, text in edf_notes.notes(path):
            if text in _NUMBERS:
                number, start_s = _NUMBERS[text], None
            elif text == "101" and number and start_s is None:
                start_s = onset_s
            elif text == "102" and number and start_s is not None and start_s < onset_s:
                found.append(shown(number, start_s, onset_s - start_s, ratings.get(number, UNRATED)))
                number = start_s = None
        numbers = [one.clip for one in found]
        if not found or len(set(numbers)) < len(numbers) or found[0].start_s < 0:
            raise DataError(
                f"clips {', '.join(map(str, numbers))}" if found else "there is no clip in it",
                where=str(path), expected="annotations of clips, each once: its number, 101 and 102", hint=AGAIN,
            )  # fmt: skip
        return found

    def rated(self, subject: str) -> list[tuple[int, tuple[float, ...]]]:
        """Clips and their ratings, in the order of play."""
        return remarks(self._path(subject, "After_remarks.mat"))

    def channels(self, subject: str) -> Cohort:
        """What is known of the channels; the unit is what the file states."""
        return cohort(subject)._replace(unit=None)

    def look(self, subject: str) -> Iterator[Finding]:
        """Whether events and ratings are in one order."""
        played, rated = ([one[0] for one in some] for some in (self.clips(subject), self.rated(subject)))
        if played != rated:
            what = "the clips of its ratings are not those of evt.bdf, or come in another order"
            yield Finding("warning", str(self._path(subject, "After_remarks.mat")), what)

    def _path(self, subject: str, name: str) -> Path:
        return self.root / subject.replace("-", "") / name

    @cached_property
    def _info(self) -> Mapping[str, dict[str, str]]:
        known: dict[str, dict[str, str]] = {}
        for folder in (self.root, self.root.parent):
            known |= who(folder / "Recording_info.csv", ("sub", "Age", "Gender"), ",")
        return known


def remarks(path: Path) -> list[tuple[int, tuple[float, ...]]]:
    """Clips and their twelve ratings in the order of `RATINGS`, from `After_remarks.mat`. Raises DataError."""
    try:
        structs = variables(path.read_bytes(), ("After_remark",), MOST_BYTES)[0]["After_remark"].ravel()
        rows = [(_numbers(one["vid"], 1), _numbers(one["score"], len(RATINGS))) for one in structs]
        clips = [int(number) for (number,), _ in rows if number in CLIPS]
        if not len(rows) == len(clips) == len(set(clips)):
            raise ValueError(f"the clips are {', '.join(f'{number:g}' for (number,), _ in rows)}")
    except FileNotFoundError as error:
        raise DataError("the file is missing", where=str(path), expected=_REMARKS, hint=AGAIN) from error
    except Exception as error:  # whatever damaged bytes make scipy's parser stumble over
        what = f"not readable: {str(error) or type(error).__name__}"
        raise DataError(what, where=str(path), expected=_REMARKS, hint=AGAIN) from error
    return [(clip, ratings) for clip, (_, ratings) in zip(clips, rows, strict=True)]


def _numbers(cell: Any, count: int) -> tuple[float, ...]:
    array = np.asarray(cell)
    if array.dtype.kind not in "fiu" or array.size != count:
        raise ValueError(f"a cell of {array.size} values, not of {count} numbers")
    return tuple(float(value) for value in array.ravel())


_NUMBERS = {str(number): number for number in CLIPS}
