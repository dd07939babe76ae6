"""The DEAP reader: every kind of file that holders have, the join of trials and stimuli, copies that are not read."""

import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from embench.errors import DataError
from embench.testing import check_dataset
from embench_plugins.datasets.deap import synthetic
from embench_plugins.datasets.deap.reader import (
    BASELINE_S,
    CHANNELS,
    EEG,
    FILMED,
    GSR,
    RATE,
    RATINGS,
    SAMPLES,
    TRIALS,
    UNFILMED,
    Deap,
)
from embench_plugins.datasets.devices import faces

from .damages import deap as made
from .damages.deap import DAT, PRESENTED


@pytest.fixture(scope="module")
def content() -> dict[str, np.ndarray]:
    return made.content()


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    """Three subjects, trials of 6 s."""
    root = tmp_path_factory.mktemp("deap")
    synthetic.synthesize(root, subjects=3, seed=3, effect=1.0, length_s=6.0)
    return root


@pytest.fixture
def rated(tmp_path) -> Path:
    """One subject with the table of ratings."""
    made.rated(tmp_path)
    return tmp_path


def write(root: Path, content: object, name: str = DAT, protocol: int = 2) -> None:
    made.write_person(root / name, content, protocol)


def check_content(root: Path, content: dict[str, np.ndarray], subject: str = "s01") -> None:
    recordings = list(Deap(root).recordings(subject))
    assert [r.stimulus for r in recordings] == [str(n) for n in range(1, 41)]
    for recording, data, labels in zip(recordings, content["data"], content["labels"], strict=True):
        at = 0
        for modality, channels in CHANNELS.items():
            signal = recording.signals[modality]
            expected = data[at : at + len(channels)] * (-1 if modality == "eda" else 1)
            np.testing.assert_array_equal(signal.data, expected.astype(np.float32))
            assert signal.channels == channels
            assert signal.rate == RATE
            at += len(channels)
        assert {name: recording.labels[name].values[0] for name in RATINGS} == dict(zip(RATINGS, labels, strict=True))


def findings(root: Path) -> str:
    return "\n".join(f"{found.severity} {found.where}: {found.what}" for found in Deap(root).verify())


class TestFormats:
    def test_every_sample_and_rating_is_the_files_own(self, tmp_path, content):
        write(tmp_path, content)
        assert Deap(tmp_path).subjects() == ["s01"]
        check_content(tmp_path, content)

    def test_the_pickle_is_read_where_both_are_there_and_verify_says_so(self, tmp_path, content):
        write(tmp_path, content)
        (tmp_path / "data_preprocessed_matlab").mkdir()
        savemat(tmp_path / "data_preprocessed_matlab" / "s01.mat", {**content, "data": content["data"] + 1})
        savemat(tmp_path / "data_preprocessed_matlab" / "s02.mat", content)
        assert Deap(tmp_path).subjects() == ["s01", "s02"]
        check_content(tmp_path, content, "s01")
        check_content(tmp_path, content, "s02")
        assert "data_preprocessed_matlab/s01.mat: not read" in findings(tmp_path)

    def test_what_else_lies_there_is_left_alone(self, tmp_path, content):
        write(tmp_path, content)
        (tmp_path / "data_original").mkdir()
        for name in (
            "data_original/s01.bdf",
            "data_preprocessed_python/._s01.dat",
            "data_preprocessed_python/readme.dat",
        ):
            (tmp_path / name).write_bytes(b"something else")
        assert Deap(tmp_path).subjects() == ["s01"]
        assert [path.name for path in Deap(tmp_path).files("s01")] == ["s01.dat"]

    def test_float32_and_integers(self, tmp_path, content):
        small = {"data": content["data"].round().astype("<i2"), "labels": content["labels"].astype("<f4")}
        write(tmp_path, small)
        check_content(tmp_path, small)

    @pytest.mark.slow
    def test_real_length(self, tmp_path):
        data = np.zeros((TRIALS, TRIALS, SAMPLES), np.float32)
        data[:] = np.arange(SAMPLES)
        write(tmp_path, {"data": data, "labels": np.full((TRIALS, 4), 5.0)})
        recording = next(Deap(tmp_path).recordings("s01"))
        assert recording.duration_s == 63.0 == Deap.card.longest_s
        assert "samples, not 8064" not in findings(tmp_path)


