"""The CASE synthesizer: what is planted and what is not, real lengths, text as released, same bytes."""

import io
import itertools
from pathlib import Path

import numpy as np
import pytest

from embench_plugins.datasets.case import synthetic
from embench_plugins.datasets.case.reader import Case
from embench_plugins.datasets.case.tables import SENSORS, VIDEOS
from embench_plugins.datasets.synthetic.writers import ROWS, write_rows

from .measures import auroc


class TestTruth:
    def test_half_of_the_clips_hold_windows_of_a_minute(self):
        """Wherever they begin on a grid of 5 s, as `wu2023` cuts them."""
        seconds = {
            video: ms / 1000
            for video, ms in synthetic._draw_truth(1, 0, 1.0, synthetic.SESSION_S).schedule
            if video in VIDEOS
        }
        assert len(seconds) == 8
        assert sum(length >= 65 for length in seconds.values()) >= 4

    def test_each_target_has_its_own_place(self):
        rows = np.concatenate([synthetic.draw(30, seed, 1.0) for seed in range(3)])
        for quantity, target in (("heart_rate", "valence"), ("breath_hz", "arousal")):
            apart = [np.corrcoef(one[quantity], one[target])[0, 1] for one in self.subjects(rows)]
            assert abs(np.mean(apart)) < 0.12

    def subjects(self, rows: np.ndarray) -> list[np.ndarray]:
        edges = np.flatnonzero(np.diff(rows["person"])) + 1
        return np.split(rows, edges)

    def test_both_classes_occur_in_everybody_and_no_clip_names_its_label(self):
        rows = np.concatenate([synthetic.draw(30, seed, 1.0) for seed in range(4)])
        for target in ("arousal", "valence"):
            moved = rows[rows[target] != 5]
            assert all(0.15 < (one[target] > 5).mean() < 0.85 for one in self.subjects(moved))
            for code in VIDEOS:
                assert (moved[target] > 5)[moved["video"] == code].mean() == pytest.approx(0.5, abs=0.12)

    def test_the_stick_rests_for_a_while_in_everybody(self):
        resting = [(one["arousal"] == 5).mean() for one in self.subjects(synthetic.draw(30, 0, 1.0))]
        assert max(resting) < 0.4
        assert np.mean(np.array(resting) > 0) > 0.6
        at_length = synthetic.draw(2, 0, 1.0, length_s=synthetic.REAL_S)
        assert all((one["arousal"] == 5).sum() >= 4 for one in self.subjects(at_length))

    def test_subjects_differ_more_than_the_effect(self):
        rows = self.subjects(synthetic.draw(30, 0, 1.0))
        for quantity in synthetic.PLANTED:
            scale = np.asarray if quantity == "heart_rate" else np.log
            means, spread = zip(*((scale(r[quantity]).mean(), scale(r[quantity]).std()) for r in rows), strict=True)
            assert np.std(means) > np.mean(spread)

    def test_every_subject_has_an_order_of_their_own_without_neighbours_of_one_type(self):
        orders = [
            [c for c, _ in synthetic._draw_schedule(p, 3, synthetic.SESSION_S) if c in VIDEOS] for p in range(1, 31)
        ]
        assert len(set(map(tuple, orders))) == 30
        for order in orders:
            assert sorted(order) == sorted(VIDEOS)
            assert all(VIDEOS[a] != VIDEOS[b] for a, b in itertools.pairwise(order))

    def test_a_session_of_real_length_has_the_releases_rows(self):
        schedule = synthetic._draw_schedule(1, 0, synthetic.REAL_S)
        assert sum(ms for _, ms in schedule) == pytest.approx(2_451_583.333)
        assert schedule[0] == (10, 101_500)
        assert len(schedule) == 18
        assert max(last - first for _, first, last in synthetic._find_clips(schedule)) <= 1000 * Case.card.longest_s


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("case")
    synthetic.synthesize(root, 2, 5, 1.0, length_s=200.0, trees=synthetic.TREES)
    return root


