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
    "across-contexts-v1": "e65f4ddb7f5cd07f8bc406f9990e2695b716de143fb5bd778278a72e2b32a2cc",
    "banville2026": "1cafa216c31327824e8c15eb7ba1c174ed4c36ffc8c10e5dedbe0e3fec9e925b",
    "chen2023": "5b14ecdd2599cc50e349ec73d812dcd70ad5003ee316f869f66232949e94724f",
    "chen2023-within": "a71b0785d5b4fada0d4c1c0941dfb8e2f22c1b9dbf579296aecca4c756c8618d",
    "epic2023-elicitor": "b7ee55fc9b932bef38045e44e6adea0f64b33b16499a9bed1b51fb6258bd8376",
    "epic2023-subject": "5dd143b6595faacd0adbff4d318f6cee611b9d85fdd0d1be9a8d16fdda7e09fa",
    "epic2023-time": "3533ae773ab46ae72cd4db5bbb27c9eb5ff4c57cc38a4d14fcae5a585a80ccb6",
    "epic2023-version": "5937fc6198532f594f23a82697725055e6de2bd12ffd6cf4b6f5cbfb21207917",
    "faced-films-v1": "8c06cc1d7efcecd12d46b34bfdbd945df18b59effaa750b0d78887ef8bd867a4",
    "gerster2026-clips": "4086a7afc3294a3bec4732503c1ab90212fec87b99e9b9ddddb3adcc97807ac3",
    "gerster2026-films": "b579411eb8accfa1a953b67dc7e17f2331a851635f158715c43fb1bc6b9c99d8",
    "gerster2026-nine": "455d9071b12b5fea2440e1558dc123ac6c3356ba2466dfffe9b49bed4d81bd1d",
    "gerster2026-nine-within": "bc46fefc27ad4276e1dd507966f350cf7b7825d435e0bf5af8dc1a52b0e22a72",
    "gerster2026-time": "d0f0863c1f3f2ad071e3b00cce05969d5e2cfad24cc9bddd05c7c3850b2bcbd0",
    "guetschel2026": "d47c3dbbbebba8e17d05eb17ae7d6879ce97352831fc3b46b075ab9c30404dbe",
    "later-block-v1": "0c24edaf37ac3f493d8b77c4d628c04997799372c54269a5d1984c4847029ebe",
    "later-session-v1": "a86b40ef5b40a21ac90feb9dbdcf7617320720c9a92c1ba63e8aea438f32efdf",
    "leave-one-subject-out-v3": "85d5392f608dd033db45421623772120fa910017a62bd3e90911d2fa15e96b3c",
    "mirandacorrea2021": "c09b53c9c85f28a795bbc6e57092073346b92e1b7d2b377384923c8afc2222dd",
    "personalise-v1": "687a17ec3e964c9dbe8435e2b4c890698d1914acb5702d986af969a8e6db478a",
    "segment-random-legacy": "4b766b5c0b10fb0d1cd6783a736d692e49ee6628375c9cfbaf51cf3a0957338d",
    "strizhkova2024": "e13a8175b30d5f563cd4d2a28b947bc58f0bd8deace2d644b78e191410b1ce1f",
    "subject-independent-seconds-v1": "84f4aa31fb12d73f05811536259cceb332dea23dc685240730a32f168662a906",
    "subject-independent-strict-v3": "e4edf6b4c2375a4fd08a608ca7abe16f385179f789d7512173820cd07f380a37",
    "subject-independent-v3": "8f18a83080fc59cd78c082cdae5bc37c67aacdad8bc1bc92304d3396dedde7f8",
    "subject-independent-v4": "a8b6bc7dcb4c033d3bda5f4a1f6a18d22136e2d42a730422141ece6fccd14f16",
    "subject-independent-wide-eeg-v1": "88266ff060c1c366e388f5438a42c0c44e41942fdbffd3841d3c30e7adf66ef5",
    "subject-stimulus-independent-v3": "678d7eb100f20709d697fc0743e5ec24785ba62e12904af888a15db7e243f084",
    "vazquez2022": "7062493f089dc8afe6a02cd0529eb867d885392ba0c31215e6953ae6da7601d4",
    "vazquez2022-group": "55e32d72cf06682380aeb24ee2a43d04c966c8289dcccb2c64ac95315facd08d",
    "vazquez2022-recording": "f1128aa6fd60f787edc59c3c582f782c7a1b6e2050ad37b983b6ea2dbb10446c",
    "within-films-v1": "6aad2de41732fa7f69f0cb35a5b710b397fc3cd103afc545ff6c1fd0ac5322ef",
    "within-imagery-v1": "f9535345afaea6a996ac6386e4eeb2a0e5b747681e2403003f83c9d6920c9639",
    "woo2023": "066b3eae5b1200d0eb25b7a9deb5e47641d3f5a486246c7beb5d08ea793d644e",
    "woo2023-group": "c4cb8a8e3680fef589a42fe1cb7bc3503405af0a09c94da49a031bcfdf281415",
    "woo2023-recording": "f4d359bbb5e88aaaf76546ea27b033b7dc6be85223d6b8d60e63adf2ef9be479",
    "wu2023": "080071238ee4c9c4b1370377052a2973aca97b16357416365c7f046a4dd18a38",
    "wu2023-last": "fa542771dba699db7a8a8de30ddb2b3efe51de08c9c812fcef2c161b0e1956eb",
    "xiong2025": "c15027cef27b6876276a704e694155dff34c9ee9863940d0835a3351ee443022",
}


