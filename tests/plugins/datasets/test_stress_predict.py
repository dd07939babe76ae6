"""The Stress-Predict reader: on small files of the release's format, and on the real recordings where they are."""

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from embench.errors import DataError
from embench.interfaces.recording import Label, Recording
from embench.interfaces.units import Target
from embench_plugins.datasets.devices.e4 import FILES, TOLERANCE_S
from embench_plugins.datasets.stress_predict.reader import LABELS, StressPredict

from ...sample import sample
from .damages import stress_predict as made
from .damages.stress_predict import SECONDS, START, write_e4
from .real import released


@pytest.fixture
def release(tmp_path: Path) -> Path:
    made.release(tmp_path)
    return tmp_path


def read(root: Path, subject: str = "S02") -> Recording:
    (recording,) = StressPredict(root).recordings(subject)
    return recording


def stress() -> Target:
    (target,) = StressPredict.card.targets
    return target


def test_a_recording_holds_one_subjects_session(release):
    recording = read(release, "S01")
    assert (recording.id, recording.subject, recording.group, recording.stimulus) == ("S01", "S01", "S01", "session")
    assert (recording.duration_s, recording.start_s, recording.order) == (SECONDS, 0.0, 0)
    shapes = {modality: signal.data.shape for modality, signal in recording.signals.items()}
    assert shapes == {"ppg": (1, 7680), "eda": (1, 480), "temp": (1, 480), "acc": (3, 3840)}
    assert all(signal.data.dtype == np.float32 for signal in recording.signals.values())
    assert recording.signals["acc"].unit == "g"
    assert np.median(recording.signals["acc"].data) == pytest.approx(40 / 64, abs=0.01)  # counts of 1/64 g
    assert recording.labels == {}  # S01 has signals and no labels


def test_labels_are_seconds_from_the_recordings_start(release):
    recording = read(release)
    label = recording.labels["stress"]
    assert "acc" not in recording.signals
    assert (label.kind, label.classes) == ("condition", ("rest", "stress"))
    assert label.times[0] == 9
    assert label.times[-1] == SECONDS - 1
    np.testing.assert_array_equal(label.values, label.times >= 60)


def test_signals_are_cut_to_the_stretch_that_they_share(release):
    samples = np.arange(2, SECONDS - 3, 0.25)[:, None]  # the value is the second: starts 2 s late, ends 3 s early
    write_e4(release / "Raw_data" / "S02" / "TEMP.csv", samples, 4, START + 2)
    recording = read(release)
    assert recording.duration_s == SECONDS - 5
    assert {signal.duration_s for signal in recording.signals.values()} == {SECONDS - 5}
    assert recording.signals["temp"].data[0, 0] == 2
    assert recording.labels["stress"].times[0] == 7  # unix second 9, now 7 s after time 0
    bvp = np.loadtxt(release / "Raw_data" / "S02" / "BVP.csv")[2 + 2 * 64 :]
    np.testing.assert_allclose(recording.signals["ppg"].data[0], bvp[: (SECONDS - 5) * 64], rtol=1e-6)


def test_the_units_label_is_the_majority_and_a_tie_is_none():
    rule = stress().rule
    assert rule(np.array([1.0] * 6 + [0.0] * 4)) == 1
    assert rule(np.array([0.0])) == 0
    assert rule(np.array([1.0] * 5 + [0.0] * 5)) is None
    assert rule(np.array([])) is None


def test_files_are_the_signals_and_the_label_csv(release):
    names = {subject: [path.name for path in StressPredict(release).files(subject)] for subject in ("S01", "S02")}
    assert names == {
        "S01": ["BVP.csv", "EDA.csv", "TEMP.csv", "ACC.csv", LABELS.name],
        "S02": ["BVP.csv", "EDA.csv", "TEMP.csv", LABELS.name],
    }


def test_verify_tells_the_quirks(release):
    text = [finding.what for finding in StressPredict(release).verify()]
    assert any("without labels" in what for what in text)
    assert any("no ACC.csv" in what for what in text)
    assert "9 s have no label" in text
    assert any("no button press within 2 s of label changes at 60 s" in what for what in text)


def test_verify_goes_on_after_a_damaged_subject(release):
    (release / "Raw_data" / "S01" / "EDA.csv").write_text("", encoding="utf-8")
    findings = StressPredict(release).verify()
    errors = [Path(finding.where).name for finding in findings if finding.severity == "error"]
    assert errors == ["EDA.csv"]
    assert any(finding.where.endswith("S02") for finding in findings)


