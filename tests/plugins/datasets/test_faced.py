"""FACED: the reader against the real sidecars of all people, and against files of both releases with small signals."""

import csv
import json
import math
import os
import shutil
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from embench.cli import main
from embench.errors import DataError
from embench.interfaces.recording import Recording
from embench.testing import check_dataset
from embench_plugins.datasets.faced import Faced
from embench_plugins.datasets.formats.faced_bids import Bids, cohort
from embench_plugins.datasets.formats.faced_card import SHUFFLED, labels, own_emotion
from embench_plugins.datasets.formats.faced_layout import (
    CLIPS,
    ELECTRODES,
    EMOTIONS,
    FELT,
    FIRST_LAYOUT,
    OLD_NAMES,
    PEOPLE,
    RATINGS,
    SECOND_LAYOUT,
)

from .faced_files import noise, play, ratings, write_bids

FOREIGN = ("sub-029", "sub-045", "sub-049", "sub-059", "sub-060")
LONG_22 = [f"sub-{number:03d}" for number in range(36, 61)]


def value(recording: Recording, label: str) -> float:
    (number,) = recording.labels[label].values
    return float(number)


@pytest.fixture(scope="module")
def real() -> Path:
    folder = Path(os.environ.get("EMBENCH_TEST_DATA", "")) / "faced_sidecars"
    if not os.environ.get("EMBENCH_TEST_DATA") or not folder.is_dir():
        pytest.skip("EMBENCH_TEST_DATA does not say where the sidecars of FACED are")
    return folder


@pytest.fixture(scope="module")
def everyone(real) -> dict[str, list[Recording]]:
    reader = Faced(real)
    return {subject: list(reader.recordings(subject)) for subject in reader.subjects()}


@pytest.fixture(scope="module")
def every(everyone) -> list[Recording]:
    return [recording for own in everyone.values() for recording in own]


@cache
def rows(real: Path, subject: str) -> list[dict[str, str]]:
    """The rows of a person's clips, read without this package."""
    path = real / subject / "eeg" / f"{subject}_task-watchingVideoClips_events.tsv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row for row in table if row["video_index"] != "n/a"]


