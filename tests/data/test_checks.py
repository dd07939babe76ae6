"""What `verify` finds in any dataset, and the report and the note that are made of it."""

import hashlib
import json
import time
from dataclasses import replace

import numpy as np
import pytest

from embench.data.checks import check_dataset_files, recall, remember
from embench.data.describe import DataReport, mask_message
from embench.data.quality import describe_outside_range
from embench.errors import DataError, PluginError
from embench.interfaces.dataset import Dataset, Download
from embench.interfaces.recording import Signal
from embench.store.fingerprint import SYNTHETIC

from .small import Small, write


@pytest.fixture
def root(tmp_path):
    return write(write(tmp_path / "small", "P1"), "P2")


def found(root, cache, severity=("error", "warning")):
    checked = check_dataset_files(Small(root), "tests/small", cache)
    return [(f.severity, f.where, f.what) for f in checked.findings if f.severity in severity]


def test_counts(root, tmp_path):
    steps = []
    checked = check_dataset_files(Small(root), "tests/small", tmp_path / "cache", lambda *step: steps.append(step))
    assert (checked.subjects, checked.recordings, checked.errors) == (2, 2, 0)
    assert checked.hours == {"eda": pytest.approx(80 / 3600)}
    assert vars(checked.labels["stress"]) == {"kind": "rating", "recordings": 2, "values": 2, "missing": 0}
    assert [file.name for file in checked.files] == ["P1.json", "P2.json"]
    assert len({file.sha256 for file in checked.files}) == 2
    assert checked.files[0].size == (root / "P1.json").stat().st_size
    assert steps == [(1, 2, "P1"), (2, 2, "P2")]
    assert [finding.where for finding in checked.findings] == ["P1.json"]  # the reader's own, relative to the folder


EVERY = ("error", "warning", "note")
FLAT, HALF = [[5.0] * 160], [[float("nan")] * 80 + np.linspace(1, 2, 80).tolist()]


@pytest.mark.parametrize(
    ("facts", "severity", "what"),
    [
        ({"eda": FLAT}, "warning", "eda is constant in eda"),
        ({"eda": HALF}, "warning", "missing samples in eda: eda 50%"),
        ({"eda": [[1e999, *range(159)]]}, "warning", "infinite"),
        ({"eda": [[1e6, *np.linspace(1, 2, 159)]]}, "warning", "eda has 1 values outside -5 to 200 uS"),
        ({"eda": [[]]}, "warning", "no samples"),
        ({"eda": [[1.0, 2.0] * 40] * 2}, "error", "which do not match the dataset card"),
        ({"rate": 5.0, "duration_s": 32.0}, "warning", "5 Hz, but the dataset card declares 4 Hz"),
        ({"duration_s": 60.0}, "warning", "eda lasts 40.0 s, but the recording lasts 60.0 s"),
        ({"duration_s": 500.0}, "warning", "the dataset card allows at most 100 s"),
        ({"stress": [12.0]}, "warning", "1 values of stress are outside the scale of 1 to 9"),
        ({"stress": [5.0, 6.0], "times": [10.0, 5.0]}, "error", "ascending"),
        ({"stress": [5.0, 6.0], "times": [10.0, 70.0]}, "warning", "outside the recording"),
        ({"id": "P1-film"}, "error", "same name"),
    ],
)
def test_faults_that_any_dataset_may_have(root, tmp_path, facts, severity, what):
    assert found(root, tmp_path / "cache") == []
    write(root, "P2", **facts)
    faults = found(root, tmp_path / "cache")
    assert any(how == severity and what in text for how, _, text in faults), faults


@pytest.mark.parametrize(
    ("facts", "where", "what"),
    [
        ({"eda": FLAT}, "eda", "or constant in every recording"),
        ({"eda": [[float("nan")] * 160]}, "eda", "eda is missing"),
        ({"stress": [5.0]}, "stress", "is 5 in all 2 recordings, and stress requires it"),
        ({"stress": [12.0, 5.0, 40.0]}, "stress", "4 of 6 values of this label are outside its scale, and stress"),
        ({"stress": [float("nan")]}, "stress", "no value"),
    ],
)
def test_what_is_unusable_in_all_recordings_is_an_error_where_runs_use_it_by_default(
    root, tmp_path, monkeypatch, facts, where, what
):
    write(root, "P1", **facts)
    assert "error" not in {how for how, _, _ in found(root, tmp_path / "cache")}  # the other subject has it
    write(root, "P2", seed=1, **facts)
    assert any(text == where and what in told for text, told in errors(root, tmp_path)), found(root, tmp_path / "cache")
    targets = (replace(Small.card.targets[0], name="other", label="other"), *Small.card.targets)
    card = replace(Small.card, default_modalities=(), targets=targets, default_targets=("other",))
    monkeypatch.setattr(Small, "card", card)
    assert {place for place, _ in errors(root, tmp_path)} == {"other"}


