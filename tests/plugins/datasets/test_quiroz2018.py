"""quiroz2018: its reader and generator against each other, and the reader against the real files and a script that
needs no embench."""

from pathlib import Path

import numpy as np
import pytest

import embench
from embench.audits import audit_record
from embench.cli import main
from embench.interfaces.metric import Undefined
from embench.interfaces.units import Units
from embench.protocols import load_protocol
from embench.protocols.units import label_units, make_units
from embench.records.record import read_record
from embench.runs.reproduce import reproduce_entry
from embench.statistics.answers import answer_questions
from embench.statistics.conditioned import comparisons
from embench.testing import check_dataset
from embench_plugins.datasets.quiroz2018 import synthetic
from embench_plugins.datasets.quiroz2018.reader import ORDERS, PEOPLE, STUDIES, Quiroz2018
from embench_plugins.metrics import AurocWithin

from . import quiroz2018_alone as alone
from .real import released

LENGTH_S = 30.0
SILENT = {"EW3", "EW6", "EW7"}
(HAPPY,) = Quiroz2018.card.targets


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("quiroz2018")
    synthetic.synthesize(folder, subjects=12, seed=3, effect=1.0, length_s=LENGTH_S)
    return folder


def compare(root: Path, read: dict) -> None:
    """Rates, samples and labels of all subjects against those of the script."""
    reader, table = Quiroz2018(root), alone.table(root)
    assert set(reader.subjects()) == set(read)
    for subject, walks in read.items():
        condition, times = table[subject]
        study, order = STUDIES[condition[:2].lower()], condition[-3:].upper()
        for place, (recording, (emotion, rate, rows)) in enumerate(zip(reader.recordings(subject), walks, strict=True)):
            assert (recording.id, recording.order) == (f"{subject}_{place + 1}", place)
            assert recording.stimulus == f"{study}_{place + 1}"
            assert recording.start_s == times[2 * place] - times[0]
            assert recording.duration_s == times[2 * place + 1] - times[2 * place]
            label = recording.labels["induction"]
            assert label.values.tolist() == [emotion + 1.0] == [ORDERS[order][place]]
            acc = recording.signals["acc"]
            assert acc.rate == rate
            np.testing.assert_array_equal(acc.data, (rows[:, 2:5].T / 9.80665).astype(np.float32))
            assert ("hr" in recording.signals) == bool(rows[:, 8].any())
            if "hr" in recording.signals:
                np.testing.assert_array_equal(recording.signals["hr"].data[0], rows[:, 8])


def units_of(reader: Quiroz2018) -> tuple[list, np.ndarray, dict]:
    """The labelled units of 10 s, their labels, and the recordings by id."""
    every = {recording.id: recording for subject in reader.subjects() for recording in reader.recordings(subject)}
    made = make_units(every.values(), reader.card, "condition", load_protocol("subject-independent-v4"))
    labels = {name: recording.labels["induction"] for name, recording in every.items()}
    _, y = label_units(made, labels, HAPPY.rule)
    return [unit for unit, label in zip(made, y, strict=True) if np.isfinite(label)], y[np.isfinite(y)], every


def scored(units: list, y: np.ndarray, score: np.ndarray) -> Units:
    return Units(
        kind="binary", y_true=y, score=score, decision=(score > 0.5).astype(float),
        subject=np.array([unit.subject for unit in units]), stimulus=np.array([unit.stimulus for unit in units]),
        start_s=np.array([unit.start_s for unit in units]), fold=np.zeros(len(y), int),
        group=np.array([unit.group for unit in units]), length_s=10.0,
    )  # fmt: skip


