"""Protocols that name the stimuli of a dataset: which take part, in which parts, and which are related."""

import pytest
import yaml

from embench.errors import CheckFailed, UsageError
from embench.protocols import prove
from embench.runs.external import score

from ..runs.test_outside import put, rows_of
from ..tiny.running import Bench
from ..tiny.world import RULES, make_subjects, plugin, sharing_stimuli, write

PARTS = [["v0", "v1"], ["v2", "v3"]]


@pytest.fixture
def films(tmp_path):
    """Six subjects who see the same five films, and six others of another dataset."""
    write(tmp_path / "films", sharing_stimuli(make_subjects(6, stimuli=5)))
    write(tmp_path / "films", make_subjects(6), dataset="Other", seed=5)
    return Bench(tmp_path / "films", tmp_path / "runs")


@pytest.fixture
def rules(tmp_path):
    """`rules(by, **changes)`: the path of a protocol with the first four films in two parts."""

    def made(by="group+stimulus", related=None, **changes):
        named = {"parts": PARTS} | ({"related": related} if related else {})
        path = tmp_path / "films.yaml"
        content = {**RULES, "split": {"by": by, "folds": 2}, "stimuli": {"tiny": named}} | changes
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return made


def shown(cohort, ids):
    at = {unit.id: unit.stimulus for unit in cohort.units}
    return {at[id_] for id_ in ids}


@pytest.mark.parametrize("by", ["group", "group+stimulus"])
def test_no_stage_reads_a_recording_that_takes_no_part(films, rules, by):
    plan = films.plan("Pool", modalities="ecg", protocol=rules(by), pretrainers=("masked_value",))
    assert {unit.stimulus for unit in plan.test.roster} == {"v0", "v1", "v2", "v3"}
    entries = plan.test.store.recordings
    for stage in plan.graph.stages.values():
        assert "v4" not in {entries[r].stimulus for r in stage.task["recording"].tolist()}
    tested = [id_ for fold in plan.folds[0] for id_ in fold.test]
    assert len(tested) == 6 * 4
    # A session is as long as it was, whatever takes part: to the end of the last recording.
    assert all(length > 400 for length in plan.test.sessions.values())


def test_a_part_is_tested_as_a_whole_and_related_films_are_not_trained_on(films, rules):
    plan = films.plan("Pool", modalities="ecg", protocol=rules(related=[["v1", "v2"]]))
    for fold in plan.folds[0]:
        tested, learned = shown(plan.test, fold.test), shown(plan.test, fold.train + fold.val)
        assert (tested, learned) in [({"v0", "v1"}, {"v3"}), ({"v2", "v3"}, {"v0"})]
    units = plan.test.select_units(plan.test.eligible)
    prove(plan.protocol, "tiny", units, plan.folds[0])
    fold = plan.folds[0][0]
    learning = {unit.subject for unit in units if unit.id in fold.train}
    related = "v2" if "v0" in shown(plan.test, fold.test) else "v1"
    one = next(unit.id for unit in units if unit.subject in learning and unit.stimulus == related)
    leaking = type(fold)(0, (*fold.train, one), fold.val, fold.test)
    with pytest.raises(CheckFailed, match=f"1 training stimuli are related to test stimuli of fold 0, .*: {related}"):
        prove(plan.protocol, "tiny", units, [leaking, *plan.folds[0][1:]])


def test_a_dataset_that_the_protocol_does_not_name_is_refused_before_it_is_read(films, rules, tmp_path):
    protocol = rules()
    films.dataset = "Other"
    with pytest.raises(UsageError, match="mine does not define the stimuli of other") as error:
        films.plan("Pool", modalities="ecg", protocol=protocol)
    assert error.value.expected == "--dataset tiny"
    assert not (tmp_path / "runs").exists()


def test_another_dataset_may_be_pretrained_on(films, rules):
    source = plugin("Other")
    plan = films.plan("Pool", modalities="ecg", protocol=rules(), pretrainers=(f"masked_value:{source}",))
    assert {cohort.card.name for cohort in plan.cohorts} == {"tiny", "other"}


def test_folds_of_a_submission_keep_related_films_apart(films, rules, tmp_path):
    protocol = rules(related=[["v1", "v2"]])
    done = films.run("Moments", fusion="logreg", modalities="ecg", protocol=protocol)
    rows = rows_of(done.folder / "predictions.csv.gz")
    part = {name: k for k, names in enumerate(PARTS) for name in names}
    half = {f"p0{n}": n % 2 for n in range(6)}
    own = [{**row, "fold": 2 * half[row["subject"]] + part[row["stimulus"]]} for row in rows]
    made = score(put(tmp_path / "own.csv", own), plugin("Tiny"), protocol=protocol, data_root=films.data, out=tmp_path)
    assert made.manifest["submission"]["folds"] == {"0": {"id": "own_folds"}}
    whole = [{**row, "fold": half[row["subject"]]} for row in rows]  # a fold that tests all films trains on none
    with pytest.raises(CheckFailed, match="has no training units"):
        score(put(tmp_path / "own.csv", whole), plugin("Tiny"), protocol=protocol, data_root=films.data)


def test_stimuli_that_the_data_lack_are_no_folds_and_one_part_is_not_split(films, rules):
    some = {"tiny": {"parts": [["v0", "nowhere"], ["v2"], ["elsewhere"]]}}
    plan = films.plan("Pool", modalities="ecg", protocol=rules(stimuli=some))
    assert len(plan.folds[0]) == 2 * 2
    with pytest.raises(UsageError, match="cannot be split by parts of the stimuli: only 1 found"):
        films.plan("Pool", modalities="ecg", protocol=rules(stimuli={"tiny": {"parts": [["v0", "v1"], ["elsewhere"]]}}))
