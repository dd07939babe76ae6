"""FACED's original release: clips from annotations, ratings from MATLAB files, the same recordings as from BIDS."""

from pathlib import Path

import numpy as np
import pyedflib
import pytest

from embench.testing import check_dataset
from embench_plugins.datasets.faced.reader import Faced
from embench_plugins.datasets.faced.release import CLIPS
from embench_plugins.datasets.formats.notes import read_notes

from ...sample import sample
from .damages import faced as made
from .damages.faced import ORDER
from .faced_files import noise, play, ratings, write_bids, write_original

FOREIGN = [(0.3, "91"), (0.4, "101"), (0.5, "232"), (0.6, "101"), (0.7, "76")]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("original")
    for subject in ("sub-029", "sub-061"):
        rate = 250.0 if subject == "sub-029" else 1000.0
        before = FOREIGN if subject == "sub-029" else ()
        write_original(root / "Data", subject, play(ORDER), ratings(CLIPS), data=noise(115, rate), before=before)
    lines = ["sub,Gender,Age,Cohort ,Sample_rate,Unit", "sub029,M,22,1,250,uV", "sub061,F,31,2,1000,V"]
    (root / "Recording_info.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return root


class TestOriginal:
    @pytest.mark.slow
    def test_it_conforms(self, root):
        check_dataset(Faced, root)

    @pytest.mark.parametrize("subject", sample(["sub-029", "sub-061"], "sub-029"))
    def test_recordings_are_those_of_the_bids_release(self, root, tmp_path, subject):
        rate = 250.0 if subject == "sub-029" else 1000.0
        write_bids(tmp_path, subject, play(ORDER), ratings(CLIPS), data=noise(115, rate))
        pairs = zip(Faced(root).recordings(subject), Faced(tmp_path).recordings(subject), strict=True)
        for own, other in pairs:
            assert (own.id, own.order, own.labels.keys()) == (other.id, other.order, other.labels.keys())
            assert own.start_s == pytest.approx(other.start_s)
            assert own.duration_s == pytest.approx(other.duration_s)
            for name, label in own.labels.items():  # numbers as text lose their last bits
                np.testing.assert_allclose(label.values, other.labels[name].values, rtol=1e-12)
            assert (own.signals["eeg"].data == other.signals["eeg"].data).all()

    def test_the_folder_data_may_be_given_itself(self, root):
        assert Faced(root / "Data").subjects() == Faced(root).subjects() == ["sub-029", "sub-061"]
        for folder in (root, root / "Data"):
            assert Faced(folder).subject_info("sub-061") == {
                "sex": "female", "age_band": "30-39", "device": "layout 2, 1000 Hz",
            }  # fmt: skip

    def test_whole_files_have_no_findings(self, root):
        assert [finding for finding in Faced(root).verify() if finding.severity != "note"] == []

    def test_seconds_before_clip_22_are_left_out(self, tmp_path):
        write_original(tmp_path, "sub-036", [(22, 3.0, 83.904), (1, 100.0, 5.0)], ratings(CLIPS))
        first, second = Faced(tmp_path).recordings("sub-036")
        assert first.start_s + first.duration_s == pytest.approx(86.904)
        assert first.duration_s == CLIPS[22].length_s
        assert (second.start_s, second.duration_s) == pytest.approx((100.0, 5.0))

    def test_annotations_are_those_of_an_independent_reading(self, root):
        path = root / "Data" / "sub029" / "evt.bdf"
        with pyedflib.EdfReader(str(path)) as file:
            onsets, _, texts = file.readAnnotations()
        found = read_notes(path)
        assert len(found) == 3 * 28 + 1 + len(FOREIGN)
        assert [text for _, text in found] == list(texts)
        assert [onset for onset, _ in found] == pytest.approx(list(onsets))


def test_ratings_in_another_order_than_the_events_are_joined_by_clip(tmp_path):
    made.original(tmp_path)
    made.rated_otherwise(tmp_path / "sub036")
    first = next(Faced(tmp_path).recordings("sub-036"))
    assert (first.stimulus, first.labels["joy"].values[0]) == ("clip05", pytest.approx(ratings(CLIPS)[5][0]))
