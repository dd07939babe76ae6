"""The WESAD reader, on synthetic files of the released format with all its quirks, and on bad copies of it."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from embench.errors import DataError
from embench.protocols import label_units, load_protocol, make_units
from embench.testing import check_dataset
from embench_plugins.datasets.wesad import synthetic
from embench_plugins.datasets.wesad.reader import (
    CONDITIONS,
    KEYS,
    PEOPLE,
    Wesad,
    WesadChest,
    parse_seconds,
    read_reports,
)

from ...sample import sample
from .damages.wesad import ANSWERS, RUNS, codes_of, content_of, write_subject

SCALE = {("wrist", "acc"): 1 / 64}


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Path:
    """S2 to S4, generated: pickles of protocols 2 and 0 of Python 2, and one written again by Python 3."""
    root = tmp_path_factory.mktemp("wesad")
    synthetic.synthesize(root, subjects=3, seed=4, effect=1.0, length_s=90.0)
    return root


def read(root: Path, subject: str = "S2", cls: type[Wesad] = Wesad):
    (recording,) = cls(root).recordings(subject)
    return recording


def findings(root: Path, severity: str, cls: type[Wesad] = Wesad) -> str:
    return "\n".join(finding.what for finding in cls(root).verify() if finding.severity == severity)


class TestReading:
    @pytest.mark.parametrize("cls", [Wesad, WesadChest])
    @pytest.mark.parametrize("subject", ["S2", "S3", "S4"])
    def test_every_sample_is_the_pickles_own(self, three, cls, subject):
        recording = read(three, subject, cls)
        with (three / "WESAD" / subject / f"{subject}.pkl").open("rb") as file:
            content = pickle.load(file, encoding="latin1")
        arrays = content["signal"][cls.device]
        assert set(recording.signals) == set(cls.card.modalities) == set(KEYS[cls.device])
        assert len(arrays) == len(recording.signals)
        for modality, signal in recording.signals.items():
            card = cls.card.modalities[modality]
            assert (signal.rate, signal.channels, signal.unit) == (card.rate, card.channels, card.unit)
            values = arrays[KEYS[cls.device][modality]].T * SCALE.get((cls.device, modality), 1)
            np.testing.assert_array_equal(signal.data, values.astype(np.float32))
            assert signal.data.dtype == np.float32
            assert signal.duration_s == recording.duration_s == len(content["label"]) / 700

    @pytest.mark.parametrize("cls", [Wesad, WesadChest])
    def test_a_recording_is_one_subjects_session(self, three, cls):
        recording = read(three, "S3", cls)
        assert (recording.id, recording.subject, recording.group) == ("S3", "S3", "S3")
        assert (recording.start_s, recording.order, recording.session) == (0.0, 0, "session")
        assert set(recording.labels) == {"condition", "valence", "arousal"}

    @pytest.mark.parametrize("cls", [Wesad, WesadChest])
    def test_it_conforms(self, three, cls):
        check_dataset(cls, three)

    def test_the_files_that_decide(self, three):
        assert [path.name for path in Wesad(three).files("S2")] == ["S2.pkl", "S2_quest.csv"]

    def test_what_is_known_of_a_subject(self, three, tmp_path):
        info = Wesad(three).subject_info("S2")
        assert info["sex"] == "male"
        assert info["handedness"] == "right"
        assert info["age_band"] in ("20-29", "30-39")
        write_subject(tmp_path)
        assert Wesad(tmp_path).subject_info("S2") == {}
        assert "no readme" in findings(tmp_path, "note")

    def test_subjects_come_in_the_releases_order(self, tmp_path):
        for name in ("S10", "S2", "S13"):
            write_subject(tmp_path, name)
        assert Wesad(tmp_path).subjects() == ["S2", "S10", "S13"]
        assert "S1, " not in findings(tmp_path, "note")
        assert "not here: S3, S4" in findings(tmp_path, "note")


class TestLiberal:
    def test_a_wristband_a_little_shorter(self, tmp_path):
        content = content_of()
        content["signal"]["wrist"]["EDA"] = content["signal"]["wrist"]["EDA"][:-3]
        write_subject(tmp_path, content=content)
        recording = read(tmp_path)
        assert recording.duration_s == 59.25
        assert len(recording.labels["condition"].values) == 59

    def test_a_missing_modality_is_absent(self, tmp_path):
        content = content_of()
        del content["signal"]["wrist"]["TEMP"]
        content["signal"]["wrist"]["EDA"][:] = 0
        write_subject(tmp_path, content=content)
        assert set(read(tmp_path).signals) == {"ppg", "acc"}

    def test_lost_samples_are_nan(self, tmp_path):
        content = content_of()
        content["signal"]["wrist"]["BVP"][100:104] = np.inf
        content["signal"]["wrist"]["BVP"][200] = 1e300
        write_subject(tmp_path, content=content)
        assert np.isnan(read(tmp_path).signals["ppg"].data).sum() == 5

    def test_a_pickle_without_the_other_device(self, tmp_path):
        content = content_of()
        del content["signal"]["chest"]
        write_subject(tmp_path, content=content)
        assert set(read(tmp_path).signals) == set(Wesad.card.modalities)


class TestConditions:
    def test_codes_become_conditions_a_second(self, tmp_path):
        write_subject(tmp_path)
        label = read(tmp_path).labels["condition"]
        assert (label.kind, label.classes) == ("condition", CONDITIONS)
        np.testing.assert_array_equal(label.times, np.arange(60))
        expected = np.concatenate(
            [np.full(length, {1: 0, 2: 1, 3: 2, 4: 3}.get(code, np.nan)) for code, length in RUNS]
        )
        np.testing.assert_array_equal(label.values, expected)  # 0, 6 and 7 are no condition

    def test_a_second_with_two_codes_has_none(self, tmp_path):
        codes = codes_of()
        codes[4 * 700 : 4 * 700 + 1] = 0
        write_subject(tmp_path, content={**content_of(), "label": codes})
        values = read(tmp_path).labels["condition"].values
        assert np.isnan(values[4])
        assert values[5] == 0

    def test_targets(self):
        rules = {target.name: target.rule for target in Wesad.card.targets}
        made = {name: [rule(np.array([float(c)])) for c in range(4)] for name, rule in rules.items()}
        assert made["stress"] == [0, 1, 0, None]
        assert made["condition3"] == [0, 1, 2, None]
        assert made["condition4"] == [0, 1, 2, 3]
        assert [rules["arousal"](np.array([x, x])) for x in (1.0, 5.0, 6.0)] == [0, None, 1]
        assert rules["valence_value"](np.array([7.0, 7.0])) == 7
        assert all(rule(np.array([np.nan])) is None for rule in rules.values())
        assert Wesad.card.default_targets == ("stress",)
        assert WesadChest.card.targets == Wesad.card.targets

    def test_units_of_ten_seconds_by_their_labelled_seconds(self, tmp_path):
        write_subject(tmp_path)
        recording = read(tmp_path)
        units = make_units([recording], Wesad.card, "condition", load_protocol("subject-independent-v4"))
        (target,) = [target for target in Wesad.card.targets if target.name == "condition4"]
        _, label = label_units(units, {"S2": recording.labels["condition"]}, target.rule)
        assert label.tolist() == [0, 0, 1, 3, 2, 3]


class TestQuestionnaires:
    def test_times_are_minutes_and_seconds_without_their_last_zero(self):
        assert [parse_seconds(text) for text in ("7.08", "39.55", "50.3", "77.1", "0", "12.")] == [
            428, 2395, 3030, 4630, 0, 720
        ]  # fmt: skip
        for text in ("1.60", "7.6", "1.234", "", "a.b", "7,08"):
            with pytest.raises(ValueError, match=r"time|literal"):
                parse_seconds(text)

    def test_rows_follow_the_order_without_the_readings(self, tmp_path):
        path = tmp_path / "S2_quest.csv"
        text = (
            ANSWERS.replace("Base;TSST", "bRead;Base;TSST").replace("START;", "START;1.0;").replace("END;", "END;2.0;")
        )
        path.write_text(text, encoding="utf-8")
        reports = read_reports(path, "S2")
        assert [report.condition for report in reports] == [0, 1, 3, 2, 3]
        assert [report.valence for report in reports] == [7, 3, 6, 8, 5]
        assert [report.arousal for report in reports] == [2, 8, 3, 5, 1]
        assert [report.start_s for report in reports][:2] == [428, 2395]
        assert reports[1].stop_s == 3030

    @pytest.mark.parametrize("subject", ["S2", "S3"])
    def test_all_answers_are_read(self, three, subject):
        path = three / "WESAD" / subject / f"{subject}_quest.csv"
        reports = read_reports(path, subject)
        assert [len(report.panas) for report in reports] == [26 if r.condition == 1 else 24 for r in reports]
        assert [len(report.stai) for report in reports] == [6] * 5
        assert [len(report.sssq) for report in reports] == [6 if r.condition == 1 else 0 for r in reports]
        rows = [line.split(";") for line in path.read_text("utf-8").splitlines()]
        ratings = [row[1:3] for row in rows if row[0] == "# DIM"]
        assert [[f"{r.valence:g}", f"{r.arousal:g}"] for r in reports] == ratings
        assert not [what for report in reports for what in report.list_faults()]

    def test_ratings_hold_where_the_codes_say_not_the_times(self, tmp_path):
        write_subject(tmp_path)
        recording = read(tmp_path)
        valence = recording.labels["valence"]
        assert valence.kind == "continuous"
        expected = np.full(60, np.nan)
        for start, stop, value in ((4, 16, 7), (18, 30, 3), (32, 38, 6), (40, 50, 8), (52, 58, 5)):
            expected[start:stop] = value
        np.testing.assert_array_equal(valence.values, expected)
        np.testing.assert_array_equal(np.isnan(recording.labels["arousal"].values), np.isnan(expected))

    def test_the_manikin_in_the_middle_is_neither_low_nor_high(self, tmp_path):
        write_subject(tmp_path)
        labels = read(tmp_path).labels
        rules = {target.name: target.rule for target in Wesad.card.targets}
        of = {name: [rules[name](np.array([value])) for value in (7, 3, 6, 8, 5)] for name in ("valence", "arousal")}
        assert of["valence"] == of["arousal"] == [1.0, 0.0, 1.0, 1.0, None]
        assert rules["valence_value"](labels["valence"].values[52:58]) == 5.0

    def test_the_other_order(self, tmp_path):
        runs = tuple((({2: 3, 3: 2}.get(code, code)), length) for code, length in RUNS)
        quest = ANSWERS.replace("TSST;Medi 1;Fun", "Fun;Medi 1;TSST")
        write_subject(tmp_path, content=content_of(runs=runs), quest=quest)
        labels = read(tmp_path).labels
        assert set(labels["valence"].values[labels["condition"].values == 2]) == {3}
        assert not findings(tmp_path, "warning").replace("\n", "").startswith("its order")

    def test_without_the_file_there_are_conditions_only(self, tmp_path):
        path = write_subject(tmp_path, quest=None)
        assert set(read(tmp_path).labels) == {"condition"}
        assert Wesad(tmp_path).files("S2") == [path]

    def test_a_condition_that_is_not_in_the_codes_leaves_the_others_their_ratings(self, tmp_path):
        runs = tuple((0 if code == 3 else code, length) for code, length in RUNS)
        write_subject(tmp_path, content=content_of(runs=runs))
        labels = read(tmp_path).labels
        by_condition = {c: set(labels["valence"].values[labels["condition"].values == c]) for c in (0, 1)}
        assert by_condition == {0: {7}, 1: {3}}
        meditation = labels["valence"].values[labels["condition"].values == 3]
        assert np.isnan(meditation).all()  # one stretch for two reports

    def test_a_question_without_an_answer(self, tmp_path):
        write_subject(tmp_path, quest=ANSWERS.replace("DIM;3;8", "DIM;;8"))
        labels = read(tmp_path).labels
        stress = labels["condition"].values == 1
        assert np.isnan(labels["valence"].values[stress]).all()
        assert set(labels["arousal"].values[stress]) == {8}


class TestDamaged:
    def test_subjects_who_are_not_of_the_release_or_have_no_pickle_are_left_out(self, tmp_path):
        for name in ("S1", "S2", "S12"):
            write_subject(tmp_path, name)
        (tmp_path / "S3").mkdir()
        assert Wesad(tmp_path).subjects() == ["S2"]
        with pytest.raises(DataError, match="no person S12"):
            read(tmp_path, "S12")
        assert len(PEOPLE) == 15

    def test_acceleration_of_the_wristband_in_another_unit_is_not_told_of_the_chest(self, tmp_path):
        content = content_of()
        content["signal"]["wrist"]["ACC"] /= 64
        write_subject(tmp_path, content=content)
        assert "another unit" not in findings(tmp_path, "warning", WesadChest)

    def test_one_that_would_run_code_is_refused(self, tmp_path):
        ran = tmp_path / "ran"

        class Evil:
            def __reduce__(self):
                return Path.touch, (ran,)

        write_subject(tmp_path, content={**content_of(), "label": Evil()})
        with pytest.raises(DataError, match="refused"):
            read(tmp_path)
        assert "refused" in findings(tmp_path, "error")
        assert not ran.exists()

    def test_verify_goes_on_after_a_damaged_subject(self, tmp_path):
        write_subject(tmp_path, "S2").write_bytes(b"")
        write_subject(tmp_path, "S3")
        write_subject(tmp_path, "S4", quest="nonsense")
        errors = [Path(f.where).name for f in Wesad(tmp_path).verify() if f.severity == "error"]
        assert errors == ["S2.pkl", "S4_quest.csv"]
        assert any(Path(f.where).name.startswith("S3") for f in Wesad(tmp_path).verify())

    @pytest.mark.parametrize("seed", sample(range(40), *range(10)))
    def test_damaged_bytes_give_signals_or_bad_data(self, tmp_path, seed):
        """A changed sample can't be told from a true one; everything else is an error that names the file."""
        rng = np.random.default_rng(seed)
        path = write_subject(tmp_path)
        data = bytearray(path.read_bytes())
        # Arrays are most of a file, so half of the places are near its ends and where an array's head lies.
        heads = [at for key in (b"subject", b"label", b"ACC", b"BVP", b"wrist", b"dtype") if (at := data.find(key)) > 0]
        for _ in range(rng.integers(1, 6)):
            near = rng.integers(-40, 120) + rng.choice([0, len(data), *heads])
            at = rng.integers(len(data)) if rng.random() < 0.5 else near
            data[int(np.clip(at, 0, len(data) - 1))] = rng.integers(256)
        path.write_bytes(data)
        for cls in (Wesad, WesadChest):
            try:
                at = read(tmp_path, cls=cls).duration_s <= 60
            except DataError as error:
                at = error.where
            assert at in (True, str(path))
