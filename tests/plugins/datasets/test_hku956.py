"""HKU956: its reader and generator against each other, and the reader against the real files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from embench.testing import check_dataset
from embench_plugins.datasets.hku956 import synthetic
from embench_plugins.datasets.hku956.reader import Hku956

from ...sample import sample
from .damages import hku956 as made
from .real import released

FILES = {"ppg": ("BVP", 64), "eda": ("EDA", 4), "temp": ("TEMP", 4), "hr": ("HR", 1)}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hku956")
    synthetic.synthesize(folder, subjects=6, seed=3, effect=1.0, length_s=15.0)
    return folder


@pytest.fixture
def copy(tmp_path) -> Path:
    """Two subjects, to be damaged."""
    made.whole(tmp_path)
    return tmp_path


def compare(root: Path, subject: str) -> None:
    """Every sample and label of a subject against pandas."""
    rows = pd.read_csv(root / made.RATINGS)
    rows = rows[rows["participant_id"] == subject].sort_values("song_no")
    recordings = list(Hku956(root).recordings(subject))
    assert [recording.order for recording in recordings] == rows["song_no"].tolist()
    for recording, row in zip(recordings, rows.to_dict("records"), strict=True):
        assert (recording.stimulus, recording.start_s) == (str(row["song_id"]), None)
        assert recording.duration_s == row["play_duration"]
        assert recording.labels["valence"].values.tolist() == [row["valence_rating"]]
        assert recording.labels["arousal"].values.tolist() == [row["arousal_rating"]]
        for modality, (folder, rate) in FILES.items():
            path = root / made.SIGNALS / subject / folder / f"{row['song_no']}_{row['song_id']}.csv"
            signal = recording.signals[modality]
            assert signal.rate == rate
            written = pd.read_csv(path, header=None, float_precision="round_trip")[0].to_numpy(np.float32)
            np.testing.assert_array_equal(signal.data[0], written, err_msg=str(path))
            assert signal.data.shape == (1, len(written))


class TestGenerated:
    def test_it_conforms(self, root):
        check_dataset(Hku956, root)

    def test_samples_and_labels_are_those_of_an_independent_reading(self, root):
        for subject in Hku956(root).subjects():
            compare(root, subject)

    def test_every_rating_is_the_drawn_one(self, root):
        truth = synthetic.draw(6, 3, 1.0, length_s=15.0)
        for subject in Hku956(root).subjects():
            mine = truth[truth["person"] == subject]
            for recording, row in zip(Hku956(root).recordings(subject), mine, strict=True):
                assert recording.id == f"{subject}_{row['position']}_{row['song']}"
                for axis in ("valence", "arousal"):
                    assert recording.labels[axis].values[0] == row[axis]

    def test_a_neutral_rating_has_no_class(self):
        (rule,) = {target.rule for target in Hku956.card.targets if target.kind == "binary"}
        assert [rule(np.array([value])) for value in (-0.1, 0.0, 0.1)] == [0.0, None, 1.0]

    def test_some_songs_are_heard_by_several_subjects_and_most_by_one(self):
        rows = synthetic.draw(30, 0, 1.0)
        heard = pd.DataFrame({"song": rows["song"], "person": rows["person"]}).groupby("song")["person"].nunique()
        assert 0.02 < (heard > 1).mean() < 0.4


def test_a_song_without_a_rating_is_there_without_labels(copy):
    path = copy / made.RATINGS
    rows = [row for row in path.read_text().splitlines() if not row.startswith("hku1903,0,")]
    path.write_text("\n".join(rows))
    first, second, *_ = Hku956(copy).recordings("hku1903")
    assert (set(first.labels), set(second.labels)) == (set(), {"valence", "arousal"})
    assert any("has no row in the table" in finding.what for finding in Hku956(copy).verify())


@pytest.fixture(scope="module")
def real() -> Path:
    return released("hku956")


class TestReal:
    @pytest.mark.parametrize("number", sample(range(1903, 1933), 1903, 1904))
    def test_samples_and_labels_are_those_of_an_independent_reading(self, real, number):
        if f"hku{number}" not in Hku956(real).subjects():
            pytest.skip("this subject is not here")
        compare(real, f"hku{number}")

    def test_what_the_release_calls_neutral_is_exactly_zero(self, real):
        rows = pd.read_csv(real / made.RATINGS)
        for axis in ("valence", "arousal"):
            assert ((rows[axis] == "neutral") == (rows[f"{axis}_rating"] == 0)).all()
            assert ((rows[axis] == "positive") == (rows[f"{axis}_rating"] > 0)).all()
