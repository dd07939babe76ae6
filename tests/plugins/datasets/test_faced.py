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
from embench.interfaces.recording import Recording
from embench.testing import check_dataset
from embench_plugins.datasets.faced.reader import Faced
from embench_plugins.datasets.faced.release import (
    CLIPS,
    ELECTRODES,
    EMOTIONS,
    FELT,
    FIRST_LAYOUT,
    OLD_NAMES,
    PEOPLE,
    RATINGS,
    SECOND_LAYOUT,
    SHUFFLED,
    Bids,
    find_cohort,
    find_strongest_emotion,
    make_labels,
)

from ...sample import sample
from . import edit
from .damages import faced as made
from .faced_files import noise, play, ratings, write_bids
from .real import released

FOREIGN = ("sub-029", "sub-045", "sub-049", "sub-059", "sub-060")
LONG_22 = [f"sub-{number:03d}" for number in range(36, 61)]


def value(recording: Recording, label: str) -> float:
    (number,) = recording.labels[label].values
    return float(number)


SOME = ("sub-000", "sub-004", *FOREIGN, "sub-061")


@pytest.fixture(scope="module")
def real() -> Path:
    return released("faced_sidecars")


@pytest.fixture(scope="module", params=sample(["some", "everyone"], "some"))
def people(real, request) -> dict[str, list[Recording]]:
    """Recordings of people of all cohorts, or of everybody."""
    reader = Faced(real)
    assert tuple(reader.subjects()) == PEOPLE
    return {subject: list(reader.recordings(subject)) for subject in (PEOPLE if request.param == "everyone" else SOME)}


@pytest.fixture(scope="module")
def every(people) -> list[Recording]:
    return [recording for own in people.values() for recording in own]


everybody = pytest.mark.parametrize("people", sample(["everyone"]), indirect=True)
"""What is known of all people only."""


@cache
def rows(real: Path, subject: str) -> list[dict[str, str]]:
    """The rows of a person's clips, read without this package."""
    path = real / subject / "eeg" / f"{subject}_task-watchingVideoClips_events.tsv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row for row in table if row["video_index"] != "n/a"]


class TestReal:
    def test_everyone_has_every_clip_once(self, people):
        for subject, own in people.items():
            assert sorted(recording.id for recording in own) == [f"{subject}_clip{number:02d}" for number in CLIPS]
            assert [recording.order for recording in own] == list(range(28))
            assert (np.diff([recording.start_s for recording in own]) > 30).all()
            assert {recording.group for recording in own} == {subject}
            assert not any(recording.signals for recording in own)

    def test_all_ratings_are_those_of_an_independent_reading(self, real, people):
        count = 0
        for subject, own in people.items():
            for row, recording in zip(rows(real, subject), own, strict=True):
                assert recording.stimulus == f"clip{int(row['video_index']):02d}"
                for name in RATINGS:
                    assert value(recording, name.lower()) == pytest.approx(float(row[name]), abs=1e-12)
                    count += 1
        assert count == 28 * 12 * len(people)

    def test_assigned_labels_are_those_that_the_events_write_out(self, real, people):
        for subject, own in people.items():
            for row, recording in zip(rows(real, subject), own, strict=True):
                emotion = EMOTIONS[int(value(recording, "emotion"))]
                assert row["emotion_label"] == ("\\" if emotion == "neutral" else emotion.capitalize())
                sign = value(recording, "positive")
                assert row["binary_label"] == ("neutral" if math.isnan(sign) else ("negative", "positive")[int(sign)])
                assert value(recording, "clip") == int(row["video_index"]) - 1
        assert Counter(row["emotion_label"] for own in people for row in rows(real, own))["\\"] == 4 * len(people)

    def test_times_are_those_of_the_events_but_for_the_seconds_before_clip_22(self, real, people):
        cut = []
        for subject, own in people.items():
            for row, recording in zip(rows(real, subject), own, strict=True):
                onset, length = float(row["onset"]), float(row["duration"])
                end = onset + length
                assert recording.start_s + recording.duration_s == pytest.approx(end, abs=1e-6)
                assert abs(recording.duration_s - CLIPS[int(row["video_index"])].length_s) < 1
                if recording.start_s != onset:
                    cut.append((subject, recording.stimulus, round(recording.start_s - onset)))
        assert cut == [(subject, "clip22", 8) for subject in LONG_22 if subject in people]

    def test_codes_of_another_experiment_are_no_clips(self, real, people):
        count = 0
        for subject in FOREIGN:
            path = real / subject / "eeg" / f"{subject}_task-watchingVideoClips_events.tsv"
            kinds = [line.split("\t")[2] for line in path.read_text("utf-8-sig").splitlines()[1:]]
            foreign = [kind for kind in kinds if kind.isdigit() and kind not in ("201", "202")]
            assert foreign
            assert len(people[subject]) == 28
            count += len(foreign)
        assert count == 4920

    @everybody
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
        # 22 of everybody's ties are of neutral clips.
        assert (ties, agree) == {28 * len(SOME): (4, 8 * 24 - 3), 3444: (77, 2952 - 55)}[len(every)]

    @everybody
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
        assert found == {subject: find_cohort(subject) for subject in PEOPLE}
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
        assert FELT[int(find_strongest_emotion(tuple(rated.values())))] == "joy"
        assert math.isnan(find_strongest_emotion(tuple((rated | {"Fear": 5.0}).values())))

    def test_without_ratings_there_are_the_clips_own_labels(self):
        assert set(make_labels(13, None)) == {"emotion", "positive", "clip", "emotion_shuffled"}


