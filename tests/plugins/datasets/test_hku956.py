"""HKU956: its reader and generator against each other, and the reader against the real files."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from embench.errors import DataError, UsageError
from embench.testing import check_dataset
from embench_plugins.datasets.hku956 import Hku956
from embench_plugins.datasets.synthetic import hku956 as synthetic

from .measures import auroc, digests

FILES = {"ppg": ("BVP", 64), "eda": ("EDA", 4), "temp": ("TEMP", 4), "hr": ("HR", 1)}
SIGNALS = "1. physiological_signals"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hku956")
    synthetic.synthesize(folder, subjects=6, seed=3, effect=1.0, length_s=15.0)
    return folder


@pytest.fixture
def copy(tmp_path, root) -> Path:
    """Two subjects, to be damaged."""
    for person in ("hku1903", "hku1904"):
        shutil.copytree(root / SIGNALS / person, tmp_path / SIGNALS / person)
    for path in root.glob("*.csv"):
        shutil.copy(path, tmp_path)
    return tmp_path


def first_song(root: Path, folder: str = "BVP") -> Path:
    return next((root / SIGNALS / "hku1903" / folder).glob("0_*.csv"))


def compare(root: Path, subject: str) -> None:
    """Every sample and label of a subject against pandas."""
    rows = pd.read_csv(root / "3. AV_ratings.csv")
    rows = rows[rows["participant_id"] == subject].sort_values("song_no")
    recordings = list(Hku956(root).recordings(subject))
    assert [recording.order for recording in recordings] == rows["song_no"].tolist()
    for recording, row in zip(recordings, rows.to_dict("records"), strict=True):
        assert (recording.stimulus, recording.start_s) == (str(row["song_id"]), None)
        assert recording.duration_s == row["play_duration"]
        assert recording.labels["valence"].values.tolist() == [row["valence_rating"]]
        assert recording.labels["arousal"].values.tolist() == [row["arousal_rating"]]
        for modality, (folder, rate) in FILES.items():
            path = root / SIGNALS / subject / folder / f"{row['song_no']}_{row['song_id']}.csv"
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

    @pytest.mark.parametrize("rate", ["heart_rate", "scr_per_min"])
    def test_an_oracle_scores_ninety_at_effect_one_and_chance_at_none(self, rate):
        found = {}
        for effect in (1.0, 0.0):
            _, value, label, subject = synthetic.oracle(30, 0, effect)[rate]
            found[effect] = np.mean([auroc(value[subject == p], label[subject == p]) for p in np.unique(subject)])
        assert found[1.0] == pytest.approx(0.9, abs=0.03)
        assert found[0.0] == pytest.approx(0.5, abs=0.06)

    def test_same_arguments_same_bytes(self, tmp_path):
        for name in ("a", "b"):
            synthetic.synthesize(tmp_path / name, 2, 5, 0.5, length_s=12.0)
        assert digests(tmp_path / "a") == digests(tmp_path / "b")

    @pytest.mark.parametrize("wrong", [{"length_s": 5}, {"length_s": float("nan")}, {"subjects": 31}, {"effect": 2}])
    def test_arguments_out_of_range(self, tmp_path, wrong):
        with pytest.raises(UsageError):
            synthetic.synthesize(tmp_path / "out", **{"subjects": 2, "seed": 0, "effect": 1.0, **wrong})
        assert not (tmp_path / "out").exists()


class TestFaults:
    def test_both_spellings_of_the_folder_are_read_here_and_inside_an_archives_folder(self, copy, tmp_path):
        inside = tmp_path / "HKU956"
        inside.mkdir()
        (copy / SIGNALS).rename(inside / "1. physiological signals")
        for path in copy.glob("*.csv"):
            path.rename(inside / path.name)
        assert Hku956(tmp_path).subjects() == ["hku1903", "hku1904"]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("1580000000\n" + "1.5\n" * 900, "line 1: the first sample is 1580000000"),
            ("1.5\n" * 5 + "x\n", "line 6: not readable"),
            ("1.5\n" * 64, "of the same song"),
            ("1.5,2\n" * 900, "2 columns"),
            ("", "empty"),
        ],
    )
    def test_a_bad_signal_file_is_named(self, copy, text, said):
        path = first_song(copy)
        path.write_text(text)
        with pytest.raises(DataError, match=said) as caught:
            list(Hku956(copy).recordings("hku1903"))
        assert caught.value.where == str(path)
        assert [f.where for f in Hku956(copy).verify() if f.severity == "error"] == [str(path)]

    def test_two_songs_at_one_position_are_refused(self, copy):
        shutil.copy(first_song(copy), first_song(copy).with_name("0_1.csv"))
        with pytest.raises(DataError, match="two songs at position 0"):
            list(Hku956(copy).recordings("hku1903"))

    def test_a_song_without_a_rating_is_there_without_labels(self, copy):
        path = copy / "3. AV_ratings.csv"
        rows = [row for row in path.read_text().splitlines() if not row.startswith("hku1903,0,")]
        path.write_text("\n".join(rows))
        first, second, *_ = Hku956(copy).recordings("hku1903")
        assert (set(first.labels), set(second.labels)) == (set(), {"valence", "arousal"})
        assert any("has no row in the table" in finding.what for finding in Hku956(copy).verify())

    def test_verify_compares_ratings_with_what_the_release_calls_them(self, copy):
        path = copy / "3. AV_ratings.csv"
        path.write_text(path.read_text().replace("positive", "negative"))
        assert any("and called negative" in finding.what for finding in Hku956(copy).verify())

    @pytest.mark.parametrize(
        ("old", "new", "said"), [("song_no", "number", "no column song_no"), (",", ";", "no column")]
    )
    def test_a_bad_table_of_ratings_is_named(self, copy, old, new, said):
        path = copy / "3. AV_ratings.csv"
        path.write_text(path.read_text().replace(old, new))
        with pytest.raises(DataError, match=said) as caught:
            list(Hku956(copy).recordings("hku1903"))
        assert caught.value.where == str(path)

    def test_another_folder_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="no file of HKU956"):
            Hku956(tmp_path).subjects()


@pytest.fixture(scope="module")
def real() -> Path:
    folder = Path(os.environ.get("EMBENCH_TEST_DATA", "")) / "hku956"
    if not os.environ.get("EMBENCH_TEST_DATA") or not folder.is_dir():
        pytest.skip("EMBENCH_TEST_DATA does not say where the recordings of hku956 are")
    return folder


class TestReal:
    def test_samples_and_labels_are_those_of_an_independent_reading(self, real):
        for subject in Hku956(real).subjects():
            compare(real, subject)

    def test_what_the_release_calls_neutral_is_exactly_zero(self, real):
        rows = pd.read_csv(real / "3. AV_ratings.csv")
        for axis in ("valence", "arousal"):
            assert ((rows[axis] == "neutral") == (rows[f"{axis}_rating"] == 0)).all()
            assert ((rows[axis] == "positive") == (rows[f"{axis}_rating"] > 0)).all()
