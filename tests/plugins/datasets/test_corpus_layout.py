"""What is said of a `corpus.yaml` that cannot be followed, and how channel names are matched."""

import re
from pathlib import Path

import pytest
import yaml

from embench.errors import DataError
from embench.testing import check_dataset
from embench_plugins.datasets.corpus import Corpus
from embench_plugins.datasets.formats.corpus_layout import Layout, canonical
from embench_plugins.datasets.synthetic import corpus as synthetic
from embench_plugins.encoders.cnn_tf import MONTAGE

GOOD = {
    "title": "Some",
    "citation": "ours",
    "licence": "CC0",
    "mains_hz": 50,
    "sources": [{"files": "*.csv", "signals": {"ecg": {"channels": ["lead"], "rate": 4, "unit": "mV"}}}],
}
OTHER = {"files": "b", "signals": {"ecg": {"channels": ["x", "y"]}}}


def corpus(root: Path, content) -> Corpus:
    (root / "a.csv").write_text("lead\n1\n2\n")
    (root / "corpus.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return Corpus(root)


def with_source(**changes) -> dict:
    return {**GOOD, "sources": [{**GOOD["sources"][0], **changes}]}


def with_ecg(**changes) -> dict:
    ecg = {**GOOD["sources"][0]["signals"]["ecg"], **changes}
    return with_source(signals={"ecg": {key: value for key, value in ecg.items() if value is not None}})


BAD = {
    "unknown key": ({**GOOD, "license": "MIT"}, "unknown key `license`; did you mean licence?"),
    "unknown key inside": (with_ecg(chanels=["x"]), r"key `sources.0.signals.ecg.chanels`; did you mean channels"),
    "missing key": ({k: v for k, v in GOOD.items() if k != "licence"}, "`licence`: Field required"),
    "no sources": ({**GOOD, "sources": []}, "`sources`"),
    "unknown modality": (with_source(signals={"ekg": {"channels": ["x"]}}), "`ekg` is none of .*did you mean eeg|ecg"),
    "no channel": (with_ecg(channels=[]), "no channel is named"),
    "a channel twice": (with_ecg(channels=["a", "a"]), "named twice"),
    "no channels": (with_ecg(channels=None), "channels`: Field required"),
    "no expression": (with_source(subject="(S"), "no regular expression"),
    "outside": (with_source(files="../*.csv"), "below the folder"),
    "absolute": (with_source(files="/data/*.csv"), "below the folder"),
    "a rate of nothing": (with_ecg(rate=0), "rate"),
    "no frequency": ({**GOOD, "mains_hz": "often"}, "`mains_hz`"),
    "other channels": ({**GOOD, "sources": [*GOOD["sources"], OTHER]}, "lead in one source and x, y in another"),
    "no mapping": ("- 1\n- 2\n", "valid dictionary"),
    "no YAML": ("title: [", "not readable as YAML"),
    "empty": ("", "valid dictionary"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_a_fault_is_named_with_its_key(tmp_path, fault):
    content, text = BAD[fault]
    with pytest.raises(DataError, match=text) as caught:
        corpus(tmp_path, content)
    assert caught.value.where.endswith("corpus.yaml")
    assert caught.value.exit_code == 3


def test_a_folder_without_a_layout_says_what_to_write(tmp_path):
    with pytest.raises(DataError, match=r"no corpus\.yaml") as caught:
        Corpus(tmp_path)
    assert "title, citation, licence" in caught.value.expected
    with pytest.raises(DataError, match="no such folder"):
        Corpus(tmp_path / "nowhere")


def test_a_pattern_longer_than_a_name_may_be_matches_nothing(tmp_path):
    with pytest.raises(DataError, match="no file matches"):
        corpus(tmp_path, with_source(files="x" * 300)).subjects()


def test_a_number_of_very_many_digits_is_refused(tmp_path):
    with pytest.raises(DataError, match="not readable as YAML"):
        corpus(tmp_path, "mains_hz: " + "5" * 10_000)


def test_a_pattern_that_matches_nothing_shows_what_is_there(tmp_path):
    with pytest.raises(DataError, match=r"no file matches `\*\.cvs`") as caught:
        corpus(tmp_path, with_source(files="*.cvs")).subjects()
    assert "a.csv" in caught.value.expected


def test_a_file_of_two_sources_is_refused(tmp_path):
    twice = {**GOOD, "sources": [GOOD["sources"][0], {**GOOD["sources"][0], "files": "a.*"}]}
    with pytest.raises(DataError, match=r"two patterns name a\.csv"):
        corpus(tmp_path, twice).subjects()


def test_an_expression_that_finds_nobody_names_the_file(tmp_path):
    with pytest.raises(DataError, match=r"finds nobody in a\.csv"):
        corpus(tmp_path, with_source(subject=r"S\d+")).subjects()


def test_the_card_is_the_folders(tmp_path):
    card = corpus(tmp_path, GOOD).card
    assert (card.title, card.licence, card.mains_hz, card.targets) == ("Some", "CC0", 50, ())
    assert (card.modalities["ecg"].channels, card.default_modalities) == (("lead",), ("ecg",))
    assert Corpus.card.title != "Some"


@pytest.mark.parametrize(
    ("written", "standard"),
    [
        ("Fc5.", "FC5"),
        ("Cz..", "Cz"),
        ("T3", "T7"),
        ("t4", "T8"),
        ("T5", "P7"),
        ("EEG T6-REF", "P8"),
        ("EEG Fp1", "Fp1"),
    ],
)
def test_electrodes_have_one_name(written, standard):
    assert canonical(written, "eeg") == canonical(standard, "eeg")
    assert canonical("T3", "emg") != canonical("T7", "emg")


def test_the_layouts_on_the_page_can_be_followed():
    page = (Path(__file__).parents[3] / "docs" / "datasets" / "corpus.md").read_text("utf-8")
    shown = [
        Layout.model_validate(yaml.safe_load(block)) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    ]
    assert [layout.modalities for layout in shown] == [("ecg",), ("ppg", "eda", "temp"), ("eeg",)]
    wristband = (
        shown[1].sources[0].person("participant_data/2023-02-06/S7-3YK3L151ZX/raw_data/v6/1-1-S7_1675422454.avro")
    )
    assert wristband == "S7"
    paths = ("eegmmidb/S088/S088R03.edf", "way-eeg-gal/P12/HS_P12_S1.mat", "large-eeg-bci/CLA-SubjectJ-170504-3St.mat")
    subjects = [source.person(path) for source, path in zip(shown[2].sources, paths, strict=True)]
    assert subjects == ["S088", "P12", "SubjectJ"]
    assert shown[2].channels("eeg") == MONTAGE


class TestSynthetic:
    def test_every_kind_is_there_and_reads_back(self, tmp_path):
        synthetic.synthesize(tmp_path / "corpus", subjects=9, seed=0, effect=1.0, length_s=12)
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
        import numpy as np
        import pyedflib
        import wfdb

        synthetic.synthesize(tmp_path / "corpus", subjects=2, seed=0, effect=1.0, length_s=12)
        reader = Corpus(tmp_path / "corpus")
        with pyedflib.EdfReader(str(tmp_path / "corpus" / "eeg" / "S001R01.edf")) as file:
            expected = np.stack([file.readSignal(i) for i in range(10)])
            assert file.getSignalLabels()[0] == "F7.."
        np.testing.assert_array_equal(next(reader.recordings("S001")).signals["eeg"].data, expected.astype(np.float32))
        record = wfdb.rdrecord(str(tmp_path / "corpus" / "ecg" / "S002"), physical=False)
        assert record.calc_checksum() == [check % 65536 for check in record.checksum]

    def test_same_arguments_same_bytes(self, tmp_path):
        for name in ("a", "b"):
            synthetic.synthesize(tmp_path / name, subjects=3, seed=5, effect=0.0, length_s=8)
        one, other = ([p.read_bytes() for p in sorted((tmp_path / n).rglob("*.*"))] for n in ("a", "b"))
        assert one == other
