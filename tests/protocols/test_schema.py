"""What a protocol file may say, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from embench.errors import UsageError
from embench.interfaces.units import LabelRule
from embench.protocols import Protocol, load_protocol, protocol_names
from embench_plugins.datasets.faced.release import BLOCKS, CLIPS, EMOTIONS, FELT

PUBLISHED = {
    "across-contexts-v1": "15b5aa46ca4cbea8e3f36c55cac3c77c0d6e3826b8cb1f838ee518f0453dbf27",
    "banville2026": "de58d37f3dace21b4183599d3d1cfd48a8dc4dc1983d39f43c9bb28fa439ae8f",
    "chen2023": "d928dab9471f9d02e7d5e10b71cc898f5bfbcb62afa2f3bfa9f88834e1559cd5",
    "chen2023-within": "a3c14587e5a91b9cae7efaf51b63bb2b6409f3303436d17b08f7b258c98986df",
    "epic2023-elicitor": "c1148452c3a894856f932b3ccb12b0c50dc6397acf5d1a080e9daff92449dcc1",
    "epic2023-subject": "59cfc670d71901b335badb0301e2c3710cc8a667f3f3e97227529ffb3db4204c",
    "epic2023-time": "1dc938c9217d456bb05da35cb10b63de5c96037e0863ee0e87348cf7f5f6d5c6",
    "epic2023-version": "ff3a409075ab007abba101f5ecd943104b10365a455fa488a17c4591b23e5151",
    "faced-films-v1": "08cdc08b1e813502a266e48e054f0be947a3072f50a5a6054439cfb462bb44a5",
    "gerster2026-clips": "352de0850c8d31f035d305dc70487e4ecf24c7a3d350c41809c0b119b8c302ef",
    "gerster2026-films": "9ef44c09d71b52335fa2f35b2bf900f05c551933a557d2e0f5df314a0697700a",
    "gerster2026-nine": "48723b7840294bef7aefe78bd173f51c02dbb41473247c10f6e7269dc373c6ec",
    "gerster2026-nine-within": "b6fe770c7d67c7ad7b3790a80ba571f0a1023d56ffe53c236867890264c131cc",
    "gerster2026-time": "00fdec67feab687dcf44e823e9941c2d378f9162289d240c0988360f8451f35c",
    "guetschel2026": "62ec9331365459f9cba4a26329efdc56e16b667b0d77c49e0a13617ee0c33555",
    "later-block-v1": "154a3ee22f05527b5746602ce67125d77c76439c4ec1274d31055092deeb771f",
    "later-session-v1": "bdb898cb31ea0331476ff0285685bcdeb846c08276d187e3fcdcba4f26526824",
    "leave-one-subject-out-v4": "dc30a3264e80df7ee8e2fea4fad6cf0dad64939539eab6a828468abab2b37423",
    "mirandacorrea2021": "75922a51553fc9c60fe139a662d92c77366e0f47800e89feb37b1940fdf3e42e",
    "personal-random-legacy": "ad5e1bf088534f44c70a391b133fdab97d12c7e82ad8bc8eec7065b7442dabcf",
    "personalise-v1": "597603595bb8a9013219c31106b4f7c9d7551c5afada624cc422e1d0bb58a97e",
    "segment-random-legacy": "eeebd74591fe410d4ff664fac3983e67c45c0cc5e509f4db1d70a1e688fe05b1",
    "strizhkova2024": "002a7a2389f9f0c5f078033cc02685a395c7d3255a12a6cbf8742cfb35068c73",
    "strizhkova2024-recording": "481ca2cbcccf5d993c8d94a38e07f51a0da71cdc1d58df226beca4086dc38177",
    "subject-independent-seconds-v1": "197e5ab2b9207bb453712f02ec91a7cf26986b471c2de0993e5602eba83b6b7a",
    "subject-independent-strict-v4": "7aac3758a63ad2ada9efe68ebeab24c54a2baaadccfb89f3d6c7459573270f26",
    "subject-independent-v4": "4b8f1163d4c0cce3d1574e96940b55809ad91ec5842108d174c3535f010cfe20",
    "subject-independent-wide-eeg-v1": "931bba16b697dd5d2d12297db426afefb083c21f4e86d6ead54c98121b935a89",
    "subject-stimulus-independent-v4": "8ed3f839d6b47f0677e98c14706ba8517763618285a8263fb51aacc5b0e0d43d",
    "vazquez2022": "2e0cf2e7e022765837c9cc44e3b11e27c198c9a46b4925815eabb7d915ddfc52",
    "vazquez2022-group": "62b68af6a44d2a8cd33190d91ad87093f6090e3578bbe6677bca1448903fd511",
    "vazquez2022-recording": "1c0f93d8f737d50c62d8273c139c600e3f958d0e38ca5b4495cfe199a9850b10",
    "within-films-v1": "4595f9bc1fb1dbae37c7957acf813b257df2fcff704f3e64b43e12434e1fcc7c",
    "within-imagery-v1": "e6494e59e916eb73a0f93b8694f1578a956e67b43c2ee8ef7b6a97373a2186ed",
    "woo2023": "3b9180ee9a89dd7e69c925f1c63d08d765a18d792d2793e132544f0c7c4e11c6",
    "woo2023-group": "28a2d13055bacbe90c2c9bbd6719b22a6a669ed5964de8afeeb198e3dd4db6e1",
    "woo2023-recording": "3588ffca2ed34843190d9fb2a276105970c9c9d448ec545064c74be206d08676",
    "wu2023": "a0df22d5adc7a8f3a3ed27b0ade71e32f48c62cda3a33f673969c81b91cf9fe4",
    "wu2023-last": "0e9c60088412383e67b278393e9c57ff9623918b7ed99123c65ca04efba56ff0",
    "xiong2025": "6cefe19719a61dce2f132d4bb82eb6e02a971728c1c57fd80efeaf877f9b791f",
}


def stimuli(parts: list[list[str]], by: str = "group+stimulus", **more: Any) -> dict[str, Any]:
    """Changes that give the stimuli of dataset d."""
    return {"split": {"by": by, "folds": 5}, "stimuli": {"d": {"parts": parts, **more}}}


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """`own(leaks=True)`: the path of a protocol file like subject-independent-v4, with some fields changed."""

    def write(drop: str | None = None, **changes: Any) -> Path:
        rules = load_protocol("subject-independent-v4").model_dump(mode="json") | {"name": "own-v1"} | changes
        rules.pop(drop, None)
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump(rules))
        return path

    return write


def test_published_rules_never_change() -> None:
    assert {name: load_protocol(name).hash for name in protocol_names()} == PUBLISHED


def test_units_of_a_second_are_all_that_differs() -> None:
    new, before = (load_protocol(f"subject-independent-{v}") for v in ("seconds-v1", "v4"))
    assert new.dealt_as == before.dealt_as
    assert {key for key, rule in before.model_dump().items() if new.model_dump()[key] != rule} == {
        "name",
        "version",
        "unit",
    }
    assert {key for key, rule in before.unit if getattr(new.unit, key) != rule} == {"continuous_s"}


def test_published_protocols_say_what_they_give_up() -> None:
    assert {name: bool(load_protocol(name).deviations) for name in protocol_names()} == {
        name: load_protocol(name).leaks for name in protocol_names()
    }


def test_hash_holds_rules_not_spelling(own: Any, tmp_path: Path) -> None:
    one = load_protocol(own(rate_hz=64))
    other = tmp_path / "other.yaml"
    other.write_text("# a remark\n" + yaml.safe_dump({**one.model_dump(mode="json"), "rate_hz": 64.0}, sort_keys=False))
    assert load_protocol(other).hash == one.hash
    assert load_protocol(own(rate_hz=32)).hash != one.hash


def test_a_protocol_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_protocol("subject-independent-v4").leaks = True  # type: ignore[misc]


def test_what_a_protocol_is_called_elsewhere_is_understood() -> None:
    with pytest.raises(UsageError, match=r"did you mean leave-one-subject-out-v4\?"):
        load_protocol("LOSO")


def test_wrong_name_shows_the_nearest() -> None:
    with pytest.raises(UsageError) as error:
        load_protocol("subject-independant")
    assert str(error.value.hint).startswith("did you mean subject-independent-v4 or ")
    assert "segment-random-legacy" in str(error.value.expected)


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"leeks": True}, "leeks", "did you mean leaks?"),
        ({"folds_of": "subject-independent"}, "folds_of", "string should match pattern"),
        ({"split": {"by": "group", "folds": 5, "fold": 3}}, "split.fold", "did you mean folds"),
        ({"split": {"by": "subject", "folds": 5}}, "split.by", "'group', 'recording', 'segment', 'stimulus' or"),
        ({"split": {"by": "group", "folds": 1}}, "split.folds", "greater than or equal to 2"),
        ({"validation": {"fraction": "a fifth", "at_least": 4}}, "validation.fraction", "valid number"),
        ({"unit": {"rating": "recording", "continuous_s": 0, "condition_s": 10}}, "unit.continuous_s", "greater than"),
        ({"normalise": "subject"}, "normalise", "'subject_unlabelled', 'recording_unlabelled' or 'given'"),
        ({"version": True}, "version", "valid integer"),
        ({"drop": "primary_metric"}, "primary_metric", "a value for primary_metric"),
        ({"unit": {"rating": 0, "continuous_s": 1, "condition_s": 1}}, "unit.rating", "greater than 0"),
        (
            {"labels": {"d": {"t": {"aggregate": "mean", "cut": 1.0, "ties": "low", "labl": "a"}}}},
            "labels.d.t.labl",
            "did you mean label",
        ),
        (
            {"labels": {"d": {"t": {"aggregate": "mean", "cut": "median", "ties": "low"}}}},
            "labels.d.t.cut",
            "'training_mean'",
        ),
        ({"labels": {"d": {"t": {"aggregate": "mean", "ties": "low"}}}}, "labels.d.t", "use `cut` or `edges`"),
        (
            {"labels": {"d": {"t": {"aggregate": "mean", "cut": 1.0, "edges": [1, 2], "ties": "low"}}}},
            "labels.d.t",
            "use `cut` or `edges`",
        ),
        ({"labels": {"d": {"t": {"aggregate": "mean", "cut": 1.0}}}}, "labels.d.t", "set `ties` to low, high or drop"),
        (
            {"labels": {"d": {"t": {"kind": "value", "aggregate": "mean", "cut": 1.0, "ties": "low"}}}},
            "labels.d.t",
            "a continuous target has no `cut` and no `ties`",
        ),
        ({"split": {"by": "group", "folds": 5, "within": "subject"}}, "split", "recordings, segments or stimuli"),
        ({"split": {"by": "group+stimulus", "folds": 5, "within": "subject"}}, "split", "not by group"),
        ({"split": {"by": "group", "folds": 5, "deal": "by_name"}}, "split.deal", "'in_order'"),
        (
            {"split": {"by": "group", "folds": 5, "neighbours": 4, "deal": "in_order"}},
            "split",
            "requires a random split",
        ),
        (stimuli([["a", "b"], ["b"]]), "stimuli.d", "listed more than once: b"),
        (stimuli([["a", "a"], ["b"]]), "stimuli.d", "listed more than once: a"),
        (stimuli([["a"], []]), "stimuli.d.parts", "at least 1 item"),
        (stimuli([]), "stimuli.d.parts", "at least 1 item"),
        (stimuli([["a", "b"]]), "stimuli", "those of d: a split by group+stimulus requires at least two parts"),
        (stimuli([["a"], ["b"]], by="stimulus"), "stimuli", "2 parts require 2 folds, but split.folds is 5"),
        (stimuli([["a"], ["b"]], related=[["a", "c"]]), "stimuli.d", "stimuli that no part contains: c"),
        (stimuli([["a"], ["b"]], related=[["a"]]), "stimuli.d", "names only one stimulus: a"),
        (
            stimuli([["a"], ["b"]], by="group", related=[["a", "b"]]),
            "stimuli",
            "a split by group trains on stimuli related",
        ),
        (stimuli([["a"], ["b"]], relatde=[["a", "b"]]), "stimuli.d.relatde", "did you mean related"),
        ({"stimuli": {}}, "stimuli", "at least 1 item"),
        ({"stimuli": {"d": [["a"], ["b"]]}}, "stimuli.d", "valid dictionary"),
    ],
)
def test_a_field_that_breaks_the_schema_is_named(own: Any, changes: dict[str, Any], field: str, expected: str) -> None:
    path = own(**changes)
    with pytest.raises(UsageError) as error:
        load_protocol(path)
    assert error.value.where == f"{path}, {field}"
    assert expected in str(error.value.expected)


# A split that leaks is refused on its folds, with the ids that it shares: see `test_guard.py`.
@pytest.mark.parametrize(("changes", "field"), [({"select": "peak_on_test"}, "select")])
def test_a_leak_must_be_declared(own: Any, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError, match="declares that it does not leak, but it does") as error:
        load_protocol(own(**changes))
    assert str(error.value.where).endswith(field)
    declared = load_protocol(own(**changes, leaks=True))
    assert list(declared.deviations) == [field]


def test_a_published_name_is_not_for_other_rules(own: Any) -> None:
    assert load_protocol(own(name="subject-independent-v4")).hash == PUBLISHED["subject-independent-v4"]
    with pytest.raises(UsageError, match="differ from the published"):
        load_protocol(own(name="subject-independent-v4", rate_hz=64))


@pytest.mark.parametrize(
    ("text", "match"),
    [("a: [1\nb: 2", "not valid YAML"), ("", "not a mapping of rules"), ("- a\n- b\n", "not a mapping of rules")],
)
def test_a_file_without_rules_is_refused(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=match):
        load_protocol(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file") as error:
        load_protocol(tmp_path / "none.yaml")
    assert error.value.where == str(tmp_path / "none.yaml")


def test_every_kind_is_ranked_by_the_share_of_rightly_ordered_pairs() -> None:
    protocol = load_protocol("subject-independent-v4")
    for kind, share in (("binary", "auroc"), ("classes", "auroc"), ("value", "concordance")):
        assert protocol.primary_metric_for(kind, "fixed_order") == f"{share}_crossed_matched"
        assert protocol.primary_metric_for(kind, "fixed_order", True) == f"{share}_crossed_matched"
        assert protocol.primary_metric_for(kind, "shared_stimuli") == f"{share}_crossed"
        assert protocol.primary_metric_for(kind, "shared_stimuli", True) == f"{share}_crossed_moment"
        assert protocol.primary_metric_for(kind, "free", True) == f"{share}_within"


def test_a_papers_headline_holds_everywhere(own: Any) -> None:
    assert load_protocol(own(primary_metric="f1_weighted")).primary_metric_for("binary", "fixed_order") == "f1_weighted"


def test_a_file_may_say_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("extends: subject-independent-v4\nname: own-v1\nsplit: {by: group, folds: 3}\n")
    rules, base = load_protocol(path), load_protocol("subject-independent-v4")
    assert rules.model_dump(exclude_none=True) == base.model_dump(exclude_none=True) | {
        "name": "own-v1",
        "split": {"by": "group", "folds": 3},
    }
    path.write_text("extends: subject-independant-v1\nname: own-v1\n")
    with pytest.raises(UsageError, match="no published protocol") as error:
        load_protocol(path)
    assert str(error.value.hint).startswith("did you mean subject-independent-v4 or ")
    path.write_text("extends: subject-independent-v4\nrate_hz: 64\n")
    with pytest.raises(UsageError, match="differ from the published"):
        load_protocol(path)


def test_two_protocols_differ_from_the_usual_one_in_a_rule_each() -> None:
    rules = {"subject-independent-strict": "normalise", "subject-stimulus-independent": "split"}
    usual = load_protocol("subject-independent-v4").model_dump()
    for name, rule in rules.items():
        own = load_protocol(f"{name}-v4").model_dump()
        assert {key for key in usual if own[key] != usual[key]} - {"folds_of"} == {"name", rule}
    access = {name: load_protocol(name).target_access for name in protocol_names()}
    assert access["subject-independent-strict-v4"] == "baseline"
    assert access["woo2023"] == "none"
    assert access["strizhkova2024"] == access["subject-stimulus-independent-v4"] == "unlabelled"


def test_variants_differ_from_their_paper_in_split_and_selection_only() -> None:
    for name in ("vazquez2022", "woo2023", "wu2023", "chen2023"):
        own = load_protocol(name).model_dump()
        for variant in (n for n in protocol_names() if n.startswith(f"{name}-")):
            other = load_protocol(variant).model_dump()
            assert {key for key in own if own[key] != other[key]} <= {"name", "leaks", "split", "select"}


def test_a_protocol_has_values_of_its_own() -> None:
    rules = {"rating": {"kind": "value", "aggregate": "value"},
             "rating_centred": {"label": "rating", "kind": "value", "aggregate": "value", "centred": True}}  # fmt: skip
    base = load_protocol("subject-independent-v4").model_dump()
    plain, centred = Protocol.model_validate({**base, "labels": {"d": rules}}).targets("d")
    assert (plain.name, plain.kind, plain.label, plain.rule) == ("rating", "value", "rating", LabelRule("value"))
    assert (centred.kind, centred.label, centred.rule) == ("value", "rating", LabelRule("value", centred=True))


def test_papers_make_labels_as_they_say() -> None:
    def made(protocol: str, dataset: str, target: str, raw: list[float]) -> list[float | None]:
        (found,) = [t for t in load_protocol(protocol).targets(dataset) if t.name == target]
        return [found.rule(np.array([value])) for value in raw]

    for target in ("arousal", "valence"):
        assert made("strizhkova2024", "amigos", target, [4.4, 4.5, 4.6]) == [0, 0, 1]
        assert made("strizhkova2024", "deap", target, [5.0, 5.1]) == [0, 1]
        assert made("woo2023", "amigos", target, [4.9, 5.0, 5.1]) == [0, 0, 1]
        assert made("wu2023", "case", target, [4.9, 5.0, 5.1]) == [0, 0, 1]
        assert made("wu2023", "case", f"{target}3", [3.4, 3.5, 3.6, 6.5, 6.6]) == [0, 0, 1, 1, 2]
        assert made("wu2023", "k_emocon", target, [2, 3, 4]) == [0, 0, 1]
        assert made("wu2023", "k_emocon", f"{target}3", [1, 2, 3, 4, 5]) == [0, 0, 1, 2, 2]
        for dataset in ("amigos", "amigos/long"):
            (found,) = [t for t in load_protocol("vazquez2022").targets(dataset) if t.name == target]
            assert found.rule.cut == "training_mean"
            with pytest.raises(ValueError, match="before it is fitted"):
                found.rule(np.array([5.0]))
            fitted = found.rule.fit(5.25)
            assert [fitted(np.array([value])) for value in (5.2, 5.25, 5.3)] == [0, 0, 1]


def test_of_deap_the_subjects_with_face_video_take_part() -> None:
    subjects = load_protocol("strizhkova2024").included_subjects("deap")
    assert subjects is not None
    assert (len(subjects), min(subjects), max(subjects)) == (22, "s01", "s22")
    assert load_protocol("strizhkova2024").included_subjects("amigos") is None
    assert load_protocol("wu2023").included_subjects("deap") is None


def test_faced_films_differs_from_the_usual_protocol_in_split_stimuli_and_headline() -> None:
    usual, films = (load_protocol(name).model_dump() for name in ("subject-independent-v4", "faced-films-v1"))
    assert {key for key in usual if films[key] != usual[key]} == {
        "name", "version", "split", "primary_metric", "stimuli", "folds_of",
    }  # fmt: skip
    for kind, primary_metric in (("classes", "auroc_within"), ("binary", "auroc_within"), ("value", "ccc")):
        assert load_protocol("faced-films-v1").primary_metric_for(kind, "shared_stimuli") == primary_metric


def test_the_parts_of_faced_are_whole_blocks_with_one_clip_of_each_emotion() -> None:
    blocks = [{f"clip{number:02d}" for number in block} for block in BLOCKS]
    emotion = {f"clip{number:02d}": clip.emotion for number, clip in CLIPS.items()}
    film = {f"clip{number:02d}": clip.film for number, clip in CLIPS.items()}
    for dataset in ("faced", "faced/processed"):
        rules = load_protocol("faced-films-v1").stimulus_rules(dataset)
        assert rules is not None
        for part in rules.parts:
            assert sorted(emotion[name] for name in part) == sorted(FELT)
            assert all(block <= set(part) or not block & set(part) for block in blocks)
        for name, apart in rules.separated_stimuli().items():
            assert {other for other in film if film[other] == film[name]} <= apart
    for name in ("gerster2026-clips", "gerster2026-films"):
        rules = load_protocol(name).stimulus_rules("faced")
        assert rules is not None
        assert all(sorted(emotion[clip] for clip in part) == sorted(EMOTIONS) for part in rules.parts)
    assert load_protocol("gerster2026-nine").included_stimuli("faced") == set(
        load_protocol("gerster2026-clips").stimuli["faced"].parts[0]  # type: ignore[index]
    )


def test_a_dataset_whose_stimuli_a_protocol_does_not_name_is_refused() -> None:
    films = load_protocol("faced-films-v1")
    with pytest.raises(UsageError, match="does not define the stimuli of deap") as error:
        films.stimulus_rules("deap")
    assert error.value.expected == "--dataset faced or faced/processed"
    assert "--protocol subject-stimulus-independent-v4" in str(error.value.hint)
    assert films.included_stimuli("deap") is None
    assert load_protocol("chen2023").stimulus_rules("deap") is None
