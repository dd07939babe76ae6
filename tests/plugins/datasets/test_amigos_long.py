"""The reader of AMIGOS' long videos: who has them, who watched together, and folds that keep these together."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from embench.protocols import connected_groups, load_protocol, make_units, partition, prove, whole_recordings
from embench.testing import check_dataset
from embench_plugins.datasets.amigos.reader import GROUPS, Amigos, AmigosAll, AmigosExternal, AmigosLong
from embench_plugins.datasets.amigos.release import LONG, PEOPLE, SHORT
from embench_plugins.datasets.amigos.synthetic import synthesize_long

from ...sample import sample
from .amigos_made import own_file, subject_file

TOGETHER = [{7, 1, 2, 16}, {6, 32, 4, 3}, {29, 5, 27, 21}, {18, 14, 17, 22}, {15, 11, 12, 10}]


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("amigos")
    synthesize_long(root, subjects=3, seed=4, effect=1.0, length_s=12.0)
    return root


@pytest.fixture(scope="module")
def all_subjects(tmp_path_factory) -> Path:
    """Files of all 40 subjects, of a second a trial."""
    root = tmp_path_factory.mktemp("amigos")
    for subject in range(1, PEOPLE + 1):
        own_file(root / f"Data_Preprocessed_P{subject:02d}.mat", seconds=1.0)
    return root


@pytest.mark.slow
def test_a_recording_is_a_long_video(three):
    recordings = {r.stimulus: r for r in AmigosLong(three).recordings("P01")}
    assert tuple(recordings) == LONG
    one = recordings["N1"]
    assert (one.id, one.session, one.group) == ("P01_VN1", "long", "group1")
    cells = loadmat(AmigosLong(three).files("P01")[0])
    for cell, video in enumerate(LONG, start=16):
        data, ratings = cells["joined_data"][0, cell], cells["labels_selfassessment"][0, cell]
        signals = recordings[video].signals
        np.testing.assert_array_equal(signals["eeg"].data, data[:, :14].T.astype(np.float32))
        np.testing.assert_array_equal(signals["ecg"].data, data[:, 14:16].T.astype(np.float32))
        np.testing.assert_array_equal(signals["eda"].data, (1e6 / data[:, 16:]).T.astype(np.float32))
        assert recordings[video].labels["arousal"].values == ratings[0, 0]
        assert recordings[video].labels["valence"].values == ratings[0, 1]
        assert recordings[video].duration_s == len(data) / 128


def test_it_keeps_the_interface(three):
    check_dataset(AmigosLong, three)


def test_lengths_follow_from_the_annotated_segments():
    assert AmigosLong.card.longest_s == 20 * 71 + 5


def test_p08_p24_p28_have_no_long_videos(all_subjects):
    for variant in (AmigosLong, AmigosExternal):
        subjects = variant(all_subjects).subjects()
        assert len(subjects) == 37
        assert not {"P08", "P24", "P28"} & set(subjects)


def test_p32_watched_but_did_not_rate(tmp_path):
    subject_file(tmp_path, 32)
    recordings = list(AmigosLong(tmp_path).recordings("P32"))
    assert len(recordings) == 4
    assert all(recording.labels == {} and recording.signals for recording in recordings)
    findings = [finding.what for finding in AmigosLong(tmp_path).verify()]
    assert findings.count("data without arousal and valence") == 4


def test_five_groups_of_four_watched_together(all_subjects):
    groups: dict[str, set[int]] = {}
    for subject in AmigosLong(all_subjects).subjects():
        (group,) = {recording.group for recording in AmigosLong(all_subjects).recordings(subject)}
        groups.setdefault(group, set()).add(int(subject[1:]))
    assert [groups[f"group{number}"] for number in range(1, 6)] == TOGETHER
    assert sum(len(subjects) == 1 for subjects in groups.values()) == 17


def test_company_is_a_fact_of_who_watched_a_long_video(all_subjects):
    told = {subject: AmigosLong(all_subjects).subject_info(subject) for subject in GROUPS}
    assert set(map(str, told.values())) == {"{'company': 'in a group'}"}
    assert AmigosAll(all_subjects).subject_info("P09") == {"company": "alone"}
    assert AmigosAll(all_subjects).subject_info("P08") == {}
    assert Amigos(all_subjects).subject_info("P09") == {}


@pytest.mark.parametrize("variant", [AmigosLong, AmigosExternal])
@pytest.mark.parametrize("k", sample(range(3), 0))
def test_no_viewing_group_is_in_two_parts_of_a_fold(all_subjects, variant, k):
    reader = variant(all_subjects)
    recordings = [r for subject in reader.subjects() for r in reader.recordings(subject)]
    protocol = load_protocol("subject-independent-v4")
    units = make_units(recordings, reader.card, "rating", protocol)
    folds = partition(protocol, reader.card.name, units, k)
    prove(protocol, reader.card.name, units, folds)
    subject_of = {unit.id: unit.subject for unit in units}
    for fold in folds:
        for group in set(GROUPS.values()):
            members = {subject for subject, own in GROUPS.items() if own == group}
            parts = [part for part in (fold.train, fold.val, fold.test) if members & {subject_of[id_] for id_ in part}]
            assert len(parts) == 1


def test_copies_with_short_videos_only_have_nothing_of_it(tmp_path):
    own_file(tmp_path / "Data_Preprocessed_P02.mat", cells=16)
    assert list(AmigosLong(tmp_path).recordings("P02")) == []


class TestShortAndLong:
    """`amigos/all`: what a subject rated, short and long."""

    def test_all_recordings_of_everybody_are_there(self, all_subjects):
        reader = AmigosAll(all_subjects)
        assert len(reader.subjects()) == 40  # those without long videos have the short ones
        short, long = ({r.id: r for r in each(all_subjects).recordings("P01")} for each in (Amigos, AmigosLong))
        both = {r.id: r for r in reader.recordings("P01")}
        assert set(both) == set(short) | set(long)
        assert {r.stimulus for r in both.values()} == set(SHORT + LONG)
        for id_, recording in (short | long).items():
            assert recording.labels == both[id_].labels

    @pytest.mark.slow
    def test_it_keeps_the_interface(self, three):
        check_dataset(AmigosAll, three)

    def test_who_watched_a_long_video_together_stays_together_in_the_short_ones(self, all_subjects):
        recordings = [r for s in ("P07", "P01", "P08", "P09") for r in AmigosAll(all_subjects).recordings(s)]
        groups = connected_groups(whole_recordings(recordings))
        assert groups["P07"] == groups["P01"]
        assert len({groups[s] for s in ("P07", "P08", "P09")}) == 3

    @pytest.mark.parametrize("name", ["vazquez2022", "vazquez2022-group", "strizhkova2024"])
    def test_a_papers_rules_for_amigos_hold(self, name):
        protocol = load_protocol(name)
        assert protocol.targets("amigos/all") == protocol.targets("amigos")
        assert protocol.targets("amigos/all")
        assert protocol.targets("amigos/external") == ()
        assert load_protocol("strizhkova2024").included_subjects("deap/all") is not None
        assert protocol.included_subjects("amigos/all") is None
