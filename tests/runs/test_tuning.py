"""Each fold chooses settings on its own validation subjects: test subjects are refused, trials are a fixed list and
looks, and a tuned run is made again from its record."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from embench.audits import audit_run
from embench.errors import CheckFailed, DataError, UsageError
from embench.interfaces.metric import Undefined
from embench.planning.plan import make
from embench.planning.tuning import Range, Search, Tuning, parse_space, read_tuning
from embench.records.ledger import read_ledger
from embench.records.record import TUNING_FILE, read_manifest, read_record
from embench.runs.again import rebuild_plan
from embench.runs.run import run
from embench.runs.tuning import choose, read_tables, tune

from ..sample import sample
from ..tiny.running import Bench
from ..tiny.world import few_folds

OPTIONS = {"modalities": "ecg", "fusion": "logreg", "seeds": "0", "targets": "arousal"}
SEARCH = Search(space=("fusion.build.C=log:1e-4..10",), trials=3)


@pytest.mark.parametrize(
    ("text", "space"),
    [
        ("encoder.lr=log:1e-4..1e-2", Range(1e-4, 1e-2, log=True, whole=False)),
        ("encoder.build.layers=1..4", Range(1, 4, log=False, whole=True)),
        ("encoder.dropout=0..0.5", Range(0.0, 0.5, log=False, whole=False)),
        ("encoder.build.shift=-2..-1", Range(-2, -1, log=False, whole=True)),
        ("fusion.batch=16, 32,64", ("16", "32", "64")),
        ("encoder[ecg[left]].build.norm=batch,layer", ("batch", "layer")),
    ],
)
def test_a_space_is_read(text, space):
    assert list(parse_space([text]).values()) == [space]


@pytest.mark.parametrize(
    "texts",
    [[], ["encoder.lr"], ["encoder.lr=1"], ["=1,2"], ["a.b=2..1"], ["a.b=1..1"], ["a.b=log:0..1"], ["a.b=x..y"],
     ["a.b=1,2", "a.b=3,4"], ["a.b=1,,2"], ["fusion.targets=each,joint"], ["encoder.view.length_s=5..10"]],
)  # fmt: skip
def test_what_is_no_space_is_refused(texts):
    with pytest.raises(UsageError, match="--search") as refused:
        parse_space(texts)
    assert "methods_evaluated" not in refused.value.what


def test_trials_are_a_fixed_list_that_begins_with_the_defaults_and_covers_the_range():
    short, long = (Search(space=("a.b=log:1e-3..1e3", "c.d=1..3"), trials=n) for n in (3, 200))
    assert short.settings == long.settings[:3]
    assert short.settings[0] == ()
    assert short.settings != Search(space=short.space, trials=3, seed=1).settings
    drawn = [dict(setting.split("=") for setting in settings) for settings in long.settings[1:]]
    values = np.array([float(each["a.b"]) for each in drawn])
    assert 1e-3 <= values.min() < 2e-3
    assert 5e2 < values.max() <= 1e3
    assert abs((values < 1).mean() - 0.5) < 0.1
    assert {each["c.d"] for each in drawn} == {"1", "2", "3"}


@pytest.fixture(scope="module")
def searched(six, tmp_path_factory):
    """The bench of a search that has ended."""
    bench = Bench(six, tmp_path_factory.mktemp("searched") / "runs", protocol=few_folds(six))
    tune(bench.request("Moments", **OPTIONS), SEARCH)
    return bench


@pytest.fixture
def found(bench, searched):
    """What came of that search, in a runs folder of the test's own, where nothing of it is trained again."""
    shutil.copytree(searched.runs, bench.runs)
    return tune(bench.request("Moments", **OPTIONS), SEARCH)


def trial_plans(bench, **options):
    return [
        make(bench.request("Moments", **{**OPTIONS, "dev": True, "settings": settings, **options}))
        for settings in SEARCH.settings
    ]


def test_each_fold_has_the_trial_that_is_best_on_its_own_validation_subjects(bench, found):
    assert read_tuning(found.file) == found.tuning
    plans = trial_plans(bench)
    tables = [read_tables(plan.graph.predictions, bench.runs / "stages") for plan in plans]
    assert len(found.tuning.choices) == len(plans[0].graph.predictions) > 1
    for choice, expected in zip(found.tuning.choices, plans[0].graph.predictions, strict=True):
        fold = plans[0].folds[0][choice.fold]
        subjects = {unit.id: unit.subject for unit in plans[0].fit.units}
        assert set(choice.subjects) == {subjects[unit] for unit in fold.val}
        assert choice.scores[choice.chosen] == max(choice.scores)
        assert choice.chosen == choice.scores.index(max(choice.scores))
        key = (0, choice.fold, "arousal")
        assert choose(plans[0], expected, [of[key] for of in tables]) == choice
        assert choose(plans[0], expected, [tables[0][key]] * 3).chosen == 0  # a tie
        turned = [tables[0][key], 1 - tables[0][key], None]
        values = choose(plans[0], expected, turned).scores
        assert values[0] + values[1] == pytest.approx(1)
        assert values[2] is None


