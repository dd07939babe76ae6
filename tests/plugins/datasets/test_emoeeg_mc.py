"""EmoEEG-MC: its orders and ratings against the real texts, its reader and generator against each other."""

import ast
import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyedflib
import pytest

from embench.interfaces.units import Unit
from embench.protocols import load_protocol, partition
from embench.testing import check_dataset
from embench_plugins.datasets.emoeeg_mc import release, synthetic
from embench_plugins.datasets.emoeeg_mc.reader import EmoEegMc, EmoEegMcProcessed
from embench_plugins.datasets.emoeeg_mc.release import CONTEXTS, COPIED, Trial, list_people

from . import edit
from .measures import auroc
from .real import released

LENGTH_S = 2


@pytest.fixture(scope="module")
def texts() -> Path:
    return released("emoeeg_mc_sidecars")


@pytest.fixture(scope="module")
def readme(texts) -> str:
    return (texts / "README.md").read_text("utf-8")


def rows(texts: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(texts / name / "beh" / f"{name}_task-emotion_beh.tsv", sep="\t")


class TestRealTexts:
    def test_orders_are_the_readmes_but_for_two_that_it_has_exchanged(self, readme):
        listed = [ast.literal_eval(found) for found in re.findall(r"^\d+\. `(\[.*\])`", readme, re.MULTILINE)]
        (*those, last) = listed
        for number, order in enumerate(those, 1):
            person = list_people()[f"sub-{number:02d}"]
            assert [*person.orders["film"]] == [*person.orders["imagery"]] == order
        fifty_four = [ast.literal_eval(found) for found in re.findall(r"sub54 \w+ sequence\*\*:\s+`(.*)`", readme)]
        assert [[*list_people()["sub-53"].orders[context]] for context in CONTEXTS] == fifty_four
        assert [*list_people()["sub-54"].orders["film"]] == [*list_people()["sub-54"].orders["imagery"]] == last

    def test_missing_trials_are_those_that_the_readme_lists(self, readme):
        said = re.findall(r"- \*\*sub(\d+)\*\*: (Missing .*)", readme)
        assert len(said) == 6
        for number, text in said:
            listed = set()
            for first, last in re.findall(
                r"(\d+)(?:-(\d+))?(?=[,) ]|$)", re.sub(r"Missing \d+|and \d+ \w+ trials", "", text)
            ):
                listed |= set(range(int(first), int(last or first) + 1))
            orders = list_people()[f"sub-{number}"].orders
            places = [*orders["imagery"], *orders["film"]]
            assert {k + 1 for k, name in enumerate(places) if name is None} == listed
        assert all(None not in order for n in range(1, 55) for order in list_people()[f"sub-{n:02d}"].orders.values())

    def test_sequences_of_people_with_missing_trials_are_the_readmes(self, readme):
        end = readme[readme.index("### Participants with Missing") :]
        listed = [ast.literal_eval(found) for found in re.findall(r"`(\[.*\])`", end)]
        expected = [listed[0], *listed]  # both contexts of sub-55 are one
        found = [
            [trial.name for trial in list_people()[f"sub-{n}"].trials(context)]
            for n in range(55, 61)
            for context in CONTEXTS
        ]
        assert found == expected

    def test_trigger_codes_are_the_readmes(self, readme):
        for number, text in re.findall(r"^\s+sub-(\d\d): (.*)$", readme, re.MULTILINE):
            said = {int(code): kind for kind, code in re.findall(r"(\w+)-(\d+)", text)}
            kinds = {"vid": "film", "ima": "imagery", "fede": "fade"}
            assert list_people()[f"sub-{number}"].codes == {code: kinds.get(kind, kind) for code, kind in said.items()}

    def test_runs_and_wristbands_are_those_of_the_release(self, texts):
        paths = pd.read_csv(texts / "files_absent.tsv", sep="\t")["path"].tolist()
        for person in list_people().values():
            edf = [path for path in paths if path.startswith(f"{person.name}/eeg") and path.endswith(".edf")]
            wrist = [path for path in paths if path.startswith(f"{person.name}/eeg") and "physio" in path]
            known = release.locate_files(Path(), person)
            assert [str(path) for path in known.runs] == sorted(edf)
            assert sorted(map(str, known.wrist.values())) == sorted(wrist)
        assert sum(person.wrist for person in list_people().values()) == 47

    def test_numbers_in_the_ratings_give_the_order_of_the_table(self, texts):
        numbered = 0
        for name, person in list_people().items():
            cells = [int(re.sub(r"\D", "", str(cell))) for cell in rows(texts, name)["video_name"]]
            if name in COPIED:
                continue
            if len(set(cells)) > 1:
                numbered += 1
                assert person.sequence(person.pairs) == [release.find_trial(cell) for cell in cells]
            else:
                first = {"I": "imagery", "F": "film"}[person.pairs]
                assert release.find_trial(cells[0]) == person.trials(first)[0]
        assert numbered == 30

    def test_ratings_of_four_people_are_copies(self, texts):
        for name, other in COPIED.items():
            pd.testing.assert_frame_equal(rows(texts, name).iloc[:, 2:], rows(texts, other).iloc[:, 2:])

    def test_all_ratings_are_read(self, texts):
        """Where no EDF file says in which context a trial was, ratings have no trial; the emotion is known anyway."""
        reader, count = EmoEegMc(texts), 0
        assert len(reader.subjects()) == 60
        for name in reader.subjects():
            table = rows(texts, name)
            scores = table[[f"score_{k}" for k in range(1, 11)]].to_numpy()
            rated = release.read_rated(release.locate_files(texts, list_people()[name]).ratings)
            np.testing.assert_array_equal([row.scores for row in rated], scores)
            found = {one.stimulus: one for one in reader.recordings(name)}
            count += len(found)
            if len({row.number for row in rated}) > 1:
                for row in rated:
                    labels = found[release.find_trial(row.number).stimulus].labels
                    assert [labels[scale].values[0] for scale in release.RATINGS] == list(row.scores)
        assert count == 60 * 42 - 57

    def test_ratings_in_the_order_of_play_are_highest_where_the_stimulus_was_meant_to(self, texts):
        """Also of the people whose rows have no number: whichever context came first, three trials share emotions."""
        for name, person in list_people().items():
            if name not in COPIED:
                pairs = person.pairs if len(person.pairs) > 1 else "IF" * 7
                rated = release.read_rated(release.locate_files(texts, person).ratings)
                trials = person.sequence(pairs)
                own = [(t, r.scores[release.FELT.index(release.EMOTIONS[t.emotion])], np.mean(r.scores[:6]))
                       for t, r in zip(trials, rated, strict=True) if t.emotion != 3]  # fmt: skip
                assert np.mean([score for _, score, _ in own]) > 1.5 * np.mean([mean for *_, mean in own])


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Five people, of whom sub-53 has no EDF file."""
    folder = tmp_path_factory.mktemp("emoeeg_mc")
    synthetic.synthesize(folder, subjects=5, seed=3, effect=1.0, length_s=LENGTH_S)
    for path in release.locate_files(folder, list_people()["sub-53"]).runs:
        path.unlink()
    return folder


class TestGenerated:
    def test_it_conforms(self, root, tmp_path):
        for name in ("participants.tsv", "sub-25", "sub-57"):
            (tmp_path / name).symlink_to(root / name)
        check_dataset(EmoEegMc, tmp_path)

    @pytest.mark.parametrize("name", ["sub-25", "sub-57"])
    def test_samples_and_triggers_are_those_of_an_independent_reading(self, root, name):
        person, at = list_people()[name], 0
        found = list(EmoEegMc(root).recordings(name))
        for path in release.locate_files(root, person).runs:
            with pyedflib.EdfReader(str(path)) as file:
                onsets, _, texts = file.readAnnotations()
                kinds = [person.codes[int(text)] for text in texts]
                rate = file.getSampleFrequency(0)
                begins = [(onset, kind) for onset, kind in zip(onsets, kinds, strict=True) if kind in CONTEXTS]
                channels = [file.readSignal(k) for k in range(64)]
            for onset, kind in begins:
                one, first = found[at], round(onset * rate)
                assert one.stimulus.startswith(kind)
                assert (one.order, one.duration_s) == (at, LENGTH_S)
                expected = [row[first : first + round(LENGTH_S * rate)] for row in channels]
                np.testing.assert_allclose(one.signals["eeg"].data, expected, rtol=1e-4, atol=1e-3)
                at += 1
        assert at == len(found)

    def test_trials_are_the_drawn_ones_in_their_order(self, root):
        drawn = synthetic.draw(5, 3, 1.0)
        for name in EmoEegMc(root).subjects():
            mine = drawn[drawn["person"] == name]
            found = {one.stimulus for one in EmoEegMc(root).recordings(name)}
            assert found == {Trial(row["context"], row["name"]).stimulus for row in mine}

    def test_ppg_and_eda_have_the_time_of_the_eeg(self, root):
        one = list(EmoEegMc(root).recordings("sub-25"))[30]
        with pyedflib.EdfReader(str(release.locate_files(root, list_people()["sub-25"]).runs[0])) as file:
            began = file.getStartdatetime().replace(tzinfo=release.CHINA).timestamp()
        with gzip.open(release.locate_files(root, list_people()["sub-25"]).wrist["eda"], "rt") as file:
            values, times = np.loadtxt(file).T
        first = np.argmin(np.abs(times - began - one.start_s))
        np.testing.assert_allclose(one.signals["eda"].data[0], values[first : first + 80], atol=1e-4)

    def test_ratings_without_a_number_get_their_context_from_the_triggers(self, root):
        """sub-06 and sub-21 have that of the first trial in all rows; sub-57 has another person's ratings."""
        for name in ("sub-06", "sub-21"):
            rated = release.read_rated(release.locate_files(root, list_people()[name]).ratings)
            assert len({row.number for row in rated}) == 1
            found = [one.labels["valence"].values[0] for one in EmoEegMc(root).recordings(name)]
            assert found == [row.scores[7] for row in rated]
        assert all(np.isnan(one.labels["valence"].values[0]) for one in EmoEegMc(root).recordings("sub-57"))

    def test_who_has_no_edf_file_is_no_subject_beside_others(self, root):
        assert EmoEegMc(root).subjects() == ["sub-06", "sub-21", "sub-25", "sub-57"]

    def test_when_the_second_file_began_is_read_to_the_minute_where_the_header_does_not_say_it(self, root, tmp_path):
        for path in release.locate_files(root, list_people()["sub-25"]).present():
            copy = tmp_path / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
        edit.replace("03.05.24", "01.01.85")(release.locate_files(tmp_path, list_people()["sub-25"]).runs[1])
        for one, other in zip(
            EmoEegMc(tmp_path).recordings("sub-25"), EmoEegMc(root).recordings("sub-25"), strict=True
        ):
            assert abs(one.start_s - other.start_s) < 60
            assert (set(one.signals), set(other.signals)) == ({"eeg"}, {"eeg", "ppg", "eda"})

    def test_of_a_long_trial_the_last_half_minute_is_read_and_one_that_was_broken_off_is_none(self):
        codes = {6: "film", 5: "imagery", 4: "rating", 3: "fade"}
        notes = [(1.0, "3"), (2.0, "TypeID 6"), (90.0, "4"), (91.0, "5"), (95.0, "5"), (101.0, "4"), (102.0, "4")]
        shown = [(one.context, one.start_s, one.stop_s) for one in release.find_trials(notes, 0, codes)]
        assert shown == [("film", 60.0, 90.0), ("imagery", 95.0, 101.0)]


def test_verify_says_what_is_missing_and_odd(root):
    findings = EmoEegMc(root).verify()
    found = " ".join(finding.what for finding in findings)
    for words in (
        "4 of 60 subjects are here, not sub-01",
        "those of sub-21: its own ratings",
        "42 of 42 trials last under 30 s",
    ):
        assert words in found
    assert "error" not in {finding.severity for finding in findings}


class TestAcrossContexts:
    """What a linear method knows in the folds of the protocol, at the level of what is planted."""

    @staticmethod
    def score(effect: float, planted: synthetic.Planted, seed: int) -> float:
        rows = synthetic.draw(12, seed, effect, planted=planted)
        power = rows["power"].reshape(len(rows), -1)
        names = [str(row["person"]) for row in rows]
        level = {name: power[rows["person"] == name].mean(0) for name in set(names)}
        x = np.stack([row - level[name] for row, name in zip(power, names, strict=True)])
        trials = [Trial(str(row["context"]), str(row["name"])) for row in rows]
        units = [
            Unit(f"{name}_{one.stimulus}:0", f"{name}_{one.stimulus}", name, one.stimulus, name, 0.0, 30.0, k, k)
            for k, (name, one) in enumerate(zip(names, trials, strict=True))
        ]
        y = {
            unit.id: one.emotion in release.POSITIVE
            for unit, one in zip(units, trials, strict=True)
            if one.emotion != 3
        }
        at = {unit.id: k for k, unit in enumerate(units)}
        found = []
        for fold in partition(load_protocol("across-contexts-v1"), "emoeeg_mc", units, 0):
            train, test = ([one for one in part if one in y] for part in ((*fold.train, *fold.val), fold.test))
            tested = {units[at[one]].subject for one in test}
            assert not tested & {units[at[one]].subject for one in train}
            assert len({units[at[one]].stimulus.split("_")[0] for one in train} | {""}) == 2
            means = [np.mean([x[at[one]] for one in train if y[one] == kind], 0) for kind in (0, 1)]
            scores = {one: x[at[one]] @ (means[1] - means[0]) for one in test}
            for subject in tested:
                mine = [one for one in test if units[at[one]].subject == subject]
                found.append(auroc(np.array([scores[one] for one in mine]), np.array([y[one] for one in mine])))
        return float(np.mean(found))

    def test_a_planted_emotion_is_found(self):
        assert self.score(1.0, synthetic.Planted(), seed=1) > 0.8

    def test_planted_stimuli_alone_give_chance(self):
        """A set has 36 stimuli, so that its score has an SD of .075; the mean of 100 sets was .496."""
        scores = [self.score(0.0, synthetic.Planted(), seed) for seed in range(24)]
        assert np.mean(scores) == pytest.approx(0.5, abs=0.045)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("processed")
    synthetic.synthesize_processed(folder, subjects=2, seed=3, effect=1.0, length_s=LENGTH_S)
    return folder


class TestPreprocessed:
    @pytest.mark.slow
    def test_it_conforms(self, arrays):
        check_dataset(EmoEegMcProcessed, arrays)

    def test_arrays_are_in_the_order_of_emotions_without_missing_trials(self, arrays):
        for name in ("sub-25", "sub-57"):
            found = {one.stimulus: one for one in EmoEegMcProcessed(arrays).recordings(name)}
            for context, session in zip(CONTEXTS, ("ses-ima", "ses-vid"), strict=True):
                (path,) = (arrays / "derivatives" / name / session).rglob("*.npy")
                stored = np.load(path)
                own = [one for stimulus, one in found.items() if stimulus.startswith(context)]
                assert len(own) == len(stored) == len(list_people()[name].trials(context))
                assert (np.diff([one.labels["emotion"].values[0] for one in own]) >= 0).all()
                for one, data in zip(own, stored, strict=True):
                    np.testing.assert_array_equal(one.signals["eeg"].data, data.astype(np.float32))

    def test_ratings_are_joined_where_the_texts_say_whose_they_are(self, arrays):
        rated = {
            row.number: row.scores[7]
            for row in release.read_rated(release.locate_files(arrays, list_people()["sub-25"]).ratings)
        }
        found = {
            one.stimulus: one.labels["valence"].values[0] for one in EmoEegMcProcessed(arrays).recordings("sub-25")
        }
        assert found == {release.find_trial(number).stimulus: value for number, value in rated.items()}

    def test_real_arrays_have_as_many_trials_as_the_readme_lists_but_for_one_person(self, texts):
        listed = pd.read_csv(texts / "files_absent.tsv", sep="\t", index_col="path")["bytes"]
        other = set()
        for name, person in list_people().items():
            for context, session in zip(CONTEXTS, ("ses-ima", "ses-vid"), strict=True):
                (size,) = listed[listed.index.str.endswith(f"{name}_{session}_task-emotion_reorder.npy")]
                if size != 128 + len(person.trials(context)) * 64 * 6000 * 8:
                    other.add(name)
        assert other == {"sub-55"}
