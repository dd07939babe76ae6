"""Rules of sets on the cards of datasets, without data: what fits becomes rows, the rest is listed with its reason."""

from dataclasses import replace

import pytest

from embench import registry
from embench.errors import UsageError
from embench.sets.files import SET_LEVELS, find_set
from embench.sets.rows import baseline_rows

from ..sample import sample

PAPERS = {
    "vazquez2022": "amigos/all", "strizhkova2024": "amigos", "woo2023": "amigos", "wu2023": "wesad"
}  # fmt: skip


@pytest.fixture
def rows(tmp_path):
    """The rows of a rule, or of a bundled set, on a dataset: (method, modalities) -> why it does not fit."""

    def of(rule, dataset="stress_predict", level="full", **options):
        found = rule
        if "{" in rule:
            path = tmp_path / "mine-v1.yaml"
            path.write_text(f"name: mine-v1\nsummary: Mine.\ncore:\n  - {rule}\n")
            found = str(path)
        made = baseline_rows(find_set(found), level, dataset, {"data_root": tmp_path, **options})
        return {(row.title.partition(" on ")[0], row.request.modalities): row.reason for row in made}

    return of


def test_each_modality_alone_and_all_together(rows):
    card = registry.load_plugin("dataset", "stress_predict").card
    assert card.default_modalities == ("ppg", "eda", "temp")
    found = rows("{encoder: handcrafted, fusion: logreg, modalities: [each, all]}")
    assert [m for _, m in found] == ["ppg", "eda", "temp", "ppg,eda,temp"]
    assert set(found.values()) == {""}
    left_out = rows("{encoder: handcrafted, fusion: logreg, modalities: [all but one]}")
    assert [m for _, m in left_out] == ["eda,temp", "ppg,temp", "ppg,eda"]
    assert not rows("{encoder: handcrafted, fusion: logreg, modalities: [all but one]}", modalities="ppg,eda")


def test_an_encoder_takes_part_with_what_it_reads(rows):
    found = rows("{encoder: [unet_se, differential_entropy], fusion: [none], modalities: [each, all]}")
    assert found == {
        ("unet_se + single", "ppg"): "",
        ("differential_entropy + single", "each"): "differential_entropy reads none of ppg, eda, temp",
    }
    assert rows("{encoder: unet_se, fusion: late, modalities: all}") == {
        ("unet_se + late", "all"): "unet_se reads ppg only of ppg, eda, temp"
    }


def test_a_named_modality_need_not_be_a_default_one(rows):
    assert rows("{encoder: handcrafted, fusion: svm, modalities: [acc, eeg]}") == {
        ("handcrafted + svm", "acc"): "",
        ("handcrafted + svm", "eeg"): "stress_predict has no modality `eeg`",
    }


def test_modalities_of_the_command_line_take_the_place_of_the_defaults(rows):
    found = rows("{encoder: handcrafted, fusion: svm, modalities: [each, all, temp]}", modalities="eda,acc")
    assert list(found) == [("handcrafted + svm", m) for m in ("eda", "acc", "eda,acc", "temp")]


@pytest.mark.parametrize(
    ("target", "estimators"), [("arousal", "logreg svm boosting"), ("arousal_value", "ridge svr boosting")]
)
def test_the_baselines_of_values_are_those_that_predict_them(rows, target, estimators):
    found = rows("features-v1", "case", modalities="ecg", targets=target)
    assert {title.rpartition(" ")[2] for (title, _), why in found.items() if not why} == set(estimators.split())
    assert {why for why in found.values() if why} == {
        f"for {'class' if 'value' in target else 'continuous'} targets only"
    }


def test_an_estimator_is_listed_with_what_it_does_not_predict(rows):
    ((_, why),) = rows("{encoder: handcrafted, fusion: ridge, modalities: eda}").items()
    assert why.startswith("ridge cannot predict")


def test_what_is_not_installed_is_listed_as_such(rows, monkeypatch):
    assert rows("{encoder: later, fusion: logreg, modalities: [each, all]}") == {
        ("later + logreg", "each"): "encoder later is not installed",
        ("later + logreg", "all"): "encoder later is not installed",
    }
    monkeypatch.setattr(registry.load_plugin("encoder", "handcrafted"), "libraries", ("nowhere-to-be-found",))
    ((_, why),) = rows("{encoder: handcrafted, fusion: logreg, modalities: eda}").items()
    assert why == "encoder handcrafted requires nowhere-to-be-found, which is not installed"


DATASETS = "amigos", "deap", "k_emocon", "case", "wesad", "faced", "eegmat", "hku956", "wearable_stress"


