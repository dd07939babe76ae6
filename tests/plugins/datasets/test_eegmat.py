"""eegmat: its reader and generator against each other, the reader against the real files, and its clock."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from embench.interfaces.metric import Undefined
from embench.interfaces.units import Units
from embench.protocols import load_protocol
from embench.protocols.units import make_units
from embench.statistics.conditioned import comparisons
from embench.testing import check_dataset
from embench_plugins.datasets.eegmat import synthetic
from embench_plugins.datasets.eegmat.reader import Eegmat

from ...sample import sample
from . import edit
from .damages import eegmat as made
from .real import released

OLD_NAMES = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
LENGTH_S = 30.0


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("eegmat")
    synthetic.synthesize(folder, subjects=12, seed=3, effect=1.0, length_s=LENGTH_S)
    return folder


def compare(root: Path, subject: str) -> None:
    """Every sample and label of a subject against pyedflib."""
    rest, task = Eegmat(root).recordings(subject)
    for recording, (name, kind) in zip((rest, task), ((f"{subject}_1", 0), (f"{subject}_2", 1)), strict=True):
        assert (recording.id, recording.order, recording.start_s) == (name, kind, None)
        label = recording.labels["task"]
        assert (label.values.tolist(), label.times, label.classes[kind]) == (
            [kind], None, ("rest", "subtraction")[kind],
        )  # fmt: skip
        with pyedflib.EdfReader(str(root / f"{name}.edf")) as file:
            at = {text: i for i, text in enumerate(file.getSignalLabels())}
            assert recording.duration_s == file.file_duration
            eeg, ecg = recording.signals["eeg"], recording.signals["ecg"]
            assert (eeg.rate, eeg.unit, ecg.unit, len(eeg.channels)) == (500.0, "uV", "mV", 19)
            assert file.getPhysicalDimension(at["ECG ECG"]) == "mV"
            for channel, row in zip(eeg.channels, eeg.data, strict=True):
                place = at[f"EEG {OLD_NAMES.get(channel, channel)}"]
                assert file.getPhysicalDimension(place) == "uV"
                np.testing.assert_allclose(row, file.readSignal(place), rtol=1e-5, atol=1e-5, err_msg=channel)
            np.testing.assert_allclose(ecg.data[0], file.readSignal(at["ECG ECG"]), rtol=1e-5, atol=1e-6)


class TestGenerated:
    def test_it_conforms(self, root):
        check_dataset(Eegmat, root)

    def test_samples_and_labels_are_those_of_an_independent_reading(self, root):
        for subject in ("Subject00", "Subject11"):
            compare(root, subject)

    def test_samples_are_the_drawn_ones_to_half_a_step(self, root):
        rows = synthetic.draw(12, 3, 1.0, length_s=LENGTH_S)
        drawn = synthetic.make_signals(rows[rows["person"] == 5], 3)
        for recording, data in zip(Eegmat(root).recordings("Subject05"), drawn, strict=True):
            steps = np.ptp(data, axis=1)[:, None] / 65535
            assert (np.abs(recording.signals["eeg"].data - data[:19]) <= 0.51 * steps[:19] + 1e-4).all()
            assert (np.abs(recording.signals["ecg"].data - data[20:]) <= 0.51 * steps[20:] + 1e-4).all()

    def test_files_last_as_those_of_the_release(self):
        assert np.bincount(synthetic.draw(1, 0, 1.0)["task"]).tolist() == [182, 62]


@pytest.fixture(scope="module")
def recordings(root) -> list:
    """Rest and subtraction of each subject."""
    reader = Eegmat(root)
    return [list(reader.recordings(subject)) for subject in reader.subjects()]


class TestClock:
    """The task always comes second, in a file of its own: nothing that a clock says may make a comparison."""

    @staticmethod
    def units(recordings) -> Units:
        """Units of 10 s of all subjects, scored by the time since their file began."""
        protocol = load_protocol("subject-independent-v4")
        every = [recording for own in recordings for recording in own]
        made = make_units(every, Eegmat.card, "condition", protocol)
        n = len(made)
        return Units(
            kind="binary",
            y_true=np.array([unit.order for unit in made]),
            score=np.array([unit.start for unit in made]),
            decision=np.zeros(n),
            subject=np.array([unit.subject for unit in made]),
            stimulus=np.array([unit.stimulus for unit in made]),
            start_s=np.array([unit.start_s for unit in made]),
            fold=np.zeros(n, int),
            group=np.array([unit.group for unit in made]),
            length_s=10.0,
            session_s=np.full(n, 100.0),
        )

    def test_hidden_starts_leave_no_comparison_by_time_or_stimulus(self, recordings):
        units = self.units(recordings)
        assert np.isnan(units.start_s).all()
        for name in ("auroc_crossed_matched", "auroc_crossed_time", "auroc_crossed", "auroc_within_stimulus"):
            assert isinstance(comparisons(name, units, np.unique(units.subject)), Undefined)

    def test_whenever_the_second_files_began_no_two_subjects_can_be_compared(self, recordings):
        """Whoever has subtraction at one time and rest at another has rest first: nobody has them the other way
        round."""
        for seed in range(5):
            pauses = np.random.default_rng(seed).uniform(0, 60, len(recordings))
            units = self.units(
                [replace(rest, start_s=0.0), replace(task, start_s=rest.duration_s + pause)]
                for (rest, task), pause in zip(recordings, pauses, strict=True)
            )
            for name in ("auroc_crossed_matched", "auroc_crossed_time"):
                (table,) = comparisons(name, units, np.unique(units.subject))
                assert not table.pairs.any()

    def test_the_card_says_that_the_order_is_fixed_and_that_no_rest_is_in_every_recording(self):
        assert Eegmat.card.fixed_order
        assert Eegmat.card.baseline is None


def test_verify_says_who_is_missing(root):
    assert Eegmat(root).verify()[0].what.startswith("12 of 36 subjects are here, not Subject12")


def test_without_the_hearts_channel_there_is_eeg_alone(tmp_path):
    made.whole(tmp_path)
    edit.replace("ECG ECG", "EMG EMG")(tmp_path / made.REST)
    first, second = Eegmat(tmp_path).recordings("Subject00")
    assert (set(first.signals), set(second.signals)) == ({"eeg"}, {"eeg", "ecg"})


@pytest.fixture(scope="module")
def real() -> Path:
    return released("eegmat")


class TestReal:
    @pytest.mark.parametrize("number", sample(range(36), 0, 4, 10))
    def test_samples_and_labels_are_those_of_an_independent_reading(self, real, number):
        if f"Subject{number:02d}" not in Eegmat(real).subjects():
            pytest.skip("this subject is not here")
        compare(real, f"Subject{number:02d}")

    def test_headers_hide_when_a_file_began(self, real):
        for path in real.glob("*.edf"):
            with pyedflib.EdfReader(str(path)) as file:
                begin = file.getStartdatetime()
            assert (begin.month, begin.day, begin.hour, begin.minute, begin.second) == (1, 1, 0, 0, 0)

    def test_the_filters_on_the_card_are_those_of_the_headers(self, real):
        with pyedflib.EdfReader(str(real / "Subject00_1.edf")) as file:
            said = {file.getPrefilter(channel) for channel in range(file.signals_in_file)}
        assert said == {"HP:0.500000Hz LP:45.000000Hz RF:50Hz"}
        assert {card.applied for card in Eegmat.card.modalities.values()} == {(0.5, 45.0)}