class TestCard:
    def test_channels_are_the_forty_of_the_release_in_the_first_site_s_order(self):
        assert len(EEG) == 32
        assert EEG[:4] == ("Fp1", "AF3", "F3", "F7")
        assert EEG[16] == "Fp2"
        assert EEG[-1] == "O2"
        assert sum(map(len, CHANNELS.values())) == 40
        assert list(CHANNELS)[3] == "eda"
        assert "ecg" not in CHANNELS

    def test_valence_comes_first_in_a_file(self, tmp_path, content):
        labels = np.tile([8.0, 2.0, 3.0, 4.0], (TRIALS, 1))
        write(tmp_path, {**content, "labels": labels})
        recording = next(Deap(tmp_path).recordings("s01"))
        assert recording.labels["valence"].values == [8.0]
        assert recording.labels["arousal"].values == [2.0]
        assert recording.labels["quadrant"].values == [1.0]  # calm and pleased

    def test_high_is_above_five_and_five_itself_is_low(self):
        for target in Deap.card.targets[:4]:
            assert [target.rule(np.array([value])) for value in (4.99, 5.0, 5.01)] == [0, 0, 1]
        assert Deap.card.default_targets == ("arousal", "valence")

    def test_rest_is_no_part_of_a_unit(self):
        assert Deap.card.baseline.stop_s == BASELINE_S == 3.0
        assert not Deap.card.baseline.in_unit

    def test_resistance_is_turned_so_that_responses_rise(self, tmp_path, content):
        write(tmp_path, content)
        recording = next(Deap(tmp_path).recordings("s01"))
        np.testing.assert_array_equal(recording.signals["eda"].data[0], -content["data"][0, GSR].astype(np.float32))
        assert recording.signals["eda"].unit == "-ohm"


class TestOrder:
    def test_without_the_table_or_rows_in_it_order_and_time_are_unknown(self, rated):
        write(rated, made.content(), "data_preprocessed_python/s02.dat")
        assert {(r.order, r.start_s) for r in Deap(rated).recordings("s02")} == {(None, None)}
        shutil.rmtree(rated / "metadata_csv")
        assert {(r.order, r.start_s) for r in Deap(rated).recordings("s01")} == {(None, None)}

    def test_trials_are_joined_by_experiment_id(self, rated):
        for index, recording in enumerate(Deap(rated).recordings("s01")):
            assert recording.stimulus == str(index + 1)
            assert recording.order == PRESENTED[index] - 1
            assert recording.start_s == pytest.approx(PRESENTED[index] * 90 - 3)  # the table has the video's start
        assert rated / made.RATINGS in Deap(rated).files("s01")
        assert "ratings" not in findings(rated)

    def test_familiarity_is_that_of_the_video_and_may_be_missing(self, generated, tmp_path):
        rows = {int(row["video"]): int(row["familiarity"]) for row in synthetic.draw(3, 3, 1.0) if row["person"] == 1}
        read = {r.stimulus: r.labels["familiarity"].values[0] for r in Deap(generated).recordings("s01")}
        assert read == {str(video): familiarity for video, familiarity in rows.items()}
        assert not any("familiarity" in r.labels for r in Deap(generated).recordings("s02"))
        copy = shutil.copytree(generated, tmp_path / "deap")
        table = next(copy.rglob("participant_ratings.csv"))
        lines = table.read_text("utf-8-sig").splitlines()
        table.write_text("\n".join(line.rpartition(",")[0] for line in lines), "utf-8")
        (first, *_) = Deap(copy).recordings("s01")
        assert first.order is not None
        assert "familiarity" not in first.labels

    def test_a_start_that_is_empty_is_unknown(self, rated):
        table = rated / made.RATINGS
        table.write_text(table.read_text("utf-8-sig").replace(",90000000,", ",,", 1), "utf-8")
        assert [r.order for r in Deap(rated).recordings("s01") if r.start_s is None] == [0]