@pytest.mark.parametrize("dataset", sample(DATASETS, "amigos", "eegmat", "wearable_stress"))
def test_each_level_of_the_standard_set_has_more_rows_for_every_dataset(dataset, tmp_path):
    rows = [baseline_rows(find_set("standard-v1"), level, dataset, {"data_root": tmp_path}) for level in SET_LEVELS]
    core, extended, full = ({row.request for row in own if not row.reason} for own in rows)
    assert set() < core < extended < full


@pytest.mark.parametrize("dataset", sample(("amigos", "k_emocon", "wearable_stress"), "k_emocon"))
def test_every_row_of_the_standard_set_has_settings_to_tune_but_ridge(dataset, tmp_path):
    made = baseline_rows(find_set("standard-v1"), "full", dataset, {"data_root": tmp_path}, 20)
    tuned = [row for row in made if row.search]
    assert len(tuned) == sum(not row.reason for row in made if not row.search)
    unfit = {(row.request.fusion, row.reason) for row in tuned if row.reason}
    assert unfit <= {("ridge", "nothing to tune")}


def test_a_row_is_tuned_by_the_settings_of_its_parts_that_matter(tmp_path):
    (tmp_path / "mine-v1.yaml").write_text(
        "name: mine-v1\nsummary: Mine.\ncore:\n"
        "  - {encoder: 'ppg=tcn,eda=cnn_tf', fusion: [late, shared_tf], modalities: 'ppg,eda'}\n"
        "  - {encoder: handcrafted, fusion: [logreg, lda], modalities: eda}\n"
        "search:\n  tcn: [encoder.lr=log:1e-4..1e-2, encoder.build.dropout=0..0.5]\n"
        "  shared_tf: [fusion.lr=log:1e-4..1e-2]\n  logreg: [fusion.build.D=1..2]\n"
    )
    made = baseline_rows(find_set(f"{tmp_path}/mine-v1.yaml"), "core", "stress_predict", {"data_root": tmp_path}, 3)
    found = {row.request.fusion: (row.search.space, row.reason) for row in made if row.search}
    sizes = "encoder[ppg].build.dropout=0..0.5"
    assert found["late"] == (("encoder[ppg].lr=log:1e-4..1e-2", sizes), "")
    assert found["shared_tf"] == ((sizes, "fusion.lr=log:1e-4..1e-2"), "")
    assert found["lda"] == ((), "nothing to tune")
    assert "has no part `D`" in found["logreg"][1]


@pytest.mark.parametrize(("paper", "dataset"), sample(PAPERS.items(), ("wu2023", "wesad")))
def test_a_papers_set_has_its_methods_under_its_own_protocols_and_the_fixed_one(paper, dataset, tmp_path):
    found = baseline_rows(find_set(f"paper-{paper}"), "core", dataset, {"recipe": "quick", "data_root": tmp_path})
    requests = {row.request for row in found}
    assert len(requests) == len({row.title for row in found}) == len(found) > 3
    fits = [row for row in found if not row.reason]
    assert {row.request.protocol for row in fits} >= {paper, "subject-independent-v4"}
    assert {row.request.recipe for row in fits} == {"quick"}
    assert len(fits) > len(found) / 2


def test_a_target_a_modality_and_a_protocol_that_cannot_be_are_refused(rows):
    with pytest.raises(UsageError, match="no modality `heart`"):
        rows("features-v1", modalities="eda,heart")
    with pytest.raises(UsageError, match="no target `sadness`"):
        rows("features-v1", targets="sadness")


def test_a_rule_states_its_datasets_target_and_protocol_and_a_set_those_of_all(tmp_path):
    found = {
        name: [row.request for row in baseline_rows(find_set("leaderboard-v1"), "full", name, {"data_root": tmp_path})]
        for name in ("wearable_stress", "eegmat")
    }
    ours = found["wearable_stress"]
    assert {each.protocol for each in ours} == {"subject-independent-v4", "segment-random-legacy"}
    assert {each.recipe for each in ours} == {"small"}
    assert {each.targets for each in ours} == {None, "rating_high", "stress"}
    assert {each.train_dataset for each in ours if each.targets == "stress"} == {"stress_predict"}
    assert {each.label_subjects for each in ours} == {None, "2"}
    assert {(each.train_dataset, each.targets) for each in found["eegmat"]} == {(None, None)}