class TestFiles:
    def test_the_text_is_the_releases(self, two):
        data = two / "CASE_full" / "data"
        lines = (data / "interpolated/physiological/sub_1.csv").read_text().splitlines()
        assert lines[0] == "daqtime,ecg,bvp,gsr,rsp,skt,emg_zygo,emg_coru,emg_trap,video"
        assert lines[1].startswith("0,")
        assert lines[1].endswith(",10")
        assert lines[-1].endswith(",12")
        assert lines[5000].startswith("4999,")
        short = (data / "interpolated/annotations/sub_1.csv").read_text().splitlines()
        assert short[:3] == ["jstime,valence,arousal,video", "0,5,5,10", "50,5,5,10"]
        assert (len(lines) - 1) // 50 == len(short) - 1
        assert {line.rpartition(",")[2] for line in lines[1:]} == {*map(str, VIDEOS), "10", "11", "12"}
        assert all(len(cell.partition(".")[2]) <= 3 for cell in ",".join(lines[1:2000]).split(","))
        daq = (data / "raw/physiological/sub1_DAQ.txt").read_text().splitlines()
        assert len(daq[0].split("\t")) == 1 + len(SENSORS)
        stick = np.loadtxt(data / "raw/annotations/sub1_joystick.txt")
        assert stick.shape[1] == 3
        assert np.abs(stick[:, 1:]).max() <= 26225
        assert np.diff(stick[:, 0]).std() > 0.001  # jitter
        assert len(list(data.rglob("README*"))) == 6

    def test_labels_read_are_those_drawn(self, two):
        rows = synthetic.draw(2, 5, 1.0, length_s=200.0)
        for subject, subject_id in (("sub_1", 1), ("sub_2", 2)):
            clips = {int(r.stimulus): r for r in Case(two).recordings(subject)}
            own = rows[rows["person"] == subject_id]
            assert len(own) >= 6
            for unit in own:
                clip = clips[unit["video"]]
                assert clip.order == unit["order"]
                start = unit["start_ms"] / 1000 - clip.start_s
                assert 0 <= start <= clip.duration_s - 10
                label = clip.labels["arousal"]
                inside = (label.times >= start - 1e-6) & (label.times < start + 10 - 1e-6)
                assert inside.sum() == 200
                assert label.values[inside].mean() == pytest.approx(unit["arousal"], abs=0.02)

    def test_the_effect_changes_only_the_body(self, tmp_path):
        for effect in (0.0, 1.0):
            synthetic.synthesize(tmp_path / str(effect), 1, 5, effect, length_s=60.0)
        for a, b in zip(*(Case(tmp_path / name).recordings("sub_1") for name in ("0.0", "1.0")), strict=True):
            assert (a.id, a.start_s) == (b.id, b.start_s)
            np.testing.assert_array_equal(a.labels["arousal"].values, b.labels["arousal"].values)
            assert not np.array_equal(a.signals["ecg"].data, b.signals["ecg"].data)

    def test_numbers_as_text(self):
        numbers = np.array([0, 5, -5, 1000, -1500, 1_234_567, -10, 50])
        for short, form in ((True, "{:.15g}"), (False, "{:.3f}")):
            file = io.BytesIO()
            write_rows(file, [numbers, numbers], [3, 0], separator=";", short=short)
            assert file.getvalue().decode().splitlines() == [f"{form.format(n / 1000)};{n}" for n in numbers]
        many = np.random.default_rng(0).integers(-(10**6), 10**6, 2 * ROWS + 7)
        file = io.BytesIO()
        write_rows(file, [many], [2])
        np.testing.assert_array_equal(np.round(100 * np.loadtxt(io.BytesIO(file.getvalue()))), many)


@pytest.fixture(scope="module")
def units(tmp_path_factory) -> list[list[tuple[dict[str, float], dict[str, np.ndarray]]]]:
    """For each of six subjects, the units with their labels and signals."""
    root = tmp_path_factory.mktemp("many")
    synthetic.synthesize(root, 6, 11, 1.0)
    rows = synthetic.draw(6, 11, 1.0)
    subjects = []
    for subject_id, subject in enumerate(Case(root).subjects(), start=1):
        found = []
        for clip in Case(root).recordings(subject):
            for unit in rows[(rows["person"] == subject_id) & (rows["video"] == int(clip.stimulus))]:
                first = int(unit["start_ms"] - 1000 * clip.start_s)
                cut = {m: s.data[:, first : first + 10_000] for m, s in clip.signals.items()}
                found.append(({name: unit[name] for name in ("arousal", "valence")}, cut))
        subjects.append(found)
    return subjects


@pytest.mark.slow
class TestSignals:
    """The shape of a signal tells, its mean and variance do not."""

    def mean_auroc(self, units, figure, target: str) -> float:
        found = []
        for subject in units:
            moved = [(labels[target] > 5, figure(cut)) for labels, cut in subject if labels[target] != 5]
            label, score = map(np.array, zip(*moved, strict=True))
            found.append(auroc(score, label))
        return float(np.nanmean(found))

    @pytest.mark.parametrize("target", ["arousal", "valence"])
    def test_mean_and_variance_carry_nothing(self, units, target):
        scores = [
            self.mean_auroc(units, lambda cut, m=m, moment=moment: moment(cut[m][0].astype(float)), target)
            for m in Case.card.modalities
            for moment in (np.mean, np.std)
        ]
        # Six subjects of about 25 units that are not independent: each is chance with a standard error near .055.
        assert max(np.abs(np.array(scores) - 0.5)) < 0.16
        assert np.mean(scores) == pytest.approx(0.5, abs=0.06)

    def test_breathing_rate_is_in_the_belt(self, units):
        def crossings(cut):
            x = cut["resp"][0, ::50].astype(float)
            x -= x.mean()
            at = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
            return (len(at) - 1) / (at[-1] - at[0]) if len(at) > 1 else 0.0

        assert self.mean_auroc(units, crossings, "valence") > 0.75

    def test_heart_rate_is_in_the_pulse(self, units):
        def rate(cut):
            x = cut["ppg"][0, ::10].astype(float)
            x -= x.mean()
            around = np.correlate(x, x, "full")[len(x) - 1 :][40:150]
            return -float(np.argmax(around))

        assert self.mean_auroc(units, rate, "arousal") > 0.75
