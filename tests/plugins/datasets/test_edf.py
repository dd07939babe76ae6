"""EDF and BDF files: starts within a second, annotations, and channels without a range."""

from datetime import UTC, timedelta

import numpy as np
import pytest

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.edf_notes import header
from embench_plugins.datasets.formats.recordings import markers, opened

from .edf_files import START, write_edf_plus

ANY = Channels(channels={"": ""})


def write(path, offset=0.0, annotations=(), rate=32, **changes):
    """A minute of a ramp in uS beside a second channel, begun `offset` s after the second that the header states."""
    ramp = np.arange(60 * rate) / rate
    late = [(onset + offset, text) for onset, text in annotations]
    times = offset + np.arange(60)
    write_edf_plus(path, {"EDA": ramp, "AUX7": ramp}, rate=rate, times=times, annotations=late, **changes)


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.75, 0.9999])
def test_annotations_count_from_the_first_sample(tmp_path, suffix, fraction):
    """A file begins within the second that its header states: the first record's own time says when."""
    path = tmp_path / f"a{suffix}"
    write(path, fraction, [(10.0, "film"), (30.5, "end")])
    assert markers(path) == [(pytest.approx(10.0, abs=1e-6), "film"), (pytest.approx(30.5, abs=1e-6), "end")]
    assert header(path, UTC).start == START.replace(tzinfo=UTC) + timedelta(seconds=fraction)


def limit(path, before, text, channel):
    """A number of a channel's header; `before`: the bytes of a channel that stand before its field."""
    with path.open("r+b") as file:
        file.seek(256 + before * 3 + 8 * channel)
        file.write(f"{text:8}".encode())


@pytest.mark.parametrize("fields", [{104: "0", 112: "0"}, {120: "0", 128: "0"}, {104: "nan"}])
def test_a_channel_without_a_range_stops_only_who_asks_for_it(tmp_path, fields):
    path = tmp_path / "a.edf"
    write(path)
    for before, text in fields.items():
        limit(path, before, text, 1)
    with opened(path) as found:
        eda, aux = found(ANY)
        np.testing.assert_allclose(eda.read(0, 64), np.arange(64) / 32, atol=0.01)
        with pytest.raises(DataError, match="channel AUX7 has no range") as caught:
            aux.read(0, 64)
    assert caught.value.where == str(path)