def requests(tmp_path, rules, search="", **options):
    """The rows of rules: those that can be run, and (request, reason) of the others."""
    path = tmp_path / "mine-v1.yaml"
    path.write_text("name: mine-v1\nsummary: Mine.\ncore:\n" + "".join(f"  - {rule}\n" for rule in rules) + search)
    made = baseline_rows(find_set(str(path)), "core", "stress_predict", {"data_root": tmp_path, **options})
    return [row for row in made if not row.reason], [(row.request, row.reason) for row in made if row.reason]


@pytest.mark.parametrize(
    ("field", "values", "found"),
    [
        ("label_fraction", "0.01,0.1", ["0.01", "0.1"]),
        ("label_subjects", "2,all", ["2", "all"]),
        ("drop", "each", [None, "ppg", "eda"]),
        ("drop", "eda", ["eda"]),
        ("calibration_data", "0,5,unlabelled:5", ["0", "5", "unlabelled:5"]),
    ],
)
def test_a_rule_has_a_row_for_each_value_that_a_grid_would_vary(field, values, found, tmp_path):
    rule = f"{{encoder: handcrafted, fusion: [lda, knn], modalities: 'ppg,eda', {field}: '{values}'}}"
    rule = rule.replace("}", ", protocol: personalise-v1}") if field == "calibration_data" else rule
    fit, unfit = requests(tmp_path, [rule])
    assert [(row.request.fusion, getattr(row.request, field)) for row in fit] == [
        (fusion, value) for fusion in ("lda", "knn") for value in found
    ]
    assert not unfit
    assert len({row.title for row in fit}) == len(fit)


def test_the_value_of_a_rule_comes_before_that_of_the_command_line(tmp_path):
    rules = ["{encoder: handcrafted, fusion: lda, modalities: eda, label_fraction: '0.1'}"]
    ((row,), _) = requests(tmp_path, rules, label_fraction="0.5")
    assert row.request.label_fraction == "0.1"


def test_a_row_without_a_second_modality_says_that_none_can_be_dropped(tmp_path):
    fit, ((_, reason),) = requests(tmp_path, ["{encoder: handcrafted, fusion: lda, modalities: eda, drop: each}"])
    assert not fit
    assert "has only one modality, eda" in reason


def test_a_rule_that_tunes_has_each_row_with_defaults_first_whichever_rule_names_it_too(tmp_path):
    plain = "{encoder: handcrafted, fusion: svm, modalities: eda}"
    tuned = "{encoder: handcrafted, fusion: svm, modalities: eda, tune: 5}"
    for rules in ([plain, tuned], [tuned, plain]):
        fit, unfit = requests(tmp_path, rules, "search: {svm: [fusion.build.C=log:1e-2..10]}\n")
        assert [row.search and row.search.trials for row in fit] == [None, 5]
        assert not unfit


def test_the_set_of_capabilities_has_each_of_them_on_two_datasets(tmp_path):
    names = ("stress_predict", "wearable_stress", "hku956", "eegmat")
    set_ = find_set("capabilities-v1")
    found = {name: baseline_rows(set_, "extended", name, {"data_root": tmp_path}) for name in names}
    assert not [(name, row.title, row.reason) for name in names for row in found[name] if row.reason]

    def on(has):
        return [name for name in names if any(map(has, found[name]))]

    for field in ("label_subjects", "label_fraction", "drop"):
        assert on(lambda row, field=field: getattr(row.request, field)) == ["stress_predict", "wearable_stress"]
    for name in ("stress_predict", "wearable_stress"):
        amounts = [row.request.calibration_data for row in found[name] if row.request.fusion == "svm"]
        assert [each for each in amounts if each] == ["0", "1", "2", "5", "10"]
    assert on(lambda row: row.search) == ["stress_predict", "wearable_stress", "eegmat"]
    assert all(sum(1 for row in found[name] if row.search) == 3 for name in ("stress_predict", "eegmat"))
    assert on(lambda row: row.request.targets) == ["wearable_stress", "hku956"]
    assert on(lambda row: row.request.pretrainers) == ["wearable_stress", "hku956"]


def test_the_set_of_capabilities_has_the_reference_of_each_row_or_leaves_it_to_the_leaderboards(tmp_path):
    for name in ("stress_predict", "wearable_stress", "hku956", "eegmat"):
        own, plain = (
            baseline_rows(find_set(set_), "extended", name, {"data_root": tmp_path})
            for set_ in ("capabilities-v1", "leaderboard-v1")
        )
        known = {row.request for row in (*own, *plain) if not row.search}
        for row in own:
            without = dict.fromkeys(("label_subjects", "label_fraction", "drop"))
            without["calibration_data"] = row.request.calibration_data and "0"
            assert replace(row.request, **without, pretrainers=()) in known, row.title