def errors(root, tmp_path):
    return [(where, what) for how, where, what in found(root, tmp_path / "cache") if how == "error"]


@pytest.mark.parametrize(
    ("unit", "factor", "severity", "what"),
    [
        ("uS", 1e-6, "error", "its values look like S"),
        ("uS", 1e3, "error", "nS"),
        ("parsec", 1.0, "note", "parsec is not a known measurement unit for this modality (uS, S, "),
        ("uS", 1.0, None, ""),
        ("a.u.", 1000.0, None, ""),
    ],
)
def test_a_unit_that_no_body_fits_is_named(tmp_path, monkeypatch, unit, factor, severity, what):
    modality = replace(Small.card.modalities["eda"], unit=unit)
    monkeypatch.setattr(Small, "card", replace(Small.card, modalities={"eda": modality}))
    samples = [[float(factor * v) for v in np.random.default_rng(0).normal(5, 0.1, 160)]]
    for k in range(2):
        root = write(tmp_path / "small", f"P{k}", eda=[[v * (1 + k / 100) for v in samples[0]]])
    told = [(how, text) for how, where, text in found(root, tmp_path / "cache", EVERY) if where == "eda"]
    assert any(how == severity and what in text for how, text in told) if severity else not told


def test_a_recording_that_is_cut_short_is_told_by_others_of_its_stimulus(tmp_path):
    for k in range(5):
        root = write(tmp_path / "small", f"P{k}")
    assert found(root, tmp_path / "cache") == []
    write(root, "P2", eda=[[1.0, *range(2, 61)]], duration_s=15.0)
    assert found(root, tmp_path / "cache") == [
        ("warning", "P2-film", "the recording lasts 15.0 s, but other recordings of film last 40.0 s")
    ]


def test_lengths_that_differ_anyway_are_no_cuts(tmp_path):
    for k, seconds in enumerate((10, 20, 30, 40, 60)):
        samples = np.random.default_rng(k).normal(5, 1, 4 * seconds).tolist()
        root = write(tmp_path / "small", f"P{k}", eda=[samples], duration_s=float(seconds))
    assert found(root, tmp_path / "cache") == []


def test_a_modality_that_one_subject_lacks_is_named(tmp_path, monkeypatch):
    for k in range(6):
        root = write(tmp_path / "small", f"P{k}")
    whole = Small.recordings

    def without(self, subject):
        for recording in whole(self, subject):
            yield replace(recording, signals={}) if subject == "P3" else recording

    monkeypatch.setattr(Small, "recordings", without)
    assert found(root, tmp_path / "cache") == [("warning", "P3", "the subject has no eda, but 5 of 6 subjects have it")]


def test_one_subjects_signal_under_another_name_is_an_error(root, tmp_path):
    signal = json.loads((root / "P1.json").read_text())["eda"]
    write(root, "P3", eda=signal)
    assert found(root, tmp_path / "cache") == [
        ("error", "P3-film", "eda equals that of P1-film, another subject, in every sample: one is a copy")
    ]


def test_file_that_is_not_as_it_was_published_is_a_warning(root, tmp_path, monkeypatch):
    digests = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in ("P1.json", "P2.json")}
    downloads = tuple(Download(f"https://example.org/{name}", name, digest) for name, digest in digests.items())
    monkeypatch.setattr(Small, "card", replace(Small.card, downloads=downloads))
    assert found(root, tmp_path / "cache") == []
    write(root, "P2", seed=1)
    warning = ("warning", "P2.json", f"the content differs from the published file, sha256 {digests['P2.json']}")
    assert found(root, tmp_path / "cache") == [warning]
    monkeypatch.setattr(Small, "subjects", lambda _: ["P1", "P2"])
    (root / SYNTHETIC).write_text("{}")
    assert found(root, tmp_path / "cache") == []