def stimuli(parts: list[list[str]], by: str = "group+stimulus", **more: Any) -> dict[str, Any]:
    """Changes that give the stimuli of dataset d."""
    return {"split": {"by": by, "folds": 5}, "stimuli": {"d": {"parts": parts, **more}}}


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """`own(leaks=True)`: the path of a protocol file like subject-independent-v3, with some fields changed."""

    def write(drop: str | None = None, **changes: Any) -> Path:
        rules = load_protocol("subject-independent-v3").model_dump(mode="json") | {"name": "own-v1"} | changes
        rules.pop(drop, None)
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump(rules))
        return path

    return write


def test_published_rules_never_change() -> None:
    assert {name: load_protocol(name).hash for name in protocol_names()} == PUBLISHED


def test_units_of_a_second_are_all_that_differs() -> None:
    new, before = (load_protocol(f"subject-independent-{v}") for v in ("seconds-v1", "v3"))
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
        load_protocol("subject-independent-v3").leaks = True  # type: ignore[misc]


def test_what_a_protocol_is_called_elsewhere_is_understood() -> None:
    with pytest.raises(UsageError, match=r"did you mean leave-one-subject-out-v3\?"):
        load_protocol("LOSO")


def test_wrong_name_shows_the_nearest() -> None:
    with pytest.raises(UsageError) as error:
        load_protocol("subject-independant")
    assert str(error.value.hint).startswith("did you mean subject-independent-v4 or subject-independent-v3")
    assert "segment-random-legacy" in str(error.value.expected)


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"leeks": True}, "leeks", "did you mean leaks?"),
        ({"scoring": 5}, "scoring", "input should be 3 or 4"),
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
    assert load_protocol(own(name="subject-independent-v3")).hash == PUBLISHED["subject-independent-v3"]
    with pytest.raises(UsageError, match="differ from the published"):
        load_protocol(own(name="subject-independent-v3", rate_hz=64))


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
    protocol = load_protocol("subject-independent-v3")
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
    path.write_text("extends: subject-independent-v3\nname: own-v1\nsplit: {by: group, folds: 3}\n")
    rules, base = load_protocol(path), load_protocol("subject-independent-v3")
    assert rules.model_dump(exclude_none=True) == base.model_dump(exclude_none=True) | {
        "name": "own-v1",
        "split": {"by": "group", "folds": 3},
    }
    path.write_text("extends: subject-independant-v1\nname: own-v1\n")
    with pytest.raises(UsageError, match="no published protocol") as error:
        load_protocol(path)
    assert str(error.value.hint).startswith("did you mean subject-independent-v4 or subject-independent-v3")
    path.write_text("extends: subject-independent-v3\nrate_hz: 64\n")
    with pytest.raises(UsageError, match="differ from the published"):
        load_protocol(path)


def test_two_protocols_differ_from_the_usual_one_in_a_rule_each() -> None:
    rules = {"subject-independent-strict": "normalise", "subject-stimulus-independent": "split"}
    usual = load_protocol("subject-independent-v3").model_dump()
    for name, rule in rules.items():
        own = load_protocol(f"{name}-v3").model_dump()
        assert {key for key in usual if own[key] != usual[key]} == {"name", "folds_of", rule}
    access = {name: load_protocol(name).target_access for name in protocol_names()}
    assert access["subject-independent-strict-v3"] == "baseline"
    assert access["woo2023"] == "none"
    assert access["strizhkova2024"] == access["subject-stimulus-independent-v3"] == "unlabelled"


def test_variants_differ_from_their_paper_in_split_and_selection_only() -> None:
    for name in ("vazquez2022", "woo2023", "wu2023", "chen2023"):
        own = load_protocol(name).model_dump()
        for variant in (n for n in protocol_names() if n.startswith(f"{name}-")):
            other = load_protocol(variant).model_dump()
            assert {key for key in own if own[key] != other[key]} <= {"name", "leaks", "split", "select"}


def test_a_protocol_has_values_of_its_own() -> None:
    rules = {"rating": {"kind": "value", "aggregate": "value"},
             "rating_centred": {"label": "rating", "kind": "value", "aggregate": "value", "centred": True}}  # fmt: skip
    base = load_protocol("subject-independent-v3").model_dump()
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
    usual, films = (load_protocol(name).model_dump() for name in ("subject-independent-v3", "faced-films-v1"))
    assert {key for key in usual if films[key] != usual[key]} == {
        "name", "version", "split", "primary_metric", "stimuli", "folds_of", "scoring",
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
    assert "--protocol subject-stimulus-independent-v3" in str(error.value.hint)
    assert films.included_stimuli("deap") is None
    assert load_protocol("chen2023").stimulus_rules("deap") is None