class TestFaceVideos:
    def test_a_face_video_is_joined_by_trial(self, generated):
        for recording in Deap(generated).recordings("s01"):
            assert recording.video.path.name == f"s01_trial{recording.order + 1:02d}.avi"
            assert recording.video.fps == 50.0
            assert recording.video.span == (-3.0, 3.0)  # of a trial of 6 s, whose rest is not filmed

    def test_clips_that_the_release_lacks(self, generated):
        assert sum(TRIALS - len(UNFILMED.get(subject, ())) for subject in range(1, FILMED + 1)) == 874
        recordings = list(Deap(generated).recordings("s03"))
        assert [r.order for r in recordings if r.video is None] == [39]
        assert "face videos of trial" not in findings(generated)

    def test_a_clip_that_is_lost_is_warned_of(self, generated, tmp_path):
        root = tmp_path / "deap"
        shutil.copytree(generated, root)
        (root / "face_video/s01/s01_trial07.avi").unlink()
        (root / "face_video/s02/s02_trial01.avi").write_bytes(b"RIFF and no more")
        assert [r.order for r in Deap(root).recordings("s01") if r.video is None] == [6]
        broken = [r.order for r in Deap(root).recordings("s02") if r.video and math.isnan(r.video.fps)]
        assert broken == [0]  # whoever decodes it says so
        assert "s01: face videos of trial 7 are missing" in findings(root)
        assert "s02_trial01.avi: not readable" in findings(root)

    def test_a_clip_whose_header_has_a_wrong_rate_is_warned_of_and_not_used(self, generated):
        (warned,) = [found for found in Deap(generated).verify() if "by its header" in found.what]
        assert Path(warned.where).name == "s02_trial03.avi"
        assert warned.what == (
            "lasts 6.0 s by its header, the music video 3 s: its rate must be wrong, and it is not used"
        )
        assert [r.order for r in Deap(generated).recordings("s02") if r.video is None] == [2]

    def test_flat_clips_are_found(self, generated, tmp_path):
        root = tmp_path / "deap"
        shutil.copytree(generated, root)
        for path in (root / "face_video").glob("*/*.avi"):
            path.rename(root / "face_video" / path.name)
        assert all(r.video for r in Deap(root).recordings("s01"))

    def test_without_the_table_no_clip_can_be_told(self, generated, tmp_path):
        root = tmp_path / "deap"
        shutil.copytree(generated, root)
        shutil.rmtree(root / "metadata_csv")
        assert {r.video for r in Deap(root).recordings("s01")} == {None}
        assert "face videos are not used" in findings(root)
        assert [path.name for path in Deap(root).files("s01")] == ["s01.dat"]

    def test_what_openface_saw_is_joined_by_trial_and_starts_after_the_rest(self, rated):
        """Trials of 3.125 s, one of them filmed, or rather the table of its film is there."""
        frame = np.arange(6)
        columns = {"frame": frame + 1, "timestamp": frame / 50, "confidence": 0.98, "success": 1}
        table = pd.DataFrame(columns | dict.fromkeys(faces.CHANNELS, frame / 10))
        path = rated / "openface" / "s01_trial05.csv"
        path.parent.mkdir()
        path.write_text(table.to_csv(index=False))
        recordings = {r.order: r for r in Deap(rated).recordings("s01")}
        assert [order for order, r in recordings.items() if "face_au" in r.signals] == [4]
        signal = recordings[4].signals["face_au"]
        assert (signal.rate, signal.data.shape) == (50, (42, 156))
        assert np.isnan(signal.data[:, :150]).all()
        np.testing.assert_allclose(signal.data[0, 150:], frame / 10, atol=1e-6)
        assert path in Deap(rated).files("s01")
        assert Deap.card.default_modalities == ("eeg", "ppg", "eda")

    def test_clips_are_among_the_files_that_decide(self, generated):
        assert len(Deap(generated).files("s01")) == 42

    @pytest.mark.slow
    def test_conformance(self, generated, tmp_path):
        """Of two subjects, with a few of the face videos, all of which would be decoded."""
        shutil.copytree(generated, tmp_path / "deap")
        for path in [*tmp_path.glob("deap/*/s03.dat"), *tmp_path.glob("deap/face_video/*/*[0-24-9].avi")]:
            path.unlink()
        check_dataset(Deap, tmp_path / "deap")


class TestOddValues:
    def test_missing_ratings_and_samples(self, tmp_path, content):
        labels, data = content["labels"].copy(), content["data"].astype(float)
        labels[3, 1] = np.nan
        data[5, 2, 10] = np.inf
        data[6, 38] = np.nan
        data[7, 0] = 1e300
        write(tmp_path, {"data": data, "labels": labels})
        recordings = list(Deap(tmp_path).recordings("s01"))
        assert set(recordings[3].labels) == {"valence", "dominance", "liking"}
        assert np.isnan(recordings[5].signals["eeg"].data[2, 10])
        assert "ppg" not in recordings[6].signals
        assert np.isnan(recordings[7].signals["eeg"].data[0]).all()

    @pytest.mark.slow
    def test_a_gsr_that_looks_like_a_conductance_is_warned_of(self, tmp_path):
        synthetic.synthesize(tmp_path, subjects=5, seed=0, effect=0.0, length_s=15.0)
        warned = [found.where for found in Deap(tmp_path).verify() if "as a conductance does" in found.what]
        assert [Path(where).name for where in warned] == ["s05.dat"]

    def test_fewer_subjects_are_warned_of_and_one_who_is_not_there_is_refused(self, rated):
        assert "31 of 32 people have no file" in findings(rated)
        with pytest.raises(DataError, match="no file of subject s09"):
            next(Deap(rated).recordings("s09"))
