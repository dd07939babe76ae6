"""Baseline sets as files: the bundled ones are read and stay what they are, wrong ones are refused by field and line,
any package may bring some."""

import json
import warnings

import pytest

from embench import registry
from embench.errors import UsageError
from embench.sets.files import SET_LEVELS, find_set, installed_sets, read_set
from embench.sets.rows import baseline_rows

GOOD = """name: mine-v1
summary: Mine.
core:
  - {encoder: handcrafted, fusion: [logreg, svm], modalities: [each, all]}
extended:
  - {encoder: tcn, recipe: small}
"""

PUBLISHED = {"features-v1": "2cdf378ef042", "quick-v1": "e0a9670c8037"}
"""Beginnings of the hashes of sets that are no drafts: other rows need another name."""


def write(folder, text, name="mine-v1"):
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_bundled_sets_are_read_and_only_drafts_change():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = installed_sets()
    papers = {f"paper-{name}" for name in ("vazquez2022", "strizhkova2024", "woo2023", "wu2023")}
    assert found.keys() == {"capabilities-v1", "features-v1", "quick-v1", "standard-v1", "leaderboard-v1", *papers}
    assert [name for name, each in found.items() if each.draft] == [
        "capabilities-v1", "leaderboard-v1", "standard-v1"
    ]  # fmt: skip
    fixed = {name: each.hash[:12] for name, each in found.items() if not (each.draft or each.paper)}
    assert fixed == PUBLISHED


def test_levels_nest():
    standard = find_set("standard-v1")
    core, extended, full = (standard.rules(level) for level in SET_LEVELS)
    assert full[: len(extended)] == extended
    assert extended[: len(core)] == core
    assert 0 < len(core) < len(extended) < len(full)


@pytest.mark.parametrize(
    ("before", "after", "fault", "line", "hint"),
    [
        ("fusion:", "fussion:", "core.0.fussion: unknown key", 4, "fusion"),
        ("[logreg, svm]", "7", "core.0.fusion", 4, ""),
        ("recipe: small", "recipe: tiny", "extended.0.recipe", 6, ""),
        ("recipe: small", "tune: 1", "extended.0.tune", 6, ""),
        ("recipe: small", "label_fraction: 0.1", "extended.0.label_fraction", 6, ""),
        ("recipe: small", "calibration: '5'", "extended.0.calibration: unknown key", 6, "calibration_data"),
        ("encoder: tcn, ", "", "extended.0.encoder: Field required", 6, ""),
        ("extended:", "more:", "more: unknown key", 6, ""),
        ("summary: Mine.\n", "", "summary: Field required", 1, ""),
        ("core:", "paper: wu2023\ncore:", "one of the fields `core` and `paper`", 1, ""),
        ("[each, all]", "[]", "core.0.modalities", 4, ""),
        ("extended:", "search:\n  svm: [fusion.build.C=1]\nextended:", "search.svm.0: ", 6, ""),
        ("extended:", "search:\n  tcn:\n    - encoder.view.length_s=1..2\nextended:", "search.tcn.0: ", 7, ""),
    ],
)
def test_a_mistake_is_refused_by_field_and_line(before, after, fault, line, hint, tmp_path):
    path = write(tmp_path, GOOD.replace(before, after))
    with pytest.raises(UsageError) as error:
        read_set(path)
    assert fault in error.value.what
    assert error.value.where == f"{path}, line {line}"
    assert hint in (error.value.hint or "")


def test_files_that_hold_no_set_are_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        read_set(write(tmp_path, "core: [\n"))
    with pytest.raises(UsageError, match="not a YAML mapping"):
        read_set(write(tmp_path, "- a\n"))
    with pytest.raises(UsageError, match="this is the set mine-v1"):
        read_set(write(tmp_path, GOOD, name="yours-v1"))


def test_the_hash_is_of_the_rows(tmp_path):
    hashes = [
        read_set(write(tmp_path, text)).hash
        for text in (GOOD, GOOD.replace("Mine.", "Ours.") + "draft: true\n", GOOD.replace("svm", "forest"))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_names_that_are_not_there_are_answered_with_the_nearest():
    with pytest.raises(UsageError, match="no baseline set has the name `standard-v2`") as error:
        find_set("standard-v2")
    assert "standard-v1" in error.value.hint


def test_a_package_brings_a_set_and_its_encoder_and_a_broken_set_costs_itself_alone(site, installing, embench):
    folder = installing.install("embench_acme", site) / "baselines"
    folder.mkdir()
    write(folder, "name: acme-v1\nsummary: Acme's.\ncore:\n  - {encoder: plain, fusion: logreg}\n", name="acme-v1")
    broken = write(folder, "name: worse-v1\n", name="worse-v1")
    registry.refresh()
    with pytest.warns(UserWarning, match="a baseline set is excluded") as caught:
        assert installed_sets().keys() > {"acme-v1", "standard-v1"}
    assert str(broken) in str(caught[0].message)
    rows = baseline_rows(find_set("acme-v1"), "core", "stress_predict", {})
    assert [(row.request.modalities, row.reason) for row in rows] == [("ppg", ""), ("eda", "")]
    done = embench("list", "baselines", "--json")
    assert "acme-v1" in {row["name"] for row in json.loads(done.out)}
    assert "a baseline set is excluded" in done.err