@pytest.mark.parametrize("cut", [(3, 0), (0, 5), (4, 2), (70, 0), (900, 1100), (0, 2500)])
@pytest.mark.parametrize("step", [1, 20])
def test_a_copy_that_is_cut_elsewhere_is_an_error(tmp_path, cut, step):
    """Also of a signal that changes every 20 samples or so, by one of few steps, as skin temperature does."""
    rng = np.random.default_rng(1)
    samples = np.round(rng.normal(5, 1, 4000), 4) if step == 1 else 30 + 0.02 * np.cumsum(rng.random(4000) < 1 / 8)
    root = write(tmp_path / "small", "P1", eda=[samples.tolist()], duration_s=1000.0)
    write(root, "P2", eda=[samples[cut[0] : len(samples) - cut[1]].tolist()], duration_s=1000.0)
    faults = found(root, tmp_path / "cache", ("error",))
    assert [(where, "one is a copy" in what) for _, where, what in faults] == [("P2-film", True)]


@pytest.mark.parametrize("changes", ["flickers", "warms", "noise"])
def test_signals_that_are_alike_are_no_copies(tmp_path, changes):
    """A dead sensor that flickers, skin that warms by the same steps, and few different values."""
    for number in range(6):
        rng = np.random.default_rng(number)
        samples = {
            "flickers": np.arange(4000 + number) % 2,
            "warms": 30 + 0.02 * np.cumsum(rng.random(4000) < 1 / 8),
            "noise": rng.integers(0, 3, 4000),
        }[changes]
        root = write(tmp_path / "small", f"P{number}", eda=[samples.tolist()], duration_s=1000.0)
    assert found(root, tmp_path / "cache", ("error",)) == []


@pytest.mark.parametrize(
    ("unit", "value", "wrong"),
    [("uS", 1e6, True), ("uS", 60.0, False), ("degC", 1e17, True), ("°C", 34.0, False), ("°C", 340.0, True),
     ("bpm", -70.0, True), ("bpm", 0.0, True), ("bpm", 180.0, False), ("mV", 4000.0, True), ("a.u.", 1e17, False)],
)  # fmt: skip
def test_values_that_no_body_gives_are_named(unit, value, wrong):
    data = np.array([[70.0 if unit == "bpm" else 34.0, np.nan, value]], np.float32)
    said = describe_outside_range("eda", Signal(data, 4.0, ("eda",), unit))
    assert (said is not None) == wrong
    if said:
        assert said.startswith("eda has 1 values outside ")
        assert f"the most extreme value is {np.float32(value):g}" in said


def test_one_marker_that_all_subjects_have_is_no_copy(tmp_path):
    for number in range(2):
        marked = 2.0 + 1.0 * (np.arange(4000) > 2000 + number)
        root = write(tmp_path / "small", f"P{number}", eda=[marked.tolist()], duration_s=1000.0)
    assert found(root, tmp_path / "cache", ("error",)) == []


def test_subjects_who_share_a_silence_are_no_copies(root, tmp_path):
    write(root, "P3")
    for subject in ("P1", "P2"):
        write(root, subject, eda=FLAT)
    assert {severity for severity, _, _ in found(root, tmp_path / "cache")} == {"warning"}


def test_damaged_file_is_an_error_and_the_others_are_still_read(root, tmp_path):
    (root / "P1.json").write_text("not json")
    checked = check_dataset_files(Small(root), "tests/small", tmp_path / "cache")
    assert checked.recordings == 1
    [error] = [finding for finding in checked.findings if finding.severity == "error"]
    assert (error.where, error.what) == ("P1.json", "`not json` is no JSON")


def test_reader_that_fails_is_told_apart_from_bad_data(root, tmp_path):
    write(root, "P2", eda="text")
    with pytest.raises(PluginError, match="the reader failed"):
        check_dataset_files(Small(root), "tests/small", tmp_path / "cache")


def test_reader_without_checks_of_its_own(root, tmp_path):
    class Plain(Small):
        verify = Dataset.verify

    assert check_dataset_files(Plain(root), "tests/small", tmp_path / "cache").findings == []


def test_label_that_no_recording_has(root, tmp_path):
    class Unlabelled(Small):
        def recordings(self, subject):
            for recording in super().recordings(subject):
                recording.labels.clear()
                yield recording

    checked = check_dataset_files(Unlabelled(root), "tests/small", tmp_path / "cache")
    assert ("error", "stress") in {(finding.severity, finding.where) for finding in checked.findings}


