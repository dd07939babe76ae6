"""Exports of an Empatica E4 in a corpus: the two rows before the samples are no samples."""

import numpy as np
import pytest

from embench.errors import DataError
from embench_plugins.datasets.corpus import Corpus

from .test_corpus import describe, only, source

EDA = np.round(np.random.default_rng(0).uniform(0.1, 3, 400), 6)


def _write(path, start, rate, data):
    rows = np.atleast_2d(data.T).T
    lines = [", ".join([start] * rows.shape[1]), ", ".join([f"{rate:.6f}"] * rows.shape[1])]
    path.write_text("\n".join(lines + [",".join(f"{value:.6f}" for value in row) for row in rows]) + "\n")


@pytest.mark.parametrize("start", ["1495437325.000000", "2013-02-24 12:23:49"])
def test_start_and_rate_are_read_as_such(tmp_path, start):
    (tmp_path / "S2").mkdir()
    _write(tmp_path / "S2" / "EDA.csv", start, 4, EDA)
    describe(tmp_path, source("*/EDA.csv", "eda", channels=["eda"]))
    recording = only(tmp_path)
    assert (recording.subject, recording.signals["eda"].rate, recording.duration_s) == ("S2", 4, 100)
    np.testing.assert_array_equal(recording.signals["eda"].data[0], EDA.astype(np.float32))


def test_acceleration_has_three_columns_in_parts_of_g(tmp_path):
    (tmp_path / "S2").mkdir()
    counts = np.random.default_rng(1).integers(-128, 128, (320, 3))
    _write(tmp_path / "S2" / "ACC.csv", "1495437325.000000", 32, counts)
    describe(tmp_path, source("*/ACC.csv", "acc", channels=["x", "y", "z"]))
    np.testing.assert_array_equal(only(tmp_path).signals["acc"].data, (counts.T / 64).astype(np.float32))


def test_a_malformed_line_is_named(tmp_path):
    (tmp_path / "S2").mkdir()
    path = tmp_path / "S2" / "EDA.csv"
    _write(path, "1495437325.000000", 4, EDA)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:50], "0.3;0.4", *lines[51:]]))
    describe(tmp_path, source("*/EDA.csv", "eda", channels=["eda"]))
    with pytest.raises(DataError, match=r"line 51: not readable as numbers: `0\.3;0\.4`"):
        only(tmp_path)


def test_intervals_between_beats_are_no_signal(tmp_path):
    (tmp_path / "S2").mkdir()
    (tmp_path / "S2" / "IBI.csv").write_text("1495437325.000000, IBI\n19.672745,0.718784\n20.391529,0.734410\n")
    describe(tmp_path, source("*/IBI.csv", "ppg", channels={"ppg": "IBI"}, rate=4))
    with pytest.raises(DataError, match="intervals between beats of an Empatica E4, not samples at a rate"):
        only(tmp_path)


def test_a_table_without_a_header_that_begins_with_a_time_is_a_finding(tmp_path):
    (tmp_path / "S2").mkdir()
    path = tmp_path / "S2" / "eda.csv"
    path.write_text("\n".join(["1495437325", *(f"{value:g}" for value in EDA)]))
    describe(tmp_path, source("*/eda.csv", "eda", channels={"eda": "1"}, rate=4))
    (finding,) = [finding for finding in Corpus(tmp_path).verify() if finding.severity == "warning"]
    assert finding.where == str(path)
    assert "the first sample is 1.49544e+09, the others are" in finding.what