@pytest.mark.usefixtures("found")
def test_nothing_can_be_chosen_by_test_subjects(bench):
    plan, tested = trial_plans(bench)[0], make(bench.request("Moments", **OPTIONS))
    (own, other), test = plan.graph.predictions[:2], tested.graph.predictions[0]
    at = {unit.id: i for i, unit in enumerate(plan.fit.units)}
    tested_of_other = tuple(at[id_] for id_ in plan.folds[0][other.fold].test)
    for planned, expected in (
        (tested, test),  # the plan of a test
        (plan, replace(own, units=test.units)),  # its units
        (plan, replace(own, units=(*own.units, test.units[0]))),  # one of them
        (plan, replace(other, units=tested_of_other)),
    ):
        table = np.full((len(expected.units), 1), 0.5)
        with pytest.raises(CheckFailed, match="must not use test subjects"):
            choose(planned, expected, [table])


def test_test_labels_change_no_choice_of_their_fold(bench, found):
    """Labels of the subjects that a fold tests can be anything: its choice stays."""
    plan = trial_plans(bench)[0]
    tables = [read_tables(each.graph.predictions, bench.runs / "stages") for each in trial_plans(bench)]
    for choice, expected in zip(found.tuning.choices, plan.graph.predictions, strict=True):
        labels = plan.fit.label["arousal"].copy()
        tested = plan.fit.find_positions(plan.folds[0][choice.fold].test)
        labels[tested] = 1 - labels[tested]
        other = replace(plan, fit=(cohort := replace(plan.fit, label={"arousal": labels})), test=cohort)
        assert choose(other, expected, [of[0, choice.fold, "arousal"] for of in tables]) == choice


def test_a_tuned_run_has_the_chosen_settings_fold_by_fold_and_trains_nothing_twice(bench):
    options = {**OPTIONS, "fusion": "single", "modalities": "ecg"}
    search = Search(space=("encoder.lr=log:1e-5..1",), trials=2)
    found = tune(bench.request(**options), search)
    fitted = {path.name for path in (bench.runs / "stages").iterdir() if (path / "weights.safetensors").is_file()}
    result = run(found.request)
    assert {p.name for p in (bench.runs / "stages").iterdir() if (p / "weights.safetensors").is_file()} == fitted
    plan, own = make(found.request), [make(bench.request(**{**options, "settings": s})) for s in search.settings]
    for k, (choice, expected) in enumerate(zip(found.tuning.choices, plan.graph.predictions, strict=True)):
        assert expected == own[choice.chosen].graph.predictions[k]
    config = read_manifest(result.folder).config
    assert config["tuned"]["trials"] == 2
    assert config["request"]["tuned"] == TUNING_FILE
    assert "tuned" not in read_manifest(bench.run(**options).folder).config["request"]


def test_a_tuned_run_is_made_again_from_its_folder_and_audited(bench, found):
    result = run(found.request)
    found.file.unlink()
    planned = rebuild_plan(read_record(result.folder), result.folder, bench.data, bench.runs)
    assert not isinstance(planned, Undefined), planned.reason
    assert planned.id == result.id
    audit = audit_run(result.folder, trust_code=True)
    assert audit.checks["tuning"].findings == ()
    assert audit.checks["tuning"].figures["choices_made"] == len(found.tuning.choices)


@pytest.mark.slow
def test_retraining_computes_the_validation_scores_of_a_drawn_fold_again(found):
    audit = audit_run(run(found.request).folder, retrained=1, trust_code=True)
    assert audit.checks["choices"].findings == ()
    planted = {"scores": (0.1, 0.2, 0.9), "chosen": 2}
    choices = tuple(choice.model_copy(update=planted) for choice in found.tuning.choices)
    better = found.tuning.model_copy(update={"choices": choices})
    found.file.write_text(better.text())
    audit = audit_run(run(found.request).folder, retrained=1, trust_code=True)
    assert audit.checks["tuning"].findings == ()  # it agrees with itself
    (finding,) = audit.checks["choices"].findings
    assert "validation scores that decided between trials are others here" in finding.what


def spoiled(tuning: Tuning, **changes) -> Tuning:
    first = tuning.choices[0]
    return tuning.model_copy(update={"choices": (first.model_copy(update=changes), *tuning.choices[1:])})


LEAKS = "not the best", "another fold", "test subjects"


