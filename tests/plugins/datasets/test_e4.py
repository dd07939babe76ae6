"""Files of an Empatica E4, as the device exports them and as releases have changed them."""

from datetime import UTC, datetime

import numpy as np
import pytest

from embench.errors import DataError
from embench_plugins.datasets.devices import e4

EDA, ACC = e4.CARDS["eda"], e4.CARDS["acc"]


def written(tmp_path, text, name="EDA.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["1361708629.00", "1361708629.000000", "2013-02-24 12:23:49"])
def test_a_start_is_unix_seconds_or_a_date_in_utc(tmp_path, start, end):
    path = written(tmp_path, end.join([start, "4.0", "0.0", "-0.5", "1.25", ""]))
    begin, data = e4.read_signal(path, EDA, hint="")
    assert begin == datetime(2013, 2, 24, 12, 23, 49, tzinfo=UTC).timestamp()
    assert data.dtype == np.float32
    np.testing.assert_array_equal(data, [[0, -0.5, 1.25]])


@pytest.mark.parametrize("gap", [",", ", "])
def test_acceleration_has_three_columns_and_64_counts_a_g(tmp_path, gap):
    head = gap.join(["2013-02-24 12:23:49"] * 3) + "\n" + gap.join(["32.000000"] * 3)
    _, data = e4.read_signal(written(tmp_path, f"{head}\n-64,0,32\n16,nan,64\n"), ACC, hint="")
    np.testing.assert_array_equal(data, [[-1, 0.25], [0, np.nan], [0.5, 1]])


@pytest.mark.parametrize(
    ("text", "presses"),
    [
        ("2013-02-24 12:23:49\r\n2013-02-24 12:24:00\r\n", [1361708629, 1361708640]),
        ("1361708629.25\n1361708640.00\n", [1361708629.25, 1361708640]),
        ("", []),
    ],
)
def test_presses_are_one_a_line(tmp_path, text, presses):
    assert e4.read_presses(written(tmp_path, text, "tags.csv")).tolist() == presses
    assert e4.read_presses(tmp_path / "none.csv").tolist() == []


GOOD = ["1361708629.00", "4.000000", *["0.3"] * 8]


@pytest.mark.parametrize(
    ("line", "text", "said"),
    [
        (1, "yesterday", "line 1: not readable as a time: `yesterday`"),
        (1, "-5", "line 1: not readable as a time"),
        (2, "four", "line 2: not readable as numbers: `four`"),
        (2, "8", "line 2: 8 samples a second"),
        (3, "1361708629.00", "line 3: the first sample is 1361708629, the others are 0.3"),
        (5, "", "line 5: not readable as numbers: ``"),
        (6, "0.3,0.4", "line 6: not readable as numbers: `0.3,0.4`"),
        (7, "1_000", "line 7: not readable as numbers: `1_000`"),
        (8, "2013-02-24", "line 8: not readable as numbers: `2013-02-24`"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, text, said):
    rows = list(GOOD)
    rows[line - 1] = text
    path = written(tmp_path, "\n".join(rows))
    with pytest.raises(DataError) as caught:
        e4.read_signal(path, EDA, hint="")
    assert said in caught.value.what
    assert caught.value.where == str(path)
    assert caught.value.expected


def test_a_press_that_is_no_time_is_named(tmp_path):
    with pytest.raises(DataError, match="line 2: not readable as a time: `noon`"):
        e4.read_presses(written(tmp_path, "2013-02-24 12:23:49\nnoon\n", "tags.csv"))


@pytest.mark.parametrize(
    ("text", "card", "first"),
    [
        ("1361708629,000000\n4,000000\n0,128\n0,256\n", EDA, [0.128]),
        ("1361708629,0;1361708629,0;1361708629,0\n32,0;32,0;32,0\n-64;4;32\n", e4.CARDS["acc"], [-1, 0.0625, 0.5]),
    ],
)
def test_decimal_commas_of_a_spreadsheet_are_read(tmp_path, text, card, first):
    path = written(tmp_path, text)
    assert e4.is_signal_file(path)
    start, data = e4.read_signal(path, card, hint="")
    assert start == 1361708629
    np.testing.assert_allclose(data[:, 0], first)