def test_infinite_samples_are_lost_samples(release):
    path = release / "Raw_data" / "S02" / "TEMP.csv"
    lines = path.read_text().splitlines()
    lines[2], lines[3] = "inf", "nan"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert np.isnan(read(release).signals["temp"].data[0, :3]).tolist() == [True, True, False]


def test_an_unknown_subject_is_bad_data(release):
    with pytest.raises(DataError, match="S77"):
        read(release, "S77")


HALF_A_DAY = 12 * 3600


@cache
def label_table(real: Path) -> np.ndarray:
    return np.genfromtxt(real / LABELS, delimiter=",", skip_header=1)


@cache
def task_times(real: Path) -> dict[str, tuple]:
    """Of everybody in the study's log: the day, then the seconds since midnight or noon at which the tasks begin and
    end: colour words, interview, hyperventilation."""
    sheet = openpyxl.load_workbook(real / "Processed_data" / "Time_logs.xlsx").active
    title, _, *subjects = sheet.iter_rows(values_only=True)
    tasks = [title.index(task) for task in ("Stroop Test", "Interview", "Hyperventilation")]
    return {
        row[0]: (
            row[title.index("Date")].date(),
            *((row[k].hour * 3600 + row[k].minute * 60) % HALF_A_DAY for task in tasks for k in (task, task + 1)),
        )
        for row in subjects
        if row[0]
    }


PEOPLE = tuple(f"S{number:02d}" for number in range(1, 36))


@pytest.fixture(scope="module")
def real() -> Path:
    return released("stress_predict")


@pytest.fixture(scope="module", params=sample(["two", "everybody"], "two"))
def recordings(real, request) -> dict[str, Recording]:
    """Of a subject whose button presses are all there and one whose are not, or of everybody."""
    return {subject: read(real, subject) for subject in (PEOPLE if request.param == "everybody" else ("S02", "S06"))}


@pytest.fixture(scope="module")
def labels(recordings) -> dict[str, Label]:
    """Of everybody who has labels."""
    return {subject: one.labels["stress"] for subject, one in recordings.items() if one.labels}