class TestGenerated:
    def test_it_conforms(self, root):
        check_dataset(Quiroz2018, root)

    def test_samples_and_labels_are_those_of_an_independent_reading(self, root):
        compare(root, alone.walks(root))

    def test_every_walk_lasts_as_drawn(self, root):
        rows = synthetic.draw(12, 3, 1.0, length_s=LENGTH_S)
        for subject in Quiroz2018(root).subjects():
            mine = rows[rows["person"] == subject]
            for recording in Quiroz2018(root).recordings(subject):
                walk = mine[mine["walk"] == recording.order]
                assert (recording.start_s, recording.duration_s) == (walk["start"][0], len(walk))

    def test_verify_tells_the_quirks(self, root):
        found = [finding.what for finding in Quiroz2018(root).verify()]
        assert found[0].startswith("12 of 44 subjects are here, not EW")
        assert sum("the strap did not record" in what for what in found) == 3
        assert sum("8.0 h ahead" in what for what in found) == 2
        assert found[-1] == "answered the questionnaire, but have no walk in the release: EW1"


class TestDesign:
    """Position tells nothing where subjects of opposite orders are compared, and everything about neutral."""

    def test_neutral_has_no_label_and_is_always_second(self, root):
        units, _, every = units_of(Quiroz2018(root))
        assert {unit.order for unit in units} == {0.0, 2.0}
        assert {r.labels["induction"].values[0] for r in every.values() if r.order == 1} == {1.0}

    def test_a_score_of_the_place_alone_wins_half_of_the_comparisons(self, root):
        units, y, _ = units_of(Quiroz2018(root))
        place = np.unique([unit.stimulus for unit in units], return_inverse=True)[1].astype(float)
        subjects = np.unique([unit.subject for unit in units])
        (table,) = comparisons("auroc_crossed", scored(units, y, place), subjects)
        assert table.pairs.sum() > 0
        assert table.wins.sum() / table.pairs.sum() == 0.5

    def test_subjects_are_compared_within_their_study(self, root):
        reader = Quiroz2018(root)
        units, y, _ = units_of(reader)
        subjects = np.unique([unit.subject for unit in units])
        (table,) = comparisons("auroc_crossed", scored(units, y, y), subjects)
        study = {subject: reader.subject_info(subject)["study"] for subject in subjects.tolist()}
        for p, q in zip(*np.nonzero(table.pairs), strict=True):
            assert study[subjects[p]] == study[subjects[q]]
        assert table.wins.sum() == table.pairs.sum()

    def test_the_card_says_that_orders_differ(self):
        assert not Quiroz2018.card.fixed_order
        assert [target.name for target in Quiroz2018.card.targets] == ["happy"]


@pytest.fixture(scope="module")
def real() -> Path:
    return released("quiroz2018")


@pytest.fixture(scope="module")
def read(real) -> dict:
    return alone.walks(real)


