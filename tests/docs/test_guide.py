"""The plugin guide's files conform, and together they make a package whose plugins are found and used in a run."""

import json

import pytest
import yaml

from embench import registry
from embench.testing import check

from .pages import ROOT, blocks, commands

GUIDE = ROOT / "docs" / "plugin-guide.md"


@pytest.mark.usefixtures("mine")
def test_package_offers_every_kind():
    found = {entry.kind: entry for entry in registry.entries() if entry.package == "embench_mine"}
    assert set(found) == {"dataset", "encoder", "pretrainer", "fusion", "metric", "observer"}
    assert not [entry.broken for entry in found.values() if entry.broken]


def test_dataset_conforms(mine, tmp_path):
    assert mine
    cls = registry.load("dataset", "my_dataset")
    registry.synthesizer("my_dataset")(tmp_path / "made", subjects=3, seed=0, effect=1.0)
    check("dataset", cls, tmp_path / "made")


def test_modalities_of_the_guide_are_defined(site, installing):
    (text,) = [block.body for block in blocks(GUIDE) if block.body.startswith("modality:")]
    package = site / "embench_other"
    package.mkdir()
    (package / "registry.yaml").write_text(text)
    installing.write(site, "embench-other", "1", {"plugins": "embench_other"})
    registry.refresh()
    assert {m.name for m in registry.modalities() if m.package == "embench_other"} == {"fnirs", "pupil"}
    assert registry.known_as(registry.load("encoder", "handcrafted").accepts, "fnirs") == "temp"


@pytest.mark.slow
def test_package_runs(mine, shell, workplace):
    for words in commands(GUIDE):
        if "my_dataset" in words:
            code, printed = shell(words)
            assert code == 0, printed
    (folder,) = (workplace / "runs" / "my_dataset").iterdir()
    run = yaml.safe_load((folder / "run.yaml").read_text())
    assert run["dataset"]["name"] == f"{mine.name}/my_dataset"
    assert run["dataset"]["synthetic"] == {"seed": 0, "effect": 1.0}
    assert set(run["method"]["encoders"].values()) == {f"{mine.name}/my_encoder"}
    assert {"my_metric", "my_log_loss"} <= json.loads((folder / "scores.json").read_text())["scores"]["arousal"].keys()
    assert (workplace / "epochs.jsonl").read_text().count("\n") > 0
