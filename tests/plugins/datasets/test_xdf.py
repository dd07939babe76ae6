"""XDF files: the rate of the stamps, gaps, jitter, markers of texts and of codes, streams that are called alike."""

import numpy as np
import pytest

from embench.errors import DataError
from embench_plugins.datasets.formats.channels import Channels
from embench_plugins.datasets.formats.recordings import open_recording, read_marker_streams, read_markers

from .xdf_files import XdfStream, write_streams

ANY = Channels(channels={"": ""})
BEGIN = 5000.0


def ramp(stamps):
    """EDA that says when it was: 1 + seconds / 10."""
    return (1 + (np.asarray(stamps) - BEGIN) / 10)[:, None]


def box(stamps, rate, said=None, name="box"):
    """A stream that was sampled at some seconds; `said`: the stamps, where they are others."""
    return XdfStream(name, rate, stamps if said is None else said, ramp(stamps))


def signals(path, *streams):
    write_streams(path, *streams)
    with open_recording(path) as found:
        return {t.name: (t.rate, t.read(0, t.samples)) for t in found(ANY)}


@pytest.mark.parametrize(
    ("nominal", "true", "rate"),
    [
        (32, 30, 30),
        (32, 34, 34),
        (100, 93.2, 93.2),
        (4, 4.01, 4),
        (256, 256.9, 256),
        (128, 127.5, 128),
        (64, 51.2, 51.2),
    ],
)
def test_samples_lie_where_their_stamps_say(tmp_path, nominal, true, rate):
    (own,) = signals(tmp_path / "a.xdf", box(BEGIN + np.arange(round(90 * true)) / true, nominal)).values()
    assert own[0] == pytest.approx(rate, rel=1e-4)
    assert np.isfinite(own[1]).all()
    at = np.arange(len(own[1])) / own[0]
    np.testing.assert_allclose(own[1], 1 + at / 10, atol=0.11 / true)
    assert at[-1] == pytest.approx(90, abs=1.5 / true + 0.001)


@pytest.mark.parametrize("rate", [4, 32, 250])
@pytest.mark.parametrize("lost_s", [0.5, 5.0, 274.0])
def test_lost_samples_stay_lost(tmp_path, rate, lost_s):
    at = BEGIN + np.arange(60 * rate) / rate
    at = np.where(at - BEGIN >= 20, at + lost_s, at)
    ((found, values),) = signals(tmp_path / "a.xdf", box(at, 1.03 * rate)).values()
    assert found == pytest.approx(rate)
    assert np.isnan(values).sum() == round(lost_s * rate)
    np.testing.assert_allclose(values[-1], ramp(at)[-1], atol=1e-4)


@pytest.mark.parametrize("rate", [4, 32, 250])
def test_jitter_and_bursts_are_not_gaps(tmp_path, rate):
    """Stamps of arrival: of all in a packet at once, and each a little late."""
    at = BEGIN + np.arange(120 * rate) / rate
    jitter = np.random.default_rng(0).exponential(0.01, len(at))
    packets = BEGIN + np.ceil((at - BEGIN + 1e-6) * 4) / 4 - 1 / rate
    for said in (at + jitter, packets):
        ((found, values),) = signals(tmp_path / "a.xdf", box(at, rate, said)).values()
        assert (found, len(values)) == (rate, len(at))
        np.testing.assert_array_equal(values, ramp(at)[:, 0].astype(np.float32))


def test_a_backlog_that_arrives_at_once_is_not_a_gap(tmp_path):
    at = BEGIN + np.arange(120 * 128) / 128
    said = np.where((at > BEGIN + 40) & (at < BEGIN + 43), BEGIN + 43 + (at - BEGIN - 40) / 100, at)
    ((_, values),) = signals(tmp_path / "a.xdf", box(at, 128, said)).values()
    np.testing.assert_array_equal(values, ramp(at)[:, 0].astype(np.float32))


def test_a_clock_that_falls_back_is_refused_by_the_streams_name(tmp_path):
    at = BEGIN + np.arange(60 * 32) / 32
    with pytest.raises(DataError, match=r"stream box: its times fall back by 10 s at 20 s"):
        signals(tmp_path / "a.xdf", box(at, 32, np.where(at - BEGIN >= 30, at - 10, at)))


def test_streams_that_are_called_alike_are_told_apart(tmp_path):
    at = BEGIN + np.arange(320) / 32
    found = signals(tmp_path / "a.xdf", box(at, 32), box(at + 1, 32), box(at, 32, name="cap"))
    assert list(found) == ["box#1/EDA", "box#2/EDA", "cap/EDA"]
    assert np.isnan(found["box#2/EDA"][1]).sum() == 32


@pytest.mark.parametrize("form", ["int8", "int16", "int32", "int64", "float32", "double64"])
def test_numbers_without_a_rate_are_markers(tmp_path, form):
    at = BEGIN + np.arange(320) / 32
    codes = XdfStream("codes", 0, [BEGIN + 1, BEGIN + 4], np.array([[11], [99]]), (("", ""),), form)
    texts = XdfStream("texts", 0, [BEGIN + 2], [["film", "joy"]], (("", ""), ("", "")), "string")
    write_streams(tmp_path / "a.xdf", box(at, 32), codes, texts)
    assert read_marker_streams(tmp_path / "a.xdf") == {
        "codes": [(1.0, "11"), (4.0, "99")],
        "texts": [(2.0, "film"), (2.0, "joy")],
    }
    assert read_markers(tmp_path / "a.xdf") == [(1.0, "11"), (2.0, "film"), (2.0, "joy"), (4.0, "99")]


def test_codes_with_a_fraction_keep_it(tmp_path):
    at = BEGIN + np.arange(320) / 32
    codes = XdfStream("codes", 0, [BEGIN, BEGIN + 1], np.array([[1.5], [np.nan]]), (("", ""),))
    write_streams(tmp_path / "a.xdf", box(at, 32), codes)
    assert read_markers(tmp_path / "a.xdf") == [(0.0, "1.5")]


def test_a_file_that_ends_within_a_chunk_is_refused(tmp_path):
    at = BEGIN + np.arange(320) / 32
    write_streams(tmp_path / "a.xdf", box(at, 32))
    content = (tmp_path / "a.xdf").read_bytes()
    (tmp_path / "b.xdf").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="ends within a chunk"), open_recording(tmp_path / "b.xdf"):
        pass