class TestReal:
    @pytest.mark.slow
    def test_samples_and_labels_are_those_of_an_independent_reading(self, real, read):
        compare(real, read)

    def test_subjects_walks_orders_and_rates(self, real, read):
        assert tuple(Quiroz2018(real).subjects()) == PEOPLE
        conditions = [condition for condition, _ in alone.table(real).values()]
        counts = {name: sum(name in condition for condition in conditions) for name in ("SNH", "HNS", "Mo", "Mu", "Mw")}
        assert counts == {"SNH": 23, "HNS": 21, "Mo": 16, "Mu": 14, "Mw": 14}
        rates = [rate for walks in read.values() for _, rate, _ in walks]
        assert len(rates) == 132
        assert 24.965 < min(rates) < max(rates) < 24.995
        assert {subject for subject, walks in read.items() if not walks[0][2][:, 8].any()} == SILENT

    @pytest.mark.slow
    def test_verify_tells_every_oddity_and_no_error(self, real):
        found = Quiroz2018(real).verify()
        assert [f.severity for f in found].count("error") == 0
        told = {(Path(f.where).name.partition("_acc")[0], f.what) for f in found}
        silent = "the heart rate is 0 throughout: the strap did not record, so no hr"
        clock = "the watch's clock is 8.0 h ahead of the questionnaire's"
        other = "EW35 has the condition Mu-SNN in the questionnaire, Mu-SNH in user_study_encoding.csv and the walks"
        only = "answered the questionnaire, but have no walk in the release: EW1, EW11, EW18, EW21, EW32, EW46"
        assert told == {
            ("mo_ew3", silent), ("mu_ew6", silent), ("mw_ew7", silent), ("mu_ew6", clock), ("mw_ew7", clock),
            ("PANAS", "EW27 is not in the questionnaire"), ("PANAS", other), ("PANAS", only),
        }  # fmt: skip

    def test_gravity_is_taken_out_of_the_acceleration(self, read):
        means = [rows[:, 2:5].mean(0) for walks in read.values() for _, _, rows in walks]
        assert np.linalg.norm(means, axis=1).max() < 0.1

    def test_the_questionnaire_agrees_with_the_induction_as_the_page_says(self, real):
        reports = alone.felt(real)
        assert alone.summary(report.after_induction for report in reports) == (31, 2, 10)
        assert alone.summary(report.after_walk for report in reports) == (25, 3, 15)

    @pytest.mark.slow
    def test_segments_labels_and_score_of_a_simple_method_are_those_of_the_script(self, real):
        segments = alone.segments(real)
        units, y, every = units_of(Quiroz2018(real))
        order = np.argsort([unit.id for unit in units])
        units, y = [units[i] for i in order], y[order]
        assert [unit.id for unit in units] == [segment.name for segment in segments]
        assert y.tolist() == [segment.happy for segment in segments]
        x = []
        for unit in units:
            acc = every[unit.recording].signals["acc"]
            x.append(alone.describe(acc.data[:, round(unit.start * acc.rate) : round(unit.stop * acc.rate)]))
        who = np.array([unit.subject for unit in units])
        score = alone.out_of_fold(who, y.astype(int), np.array(x))
        own = np.array([segment.features for segment in segments])
        expected = alone.auroc_within(who, y, alone.out_of_fold(who, y.astype(int), own))
        assert AurocWithin()(scored(units, y, score)) == pytest.approx(expected, abs=1e-6)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a simple method on synthetic walks of usual length."""
    folder = tmp_path_factory.mktemp("walks")
    synthetic.synthesize(folder / "quiroz2018", subjects=16, seed=3, effect=1.0, length_s=None)
    (folder / "quiroz2018" / "EMBENCH_SYNTHETIC.json").unlink()  # else no leaderboard takes an entry
    method = {"dataset": "quiroz2018", "encoder": "signal_mean", "fusion": "logreg", "workers": 1}
    return lambda modality: embench.run(**method, modalities=modality, data_root=folder, runs=folder / "runs")


@pytest.mark.slow
def test_adjustment_is_cannot_be_told_and_an_audit_states_no_association(run):
    """A subject has two labelled walks, so the place of a walk, adjusted for in each subject, explains the label."""
    result = run("acc")
    answer = answer_questions(result.manifest, result.scores)["happy"].find_answer("movement")
    assert (answer.answer, answer.evidence) == ("cannot be told", str(Undefined("nothing_left", what="label").reason))
    audited = audit_record(result.folder, read_record(result.folder))
    assert "confound_only" in audited.skipped
    assert "confound_only" not in dict(audited.findings)


@pytest.mark.slow
def test_a_run_on_a_sensor_that_some_lack_is_reproduced(run, tmp_path):
    """Folds and labels are of all subjects, whatever sensors a method reads."""
    result = run("hr")
    data = ["--data-root", str(result.folder.parents[2])]
    assert (
        main(["leaderboard", "build", "--leaderboards", str(tmp_path), "--from", str(result.folder.parents[1]), *data])
        == 0
    )
    (entry,) = tmp_path.glob(f"quiroz2018/*/{result.folder.name}/run.yaml")
    rows = read_record(entry.parent).predictions
    assert not SILENT & set(rows.take(rows.rows_with(method="model")).texts("subject").names)
    assert not reproduce_entry(entry.parent, Path(data[1])).wrong
