"""FACED as its authors preprocessed it: pickles by clip number, joined with ratings that lie beside them."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from embench.testing import check_dataset
from embench_plugins.datasets.faced.reader import Faced, FacedProcessed
from embench_plugins.datasets.faced.release import CLIPS, ELECTRODES, EMOTIONS

from .damages import faced as made
from .damages.faced import ORDER, values
from .faced_files import play, ratings, write_bids, write_original
from .real import released


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """Two people, without ratings."""
    root = tmp_path_factory.mktemp("processed")
    made.processed(root)
    made.pickled(values(61))(root / "Processed_data" / "sub061.pkl")
    return root


@pytest.fixture
def rated(bare, tmp_path) -> Path:
    """The same two, one with ratings in the original's `Data`."""
    (tmp_path / "Processed_data").symlink_to(bare / "Processed_data")
    write_original(tmp_path / "Data", "sub-007", play(ORDER), ratings(CLIPS))
    return tmp_path


class TestProcessed:
    @pytest.mark.slow
    def test_it_conforms(self, rated):
        check_dataset(FacedProcessed, rated)

    def test_samples_are_those_of_the_pickle_without_the_mastoids(self, bare):
        data = values(61)
        for clip, recording in zip(CLIPS, FacedProcessed(bare).recordings("sub-061"), strict=True):
            eeg = recording.signals["eeg"]
            assert (recording.id, recording.stimulus) == (f"sub-061_clip{clip:02d}", f"clip{clip:02d}")
            assert (eeg.channels, eeg.rate, eeg.unit, recording.duration_s) == (ELECTRODES, 250.0, "uV", 30.0)
            np.testing.assert_array_equal(eeg.data, data[clip - 1, :30])

    def test_alone_it_has_the_clips_own_labels_and_no_order(self, bare):
        for clip, recording in zip(CLIPS, FacedProcessed(bare).recordings("sub-007"), strict=True):
            assert (recording.order, recording.start_s) == (None, None)
            assert set(recording.labels) == {"emotion", "positive", "clip", "emotion_shuffled"}
            assert EMOTIONS[int(recording.labels["emotion"].values[0])] == CLIPS[clip].emotion

    def test_ratings_and_order_come_from_the_originals_data(self, rated):
        reader = FacedProcessed(rated)
        for clip, recording in zip(CLIPS, reader.recordings("sub-007"), strict=True):
            assert recording.order == ORDER.index(clip)
            assert recording.labels["joy"].values[0] == ratings(CLIPS)[clip][0]
        assert [path.name for path in reader.files("sub-007")] == ["sub007.pkl", "After_remarks.mat"]
        assert [path.name for path in reader.files("sub-061")] == ["sub061.pkl"]
        assert reader.verify()[0].what == "no ratings and no order of play of 1 subjects: sub-061"

    def test_ratings_and_order_come_from_bids_sidecars_too(self, bare, tmp_path):
        (tmp_path / "Processed_data").symlink_to(bare / "Processed_data")
        write_bids(tmp_path, "sub-007", play(ORDER), ratings(CLIPS))
        first = next(FacedProcessed(tmp_path).recordings("sub-007"))
        assert first.order == ORDER.index(1)
        assert first.labels["arousal"].values[0] == pytest.approx(ratings(CLIPS)[1][8])

    def test_the_folder_of_pickles_may_be_given_itself(self, bare, rated):
        assert FacedProcessed(rated / "Processed_data").subjects() == ["sub-007", "sub-061"]
        inside = FacedProcessed(rated / "Processed_data")
        assert inside.files("sub-007")[0].name == "sub007.pkl"
        assert FacedProcessed(bare / "Processed_data").subjects() == ["sub-007", "sub-061"]

    def test_labels_are_those_of_the_whole_clips_on_the_real_sidecars(self, bare, tmp_path):
        source = released("faced_sidecars")
        (tmp_path / "Processed_data").symlink_to(bare / "Processed_data")
        shutil.copytree(source / "sub-061", tmp_path / "sub-061")
        whole = {recording.id: recording for recording in Faced(source).recordings("sub-061")}
        for recording in FacedProcessed(tmp_path).recordings("sub-061"):
            other = whole[recording.id]
            assert (recording.stimulus, recording.order) == (other.stimulus, other.order)
            assert recording.labels.keys() == other.labels.keys()
            for name, label in recording.labels.items():
                np.testing.assert_array_equal(label.values, other.labels[name].values)


def test_the_person_whose_eeg_is_bad_is_flagged_with_what_is_measured(tmp_path):
    made.pickled(26_010 / 10 * values(0))(tmp_path / "Processed_data" / "sub023.pkl")
    said = [finding.what for finding in FacedProcessed(tmp_path).verify() if finding.severity == "warning"]
    assert said[1].startswith("sub-023: its EEG is bad in the processed release")
    assert said[2].startswith("the EEG has a standard deviation of 1.45e+04 uV")