class TestRealRecordings:
    def test_everybody_of_the_release_is_read(self, real):
        text = re.search(r"(\d+) healthy volunteers", (real / "README.md").read_text(encoding="utf-8"))
        assert StressPredict(real).subjects() == sorted(task_times(real)) == list(PEOPLE)
        assert len(PEOPLE) == int(text[1])

    def test_all_have_labels_whom_the_csv_has(self, real, recordings, labels):
        in_csv = {f"S{number:02.0f}" for number in np.unique(label_table(real)[:, 0])}
        assert set(labels) == in_csv & set(recordings)
        assert set(PEOPLE) - in_csv == {"S01"}

    def test_signals_of_a_recording_have_one_length(self, real, recordings):
        card = StressPredict.card
        for subject, recording in recordings.items():
            assert set(recording.signals) == set(card.modalities)
            for modality, signal in recording.signals.items():
                lines = (real / "Raw_data" / subject / FILES[modality]).read_bytes().count(b"\n")
                cut = lines - 2 - signal.data.shape[1]  # two lines before the samples
                assert 0 <= cut <= TOLERANCE_S * signal.rate
                assert recording.duration_s <= signal.duration_s < recording.duration_s + 0.25
                assert np.isfinite(signal.data).all()
            assert 3000 < recording.duration_s < card.longest_s

    def test_the_accelerometer_of_a_hand_at_rest_measures_gravity(self, recordings):
        for recording in recordings.values():
            assert np.median(np.linalg.norm(recording.signals["acc"].data, axis=0)) == pytest.approx(1, abs=0.03)

    def test_labels_change_at_the_button_presses(self, real, labels):
        """The wristband's own event marks are on the signals' clock: labels are aligned to the second."""
        far = set()
        for subject, label in labels.items():
            changes = label.times[1:][np.diff(label.values) != 0]
            start = np.loadtxt(real / "Raw_data" / subject / "BVP.csv", max_rows=1)
            presses = np.loadtxt(real / "Raw_data" / subject / f"tags_{subject}.csv", ndmin=1) - start
            assert len(changes) == 6  # three tasks
            assert changes[0] > StressPredict.card.baseline.stop_s
            far |= {subject for t in changes if np.abs(presses - t).min() > 1}
        # Whose marks are incomplete; all others agree in every change.
        assert far == {"S06", "S17", "S18", "S30"} & set(labels)

    def test_labels_change_when_the_studys_log_says(self, real, labels):
        """Somebody's log of every task, in whole minutes of a 12-hour clock (Ireland's, in winter UTC), which was kept
        by hand and so knows nothing of the wristband: the hour, the day and the tasks are those of the labels, also of
        subjects whose button presses are incomplete."""
        logged, apart = task_times(real), []
        for subject, label in labels.items():
            folder = real / "Raw_data" / subject
            start = max(np.loadtxt(folder / name, delimiter=",", max_rows=1).flat[0] for name in FILES.values())
            day, *times = logged[subject]
            changes = start + label.times[1:][np.diff(label.values) != 0]
            assert {datetime.fromtimestamp(t, UTC).date() for t in changes} == {day}
            apart.append((changes - times + HALF_A_DAY / 2) % HALF_A_DAY - HALF_A_DAY / 2)
        assert np.abs(apart).max() < 180
        assert np.median(np.abs(apart)) < 60

    def test_the_csvs_heart_rate_is_the_devices_of_one_second_later_in_everybody(self, real, labels):
        """Over lags of -15 to 15 s the csv's heart rate and HR.csv agree fully at 1 s and nowhere else, for
        everybody: rows of the label csv lie on the device's seconds, without a drift, and that one column is a second
        early. That it is the column and not the rows which is early, the button presses above show."""
        table = label_table(real)
        for subject in labels:
            mine = table[(table[:, 0] == int(subject[1:])) & np.isfinite(table[:, 1])]
            device = np.loadtxt(real / "Raw_data" / subject / "HR.csv")
            start, rates = device[0], device[2:]
            together = {}
            for lag in range(-15, 16):
                at = (mine[:, 3] - start).astype(int) + lag
                inside = (at >= 0) & (at < len(rates))
                together[lag] = np.corrcoef(rates[at[inside]], mine[inside, 1])[0, 1]
            assert together.pop(1) == pytest.approx(1, abs=1e-12)
            assert max(together.values()) < 0.9999

    def test_the_devices_heart_rate_follows_the_beats_by_some_forty_seconds(self, real):
        """HR.csv against the beats that the device found (IBI.csv, on the signals' clock): it is so smooth and late
        that no second could be told from it, but an hour, a time zone or another session would show. Subjects whose
        wristband found beats in at least half of the session."""
        lags = []
        for subject in StressPredict(real).subjects():
            folder = real / "Raw_data" / subject
            device, start = np.loadtxt(folder / "HR.csv"), float((folder / "BVP.csv").open().readline())
            beats = np.loadtxt(folder / "IBI.csv", delimiter=",", skiprows=1)
            if beats[:, 1].sum() < 0.5 * len(device):
                continue
            seconds = np.arange(len(device) - 2) + device[0] - start
            total = np.concatenate([[0], np.cumsum(beats[:, 1])])
            together = {}
            for lag in range(-120, 61):
                first, last = (np.searchsorted(beats[:, 0], seconds + lag - back, "right") for back in (10, 0))
                enough = last - first >= 5
                mean = 60 * (last - first)[enough] / (total[last] - total[first])[enough]
                together[lag] = np.corrcoef(mean, device[2:][enough])[0, 1]
            lags.append(max(together, key=together.get))
        assert len(lags) >= 5
        assert -50 <= np.median(lags) <= -30
        assert all(-70 <= lag <= -20 for lag in lags)

    @pytest.mark.parametrize("recordings", sample(["everybody"]), indirect=True)
    def test_majority_gives_the_published_class_balance(self, recordings, labels):
        """Majority-class weighted F1 was measured elsewhere as .541 (10 s windows, five folds of subjects)."""
        rule, shares = stress().rule, []
        for subject, label in labels.items():
            bins = (label.times // 10).astype(int)
            grid = np.unique(bins[(bins + 1) * 10 <= recordings[subject].duration_s])
            units = [rule(label.values[bins == bin_]) for bin_ in grid]
            shares.append(np.mean([value == 0 for value in units if value is not None]))
        rest = np.mean(shares)
        assert rest * 2 * rest / (1 + rest) == pytest.approx(0.541, abs=0.01)