class TestReal:
    def test_everyone_has_every_clip_once(self, everyone):
        assert tuple(everyone) == PEOPLE
        for subject, own in everyone.items():
            assert sorted(recording.id for recording in own) == [f"{subject}_clip{number:02d}" for number in CLIPS]
            assert [recording.order for recording in own] == list(range(28))
            assert (np.diff([recording.start_s for recording in own]) > 30).all()
            assert {recording.group for recording in own} == {subject}
            assert not any(recording.signals for recording in own)

    def test_all_ratings_are_those_of_an_independent_reading(self, real, everyone):
        count = 0
        for subject, own in everyone.items():
            for row, recording in zip(rows(real, subject), own, strict=True):
                assert recording.stimulus == f"clip{int(row['video_index']):02d}"
                for name in RATINGS:
                    assert value(recording, name.lower()) == pytest.approx(float(row[name]), abs=1e-12)
                    count += 1
        assert count == 3444 * 12

    def test_assigned_labels_are_those_that_the_events_write_out(self, real, everyone):
        for subject, own in everyone.items():
            for row, recording in zip(rows(real, subject), own, strict=True):
                emotion = EMOTIONS[int(value(recording, "emotion"))]
                assert row["emotion_label"] == ("\\" if emotion == "neutral" else emotion.capitalize())
                sign = value(recording, "positive")
                assert row["binary_label"] == ("neutral" if math.isnan(sign) else ("negative", "positive")[int(sign)])
                assert value(recording, "clip") == int(row["video_index"]) - 1
        assert Counter(row["emotion_label"] for own in everyone for row in rows(real, own))["\\"] == 4 * 123

    def test_times_are_those_of_the_events_but_for_the_seconds_before_clip_22(self, real, everyone):
        cut = []
        for subject, own in everyone.items():
            for row, recording in zip(rows(real, subject), own, strict=True):
                onset, length = float(row["onset"]), float(row["duration"])
                end = onset + length
                assert recording.start_s + recording.duration_s == pytest.approx(end, abs=1e-6)
                assert abs(recording.duration_s - CLIPS[int(row["video_index"])].length_s) < 1
                if recording.start_s != onset:
                    cut.append((subject, recording.stimulus, round(recording.start_s - onset)))
        assert cut == [(subject, "clip22", 8) for subject in LONG_22]

    def test_codes_of_another_experiment_are_no_clips(self, real, everyone):
        count = 0
        for subject in FOREIGN:
            path = real / subject / "eeg" / f"{subject}_task-watchingVideoClips_events.tsv"
            kinds = [line.split("\t")[2] for line in path.read_text("utf-8-sig").splitlines()[1:]]
            foreign = [kind for kind in kinds if kind.isdigit() and kind not in ("201", "202")]
            assert foreign
            assert len(everyone[subject]) == 28
            count += len(foreign)
        assert count == 4920

    def test_the_largest_rating_is_the_assigned_emotion_in_the_known_share_of_trials(self, every):
        emotional = [recording for recording in every if not math.isnan(value(recording, "positive"))]
        assert len(emotional) == 2952
        emotion = np.array([EMOTIONS[int(value(recording, "emotion"))] for recording in emotional])
        # Published shares take the first of two that are largest, in the order of the file.
        felt = [name.lower() for name in RATINGS[:8]]
        rated = np.array([[value(recording, name) for name in felt] for recording in emotional])
        first = np.array(felt)[rated.argmax(axis=1)] == emotion
        assert round(float(first.mean()), 3) == 0.636
        assert {name: round(float(first[emotion == name].mean()), 2) for name in FELT} == {
            "anger": 0.46, "joy": 0.53, "fear": 0.63, "tenderness": 0.66, "amusement": 0.69, "inspiration": 0.69,
            "disgust": 0.70, "sadness": 0.73,
        }  # fmt: skip

    def test_own_emotions_are_missing_where_two_ratings_are_largest_or_the_clip_is_neutral(self, every):
        ties = agree = 0
        for recording in every:
            rated = {name: value(recording, name) for name in FELT}
            largest = [name for name in FELT if rated[name] == max(rated.values())]
            own, neutral = value(recording, "own_emotion"), math.isnan(value(recording, "positive"))
            ties += len(largest) > 1
            assert math.isnan(own) == math.isnan(value(recording, "agreement")) == (neutral or len(largest) > 1)
            if not math.isnan(own):
                assert FELT[int(own)] == largest[0]
                agree += value(recording, "agreement") == (largest[0] == EMOTIONS[int(value(recording, "emotion"))])
        assert ties == 77
        assert agree == 2952 - 55  # 22 of the ties are neutral clips

    def test_valence_and_arousal_are_high_in_the_known_shares_of_trials(self, every):
        sign = np.array([value(recording, "positive") for recording in every])
        valence, arousal = (
            np.array([value(recording, name) for recording in every]) for name in ("valence", "arousal")
        )
        kinds = (sign == 0, np.isnan(sign), sign == 1)
        assert round(float((valence > 3.5).mean()), 3) == 0.433
        assert [round(float((valence[kind] > 3.5).mean()), 3) for kind in kinds] == [0.129, 0.449, 0.732]
        assert round(float((arousal > 3.5).mean()), 3) == 0.539
        assert [round(float(valence[kind].mean()), 2) for kind in kinds] == [1.69, 3.18, 4.46]
        assert [round(float(arousal[kind].mean()), 2) for kind in kinds] == [4.11, 1.41, 3.61]

    def test_cohorts_have_their_rates_units_and_names(self, real):
        release = Bids(real)
        found = {subject: release.channels(subject) for subject in PEOPLE}
        groups = Counter((known.layout, known.rate, known.unit) for known in found.values())
        assert groups == {
            (FIRST_LAYOUT, 1000.0, "µV"): 6, (FIRST_LAYOUT, 250.0, "n/a"): 33,
            (FIRST_LAYOUT, 250.0, "µV"): 22, (SECOND_LAYOUT, 1000.0, "µV"): 62,
        }  # fmt: skip
        assert found["sub-004"].unit == found["sub-060"].unit == "n/a"
        assert found == {subject: cohort(subject) for subject in PEOPLE}
        for subject, known in found.items():
            path = real / subject / "eeg" / f"{subject}_task-watchingVideoClips_eeg.json"
            assert known.rate == json.loads(path.read_text("utf-8"))["SamplingFrequency"]

    def test_people_are_described(self, real):
        reader = Faced(real)
        info = [reader.subject_info(subject) for subject in PEOPLE]
        assert Counter(one["sex"] for one in info) == {"female": 75, "male": 48}
        assert {one["age_band"] for one in info} == {"10-19", "20-29", "30-39"}
        assert Counter(one["device"] for one in info) == {
            "layout 1, 1000 Hz": 6, "layout 1, 250 Hz": 55, "layout 2, 1000 Hz": 62,
        }  # fmt: skip

    def test_verify_flags_the_person_whose_eeg_is_bad(self, real, tmp_path):
        for subject in ("sub-022", "sub-023"):
            shutil.copytree(real / subject, tmp_path / subject)
        (said,) = [finding for finding in Faced(tmp_path).verify() if "its EEG is bad" in finding.what]
        assert said.severity == "warning"
        assert said.what.startswith("sub-023")

    @pytest.mark.slow
    def test_verify_finds_nothing_else_than_that_the_eeg_is_not_here(self, real):
        first, second = Faced(real).verify()
        assert first.what.startswith("no EEG of 123 subjects, whose labels alone are read: all")
        assert second.severity == "warning"
        assert second.what.startswith("sub-023: its EEG is bad")

    def test_it_conforms(self, real, tmp_path):
        for subject in ("sub-000", "sub-023", "sub-060"):
            shutil.copytree(real / subject, tmp_path / subject)
        check_dataset(Faced, tmp_path)


