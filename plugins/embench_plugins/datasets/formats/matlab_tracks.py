"""MATLAB files of recordings, versions 4 to 7, with samples in variables or in fields of structs."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.matlab import check, inflated
from embench_plugins.datasets.formats.tracks import AGAIN, MOST_BYTES, Track, part


@contextmanager
def open_matlab(path: Path) -> Iterator[Callable[[Channels], Sequence[Track]]]:
    """Opens a MATLAB file as a context: a function from a layout's channels to the tracks in the file.

    Raises:
        DataError: the file is part of a WFDB record; from the function, where the layout does not lead to a matrix of
            numbers, or its names or rate do not fit.
    """
    if path.with_suffix(".hea").is_file():
        raise DataError("this is part of a WFDB record", where=str(path), hint="let the pattern name its header (.hea)")

    def tracks(layout: Channels) -> list[Track]:
        content = _mat_content(path, layout)
        if layout.array is None:
            held = ", ".join(sorted(name for name in content if not name.startswith("_")))
            raise DataError(
                f"which of {held} holds the samples?", where=str(path), expected="`array` of the channels, as in o.data"
            )
        data = np.asarray(_within(path, content, layout.array))
        if data.ndim != 2 or not data.size or data.dtype.kind not in "iufb":
            raise DataError(f"`{layout.array}` is {data.dtype} {data.shape}", where=str(path), expected="a matrix")
        names = _mat_names(_within(path, content, layout.names)) if layout.names else None
        # Time runs along the longer side, where no names tell which side the channels are on.
        across = 0 if (len(names) == len(data) != data.shape[1] if names else data.shape[0] < data.shape[1]) else 1
        data = data if across == 0 else data.T
        if names is None:
            names = [str(i) for i in range(1, len(data) + 1)]
        if len(names) != len(data):
            raise DataError(f"{len(names)} names for {len(data)} channels", where=str(path), expected="a name each")
        rate: Any = layout.rate
        if isinstance(rate, str):
            there = np.ravel(_within(path, content, rate))
            rate = float(there[0]) if there.size == 1 and there.dtype.kind in "iuf" else None
        if not isinstance(rate, int | float) or not 0 < rate <= 1e6:
            raise DataError(
                f"how many samples a second does it have? `rate` is {layout.rate}",
                where=str(path),
                expected="`rate` of the channels: a number, or the place of one in the file",
            )
        return [
            Track(name, float(rate), data.shape[1], None, partial(part, row))
            for name, row in zip(names, data, strict=True)
        ]

    yield tracks


def _mat_content(path: Path, layout: Channels) -> dict[str, Any]:
    """The variables that the layout speaks of."""
    expected = "a MATLAB file of version 4 to 7"
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"it is over {MOST_BYTES / 1e9:g} GB large", where=str(path), expected=expected)
    places = [place for place in (layout.array, layout.names, layout.rate) if isinstance(place, str)]
    wanted = {place.partition(".")[0] for place in places}
    try:
        content = path.read_bytes()
        held = None
        if content[124:128] in (b"\x00\x01IM", b"\x01\x00MI"):
            content, sound = inflated(content, MOST_BYTES)
            if not sound:
                raise ValueError("a checksum is wrong")
            held = check(content, wanted)
        read = loadmat(io.BytesIO(content), variable_names=sorted(wanted))
        return read | dict.fromkeys(set(held or [name for name, *_ in whosmat(io.BytesIO(content))]) - set(read))
    except NotImplementedError as error:
        raise DataError(
            "a MATLAB file of version 7.3", where=str(path), expected=expected, hint="in MATLAB: save(name, '-v7')"
        ) from error
    except (
        MatReadError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OSError, OverflowError,
        MemoryError, NameError, SystemError, struct.error,
    ) as error:  # fmt: skip
        raise DataError(f"not readable: {error}", where=str(path), expected=expected, hint=AGAIN) from error


def _within(path: Path, content: Any, place: str) -> Any:
    """What lies at `hs.eeg.sig`: fields of structs that hold one value each."""
    value: Any = content
    for name in place.split("."):
        held = list(value) if isinstance(value, dict) else list(value.dtype.names or ())
        if name not in held:
            shown = ", ".join(sorted(entry for entry in held if not entry.startswith("_"))) or "no fields"
            raise DataError(f"there is no `{name}` of `{place}`, but {shown}", where=str(path), expected=place)
        value = value[name]
        while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
            value = value.flat[0]
        if isinstance(value, np.ndarray) and value.dtype.names and value.size == 1:
            value = value.reshape(-1)[0]
        if not isinstance(value, np.ndarray | np.void):
            value = np.asarray(value)
    return value


def _mat_names(value: Any) -> list[str]:
    """Names in a cell array, or in the rows of a character matrix."""
    cells = [np.asarray(cell).ravel() for cell in np.asarray(value).ravel()]
    return ["".join(map(str, cell)).strip() for cell in cells]