@pytest.mark.parametrize("leak", sample(LEAKS, "not the best", "test subjects"))
def test_an_audit_refuses_choices_that_are_not_those_of_the_validation_subjects(bench, found, leak):
    first, second = found.tuning.choices[:2]
    plan = make(bench.request("Moments", **OPTIONS))
    tested = tuple(sorted({plan.test.units[i].subject for i in plan.graph.predictions[0].units}))
    planted = {
        "not the best": {"chosen": min(range(3), key=lambda k: first.scores[k]), "scores": (0.5, 0.4, 0.6)},
        "another fold": {"subjects": second.subjects, "scores": second.scores, "chosen": second.chosen},
        "test subjects": {"subjects": tested},
    }[leak]
    if leak == "not the best":
        planted["chosen"] = 1
    found.file.write_text(spoiled(found.tuning, **planted).text())
    result = run(found.request)
    (finding,) = audit_run(result.folder, trust_code=True).checks["tuning"].findings
    assert finding.severity == "severe"
    assert "seed 0, fold 0" in finding.what


def test_a_record_whose_choices_were_edited_is_refused(found):
    result = run(found.request)
    (result.folder / TUNING_FILE).write_text(spoiled(found.tuning, chosen=2).text())
    with pytest.raises(CheckFailed, match="changed after the record was written"):
        read_record(result.folder)


def test_a_file_is_of_one_method_and_its_seeds(found):
    with pytest.raises(UsageError, match="tuned for another method"):
        make(replace(found.request, settings=("fusion.class_weight=none",)))
    with pytest.raises(UsageError, match="no choice for seed 1"):
        make(replace(found.request, seeds="0,1"))
    content = json.loads(found.file.read_text())
    for change in ({"settings": [[], ["fusion.build.C=5"], []]}, {"choices": [{}]}, {"of": 3}):
        found.file.write_text(json.dumps({**content, **change}))
        with pytest.raises(DataError, match=r"trials are not those|choices|of"):
            make(found.request)


def test_trials_are_looks_and_a_second_call_runs_and_counts_nothing(bench, searched, found):
    looks, stages = read_ledger(searched.runs), searched.stages()
    assert len(looks) == SEARCH.trials
    assert all(line["dev"] for line in looks)
    assert read_tuning(searched.runs / found.file.relative_to(bench.runs)) == found.tuning
    assert (read_ledger(bench.runs), bench.stages()) == (looks, stages)
    longer = tune(bench.request("Moments", **OPTIONS), Search(space=SEARCH.space, trials=4))
    assert len(read_ledger(bench.runs)) == len(looks) + 1
    for before, after in zip(found.tuning.choices, longer.tuning.choices, strict=True):
        assert after.scores[:3] == before.scores
    assert bench.stages() > stages


def test_a_trial_that_fails_ends_no_search_and_the_printed_command_tests_the_choices(bench, embench):
    line = [
        "tune",
        *bench.line("--modalities", "ecg", "--fusion", "logreg", "--target", "arousal", encoder="Moments")[1:],
    ]
    done = embench(*line, "--search", "fusion.build.C=-1,10", "--trials", "6")
    assert done.code == 0, done.err
    assert "fusion.build.C=-1 failed: fusion embench_plugins/logreg failed" in done.err
    assert "counts as a test-set evaluation" in done.out
    assert "--dev" not in done.out.split()
    document = json.loads(embench(*line, "--search", "fusion.build.C=-1,10", "--trials", "6", "--json").out)
    failed = [trial for trial in document["trials"] if "error" in trial]
    assert failed
    assert {trial["chosen"] for trial in failed} == {0}
    assert sum(trial["chosen"] for trial in document["trials"]) == document["choices"]
    command = document["command"].split()
    assert embench(*command[1:], "--recipe", "quick", "--device", "cpu").code == 0


def test_what_cannot_be_searched_is_said_before_the_first_trial(bench):
    request = bench.request("Moments", **OPTIONS)
    events: list[object] = []
    for text, match in (
        ("fusion.build.D=1,2", "has no part `D`"),
        ("fusion.C=log:1e-3..10", r"where: --search fusion\.C\n(.*\n)*.*did you mean fusion\.build\.C\?"),
    ):
        with pytest.raises(UsageError, match=match):
            tune(request, Search(space=(text,)), events.append)
    assert not events


@pytest.mark.slow
def test_targets_choose_for_themselves_and_those_of_one_network_together(bench):
    search = Search(space=("fusion.lr=log:1e-4..1e-1",), trials=2)
    both = {"modalities": "ecg,eda", "targets": "arousal,valence", "seeds": "0"}
    joint = tune(bench.request("Pool", fusion="concat", settings=("fusion.targets=joint",), **both), search)
    assert {choice.target for choice in joint.tuning.choices} == {"arousal,valence"}
    few = Search(space=SEARCH.space, trials=2)
    single = tune(bench.request("Moments", fusion="logreg", **{**both, "modalities": "ecg"}), few)
    assert {choice.target for choice in single.tuning.choices} == {"arousal", "valence"}
    assert run(joint.request).scores.primary_metrics.keys() == {"arousal", "valence"}