class TestLabels:
    def test_shuffled_emotions_keep_their_sizes_and_none_its_own(self):
        own = Counter(clip.emotion for clip in CLIPS.values())
        assert sorted(Counter(SHUFFLED.values()).values()) == sorted(own.values())
        assert set(SHUFFLED.values()) == set(EMOTIONS)
        assert sorted(SHUFFLED) == list(CLIPS)
        assert all(SHUFFLED[number] != clip.emotion for number, clip in CLIPS.items())

    def test_shuffled_classes_hold_no_two_films_of_one_emotion_and_films_whole(self):
        for emotion in EMOTIONS:
            held = {CLIPS[number].film: CLIPS[number].emotion for number, name in SHUFFLED.items() if name == emotion}
            assert len(set(held.values())) == len(held)
        for film in {clip.film for clip in CLIPS.values()}:
            assert len({SHUFFLED[number] for number, clip in CLIPS.items() if clip.film == film}) == 1

    def test_own_emotion_is_none_where_two_are_highest(self):
        rated = dict.fromkeys(RATINGS, 1.0) | {"Joy": 5.0, "Valence": 7.0}
        assert FELT[int(own_emotion(tuple(rated.values())))] == "joy"
        assert math.isnan(own_emotion(tuple((rated | {"Fear": 5.0}).values())))

    def test_without_ratings_there_are_the_clips_own_labels(self):
        assert set(labels(13, None)) == {"emotion", "positive", "clip", "emotion_shuffled"}


CASES = ["sub-004", "sub-036", "sub-000", "sub-061"]
"""A person of each cohort."""


