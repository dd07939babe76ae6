"""What a `dataset.yaml` without labels says and generated folders."""

import re
from pathlib import Path

import numpy as np
import pyedflib
import pytest
import wfdb
import yaml

from embench.testing import check_dataset
from embench_plugins.datasets.formats.channels import simplify_name
from embench_plugins.datasets.own import synthetic
from embench_plugins.datasets.own.layout import Unlabelled
from embench_plugins.datasets.own.reader import Corpus
from embench_plugins.encoders.cnn_tf import MONTAGE

from .corpus_files import describe, source
from .own_files import write


def test_the_card_is_the_folders(tmp_path):
    card = Corpus(describe(tmp_path, source("{participant}.csv"))).card
    assert (card.title, card.licence, card.mains_hz, card.targets) == ("Some recordings", "CC BY 4.0", 50, ())
    assert (card.modalities["ecg"].channels, card.default_modalities) == (("lead",), ("ecg",))
    assert (card.name, card.longest_s) == ("corpus", 600)
    assert Corpus.card.title != card.title


@pytest.mark.parametrize(
    ("written", "standard"),
    [("Fc5.", "FC5"), ("Cz..", "Cz"), ("T3", "T7"), ("t4", "T8"), ("T5", "P7"), ("EEG T6-REF", "P8"),
     ("EEG Fp1", "Fp1")],
)  # fmt: skip
def test_electrodes_have_one_name(written, standard):
    assert simplify_name(written, "eeg") == simplify_name(standard, "eeg")
    assert simplify_name("T3", "emg") != simplify_name("T7", "emg")


def test_the_descriptions_on_the_page_can_be_followed(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "datasets" / "corpus.md").read_text("utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    hearts, wristbands, eeg = (Unlabelled.model_validate(yaml.load(block, yaml.BaseLoader)) for block in blocks)
    assert [of.modalities for of in (hearts, wristbands, eeg)] == [("ecg",), ("ppg", "eda", "temp"), ("eeg",)]
    assert tuple(eeg.recordings[0].signals["eeg"].channels) == MONTAGE
    for of, subjects in (
        (hearts, {"mitdb/100.hea": "100", "ptbdb/patient001/s0010_re.hea": "patient001"}),
        (wristbands, {"participant_data/2023-02-06/S7-3YK3L151ZX/raw_data/v6/1-1-S7_1675422454.avro": "S7"}),
        (eeg, {"eegmmidb/S088/S088R03.edf": "S088", "way-eeg-gal/P12/HS_P12_S1.mat": "P12",
               "large-eeg-bci/CLA-SubjectJ-170504-3St.mat": "SubjectJ"}),
    ):  # fmt: skip
        write(tmp_path, dict.fromkeys(subjects, ""))
        found = [facts["participant"] for one in of.recordings if one.files for _, facts in one.files.matches(tmp_path)]
        assert found == list(subjects.values())


class TestSynthetic:
    def test_every_kind_is_there_and_reads_back(self, tmp_path):
        synthetic.synthesize_corpus(tmp_path / "corpus", subjects=9, seed=0, effect=1.0, length_s=12)
        reader, rates = Corpus(tmp_path / "corpus"), {}
        for subject in reader.subjects():
            (recording,) = reader.recordings(subject)
            assert recording.duration_s == 12
            for modality, signal in recording.signals.items():
                rates.setdefault(modality, set()).add(signal.rate)
                assert signal.channels == reader.card.modalities[modality].channels
        assert rates == {"eeg": {128, 160}, "ecg": {250, 256}, "eda": {256}}
        check_dataset(Corpus, tmp_path / "corpus")

    def test_the_libraries_read_the_files_too(self, tmp_path):
        synthetic.synthesize_corpus(tmp_path / "corpus", subjects=2, seed=0, effect=1.0, length_s=12)
        reader = Corpus(tmp_path / "corpus")
        with pyedflib.EdfReader(str(tmp_path / "corpus" / "eeg" / "S001R01.edf")) as file:
            expected = np.stack([file.readSignal(i) for i in range(10)])
            assert file.getSignalLabels()[0] == "F7.."
        np.testing.assert_array_equal(next(reader.recordings("S001")).signals["eeg"].data, expected.astype(np.float32))
        record = wfdb.rdrecord(str(tmp_path / "corpus" / "ecg" / "S002"), physical=False)
        assert record.calc_checksum() == [check % 65536 for check in record.checksum]

    def test_same_arguments_same_bytes(self, tmp_path):
        for name in ("a", "b"):
            synthetic.synthesize_corpus(tmp_path / name, subjects=3, seed=5, effect=0.0, length_s=8)
        one, other = ([p.read_bytes() for p in sorted((tmp_path / n).rglob("*.*"))] for n in ("a", "b"))
        assert one == other
