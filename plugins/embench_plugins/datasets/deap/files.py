"""The preprocessed files of DEAP, one a subject: a pickle (`s01.dat`) or a MATLAB file (`s01.mat`) of two arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from embench.errors import DataError
from embench_plugins.datasets.formats.matlab import variables
from embench_plugins.datasets.formats.pickles import load_pickle

PEOPLE = 32
FILMED = 22  # subjects with face videos, the first ones
UNFILMED = {3: (40,), 5: (40,), 11: (38, 39, 40), 14: (40,)}
"""Trials, by the number of the person, of which the release has no face video: 874 are there."""
RATE = 128.0
TRIALS = 40
BASELINE_S = 3.0
SAMPLES = 8064  # 63 s
RATINGS = ("valence", "arousal", "dominance", "liking")
EEG = (
    "Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz",
    "Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2",
)  # fmt: skip
CHANNELS = {
    "eeg": EEG,
    "eog": ("horizontal", "vertical"),
    "emg": ("zygomaticus", "trapezius"),
    "eda": ("eda",),
    "resp": ("belt",),
    "ppg": ("thumb",),
    "temp": ("finger",),
}
"""The 40 channels of a file, in its order."""

GSR = 36
HINT = "unpack data_preprocessed_python.zip of DEAP and pass the folder that holds s01.dat .. s32.dat, or one above it"
MOST_BYTES = 1_000_000_000
"""Three times what the arrays take in the longest form, a pickle of protocol 0, and ten times the release's MATLAB
files, unpacked."""

_CONTENT = "`data` of 40 trials x 40 channels x 8064 samples and `labels` of 40 x 4 ratings from 1 to 9"


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A subject's data (40, 40, samples), up to 63 s, and ratings (40, 4), real numbers of the file's own dtypes.

    Raises:
        DataError: it is no such file, or a modified copy: EEG alone, without rest, ratings made classes.
    """
    if path.suffix.lower() == ".dat":
        content = load_pickle(path, expected=f"a pickle of {_CONTENT}", hint=HINT, most_bytes=MOST_BYTES)
    else:
        content = _matlab(path)
    if not isinstance(content, dict):
        raise _unlike(path, f"a pickle of a {type(content).__name__}")
    named = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in content.items()}
    data, ratings = (_numbers(named, name, path) for name in ("data", "labels"))
    if data.shape[:2] == (TRIALS, len(EEG)):
        raise _unlike(path, f"`data` is {_shape(data)}: a copy with EEG alone")
    if data.shape == (TRIALS, TRIALS, SAMPLES - round(BASELINE_S * RATE)):
        raise _unlike(path, f"`data` is {_shape(data)}: a copy whose 3 s of rest were cut off")
    if data.ndim != 3 or data.shape[:2] != (TRIALS, TRIALS) or not BASELINE_S * RATE < data.shape[2] <= SAMPLES:
        raise _unlike(path, f"`data` is {_shape(data)}")
    if ratings.shape != (TRIALS, len(RATINGS)):
        raise _unlike(path, f"`labels` is {_shape(ratings)}")
    if np.isin(ratings, (0, 1)).all():
        raise _unlike(path, "`labels` holds 0 and 1 only: a copy whose ratings were made classes")
    return data, ratings


def _matlab(path: Path) -> dict[str, Any]:
    try:
        return variables(path.read_bytes(), ("data", "labels"), MOST_BYTES)[0]
    except Exception as error:  # whatever damaged bytes make scipy's parser stumble over
        what = f"not readable: {str(error) or type(error).__name__}"
        raise DataError(what, where=str(path), expected=f"a MATLAB file of {_CONTENT}", hint=HINT) from error


def _numbers(content: dict[Any, Any], name: str, path: Path) -> np.ndarray:
    array = content.get(name)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        kind = (
            array.dtype.name if isinstance(array, np.ndarray) and array.dtype.names is None else "no array of numbers"
        )
        raise _unlike(path, f"`{name}` is {kind if name in content else 'missing'}")
    return array


def _unlike(path: Path, what: str) -> DataError:
    return DataError(what, where=str(path), expected=_CONTENT, hint=HINT)


def _shape(array: np.ndarray) -> str:
    return " x ".join(map(str, array.shape))
