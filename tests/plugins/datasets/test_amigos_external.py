"""The external annotations of AMIGOS: segments in seconds, and synthetic ones that the body follows."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from embench.protocols import label_units, load_protocol, make_units
from embench.testing import check_dataset
from embench_plugins.datasets.amigos import synthetic
from embench_plugins.datasets.amigos.reader import Amigos, AmigosExternal
from embench_plugins.datasets.amigos.release import LONG, SEGMENTS, SHORT, list_segments

from .amigos_made import own_file, row, subject_file
from .measures import auroc
from .oracles import of_amigos_external


@pytest.fixture(scope="module")
def nine(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("amigos")
    synthetic.synthesize_external(root, subjects=9, seed=4, effect=1.0, length_s=40.0)
    return root


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("amigos")
    synthetic.synthesize_external(root, subjects=3, seed=4, effect=1.0, length_s=25.0)
    return root


def one_trial(root: Path, annotations: np.ndarray, seconds: float) -> Path:
    """A subject with a trial of video 10 that lasts so long, and 19 short ones."""
    data = [np.ones((round(seconds * 128), 17))] + [np.ones((64, 17))] * 19
    own_file(
        root / "Data_Preprocessed_P02.mat",
        joined_data=row(data),
        labels_ext_annotation=row([annotations] + [np.ones((2, 3))] * 19),
    )
    return root


class TestSegments:
    def test_the_first_is_20_s_with_the_rest_then_blocks_from_5_s_and_the_final_20_s(self):
        np.testing.assert_array_equal(
            list_segments(6, 91.0), [[0, 20], [5, 25], [25, 45], [45, 65], [65, 85], [71, 91]]
        )  # fmt: skip

    def test_their_number_in_the_release(self):
        assert sum(SEGMENTS.values()) * 37 == 12_580

    def test_a_second_has_the_annotation_of_its_segment_and_the_mean_where_two_overlap(self, tmp_path):
        annotations = np.array([[1, -0.8, 0.1], [2, -0.4, 0.3], [3, 0.2, 0.5], [4, 0.6, 0.9]])
        recording = next(AmigosExternal(one_trial(tmp_path, annotations, 61.5)).recordings("P02"))
        for name, (a, b, c, d) in {"valence": annotations[:, 1], "arousal": annotations[:, 2]}.items():
            label = recording.labels[name]
            assert label.kind == "continuous"
            np.testing.assert_array_equal(label.times, np.arange(61) + 0.5)
            # The last segment starts at 41.5 s, and so is in force at the middle of second 41 already.
            expected = [a] * 5 + [(a + b) / 2] * 15 + [b] * 5 + [c] * 16 + [(c + d) / 2] * 4 + [d] * 16
            np.testing.assert_allclose(label.values, expected)

    def test_segments_out_of_order_are_sorted_by_their_index(self, tmp_path):
        annotations = np.array([[2, 0.5, 0.5], [1, -0.5, -0.5]])
        recording = next(AmigosExternal(one_trial(tmp_path, annotations, 25.0)).recordings("P02"))
        values = recording.labels["valence"].values
        np.testing.assert_allclose(values, [-0.5] * 5 + [0.0] * 15 + [0.5] * 5)

    def test_units_are_labelled_above_zero(self, tmp_path):
        annotations = np.array([[1, -0.8, 0.1], [2, -0.4, 0.3], [3, 0.2, 0.5], [4, 0.6, -0.9]])
        reader = AmigosExternal(one_trial(tmp_path, annotations, 65.0))
        recording = next(reader.recordings("P02"))
        units = make_units([recording], reader.card, "continuous", load_protocol("subject-independent-v4"))
        assert [(unit.start, unit.stop) for unit in units] == [(10.0 * i, 10.0 * i + 10) for i in range(6)]
        made = {
            target.name: label_units(units, {recording.id: recording.labels[target.label]}, target.rule)[1].tolist()
            for target in reader.card.targets
        }
        assert made["valence"] == [0, 0, 0, 1, 1, 1]
        assert made["arousal"] == [1, 1, 1, 1, 0, 0]
        assert made["valence_value"] == pytest.approx([-0.7, -0.6, -0.1, 0.2, 0.4, 0.6])


class TestQuirks:
    def test_both_kinds_of_videos_and_their_groups(self, three):
        recordings = {r.stimulus: r for r in AmigosExternal(three).recordings("P01")}
        assert tuple(recordings) == SHORT + LONG
        assert {recordings[video].group for video in SHORT} == {"P01"}
        assert {recordings[video].group for video in LONG} == {"group1"}

    def test_values_off_the_scale_are_held_within_it(self, three):
        cells = loadmat(AmigosExternal(three).files("P02")[0])
        assert cells["labels_ext_annotation"][0, 4][:, 1:].max() > 1
        recordings = {r.stimulus: r for r in AmigosExternal(three).recordings("P02")}
        assert recordings[SHORT[4]].labels["valence"].values.max() == 1
        findings = [f"{finding.where}: {finding.what}" for finding in AmigosExternal(three).verify()]
        assert any("P02_V19: annotations of the mean off the scale" in line for line in findings)

    def test_p08_has_no_annotation_at_all(self, tmp_path):
        cells = loadmat(subject_file(tmp_path, 8))
        assert {cell.shape for cell in cells["labels_ext_annotation"].ravel()} == {(1, 0)}

    def test_annotations_without_data_and_data_without_annotations(self, tmp_path, three):
        annotations = row([np.empty((1, 0))] + [np.ones((2, 3))] * 19)
        own_file(tmp_path / "Data_Preprocessed_P02.mat", seconds=2.0, labels_ext_annotation=annotations)
        assert next(AmigosExternal(tmp_path).recordings("P02")).labels == {}
        findings = [f"{finding.where}: {finding.what}" for finding in AmigosExternal(three).verify()]
        assert "P03_V30: annotations without data" in findings

    def test_files_without_that_variable_have_no_labels(self, tmp_path):
        own_file(tmp_path / "Data_Preprocessed_P02.mat", labels_ext_annotation=None)
        assert all(not recording.labels for recording in AmigosExternal(tmp_path).recordings("P02"))


@pytest.mark.slow
class TestGenerated:
    def test_what_is_read_is_what_was_drawn(self, nine):
        """The mean of what is felt in each segment, as the release gives it, second by second."""
        moments = synthetic.draw_external(9, 4, 1.0, 40.0)
        for subject in ("P01", "P09"):
            for cell, recording in enumerate(AmigosExternal(nine).recordings(subject)):
                own = moments[(moments["person"] == int(subject[1:])) & (moments["cell"] == cell)]
                for name in ("arousal", "valence"):
                    spans = list_segments(3, recording.duration_s)
                    inside = [(a <= own["second"]) & (own["second"] < b) for a, b in spans]
                    annotations = np.array([np.tanh(0.5 * own[name][where].mean()) for where in inside])
                    covers = np.array(inside)[:, : int(recording.duration_s)]
                    expected = (annotations[:, None] * covers).sum(axis=0) / covers.sum(axis=0)
                    np.testing.assert_allclose(recording.labels[name].values, expected)

    def test_it_keeps_the_interface(self, nine):
        check_dataset(AmigosExternal, nine)
        check_dataset(Amigos, nine)

    def test_both_classes_occur_in_everybody(self):
        for _, _, label, subject in of_amigos_external(40, 3, 1.0).values():
            shares = [label[subject == one].mean() for one in range(1, 41)]
            assert min(shares) > 0.1
            assert max(shares) < 0.9

    def test_a_video_names_no_label(self):
        rows = np.concatenate([synthetic.draw_external(40, seed, 1.0, 20.0) for seed in range(4)])
        for target in ("arousal", "valence"):
            by_video = [rows[target][rows["cell"] == cell].mean() for cell in range(20)]
            assert np.abs(by_video).max() < 0.3  # 160 subjects, each a mean of about 20 s: a standard error of .07

    def test_mean_and_variance_of_a_unit_carry_nothing(self, nine):
        scores = {}
        reader = AmigosExternal(nine)
        subjects = [[r for r in reader.recordings(subject) if r.labels] for subject in reader.subjects()]
        for modality in reader.card.default_modalities:
            for channel in range(len(reader.card.modalities[modality].channels)):
                for moment in (np.mean, np.std):
                    for target in ("arousal", "valence"):
                        scores[modality, channel, moment.__name__, target] = np.nanmean(
                            [self._auroc(subject_id, modality, channel, moment, target) for subject_id in subjects]
                        )
        # Eight subjects of about 20 trials that say something new: each figure has a standard error of .05.
        assert max(np.abs(np.array(list(scores.values())) - 0.5)) < 0.2
        assert np.mean(list(scores.values())) == pytest.approx(0.5, abs=0.05)

    def _auroc(self, recordings, modality, channel, moment, target) -> float:
        figures, labels = [], []
        for recording in recordings:
            if modality not in recording.signals:
                continue
            for start in range(10, int(recording.duration_s) - 9, 10):
                x = recording.signals[modality].data[channel, start * 128 : (start + 10) * 128].astype(float)
                if np.isfinite(x).all():
                    figures.append(moment(x))
                    labels.append(recording.labels[target].values[start : start + 10].mean() > 0)
        return auroc(np.array(figures), np.array(labels))

    def test_the_folder_says_what_is_planted(self, nine):
        written = json.loads((nine / "EMBENCH_SYNTHETIC.json").read_text())
        assert (written["dataset"], written["planted"]) == ("amigos", "external annotation")
