"""EDF and BDF files: starts within a second, annotations, and channels without a range."""

from datetime import UTC, timedelta

import numpy as np
import pytest

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels, find_factor
from embench_plugins.datasets.formats.notes import read_header
from embench_plugins.datasets.formats.recordings import open_recording, read_markers

from .edf_files import START, write_edf_plus

ANY = Channels(channels={"": ""})


def write(path, offset=0.0, annotations=(), rate=32, **changes):
    """A minute of a ramp in uS beside a second channel, begun `offset` s after the second that the header states."""
    ramp = np.arange(60 * rate) / rate
    late = [(onset + offset, text) for onset, text in annotations]
    changes = {"times": offset + np.arange(60), "rate": rate, "annotations": late, **changes}
    write_edf_plus(path, {"EDA": ramp, "AUX7": ramp}, **changes)


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.75, 0.9999])
def test_annotations_count_from_the_first_sample(tmp_path, suffix, fraction):
    """A file begins within the second that its header states: the first record's own time says when."""
    path = tmp_path / f"a{suffix}"
    write(path, fraction, [(10.0, "film"), (30.5, "end")])
    assert read_markers(path) == [(pytest.approx(10.0, abs=1e-6), "film"), (pytest.approx(30.5, abs=1e-6), "end")]
    assert read_header(path, UTC).start == START.replace(tzinfo=UTC) + timedelta(seconds=fraction)


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
    with open_recording(path) as found:
        eda, aux = found(ANY)
        np.testing.assert_allclose(eda.read(0, 64), np.arange(64) / 32, atol=0.01)
        with pytest.raises(DataError, match="channel AUX7 has no range") as caught:
            aux.read(0, 64)
    assert caught.value.where == str(path)


def measured(path, modality, header, stated):
    """The first values of a channel of ones in its header's unit, as a description with a unit has them."""
    write_edf_plus(path, {"lead": np.ones(64)}, unit=header)
    own = Channels(channels=["lead"], unit=stated)
    with open_recording(path) as found:
        (track,) = found(own)
        return track.read(0, 1)[0] * find_factor(path, modality, own, track, "dataset.yaml, line 9")


@pytest.mark.parametrize(
    ("modality", "header", "stated", "value"),
    [
        ("eda", "S", "uS", 1e6), ("eda", "mS", "uS", 1e3), ("eda", "nS", "uS", 1e-3), ("eda", "umho", "\u00b5S", 1.0),
        ("eda", "uS", "uS", 1.0), ("eda", "\u00b5S", "uS", 1.0), ("eda", "", "uS", 1.0), ("eda", "uS", "a.u.", 1.0),
        ("eda", "nodim", "uS", 1.0), ("ppg", "V", "mV", 1e3), ("acc", "mg", "g", 1e-3), ("temp", "C", "degC", 1.0),
        ("temp", "degF", "degF", 1.0), ("eda", "kOhm", "kOhm", 1.0),
        ("ecg", "uV", None, 1e-3), ("ecg", "uV", "mV", 1e-3), ("eeg", "V", "mV", 1e6), ("eeg", "mV", "uV", 1e3),
        ("eeg", "", "uV", 1.0), ("eeg", "adu", "uV", 1.0),
    ],
)  # fmt: skip
def test_the_files_unit_is_converted_to_that_of_the_description(tmp_path, modality, header, stated, value):
    assert measured(tmp_path / "a.edf", modality, header, stated) == pytest.approx(value, rel=2e-3)


@pytest.mark.parametrize(
    ("modality", "header", "stated"),
    [
        ("eda", "kOhm", "uS"),
        ("eda", "uV", "uS"),
        ("temp", "degF", "degC"),
        ("ecg", "degC", "mV"),
        ("resp", "counts", "V"),
    ],
)
def test_units_of_two_kinds_are_refused_with_the_header_named(tmp_path, modality, header, stated):
    with pytest.raises(DataError, match=f"a.edf is in `{header}`, and {modality} in `{stated}`") as caught:
        measured(tmp_path / "a.edf", modality, header, stated)
    assert caught.value.where == "dataset.yaml, line 9"


@pytest.mark.parametrize("kind", ["+D", "+C"])
@pytest.mark.parametrize("lost_s", [0.5, 30.0, 3600.0])
def test_records_that_begin_later_follow_a_gap(tmp_path, kind, lost_s):
    """Some writers call a file with gaps continuous, too."""
    path, ramp = tmp_path / "a.edf", np.arange(60 * 32) / 32
    times = [0.25 + k + (lost_s if k >= 20 else 0) for k in range(60)]
    data = np.where(ramp < 20, ramp, ramp - 30)
    write_edf_plus(path, {"EDA": data}, times=times, annotations=[(lost_s + 30.25, "film")], kind=kind)
    with open_recording(path) as found:
        (track,) = found(ANY)
        values = track.read(0, track.samples)
        np.testing.assert_array_equal(track.read(600, 700), values[600:700])
    assert np.isnan(values).sum() == round(32 * lost_s)
    np.testing.assert_allclose(values[np.isfinite(values)], data, atol=0.01)
    assert read_markers(path) == [(pytest.approx(30 + lost_s), "film")]
    assert values[round(32 * (30 + lost_s))] == pytest.approx(0, abs=0.01)


def test_gaps_that_no_record_tells_are_refused(tmp_path):
    path = tmp_path / "a.edf"
    for times in (np.zeros(60), np.arange(60)[::-1]):
        write(path, times=times, kind="+D")
        with pytest.raises(DataError, match=r"has gaps \(EDF\+D\).* its records do not say when"), open_recording(path):
            pass
        write(path, times=times)
        with open_recording(path) as found:
            assert [track.samples for track in found(ANY)] == [1920, 1920]


def test_bytes_that_do_not_belong_are_seen(tmp_path):
    path = tmp_path / "a.edf"
    write(path)
    whole = path.read_bytes()
    for content, words in (
        (whole[:5000] + b"\x07" + whole[5000:], "does not say when it begins|and it contains 60 and 1 bytes"),
        (whole.replace(b"60      1       3", b"50      1       3"), "its header says 50 records, and it contains 60"),
        (whole.replace(b"60      1       3", b"70      1       3"), "it ends after 60 of 70 records"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=words), open_recording(path):
            pass
    path.write_bytes(whole + bytes(100))  # padding
    with open_recording(path) as found:
        assert [track.samples for track in found(ANY)] == [1920, 1920]
