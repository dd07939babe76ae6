"""The synthesizers of FACED: what is planted and what is not, the release's formats and quirks, same bytes."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from embench.testing import check_dataset
from embench_plugins.datasets.faced import synthetic
from embench_plugins.datasets.faced.reader import Faced, FacedProcessed
from embench_plugins.datasets.faced.release import CLIPS, ELECTRODES, EMOTIONS, OLD_NAMES, PEOPLE, RATINGS, find_cohort
from embench_plugins.datasets.faced.synthetic import Planted, read_events

from .measures import auroc
from .oracles import of_faced
from .real import released

LENGTH_S = 4.0
NEUTRAL = EMOTIONS.index("neutral")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The first four, one of each cohort."""
    folder = tmp_path_factory.mktemp("faced")
    synthetic.synthesize(folder, subjects=4, seed=3, effect=1.0, length_s=LENGTH_S)
    return folder


@pytest.fixture(scope="module")
def unrecorded(tmp_path_factory) -> Path:
    """The sidecars of the first twelve, who have all quirks."""
    folder = tmp_path_factory.mktemp("unrecorded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "_record", lambda *_: None)
        synthetic.synthesize(folder, subjects=12, seed=3, effect=1.0, length_s=LENGTH_S)
    return folder


@pytest.fixture(scope="module")
def sidecars() -> Path:
    return released("faced_sidecars")


def path(root: Path, subject: str, end: str) -> Path:
    return root / subject / "eeg" / f"{subject}_task-watchingVideoClips_{end}"


def in_order(rows: np.ndarray, field: str) -> np.ndarray:
    """(subjects, 28, ...) of `draw`, by clip."""
    return np.stack([np.sort(own, order="clip")[field] for own in rows.reshape(-1, 28)])


class TestPlanted:
    def test_powers_are_a_sum_of_effects_that_can_be_set_apart(self):
        none = dict.fromkeys(asdict(Planted()), 0.0) | {"follows": "own"}
        noise = synthetic.draw(4, 0, 0.0, planted=Planted(**none))
        whole = synthetic.draw(4, 0, 1.0)["power"] - noise["power"]
        parts = [
            synthetic.draw(4, 0, 0.0, planted=Planted(**{**none, name: 1.0})) for name in ("film", "person", "block")
        ]
        parts.append(synthetic.draw(4, 0, 1.0, planted=Planted(**none)))
        assert np.allclose(whole, sum(part["power"] - noise["power"] for part in parts))
        film, person, block, _ = (part.copy() for part in parts)
        for part in (film, person, block):
            part["power"] -= noise["power"]
        films = in_order(film, "power")
        assert np.allclose(films, films[:1])  # the same in all subjects
        assert np.allclose(films[0, 6], films[0, 7])  # clips 7 and 8 are of one film
        assert np.allclose(films[0, 12:16], films[0, 12])
        assert len(np.unique(films[0, :, 0, 0].round(9))) == 24
        assert [len(np.unique(own["power"][:, 0, 0].round(9))) for own in person.reshape(-1, 28)] == [1] * 4
        for own in block.reshape(-1, 7, 4):
            assert np.ptp(own["power"], axis=1).max() < 1e-9
            assert len(np.unique(own["power"][:, 0, 0, 0])) == 7

    def test_an_assigned_emotion_is_the_same_in_all_subjects_and_an_own_one_is_not(self):
        for follows in ("assigned", "own"):
            effect = synthetic.draw(6, 0, 1.0, planted=Planted(follows=follows))
            effect["power"] -= synthetic.draw(6, 0, 0.0)["power"]
            emotions = in_order(effect, "power")
            assert np.allclose(emotions, emotions[:1]) is (follows == "assigned")
            classes = {(CLIPS[k + 1].emotion, emotions[0, k, 0, 0].round(9)) for k in range(28)}
            assert (len(classes) == 9) is (follows == "assigned")

    def test_an_oracle_scores_ninety_six_at_effect_one_and_chance_at_none(self):
        found = {}
        for effect in (1.0, 0.0):
            share, felt, subject = of_faced(30, 0, effect)
            each = [
                auroc(share[subject == name, k], felt[subject == name] == k)
                for name in np.unique(subject)
                for k in range(8)
            ]
            found[effect] = np.nanmean(each)
        assert found[1.0] == pytest.approx(0.96, abs=0.02)
        assert found[0.0] == pytest.approx(0.5, abs=0.05)

    @pytest.mark.slow
    def test_recordings_have_the_planted_powers(self, tmp_path):
        synthetic.synthesize(tmp_path, subjects=2, seed=5, effect=1.0)
        truth = {(row["person"], int(row["clip"])): row["power"] for row in synthetic.draw(2, 5, 1.0)}
        for subject in Faced(tmp_path).subjects():
            found, planted = [], []
            for recording in Faced(tmp_path).recordings(subject):
                signal = recording.signals["eeg"]
                spectrum = np.abs(np.fft.rfft(signal.data - signal.data.mean(1, keepdims=True))) ** 2
                hz = np.fft.rfftfreq(signal.data.shape[1], 1 / signal.rate)
                bands = [(hz >= low) & (hz < high) for low, high in synthetic.BANDS.values()]
                found.append(np.log([spectrum[:, band].mean(1) for band in bands]).T)
                planted.append(truth[subject, int(recording.stimulus[-2:])])
            for band in range(1, 5):
                one, other = (np.array(part)[:, :, band] for part in (found, planted))
                r = np.corrcoef((one - one.mean(0)).ravel(), (other - other.mean(0)).ravel())[0, 1]
                assert r > 0.8, (subject, band, r)

    def test_a_subject_is_the_same_in_a_set_of_any_size(self):
        few, many = synthetic.draw(3, 0, 1.0), synthetic.draw(5, 0, 1.0)
        assert (many[np.isin(many["person"], few["person"])] == few).all()


class TestRatings:
    @pytest.mark.slow
    def test_they_are_spread_as_the_real_ones(self, sidecars):
        real = np.array(
            [
                [recording.labels[name.lower()].values[0] for name in RATINGS]
                for subject in PEOPLE[::3]
                for recording in sorted(Faced(sidecars).recordings(subject), key=lambda one: one.stimulus)
            ]
        ).reshape(41, 28, 12)
        made = np.concatenate([in_order(synthetic.draw(123, seed, 1.0), "ratings") for seed in range(2)])
        sign = np.sign([EMOTIONS.index(clip.emotion) - NEUTRAL for clip in CLIPS.values()])
        for name in ("Valence", "Arousal"):
            one, other = (rated[:, :, RATINGS.index(name)] for rated in (real, made))
            for part in (-1, 0, 1):
                assert other[:, sign == part].mean() == pytest.approx(one[:, sign == part].mean(), abs=0.4)
            for axis in (0, 1):  # shares of clips and of subjects in the variance
                share = [rated.mean(axis).var() / rated.var() for rated in (one, other)]
                assert share[1] == pytest.approx(share[0], abs=0.12)
        emotions = [RATINGS.index(name.capitalize()) for name in EMOTIONS if name != "neutral"]
        for part in range(9):
            mine = [k for k, clip in enumerate(CLIPS.values()) if clip.emotion == EMOTIONS[part]]
            assert np.allclose(
                made[:, mine][..., emotions].mean((0, 1)), real[:, mine][..., emotions].mean((0, 1)), atol=0.6
            )

    def test_the_strongest_is_the_assigned_one_as_often_as_in_the_release(self):
        rows = synthetic.draw(123, 1, 1.0)
        assigned = np.array([EMOTIONS.index(CLIPS[clip].emotion) for clip in rows["clip"].tolist()])
        felt = rows["felt"][assigned != NEUTRAL]
        assert (felt == assigned[assigned != NEUTRAL]).mean() == pytest.approx(0.636, abs=0.05)


class TestFiles:
    def test_small_sets_have_all_cohorts(self, root):
        reader = Faced(root)
        rates = {subject: next(reader.recordings(subject)).signals["eeg"].rate for subject in reader.subjects()}
        assert rates == {subject: find_cohort(subject).rate for subject in synthetic.ORDER[:4]}
        assert len({find_cohort(subject) for subject in rates}) == 4
        assert Counter(find_cohort(subject)[1:] for subject in sorted(synthetic.ORDER[:12])) == {
            (250.0, "n/a"): 5, (250.0, "µV"): 3, (1000.0, "µV"): 4,
        }  # fmt: skip

    @pytest.mark.slow
    def test_of_twelve_subjects_the_one_whose_eeg_is_bad_is_warned_of(self, tmp_path):
        synthetic.synthesize(tmp_path, subjects=12, seed=3, effect=1.0, length_s=LENGTH_S)
        (said,) = [finding.what for finding in Faced(tmp_path).verify() if finding.severity != "note"]
        assert said.startswith("sub-023")

    @pytest.mark.parametrize("subject", ["sub-004", "sub-036", "sub-061"])
    def test_samples_are_those_that_an_independent_reader_finds(self, root, subject):
        file = path(root, subject, "eeg.bdf")
        about = json.loads(path(root, subject, "eeg.json").read_text())
        samples = round((about["RecordingDuration"] + 1 / find_cohort(subject).rate) * find_cohort(subject).rate)
        assert file.stat().st_size == 8448 + 96 * samples
        with pyedflib.EdfReader(str(file)) as edf:
            names = edf.getSignalLabels()
            assert tuple(names) == find_cohort(subject).layout
            assert edf.getPhysicalDimension(0) == ("microV" if find_cohort(subject).unit == "n/a" else "uV")
            raw = {OLD_NAMES.get(name, name): edf.readSignal(k) for k, name in enumerate(names)}
        for recording in Faced(root).recordings(subject):
            eeg = recording.signals["eeg"]
            first = round(recording.start_s * eeg.rate)
            for site, row in zip(ELECTRODES, eeg.data, strict=True):
                assert np.abs(raw[site][first : first + len(row)] - row).max() < 0.01

    def test_events_are_written_as_the_release_has_them(self, unrecorded):
        for subject in sorted(synthetic.ORDER[:12]):
            file = path(unrecorded, subject, "events.tsv")
            assert file.read_bytes().startswith(
                b"\xef\xbb\xbfonset\tduration\ttrial_type\tvalue\tsample\temotion_label"
            )
            rows = read_events(file)
            onsets = [float(row["onset"]) for row in rows]
            assert onsets == sorted(onsets)
            assert [float(row["sample"]) for row in rows] == pytest.approx(
                [find_cohort(subject).rate * t for t in onsets]
            )
            kinds = sorted({row["trial_type"] for row in rows})
            assert all(kinds[int(row["value"]) - 1] == row["trial_type"] for row in rows)
            clips = [row for row in rows if row["video_index"] != "n/a"]
            assert {row["emotion_label"] for row in clips if row["binary_label"] == "neutral"} == {"\\"}
            number = PEOPLE.index(subject)
            foreign = [kind for kind in kinds if kind.isdigit() and kind not in ("201", "202")]
            assert bool(foreign) is (subject in ("sub-045", "sub-059"))
            assert ("201" in kinds) is not (number < 4 or 36 <= number < 50)

    def test_clip_22_is_longer_in_some(self, unrecorded):
        length = {}
        for subject in sorted(synthetic.ORDER[:12]):
            (row,) = (row for row in read_events(path(unrecorded, subject, "events.tsv")) if row["video_index"] == "22")
            length[subject] = float(row["duration"])
        longer = {subject for subject, seconds in length.items() if seconds > 1.08 * length["sub-004"]}
        assert longer == {"sub-036", "sub-045", "sub-050", "sub-058", "sub-059"}

    @pytest.mark.slow
    def test_of_clip_22_at_full_length_what_all_have_seen_is_read(self, tmp_path):
        synthetic.synthesize(tmp_path, subjects=2, seed=0, effect=1.0, length_s=129.1)
        for subject in Faced(tmp_path).subjects():
            (clip,) = (one for one in Faced(tmp_path).recordings(subject) if one.stimulus == "clip22")
            assert clip.duration_s == pytest.approx(75.8, abs=0.4)


@pytest.mark.slow
def test_processed_files_have_the_planted_powers_and_the_same_ratings(tmp_path):
    synthetic.synthesize_processed(tmp_path / "faced", 2, 4, 1.0)
    check_dataset(FacedProcessed, tmp_path / "faced")
    rows = synthetic.draw(2, 4, 1.0)
    for subject in FacedProcessed(tmp_path / "faced").subjects():
        mine = rows[rows["person"] == subject]
        made = {int(one.stimulus[-2:]): one for one in FacedProcessed(tmp_path / "faced").recordings(subject)}
        assert [made[clip].order for clip in mine["clip"].tolist()] == list(range(28))
        assert [made[clip].labels["valence"].values[0] for clip in mine["clip"].tolist()] == pytest.approx(
            mine["ratings"][:, RATINGS.index("Valence")].tolist()
        )
        spectrum = np.abs(np.fft.rfft([made[clip].signals["eeg"].data for clip in mine["clip"].tolist()])) ** 2
        hz = np.fft.rfftfreq(7500, 1 / 250)
        found = np.log(spectrum[..., (hz >= 14) & (hz < 30)].mean(-1))
        planted = mine["power"][..., list(synthetic.BANDS).index("beta")]
        r = np.corrcoef((found - found.mean(0)).ravel(), (planted - planted.mean(0)).ravel())[0, 1]
        assert r > 0.8
