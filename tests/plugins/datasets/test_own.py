"""Own recordings: what is read against what was written, hostile and careless folders, and real recordings against a
plain reading of them."""

import csv
import itertools
import math
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from embench import registry
from embench.errors import DataError
from embench.interfaces.recording import Recording
from embench.testing import check_dataset
from embench_plugins.datasets.own.layout import Template
from embench_plugins.datasets.own.reader import Own

from ...sample import sample
from .damages.own import DESCRIPTION, described, staged, timed
from .own_files import BINARY, EDA, SOURCE, STAGES, column, describe, study, write
from .real import released


def read(root: Path) -> dict[str, Recording]:
    reader = Own(root)
    assert all(path.is_file() for subject in reader.subjects() for path in reader.files(subject))
    return {recording.id: recording for s in reader.subjects() for recording in reader.recordings(s)}


def refused(root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read(root)
    return caught.value


class TestDescription:
    def test_the_description_that_is_spoilt_is_right(self, tmp_path):
        described(tmp_path)
        reader = Own(tmp_path)
        recordings = [recording for subject in reader.subjects() for recording in reader.recordings(subject)]
        assert all(path.is_file() for subject in reader.subjects() for path in reader.files(subject))
        assert [r.id for r in recordings] == ["A1/1", "A1/2", "A2/1", "A2/2"]
        assert [float(r.labels["arousal"].values[0]) for r in recordings] == [3, 4, 5, 6]
        assert {r.group for r in recordings} == {"site Lyon", "site Graz"}
        assert {finding.severity for finding in reader.verify()} <= {"note"}

    def test_texts_stay_as_they_are_written(self, tmp_path):
        """YAML would make a truth value of `no`, and numbers of `01`."""
        text = DESCRIPTION.replace("classes: [rest, stress]", "classes: {no: rest, yes: stress}")
        text = text.replace("  id: code", "  id: code\n  exclude: [01]")
        described(tmp_path)
        (tmp_path / "dataset.yaml").write_text(text)
        (tmp_path / "A1").rename(tmp_path / "01")
        for name in ("people.csv", "ratings.csv", "tasks.csv"):
            table = (tmp_path / name).read_text().replace("A1", "01").replace(",rest", ",no").replace(",stress", ",yes")
            (tmp_path / name).write_text(table)
        reader = Own(tmp_path)
        assert reader.subjects() == ["A2"]
        assert [r.labels["task"].values[0] for r in reader.recordings("A2")] == [0, 1]


class TestTables:
    @pytest.mark.parametrize(
        "text",
        [
            column([1.5, 2.25, 3]),
            "\ufeff" + column([1.5, 2.25, 3]),
            column([1.5, 2.25, 3]).replace("\n", "\r\n"),
            "time;EDA\n0,0;1,5\n0,25;2,25\n0,5;3\n",
            '"time";"EDA"\n0,0;1,5\n0,25;2,25\n0,5;3,0\n',
            "time\tEDA\n0\t1.5\n1\t2.25\n2\t3\n",
            " time , EDA \n0,1.5\n0,2.25\n0,3\n\n",
        ],
        ids=["plain", "BOM", "CRLF", "decimal comma", "quoted", "tabs", "spaces"],
    )
    def test_a_table_is_read_however_it_is_written(self, tmp_path, text):
        signal = read(study(tmp_path, text))["A"].signals["eda"]
        np.testing.assert_array_equal(signal.data, np.float32([[1.5, 2.25, 3]]))
        assert (signal.rate, signal.unit, signal.channels) == (4, "uS", ("eda",))

    def test_lost_samples_are_nan_and_what_was_never_recorded_is_absent(self, tmp_path):
        signal = read(study(tmp_path, "EDA,x\n1,\n,\nNaN,\n4,\n"))["A"].signals["eda"]
        np.testing.assert_array_equal(signal.data, np.float32([[1, np.nan, np.nan, 4]]))
        assert read(study(tmp_path, column([0, 0, 0])))["A"].signals == {}

    def test_a_table_without_names_has_numbers(self, tmp_path):
        root = study(tmp_path, "1,5\n2,6\n", channels={"eda": "2"})
        (root / "B.csv").unlink()
        data = read(root)["A"].signals["eda"].data
        np.testing.assert_array_equal(data, [[5, 6]])


class TestTimes:
    def test_a_rate_that_lies_is_refused(self, tmp_path):
        rows = "".join(f"{k / 64:.6f},{k + 1}\n" for k in range(80))
        error = refused(study(tmp_path, "t,EDA\n" + rows, time="t"))
        assert "64 samples a second, not 4" in error.what
        assert "dataset.yaml, line" in error.where
        assert "rate: 64" in error.expected

    def test_times_give_the_rate_and_the_places_of_samples(self, tmp_path):
        timed(tmp_path, time_unit="ms")
        (tmp_path / "A.csv").write_text("t,EDA\n0,1\n500,2\n1500,4\n2000,5\n")
        signal = read(tmp_path)["A"].signals["eda"]
        np.testing.assert_array_equal(signal.data, np.float32([[1, 2, np.nan, 4, 5]]))
        assert signal.rate == 2

    def test_no_sample_is_lost_where_stretches_of_time_meet(self, tmp_path):
        """At 1000 Hz, three stretches of 101 samples take 98.6 ms instead of 100, and begin 1.61 ms after the last."""
        step = np.full(1304, 1.0)
        step[1000:] = 0.986
        step[[1000, 1101, 1202]] = 1.61
        rows = "".join(f"{ms:.3f},{k + 1}\n" for k, ms in enumerate(np.cumsum(step) - 1))
        timed(tmp_path, time_unit="ms", rate=1000)
        (tmp_path / "A.csv").write_text("t,EDA\n" + rows)
        values = read(tmp_path)["A"].signals["eda"].data[0]
        np.testing.assert_array_equal(values[np.isfinite(values)], np.arange(1, 1305))

    def test_files_with_dates_are_cut_to_what_they_share(self, tmp_path):
        start = 1_704_103_200

        def dated(rate: int, late: float) -> str:
            stamps = [datetime.fromtimestamp(start + late + k / rate, UTC) for k in range(20 * rate)]
            rows = [f"{when.isoformat(timespec='milliseconds')},{k + 1}" for k, when in enumerate(stamps)]
            return "\n".join(["t,x", *rows]) + "\n"

        write(tmp_path, {"A_eda.csv": dated(4, 0), "A_temp.csv": dated(1, 3), "moods.csv": "who,mood\nA,1\n"})
        signals = {
            m: {"file": f"{{participant:?}}_{m}.csv", "channels": {m: "x"}, "unit": unit, "time": "t"}
            for m, unit in (("eda", "uS"), ("temp", "degC"))
        }
        recording = read(describe(tmp_path, {"signals": signals}))["A"]
        assert recording.duration_s == 17
        np.testing.assert_array_equal(recording.signals["eda"].data[0], np.arange(13, 81))
        np.testing.assert_array_equal(recording.signals["temp"].data[0], np.arange(1, 18))


class TestLabels:
    def test_stretches_of_time(self, tmp_path):
        staged(tmp_path, "A,0,20,rest\nA,30,50,stress\nA,50,55,break\nB,0,60,stress\n")
        label = read(tmp_path)["A"].labels["stage"]
        assert (label.kind, label.classes) == ("condition", ("rest", "stress"))
        expected = [0.0 if t < 20 else 1.0 if 30 <= t < 50 else np.nan for t in label.times]
        np.testing.assert_array_equal(label.values, expected)
        assert (len(label.times), label.times[0], label.times[-1]) == (600, pytest.approx(0.05), pytest.approx(59.95))
        notes = [f.what for f in Own(tmp_path).verify()]
        assert any("none of its classes" in what and "break" in what for what in notes)
        assert any("1 rows with label stage are of no recording" in what and "lines 5" in what for what in notes)

    def test_stretches_with_a_duration(self, tmp_path):
        root = staged(tmp_path, "A,10,5,stress\n", end=None, duration="to")
        label = read(root)["A"].labels["stage"]
        assert label.times[np.isfinite(label.values)][[0, -1]] == pytest.approx([10.05, 14.95])

    def test_moments_are_values_with_times(self, tmp_path):
        write(tmp_path, {"A.csv": column(range(1, 241)), "A_joystick.tsv": "s\tvalence\n0.5\t3\n1\t4.5\n99\t9\n"})
        labels = {"valence": {"table": "{participant}_joystick.tsv", "time": "s", "column": "valence", "scale": [1, 9]}}
        describe(tmp_path, labels=labels, targets={"v": {"label": "valence", "kind": "value", "step": 2}})
        label = read(tmp_path)["A"].labels["valence"]
        assert (label.kind, label.times.tolist(), label.values.tolist()) == ("continuous", [0.5, 1], [3, 4.5])
        assert Own(tmp_path).card.targets[0].step == 2
        describe(tmp_path, labels=labels, targets={"v": {"label": "valence", "kind": "binary", "cut": 5, "step": 2}})
        assert "a step is one of values" in refused(tmp_path).what

    def test_a_column_of_numbers_needs_no_more_than_its_kind(self, tmp_path):
        write(tmp_path, {"A.csv": column(range(1, 241)), "ratings.csv": "who,calm\nA,7\n"})
        labels = {"calm": {"table": "ratings.csv", "keys": {"participant": "who"}, "column": "calm"}}
        centred = {"label": "calm", "kind": "value", "centred": True}
        describe(tmp_path, labels=labels, targets={"v": {"label": "calm", "kind": "value"}, "c": centred})
        plain, less = Own(tmp_path).card.targets
        assert (plain.kind, plain.scale, plain.rule.aggregate, plain.rule.centred) == ("value", None, "value", False)
        assert less.rule.centred
        labels["calm"]["classes"] = ["6", "7"]
        describe(tmp_path, labels=labels, targets={"c": {**centred, "kind": "binary"}})
        assert "`centred` are of numbers" in refused(tmp_path).what

    def test_a_column_beside_the_signal(self, tmp_path):
        rows = "".join(f"{k + 1},{'stress' if k >= 120 else 'rest'}\n" for k in range(240))
        write(tmp_path, {"A.csv": "EDA,stage\n" + rows})
        labels = {"stage": {"column": "stage", "classes": ["rest", "stress"]}}
        describe(tmp_path, labels=labels, targets={"stress": {"label": "stage", **BINARY}})
        label = read(tmp_path)["A"].labels["stage"]
        np.testing.assert_array_equal(label.values, label.times >= 30)

    def test_the_name_of_the_file(self, tmp_path):
        write(tmp_path, {"A_calm.csv": column([1, 2]), "A_sums.csv": column([1, 2]), "A_other.csv": column([1, 2])})
        labels = {"task": {"file": "task", "classes": {"calm": "rest", "sums": "stress"}}}
        source = {"files": "{participant}_{task}.csv", "signals": {"eda": EDA}}
        found = read(describe(tmp_path, source, labels, {"task": {"label": "task", **BINARY}}))
        assert {id_: [float(v.values[0]) for v in r.labels.values()] for id_, r in found.items()} == {
            "A/calm": [0], "A/sums": [1], "A/other": [],
        }  # fmt: skip

    def test_trials_become_recordings(self, tmp_path):
        write(tmp_path, {
            "A.csv": column(range(1, 241)),
            "events.tsv": "onset\tduration\ttrial_type\tfilm\trating\n0\t5\tfixation\tn/a\tn/a\n"
            "10\t20\tfilm\tsea\t7\n40\t10\tfilm\tcity\t2\n",
        })  # fmt: skip
        trials = {
            "table": "events.tsv", "start": "onset", "duration": "duration", "stimulus": "film",
            "where": {"trial_type": ["film"]},
        }  # fmt: skip
        first, second = read(describe(tmp_path, {**SOURCE, "trials": trials}, {"liked": {"trial": "rating"}})).values()
        assert [(r.id, r.stimulus, r.start_s, r.order, r.duration_s) for r in (first, second)] == [
            ("A@1", "sea", 10, 0, 20), ("A@2", "city", 40, 1, 10),
        ]  # fmt: skip
        np.testing.assert_array_equal(first.signals["eda"].data[0], np.arange(41, 121))
        assert [r.labels["liked"].values[0] for r in (first, second)] == [7, 2]

    def test_missing_labels_and_spare_rows_are_told(self, tmp_path):
        root = study(tmp_path, moods="who,mood\nA,n/a\nC,5\n")
        assert all(not recording.labels for recording in read(root).values())
        said = " ".join(finding.what for finding in Own(root).verify())
        assert "2 recordings have no label mood: A, B" in said
        assert "1 rows with label mood are of no recording here: lines 3" in said

    def test_numbers_are_found_whatever_their_zeros(self, tmp_path):
        write(tmp_path, {"P01.csv": column([1, 2]), "P02.csv": column([1, 2]), "moods.csv": "who;mood\n1;4,5\n2;7\n"})
        found = read(describe(tmp_path, {"files": "P{participant}.csv", "signals": {"eda": EDA}}))
        assert {r.subject: float(r.labels["mood"].values[0]) for r in found.values()} == {"01": 4.5, "02": 7}


class TestPeople:
    def people(self, root: Path, table: str) -> Path:
        study(root)
        write(root, {"people.csv": table})
        about = {"table": "people.csv", "id": "code", "group": "dyad", "info": {"sex": "sex"}}
        return describe(root, participants=about)

    def test_groups_and_what_is_known_of_subjects(self, tmp_path):
        root = self.people(tmp_path, "code,dyad,sex\nA,1,f\nB,1,n/a\nC,2,m\n")
        assert {recording.group for recording in read(root).values()} == {"dyad 1"}
        assert [dict(Own(root).subject_info(s)) for s in ("A", "B")] == [{"sex": "f"}, {}]
        assert any("no recordings of C" in finding.what for finding in Own(root).verify())

    @pytest.mark.parametrize(
        ("table", "what"),
        [
            ("code,dyad,sex\nA,1,f\nB,2,f\nA,3,f\n", "lines 2 and 4 are both of participant `A`"),
            ("code,dyad,sex\nA,1,f\n", "participant B has no `dyad`"),
            ("code,pair,sex\nA,1,f\nB,1,f\n", "no column `dyad`"),
        ],
    )
    def test_tables_of_participants_that_do_not_fit(self, tmp_path, table, what):
        assert what in refused(self.people(tmp_path, table)).what


class TestFolders:
    @pytest.mark.parametrize(
        ("text", "path", "facts"),
        [
            ("{participant:S##}{task}.csv", "S01rest.csv", {"participant": "S01", "task": "rest"}),
            ("{a}_{participant}/{participant}_{a}.csv", "x_P1/P1_x.csv", {"a": "x", "participant": "P1"}),
            ("{participant}/*_v?.csv", "P 1/any thing_v2.csv", {"participant": "P 1"}),
            ("{participant}.v1.0(+).csv", "P1.v1.0(+).csv", {"participant": "P1"}),
            ("{participant}_a.csv", "a_b_a.csv", {"participant": "a_b"}),
        ],
    )
    def test_what_names_in_braces_stand_for(self, tmp_path, text, path, facts):
        write(tmp_path, {path: "x\n1\n", "other/P1_y.csv": "x\n1\n", "P1_v10.csv": "x\n1\n"})
        assert [dict(found) for _, found in Template(text).matches(tmp_path)] == [facts]
        assert [p for p, _ in Template(text).matches(tmp_path, facts)] == [tmp_path / path]

    def test_a_path_that_would_take_forever_to_compare_is_refused(self):
        with pytest.raises(ValueError, match="over 5 names and stars"):
            Template("{participant}" + "*a" * 5 + ".csv")
        slow = Template("{participant}" + "*a" * 4 + "b.csv")
        assert list(slow.matches(Path(__file__).parent)) == []

    def test_links_that_lead_in_a_circle_end(self, tmp_path):
        root = study(tmp_path)
        (root / "loop").symlink_to(root)
        describe(root, {"files": "{a}/{b}/{participant:?}.csv", "signals": {"eda": EDA}})
        assert {r.subject for r in read(root).values()} == {"A", "B"}

    def test_a_generated_folder_conforms(self, tmp_path):
        registry.synthesizer("own")(tmp_path / "own", subjects=2, seed=0, effect=1.0, length_s=60.0)
        check_dataset(Own, tmp_path / "own")
        assert Own(tmp_path / "own").verify() == []


class TestRealRecordings:
    """Each release through a `dataset.yaml`, against the csv module or pyedflib and no code of this project."""

    @pytest.mark.parametrize("subjects", sample(["hku190[34]", "hku*"], "hku190[34]"))
    def test_songs_with_their_ratings(self, tmp_path, subjects):
        release = released("hku956")
        (tmp_path / "songs").mkdir()
        for folder in (release / "1. physiological_signals").glob(subjects):
            (tmp_path / "songs" / folder.name).symlink_to(folder)
        shutil.copy(release / "3. AV_ratings.csv", tmp_path / "ratings.csv")
        keys = {"participant": "participant_id", "number": "song_no", "song": "song_id"}
        signals = {
            m: {"file": f"songs/{{participant}}/{m.upper()}/{{number}}_{{song}}.csv", "channels": {m: "1"},
                "rate": 4, "unit": unit}
            for m, unit in (("eda", "uS"), ("temp", "degC"))
        }  # fmt: skip
        labels = {a: {"table": "ratings.csv", "keys": keys, "column": f"{a}_rating"} for a in ("valence", "arousal")}
        source = {"stimulus": "{song}", "order": "{number}", "signals": signals}
        root = describe(tmp_path, source, labels, {a: {"label": a, "kind": "binary", "cut": 0} for a in labels})
        found = read(root)
        with (tmp_path / "ratings.csv").open(encoding="utf-8-sig") as file:
            rows = {(row["participant_id"], row["song_no"], row["song_id"]): row for row in csv.DictReader(file)}
        assert len(found) > 14 * len(list((tmp_path / "songs").iterdir()))
        for recording in found.values():
            row = rows.get((recording.subject, str(recording.order), recording.stimulus))
            assert {a: float(label.values[0]) for a, label in recording.labels.items()} == (
                {a: float(row[f"{a}_rating"]) for a in labels if row[f"{a}_rating"]} if row else {}
            )
        one = next(iter(found.values()))
        folder = release / "1. physiological_signals" / one.subject / "EDA"
        lines = (folder / f"{one.order}_{one.stimulus}.csv").read_text().split()
        np.testing.assert_array_equal(one.signals["eda"].data[0], np.float32([float(line) for line in lines]))

    def test_rest_and_arithmetic_by_the_name_of_the_file(self, tmp_path):
        release = released("eegmat")
        (tmp_path / "eeg").symlink_to(release)
        electrodes = {name: f"EEG {name}" for name in ("F3", "F4", "O1", "O2")}
        source = {
            "files": "eeg/{participant}_{run}.edf",
            "order": "{run}",
            "signals": {"eeg": {"channels": electrodes}, "ecg": {"channels": {"ecg": "ECG ECG"}, "unit": "uV"}},
        }
        labels = {"task": {"file": "run", "classes": {1: "rest", 2: "stress"}}}
        about = {"table": "eeg/subject-info.csv", "id": "Subject", "info": {"sex": "Gender"}}
        root = describe(tmp_path, source, labels, {"task": {"label": "task", **BINARY}}, participants=about)
        reader = Own(root)
        subjects = sorted({path.name[:9] for path in release.glob("Subject*.edf")})
        assert reader.subjects() == subjects
        assert reader.subject_info("Subject00") == {"sex": "F"}
        for recording in reader.recordings(subjects[0]):
            with pyedflib.EdfReader(str(release / f"{recording.subject}_{recording.order}.edf")) as file:
                names = file.getSignalLabels()
                for row, name in zip(recording.signals["eeg"].data, electrodes.values(), strict=True):
                    np.testing.assert_array_equal(row, file.readSignal(names.index(name)).astype(np.float32))
            assert recording.labels["task"].values.tolist() == [recording.order - 1]

    def test_wristbands_with_stages_in_unix_time(self, tmp_path):
        release = released("wearable_stress") / "Wearable_Dataset" / "STRESS"
        (tmp_path / "worn").symlink_to(release)
        subject = "S04"

        def seconds(text: str) -> float:
            return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC).timestamp()

        presses = [seconds(line) for line in (release / subject / "tags.csv").read_text().split("\n") if line.strip()]
        stages = [(a, b, ("rest", "stress")[k % 2]) for k, (a, b) in enumerate(itertools.pairwise(presses[2:]))]
        rows = "".join(f"{subject},{a:.0f},{b:.0f},{stage}\n" for a, b, stage in stages)
        write(tmp_path, {"stages.csv": "who,from,to,stage\n" + rows})
        root = describe(
            tmp_path,
            {"e4": "worn/{participant}"},
            {"stage": {**STAGES, "clock": "absolute"}},
            {"stress": {"label": "stage", **BINARY}},
            longest_s=5400,
        )
        (recording,) = Own(root).recordings(subject)
        lines = (release / subject / "EDA.csv").read_text().split("\n")
        names = ("EDA", "BVP", "TEMP", "ACC")
        start = max(seconds((release / subject / f"{n}.csv").read_text().split("\n")[0].split(",")[0]) for n in names)
        skip = round(4 * (start - seconds(lines[0])))
        plain = np.float32([float(line) for line in lines[2:] if line.strip()])[skip:]
        eda = recording.signals["eda"].data[0]
        np.testing.assert_array_equal(eda, plain[: len(eda)])
        assert len(plain) - len(eda) < 4 * 30
        assert (recording.start_s, recording.order) == (0, 0)
        label = recording.labels["stage"]
        expected = np.full(len(label.times), np.nan)
        for a, b, stage in stages:
            inside = (label.times + start >= round(a)) & (label.times + start < round(b))
            expected[inside] = stage == "stress"
        np.testing.assert_array_equal(label.values, expected)
        assert math.isfinite(np.nansum(expected))