def test_same_reading_is_remembered_until_a_file_changes(root, tmp_path):
    cache = tmp_path / "cache"
    assert recall(Small(root), "code-1", cache) is None
    remember(Small(root), "code-1", check_dataset_files(Small(root), "tests/small", cache), cache)
    record = recall(Small(root), "code-1", cache)
    assert (record["subjects"], record["errors"], record["warnings"]) == (2, 0, 0)
    assert recall(Small(root), "code-2", cache) is None
    time.sleep(0.02)
    write(root, "P1", stress=[3.0])
    assert recall(Small(root), "code-1", cache) is None


def test_cache_that_cannot_be_written_does_no_harm(root, tmp_path):
    (tmp_path / "file").write_text("")
    checked = check_dataset_files(Small(root), "tests/small", tmp_path / "file")
    remember(Small(root), "code-1", checked, tmp_path / "file")
    assert recall(Small(root), "code-1", tmp_path / "file") is None


def shared(root, cache):
    report, reader = DataReport(), Small(root)
    checked = check_dataset_files(reader, "tests/small", cache, visit=report.add)
    return report.document("tests/small", "code-1", Small, reader.card, checked, synthetic=False)


@pytest.mark.parametrize("names", [("stress", "calm"), pytest.param(("calm", "stress"), marks=pytest.mark.slow)])
def test_report_names_labels_in_one_order_whatever_the_reader_gives_first(root, tmp_path, names):
    class Two(Small):
        def recordings(self, subject):
            for recording in super().recordings(subject):
                yield replace(recording, labels=dict.fromkeys(names, recording.labels["stress"]))

    report, reader = DataReport(), Two(root)
    checked = check_dataset_files(reader, "tests/small", tmp_path / "cache", visit=report.add)
    document = report.document("tests/small", "code-1", Small, reader.card, checked, synthetic=False)
    assert [*document["labels"]] == sorted(document["labels"])
    recordings = document["recordings_by_subject"][0]["recordings"]
    assert [*recordings[0]["labels"]] == sorted(recordings[0]["labels"])
    assert len(document["labels"]) == 2


def test_report_holds_nothing_that_the_licence_protects(root, tmp_path):
    values = [round(0.1234 + 0.0171 * k, 4) for k in range(160)]
    write(root, "Maria", eda=[values], stress=[7.625], times=[3.875])
    (root / "Paul.json").write_text("secret words 4711")
    document = shared(root, tmp_path / "cache")
    text = json.dumps(document)
    secret = ["Maria", "Paul", "P1", "P2", "film", "day", str(root), str(tmp_path), "7.625", "6.125", "3.875", "secret"]
    assert not [word for word in secret if word in text]
    assert not [value for value in values if str(value) in text]
    files = check_dataset_files(Small(root), "tests/small", tmp_path / "cache").files
    assert not [file.sha256 for file in files if file.sha256[:12] in text]


def test_report_holds_what_mends_a_reader(root, tmp_path):
    write(root, "P3", eda=HALF)
    document = shared(root, tmp_path / "cache")
    assert document["subjects"] == 3
    assert document["files"]["*.json"]["files"] == 3
    signal = document["recordings_by_subject"][2]["recordings"][0]["signals"]["eda"]
    assert signal["shape"] == [1, 160]
    assert (signal["dtype"], signal["rate"], signal["unit"]) == ("float32", 4.0, "uS")
    assert signal["missing"] == [[1.0] * 5 + [0.0] * 5]
    assert signal["magnitude"] == ["1e0..1e1"]
    assert document["recordings_by_subject"][0]["recordings"][0]["labels"]["stress"]["values"] == 1
    assert {"severity": "warning", "what": "missing samples in eda: eda #", "times": 1} in document["findings"]


def test_messages_are_masked():
    text = "person P1 rated 6.125 in 'a b.csv' and `x`, see /data/x/y.csv or notes.txt; Maria, as film: \"z\""
    assert mask_message(text, ["Maria", "film"]) == "person # rated # in # and #, see # or #; #, as #: #"


def test_folder_of_another_dataset(tmp_path):
    class Strict(Small):
        def subjects(self):
            raise DataError("not this dataset", where=str(self.root))

    with pytest.raises(DataError):
        check_dataset_files(Strict(tmp_path), "tests/small", tmp_path / "cache")