CASES = {"sub-004": 250.0, "sub-036": 250.0, "sub-000": 1000.0, "sub-061": 1000.0}
"""A person of each cohort, with the rate."""
LAST_S = {"sub-004": CLIPS[22].length_s, "sub-036": 83.904, "sub-000": 5.0, "sub-061": 5.0}
"""How long clip 22 is: as in the release where the rate is low."""


@pytest.fixture(scope="module")
def bids(tmp_path_factory) -> Path:
    """Short clips of a person of each cohort."""
    root = tmp_path_factory.mktemp("bids")
    for number, (subject, rate) in enumerate(CASES.items()):
        data = noise(math.ceil(14 + LAST_S[subject] + 1), rate, number)
        events = [*play((7, 13, 28)), (22, 14.0, LAST_S[subject])]
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
        rate, end = CASES[subject], 14.0 + LAST_S[subject]
        spans = {"clip07": (2.0, 5.0), "clip13": (6.0, 9.0), "clip28": (10.0, 13.0), "clip22": (14.0, end)}
        if subject == "sub-036":
            spans["clip22"] = (end - CLIPS[22].length_s, end)
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
        shutil.copytree(bids, tmp_path / "copy", copy_function=os.symlink)
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

    @pytest.fixture
    def write(self, tmp_path):
        """Writes the only person, whose two clips are short."""
        return lambda subject, factor, **more: write_bids(
            tmp_path, subject, play((1, 2)), ratings(CLIPS), data=factor * noise(12, 250.0), **more
        )

    def test_a_stated_unit_is_believed_and_odd_numbers_are_reported(self, tmp_path, write):
        write("sub-036", 1e3)
        assert len(list(Faced(tmp_path).recordings("sub-036"))) == 2
        assert any("standard deviation" in finding.what for finding in Faced(tmp_path).verify())

    def test_the_bad_person_is_flagged_with_what_is_measured(self, tmp_path, write):
        write("sub-023", 1)
        found = [f.what for f in Faced(tmp_path).verify() if f.severity == "warning" and "no clip" not in f.what]
        assert [what[:26] for what in found] == ["sub-023: its EEG is bad in"]
        assert found[0].endswith("uV here")

    def test_the_bad_person_stops_nobody_however_large_the_numbers(self, tmp_path, write):
        write("sub-023", 1e3, dimension="?")
        assert next(Faced(tmp_path).recordings("sub-023")).signals["eeg"].data.std() > 5e3
        assert any("not one of 1 to 500" in finding.what for finding in Faced(tmp_path).verify())


@pytest.fixture
def one(tmp_path) -> Path:
    """A copy of one person's files, to be changed."""
    made.bids(tmp_path)
    return tmp_path


def found(root: Path, severity: str) -> list[str]:
    return [f.what for f in Faced(root).verify() if f.severity == severity]


class TestFaults:
    def test_whole_files_have_no_findings(self, one):
        assert found(one, "warning") == found(one, "error") == []

    def test_missing_clips_and_odd_ratings_are_reported(self, one):
        path = one / made.EVENTS
        lines = [line for line in path.read_text("utf-8").splitlines() if "\tnegative\t7\t" not in line]
        lines[-1] = "\t".join([*lines[-1].split("\t")[:-2], "n/a", "7.5"])
        path.write_text("\n".join(lines) + "\n", "utf-8")
        assert found(one, "warning") == ["no clip 7", "1 ratings are missing", "1 ratings are off the scale 0 to 7"]
        last = list(Faced(one).recordings("sub-036"))[-1]
        assert math.isnan(value(last, "familiarity"))

    def test_a_file_of_another_size_is_reported(self, one):
        edit.replace('"RecordingDuration": 59.996', '"RecordingDuration": 69.996')(one / f"{made.START}eeg.json")
        assert [what.partition(" bytes")[0] for what in found(one, "warning")] == [f"{8448 + 96 * 15_000:,}"]

    def test_a_file_whose_channels_have_no_names_has_those_of_the_sidecar(self, one):
        whole = next(Faced(one).recordings("sub-036")).signals["eeg"]
        edit.put(256, b"".join(f"channel {k}".ljust(16).encode() for k in range(32)))(one / made.BDF)
        assert (next(Faced(one).recordings("sub-036")).signals["eeg"].data == whole.data).all()
