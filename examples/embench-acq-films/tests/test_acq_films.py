import numpy as np
import pytest

from embench.errors import DataError
from embench.testing import check
from embench_acq_films.acq_films import AcqFilms
from embench_acq_films.synthetic import synthesize


@pytest.fixture
def study(tmp_path):
    synthesize(tmp_path, subjects=2, seed=0, effect=1.0)
    return tmp_path


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_conforms(study):
    check("dataset", AcqFilms, study)
    assert AcqFilms(study).verify() == []


def test_films_lie_where_the_marker_is_on_and_ratings_are_those_of_their_row(study):
    first, second, *_ = recordings = list(AcqFilms(study).recordings("P01"))
    assert len(recordings) == 8
    assert (first.start_s, second.start_s) == (4.0, 28.0)
    assert {r.duration_s for r in recordings} == {20.0}
    rows = [line.split(",") for line in (study / "trials.csv").read_text().splitlines()[1:9]]
    assert [r.stimulus for r in recordings] == [row[2] for row in rows]
    assert [r.labels["arousal"].values[0] for r in recordings] == [float(row[3]) for row in rows]


def test_the_rate_is_that_of_the_header(study):
    change(study / "acq" / "P01.txt", "4 msec/sample", "2 msec/sample")
    assert next(AcqFilms(study).recordings("P01")).signals["ecg"].rate == 500.0


def test_trials_and_films_that_do_not_match_are_refused(study):
    change(study / "trials.csv", "P01,8,", "P09,8,")
    with pytest.raises(DataError, match="the marker shows 8 films"):
        list(AcqFilms(study).recordings("P01"))
    assert {(f.severity, f.what[:3]) for f in AcqFilms(study).verify()} == {("error", "the"), ("warning", "P09")}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("msec/sample", "Hz", "msec/sample"),
        ("EDA100C", "GSR100C", "no channel EDA100C in microsiemens; it has .*GSR100C"),
        (",5,\n", ",\n", "cannot be read"),
    ],
)
def test_a_file_that_is_no_export_is_refused(study, old, new, message):
    change(study / "acq" / "P02.txt", old, new)
    with pytest.raises(DataError, match=message):
        list(AcqFilms(study).recordings("P02"))


def test_a_missing_rating_is_no_label(study):
    line = (study / "trials.csv").read_text().splitlines()[1]
    change(study / "trials.csv", line, ",".join([*line.split(",")[:3], "", "7"]))
    first = next(AcqFilms(study).recordings("P01"))
    assert list(first.labels) == ["valence"]
    np.testing.assert_array_equal(first.labels["valence"].values, [7.0])
