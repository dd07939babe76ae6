"""What a `dataset.yaml` without labels says, generated folders, and what becomes of a `corpus.yaml`."""

import re
from pathlib import Path

import numpy as np
import pyedflib
import pytest
import wfdb
import yaml

from embench.testing import check_dataset
from embench_plugins.datasets.formats.channels import canonical
from embench_plugins.datasets.own.corpus import Corpus
from embench_plugins.datasets.own.draft import draft
from embench_plugins.datasets.own.layout import Unlabelled
from embench_plugins.datasets.own.synthetic import corpus
from embench_plugins.encoders.cnn_tf import MONTAGE

from .corpus_files import describe, source
from .damages.corpus import old
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
    assert canonical(written, "eeg") == canonical(standard, "eeg")
    assert canonical("T3", "emg") != canonical("T7", "emg")


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
        corpus.synthesize(tmp_path / "corpus", subjects=9, seed=0, effect=1.0, length_s=12)
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
        corpus.synthesize(tmp_path / "corpus", subjects=2, seed=0, effect=1.0, length_s=12)
        reader = Corpus(tmp_path / "corpus")
        with pyedflib.EdfReader(str(tmp_path / "corpus" / "eeg" / "S001R01.edf")) as file:
            expected = np.stack([file.readSignal(i) for i in range(10)])
            assert file.getSignalLabels()[0] == "F7.."
        np.testing.assert_array_equal(next(reader.recordings("S001")).signals["eeg"].data, expected.astype(np.float32))
        record = wfdb.rdrecord(str(tmp_path / "corpus" / "ecg" / "S002"), physical=False)
        assert record.calc_checksum() == [check % 65536 for check in record.checksum]

    def test_same_arguments_same_bytes(self, tmp_path):
        for name in ("a", "b"):
            corpus.synthesize(tmp_path / name, subjects=3, seed=5, effect=0.0, length_s=8)
        one, other = ([p.read_bytes() for p in sorted((tmp_path / n).rglob("*.*"))] for n in ("a", "b"))
        assert one == other


class TestFormer:
    """A `corpus.yaml` is read as before, and says once how it becomes a `dataset.yaml`."""

    @pytest.mark.parametrize(
        ("files", "pattern", "subject", "expected"),
        [
            (("mitdb/100.csv", "mitdb/101.csv"), "mitdb/*.csv", r"mitdb/(\d+)", "mitdb/{participant}.csv"),
            (("p1/a.csv", "p1/b.csv", "p2/a.csv"), "*/*.csv", None, "{participant}/{part1}.csv"),
            (("p1.csv", "p2.csv"), "*.csv", None, "{participant}.csv"),
            (("S001/S001R03.csv", "S001/S001R10.csv", "S002/S002R10.csv"), "S*/S*R*.csv", r"S\d{3}",
             "{participant}/S{s}.csv"),
            (("A-SubjectJ-1.csv", "BB-SubjectK-12.csv", "C-SubjectK-12.csv"), "*.csv", "-(Subject[A-Z])-",
             "{subject}-Subject{participant}-{part2}.csv"),
            (("d/1-1-S7_16.csv", "d/1-1-S12_17.csv"), "d/*.csv", "1-1-([^_]+)_", "d/1-1-{participant}_{part1}.csv"),
            (("S1R1.csv", "S1R2.csv", "S2R1.csv"), "*.csv", r"S\d", None),
            (("a/p1.csv", "b/c/p1.csv"), "**/*.csv", None, None),
            (("x/p1/a.csv", "y/p1/a.csv"), "*/*/a.csv", None, "{participant}/p1/a.csv"),
            (("p1.csv", "p2.csv", "p3.csv"), "p[12].csv", None, None),
        ],
    )  # fmt: skip
    def test_the_same_files_of_the_same_subjects(self, tmp_path, files, pattern, subject, expected):
        write(tmp_path, dict.fromkeys(files, "lead\n1\n2\n"))
        signals = {"ecg": {"channels": ["lead"], "rate": 4, "unit": "mV"}}
        about = {"files": pattern, "signals": signals} | ({"subject": subject} if subject else {})
        head = {"title": "t", "citation": "c", "licence": "l", "mains_hz": 50}
        (tmp_path / "corpus.yaml").write_text(yaml.safe_dump({**head, "sources": [about]}))
        with pytest.warns(FutureWarning, match="`embench data new"):
            before = Corpus(tmp_path)
        text = draft(tmp_path)
        (made,) = yaml.safe_load(text)["recordings"]
        if expected is None:
            assert made["files"].startswith(f"TODO: {{participant}} and other names in place of `{pattern}`")
            return
        assert made == {"files": expected, "signals": signals}
        (tmp_path / "dataset.yaml").write_text(text)
        after = Corpus(tmp_path)
        (tmp_path / "corpus.yaml").unlink()

        def of(reader):
            return sorted(r.id for s in reader.subjects() for r in reader.recordings(s))

        assert of(after) == of(before)
        assert len(after.subjects()) == len(before.subjects())

    def test_verify_says_so_and_ids_are_paths(self, tmp_path):
        old(tmp_path)
        with pytest.warns(FutureWarning):
            reader = Corpus(tmp_path)
        (recording,) = reader.recordings("a")
        assert (recording.id, set(recording.signals)) == ("a.csv", {"ecg", "eog"})
        assert any(f.where.endswith("corpus.yaml") and "read until 0.2 only" in f.what for f in reader.verify())