@pytest.fixture(scope="module")
def bids(tmp_path_factory) -> Path:
    """Short clips of a person of each cohort; clip 22 as long as in the release."""
    root = tmp_path_factory.mktemp("bids")
    for number, subject in enumerate(CASES):
        events = [*play((7, 13, 28)), (22, 20.0, 83.904 if subject == "sub-036" else 75.8)]
        data = noise(106, 1000.0 if subject in ("sub-000", "sub-061") else 250.0, number)
        write_bids(root, subject, events, ratings(CLIPS, number), data=data, dimension="" if number == 0 else "uV")
    lines = ["participant_id\tage\tsex", *(f"{subject}\t2{k}\tF" for k, subject in enumerate(CASES))]
    (root / "participants.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return root


def bdf(root: Path, subject: str) -> Path:
    return root / subject / "eeg" / f"{subject}_task-watchingVideoClips_eeg.bdf"


class TestSignals:
    def test_it_conforms(self, bids):
        check_dataset(Faced, bids)

    @pytest.mark.parametrize("subject", CASES)
    def test_samples_are_those_of_an_independent_reading_by_name(self, bids, subject):
        rate = 1000.0 if subject in ("sub-000", "sub-061") else 250.0
        spans = {"clip07": (2.0, 5.0), "clip13": (6.0, 9.0), "clip28": (10.0, 13.0), "clip22": (20.0, 95.8)}
        if subject == "sub-036":
            spans["clip22"] = (20 + 83.904 - CLIPS[22].length_s, 20 + 83.904)
        with pyedflib.EdfReader(str(bdf(bids, subject))) as file:
            told = [OLD_NAMES.get(name, name) for name in file.getSignalLabels()]
            raw = {name: file.readSignal(k) for k, name in enumerate(told)}
        assert len(raw) == 32
        for recording in Faced(bids).recordings(subject):
            start, stop = spans[recording.stimulus]
            eeg = recording.signals["eeg"]
            assert (eeg.rate, eeg.unit, eeg.channels) == (rate, "uV", ELECTRODES)
            assert recording.duration_s == pytest.approx(stop - start, abs=1e-6)
            first = round(start * rate)
            expected = np.stack([raw[name][first : first + eeg.data.shape[1]] for name in ELECTRODES])
            assert eeg.data.shape[1] == int((stop - start) * rate + 1e-6)
            np.testing.assert_allclose(eeg.data, expected, rtol=1e-6, atol=1e-4)

    def test_verify_finds_nothing_but_who_is_missing(self, bids):
        severe = [f for f in Faced(bids).verify() if f.severity != "note" and "no clip" not in f.what]
        assert severe == []

    def test_without_the_bdf_there_are_labels_alone(self, bids, tmp_path):
        shutil.copytree(bids, tmp_path / "copy")
        bdf(tmp_path / "copy", "sub-036").unlink()
        reader = Faced(tmp_path / "copy")
        assert all(not recording.signals for recording in reader.recordings("sub-036"))
        assert all("eeg" in recording.signals for recording in reader.recordings("sub-004"))
        assert reader.verify()[0].what == "no EEG of 1 subjects, whose labels alone are read: sub-036"
        assert bdf(tmp_path / "copy", "sub-036") not in reader.files("sub-036")


def test_classes_go_by_their_names_and_have_no_variance(bids, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "faced").symlink_to(bids)
    line = ["data", "labels", "faced", "--data-root", str(tmp_path), "--json"]
    assert main(line) == 0
    told = {row["target"]: row for row in json.loads(capsys.readouterr().out)}
    counts = {row["name"]: row["units"] for row in told["emotion"]["classes"]}
    assert counts == dict.fromkeys(EMOTIONS, 0) | {"fear": 4, "neutral": 4, "tenderness": 4, "inspiration": 4}
    assert [(row["name"], row["units"]) for row in told["positive"]["classes"]] == [("negative", 4), ("positive", 8)]
    assert "undefined" in told["emotion"]["variance"]
    assert "undefined" not in told["valence"]["variance"]


class TestUnits:
    def test_unstated_units_are_uv_where_the_eeg_can_be(self, bids):
        eeg = next(Faced(bids).recordings("sub-004")).signals["eeg"]
        assert 20 < np.median(eeg.data.std(axis=1)) < 40

    @pytest.mark.parametrize(
        ("factor", "said"),
        [(1e-6, "e-05 uV if its numbers are uV, and 1"), (1e3, "e+04 uV if its numbers are uV, and")],
    )
    def test_unstated_units_that_cannot_be_uv_are_refused_with_both_scales(self, tmp_path, factor, said):
        folder = write_bids(tmp_path, "sub-004", play(), ratings(CLIPS), data=factor * noise(120, 250.0), dimension="?")
        with pytest.raises(DataError, match="uV if they are V") as caught:
            list(Faced(tmp_path).recordings("sub-004"))
        assert said in caught.value.what
        assert caught.value.where == str(folder / "sub-004_task-watchingVideoClips_eeg.bdf")
        assert [f.severity for f in Faced(tmp_path).verify() if "if they are V" in f.what] == ["error"]

    def test_a_stated_unit_is_believed_and_odd_numbers_are_reported(self, tmp_path):
        write_bids(tmp_path, "sub-036", play(), ratings(CLIPS), data=1e3 * noise(120, 250.0))
        assert len(list(Faced(tmp_path).recordings("sub-036"))) == 28
        assert any("standard deviation" in finding.what for finding in Faced(tmp_path).verify())

    def test_another_unit_is_refused(self, tmp_path):
        write_bids(tmp_path, "sub-036", play(), ratings(CLIPS), data=noise(120, 250.0), dimension="mV")
        with pytest.raises(DataError, match="in mV"):
            list(Faced(tmp_path).recordings("sub-036"))

    def test_the_bad_person_is_flagged_with_what_is_measured(self, tmp_path):
        write_bids(tmp_path, "sub-023", play(), ratings(CLIPS), data=noise(120, 250.0))
        (found,) = [f.what for f in Faced(tmp_path).verify() if f.severity == "warning"]
        assert found.startswith("sub-023: its EEG is bad")
        assert found.endswith("uV here")

    def test_the_bad_person_stops_nobody_however_large_the_numbers(self, tmp_path):
        write_bids(tmp_path, "sub-023", play(), ratings(CLIPS), data=1e3 * noise(120, 250.0), dimension="?")
        assert next(Faced(tmp_path).recordings("sub-023")).signals["eeg"].data.std() > 5e3
        assert any("not one of 1 to 500" in finding.what for finding in Faced(tmp_path).verify())


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


@pytest.fixture
def one(tmp_path) -> Path:
    """The folder of a person's files."""
    write_bids(tmp_path, "sub-036", play(), ratings(CLIPS), data=noise(120, 250.0))
    return tmp_path / "sub-036" / "eeg"


def found(folder: Path, severity: str) -> list[str]:
    return [f.what for f in Faced(folder.parent.parent).verify() if f.severity == severity]


class TestFaults:
    START = "sub-036_task-watchingVideoClips_"

    def test_whole_files_have_no_findings(self, one):
        assert found(one, "warning") == found(one, "error") == []

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("\tFear\tnegative\t7\t", "\tJoy\tnegative\t7\t", "clip 7 is Joy, negative, not Fear, negative"),
            ("\t\\\tneutral\t13\t", "\tnan\tneutral\t13\t", "clip 13 is nan"),
            ("\tFear\tnegative\t7\t", "\tFear\tpositive\t7\t", "clip 7 is Fear, positive"),
        ],
    )
    def test_labels_that_contradict_the_clips_are_errors(self, one, old, new, said):
        edit(one / f"{self.START}events.tsv", old, new)
        assert any(what.startswith(said) for what in found(one, "error"))

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("\tnegative\t7\t", "\tnegative\t29\t", "clip of number 29"),
            ("\tnegative\t7\t", "\tnegative\t8\t", "clip of number 8"),
            ("\tnegative\t7\t", "\tnegative\tx\t", "`x` is no number"),
            ("video_index", "index", "no column video_index"),
        ],
    )
    def test_events_of_another_kind_are_refused(self, one, old, new, said):
        path = one / f"{self.START}events.tsv"
        edit(path, old, new)
        with pytest.raises(DataError, match=said) as caught:
            list(Faced(one.parent.parent).recordings("sub-036"))
        assert caught.value.where == str(path)

    def test_missing_clips_and_odd_ratings_are_reported(self, one):
        path = one / f"{self.START}events.tsv"
        lines = path.read_text("utf-8").splitlines()
        lines = [line for line in lines if "\tnegative\t7\t" not in line]
        lines[-1] = "\t".join([*lines[-1].split("\t")[:-2], "n/a", "7.5"])
        path.write_text("\n".join(lines) + "\n", "utf-8")
        assert found(one, "warning") == ["no clip 7", "1 ratings are missing", "1 ratings are off the scale 0 to 7"]
        last = list(Faced(one.parent.parent).recordings("sub-036"))[-1]
        assert math.isnan(value(last, "familiarity"))

    def test_channels_and_rates_of_another_cohort_are_reported(self, one):
        text = (one / f"{self.START}channels.tsv").read_text("utf-8")
        text = text.replace("T3", "T7").replace("250.0\tgood", "500.0\tgood")
        (one / f"{self.START}channels.tsv").write_text(text, "utf-8")
        said = found(one, "warning")
        assert any("not those of the release: T7" in what for what in said)
        assert any(what.startswith("500 Hz in µV, the release has 250 Hz in µV") for what in said)
        assert any(what.startswith("250 Hz, the release states 500 Hz") for what in said)

    def test_a_file_of_another_size_is_reported_and_one_cut_short_is_refused(self, one):
        path = one / f"{self.START}eeg.bdf"
        edit(one / f"{self.START}eeg.json", '"RecordingDuration": 119.996', '"RecordingDuration": 129.996')
        assert [what.partition(" bytes")[0] for what in found(one, "warning")] == [f"{8448 + 96 * 30_000:,}"]
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(DataError, match="ends after 119 of 120 records") as caught:
            list(Faced(one.parent.parent).recordings("sub-036"))
        assert caught.value.where == str(path)

    def test_a_file_that_ends_before_its_events_is_refused(self, tmp_path):
        write_bids(tmp_path, "sub-036", play(), ratings(CLIPS), data=noise(60, 250.0))
        with pytest.raises(DataError, match="of 60 s"):
            list(Faced(tmp_path).recordings("sub-036"))

    def test_a_file_whose_channels_have_no_names_has_those_of_the_sidecar(self, one):
        path = one / f"{self.START}eeg.bdf"
        whole = next(Faced(one.parent.parent).recordings("sub-036")).signals["eeg"]
        content = bytearray(path.read_bytes())
        content[256 : 256 + 16 * 32] = b"".join(f"channel {k}".ljust(16).encode() for k in range(32))
        path.write_bytes(content)
        again = next(Faced(one.parent.parent).recordings("sub-036")).signals["eeg"]
        assert (again.data == whole.data).all()

    def test_a_file_that_lacks_a_site_is_refused(self, one):
        path = one / f"{self.START}eeg.bdf"
        content = path.read_bytes()
        path.write_bytes(content.replace(b"Oz ", b"X1 ", 1))
        with pytest.raises(DataError, match="no channel Oz"):
            list(Faced(one.parent.parent).recordings("sub-036"))

    def test_another_folder_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="no file of FACED"):
            Faced(tmp_path).subjects()
