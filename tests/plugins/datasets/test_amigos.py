"""The AMIGOS reader, on synthetic files of the released format with all its quirks, and on bad copies of it."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from embench.errors import DataError
from embench.testing import check_dataset
from embench_plugins.datasets.amigos import release as amigos_files
from embench_plugins.datasets.amigos import synthetic
from embench_plugins.datasets.amigos.reader import Amigos
from embench_plugins.datasets.amigos.release import EEG, SHORT

from ...sample import sample
from .amigos_made import own_file, row, subject_file


@pytest.fixture(scope="module")
def nine(tmp_path_factory) -> Path:
    """Nine generated subjects, P01 to P09, with short trials."""
    root = tmp_path_factory.mktemp("amigos")
    synthetic.synthesize(root, 9, seed=4, effect=1.0, length_s=10.0)
    return root


def read(root: Path, subject: str) -> dict:
    return {recording.stimulus: recording for recording in Amigos(root).recordings(subject)}


class TestReading:
    def test_a_recording_is_a_trial_of_a_short_video(self, nine):
        recordings = read(nine, "P01")
        assert sorted(recordings, key=int) == sorted(SHORT, key=int)
        one = recordings["10"]
        assert (one.id, one.subject, one.group, one.session) == ("P01_V10", "P01", "P01", "short")
        assert one.start_s is None
        assert one.order is None
        assert one.signals["eeg"].channels == EEG
        assert one.signals["ecg"].channels == ("right", "left")
        for modality, signal in one.signals.items():
            assert signal.rate == 128.0
            assert signal.data.dtype == np.float32
            assert len(signal.channels) == len(signal.data)
            assert signal.unit == Amigos.card.modalities[modality].unit
            assert signal.duration_s == one.duration_s

    def test_values_are_the_files_own(self, nine):
        path = Amigos(nine).files("P01")[0]
        cells = loadmat(path)
        recordings = read(nine, "P01")
        assert cells["joined_data"].shape == (1, 20)
        for index, video in enumerate(SHORT):
            data, ratings = cells["joined_data"][0, index], cells["labels_selfassessment"][0, index]
            signals, labels = recordings[video].signals, recordings[video].labels
            np.testing.assert_array_equal(signals["eeg"].data, data[:, :14].T.astype(np.float32))
            np.testing.assert_array_equal(signals["ecg"].data, data[:, 14:16].T.astype(np.float32))
            np.testing.assert_array_equal(signals["eda"].data, (1e6 / data[:, 16:]).T.astype(np.float32))
            assert labels["arousal"].values == ratings[0, 0]  # arousal comes first, unlike in DEAP
            assert labels["valence"].values == ratings[0, 1]
            assert labels["arousal"].times is None

    def test_videos_are_keyed_on_their_name(self, tmp_path):
        videos = [*SHORT[::-1], "N1", "P1", "B1", "U1"]
        ratings = row([np.full((1, 12), 1 + 0.1 * index) for index in range(20)])
        own_file(tmp_path / "Data_Preprocessed_P02.mat", VideoIDs=row(videos), labels_selfassessment=ratings)
        recordings = read(tmp_path, "P02")
        assert recordings["9"].labels["arousal"].values == 1.0
        assert recordings["10"].labels["arousal"].values == 2.5

    def test_it_keeps_the_interface(self, nine):
        check_dataset(Amigos, nine)

    def test_the_label_rule_cuts_at_four_and_a_half(self):
        targets = {target.name: target for target in Amigos.card.targets}
        for name in ("arousal", "valence", "dominance", "liking"):
            assert [targets[name].rule(np.array([value])) for value in (1, 4.5, 4.51, 9)] == [0, 0, 1, 1]
        assert Amigos.card.default_targets == ("arousal", "valence")

    def test_all_four_scales_are_read_and_the_quadrant_of_the_first_two(self, tmp_path):
        given = [(8.0, 2.0, 3.0, 6.0), (2.0, 8.0, 7.0, 1.0), (4.5, 4.5, 5.0, 5.0), (9.0, 4.51, 1.0, 9.0)]
        cells = [np.array([[*four, *np.full(8, 1.0)]]) for four in given] + [np.full((1, 12), np.nan)] * 16
        own_file(tmp_path / "Data_Preprocessed_P02.mat", labels_selfassessment=row(cells))
        found = [r.labels for r in Amigos(tmp_path).recordings("P02")]
        for four, labels in zip(given, found, strict=False):
            assert tuple(float(labels[n].values[0]) for n in ("arousal", "valence", "dominance", "liking")) == four
        assert [float(labels["quadrant"].values[0]) for labels in found[:4]] == [2, 1, 0, 3]
        assert found[4] == {}

    def test_familiarity_and_the_emotions_follow_the_four_scales(self, tmp_path):
        felt = ("neutral", "disgust", "happiness", "surprise", "anger", "fear", "sadness")
        given = np.array([[6.0, 2.0, 3.0, 4.0, 8.5, 0, 1, 0, 0, 0, 1, 0]])
        own_file(tmp_path / "Data_Preprocessed_P02.mat", labels_selfassessment=row([given] * 20))
        labels = read(tmp_path, "P02")["10"].labels
        assert labels["familiarity"].values == 8.5
        assert [name for name in felt if labels[name].values[0]] == ["disgust", "fear"]
        targets = {target.name: target for target in Amigos.card.targets}
        assert [targets[name].rule(labels[name].values) for name in felt] == [0, 1, 0, 0, 0, 1, 0]
        given[0, 4:6] = 0.5, 2
        own_file(tmp_path / "Data_Preprocessed_P02.mat", labels_selfassessment=row([given] * 20))
        odd = {finding.what for finding in Amigos(tmp_path).verify() if "off the scale" in finding.what}
        assert odd == {"familiarity off the scale 1 to 9", "neutral off the scale 0 to 1"}

    def test_copies_with_two_ratings_have_no_others(self, tmp_path):
        own_file(tmp_path / "Data_Preprocessed_P02.mat", labels_selfassessment=row([np.array([[6.0, 2.0]])] * 20))
        assert set(read(tmp_path, "P02")["10"].labels) == {"arousal", "valence", "quadrant"}

    def test_files_of_16_bit_numbers_and_without_compression(self, tmp_path):
        data = row([np.full((700, 17), 7, np.int16) for _ in range(20)])
        path = own_file(tmp_path / "Data_Preprocessed_P02.mat", joined_data=data)
        savemat(path, {k: v for k, v in loadmat(path).items() if not k.startswith("_")}, do_compression=False)
        assert read(tmp_path, "P02")["4"].signals["ecg"].data[0, 0] == 7

    def test_only_positive_resistance_has_an_inverse(self, tmp_path):
        data = np.full((1280, 17), 200.0)
        data[:4, 16] = [0, -3, 1e-9, np.nan]
        data[4, 16] = 1e9  # an open circuit: no conductance
        own_file(tmp_path / "Data_Preprocessed_P02.mat", joined_data=row([data] * 20))
        eda = read(tmp_path, "P02")["4"].signals["eda"].data[0]
        assert np.isnan(eda[:4]).all()
        assert eda[4] == pytest.approx(1e-3)
        assert eda[5] == 5000


class TestQuirks:
    """Each of the release's odd cells, as the synthesizer writes them at their documented places."""

    def test_empty_cells_have_the_released_shapes(self, nine):
        cells = loadmat(Amigos(nine).files("P08")[0])
        assert cells["joined_data"].shape == cells["VideoIDs"].shape == (1, 20)
        assert [cell.shape for cell in cells["joined_data"][0, 16:]] == [(0, 0)] * 4  # P08: no long videos
        assert [cell.shape for cell in cells["labels_selfassessment"][0, 16:]] == [(1, 0)] * 4
        assert {cell.shape for cell in cells["labels_ext_annotation"].ravel()} == {(1, 0)}  # nor any annotation
        assert [str(cell[0]) for cell in cells["VideoIDs"].ravel()] == [*SHORT, "N1", "P1", "B1", "U1"]
        assert cells["joined_data"][0, 0].dtype == np.float64
        assert len(read(nine, "P08")) == 16

    @pytest.mark.parametrize("subject", [24, 28])
    def test_others_without_long_videos(self, tmp_path, subject):
        cells = loadmat(subject_file(tmp_path, subject))
        assert cells["joined_data"][0, 17].size == 0

    def test_long_videos_without_self_assessment(self, tmp_path):
        cells = loadmat(subject_file(tmp_path, 32))
        assert all(cell.shape[1] == 17 for cell in cells["joined_data"][0, 16:])
        assert {cell.shape for cell in cells["labels_selfassessment"][0, 16:]} == {(1, 0)}
        assert len(read(tmp_path, "P32")) == 16

    @pytest.mark.parametrize("subject", sample([12, 21, 22, 23, 24, 33], 12, 33))
    def test_a_modality_without_any_value_is_absent(self, tmp_path, subject):
        subject_file(tmp_path, subject)
        recordings = read(tmp_path, f"P{subject}")
        lost = {SHORT[cell] for cell in synthetic.EEG_LOST[subject]}
        assert {video for video, recording in recordings.items() if "eeg" not in recording.signals} == lost
        assert all({"ecg", "eda"} <= set(recording.signals) for recording in recordings.values())

    def test_lost_ecg(self, nine):
        lost = [video for video, recording in read(nine, "P09").items() if "ecg" not in recording.signals]
        assert lost == [SHORT[cell] for cell in (0, 1, 2, 5, 6, 8, 10, 11, 12, 14, 15)]

    def test_gaps_and_lost_channels_stay_nan(self, nine):
        eeg = read(nine, "P04")[SHORT[9]].signals["eeg"].data
        assert np.isnan(eeg[7]).all()
        assert np.isfinite(np.delete(eeg, 7, axis=0)).all()
        eda = read(nine, "P07")[SHORT[0]].signals["eda"].data
        assert np.isnan(eda).sum() == 64

    def test_labels_without_data_and_data_without_labels(self, nine):
        assert SHORT[7] not in read(nine, "P03")
        assert read(nine, "P06")[SHORT[2]].labels == {}

    def test_a_wrong_checksum_is_passed_over(self, nine):
        with pytest.raises(Exception, match="incorrect data check"):
            loadmat(Amigos(nine).files("P07")[0], verify_compressed_data_integrity=False)
        assert len(read(nine, "P07")) == 16

    def test_verify_tells_them_all(self, nine):
        findings = Amigos(nine).verify()
        text = [f"{finding.where.rsplit('/', 1)[-1]}: {finding.what}" for finding in findings]
        for part in (
            "31 of 40 people have no file",
            "P07.mat: a checksum is wrong",
            "P03_V30: labels without data",
            "P06_V138: data without arousal and valence",
            "P04_V34: no value in O2",
            "P07_V10: gaps in GSR",
            "P09_V10: no value in ECG right, ECG left",
        ):
            assert any(part in line for line in text), part
        assert not [finding for finding in findings if finding.severity == "error"]

    def test_verify_names_a_damaged_file_and_goes_on(self, tmp_path):
        own_file(tmp_path / "Data_Preprocessed_P02.mat")
        (tmp_path / "Data_Preprocessed_P01.mat").write_bytes(b"")
        errors = [finding for finding in Amigos(tmp_path).verify() if finding.severity == "error"]
        assert [Path(error.where).name for error in errors] == ["Data_Preprocessed_P01.mat"]


class TestDamaged:
    def test_a_file_that_unpacks_to_far_too_much(self, tmp_path, monkeypatch):
        monkeypatch.setattr(amigos_files, "MOST_BYTES", 4_000_000)
        path = tmp_path / "Data_Preprocessed_P02.mat"
        packed = zlib.compress(bytes(4_500_000), 1)
        header = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"
        path.write_bytes(header + np.array([15, len(packed)], np.uint32).tobytes() + packed)
        with pytest.raises(DataError, match="its variables take over"):
            read(tmp_path, "P02")

    def test_infinite_samples_are_lost_ones(self, tmp_path):
        data = np.full((1280, 17), 200.0)
        data[3, :2] = np.inf, 1e300
        own_file(tmp_path / "Data_Preprocessed_P02.mat", joined_data=row([data] * 20))
        eeg = read(tmp_path, "P02")["4"].signals["eeg"].data
        assert np.isnan(eeg[:2, 3]).all()
        assert np.isfinite(np.delete(eeg, 3, axis=1)).all()

    def test_a_missing_subject(self, tmp_path):
        own_file(tmp_path / "Data_Preprocessed_P02.mat")
        with pytest.raises(DataError, match="P01"):
            Amigos(tmp_path).files("P01")
