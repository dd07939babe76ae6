"""The files of the pages on plugins conform, and together they make a package whose plugins are found and run."""

import json
import re
import shlex

import pytest
import yaml

from embench import registry
from embench.testing import check

from ..leaderboard.boards import place
from .conftest import run_all
from .pages import GUIDE, ROOT, blocks, commands

__all__ = ["place"]
NETWORK = ROOT / "docs" / "start" / "own-network.md"
BLOCKS = [block for page in GUIDE for block in blocks(page)]


@pytest.mark.usefixtures("mine")
def test_package_offers_every_kind():
    found = {entry.kind: entry for entry in registry.entries() if entry.package == "embench_mine"}
    assert set(found) == {"dataset", "encoder", "pretrainer", "fusion", "metric", "observer"}
    assert not [entry.broken for entry in found.values() if entry.broken]


def test_dataset_conforms(mine, tmp_path):
    assert mine
    cls = registry.load_plugin("dataset", "my_dataset")
    registry.synthesizer("my_dataset")(tmp_path / "made", subjects=3, seed=0, effect=1.0)
    check("dataset", cls, tmp_path / "made")


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(("kind", "name"), [("encoder", "my_adapting_encoder"), ("fusion", "my_adapting_estimator")])
def test_what_adapts_to_a_subject_conforms(kind, name):
    check(kind, registry.load_plugin(kind, name))


def test_modalities_of_the_guide_are_defined(site, installing):
    (text,) = [block.body for block in BLOCKS if block.body.startswith("modality:")]
    package = site / "embench_other"
    package.mkdir()
    (package / "registry.yaml").write_text(text)
    installing.write(site, "embench-other", "1", {"plugins": "embench_other"})
    registry.refresh()
    assert {m.name for m in registry.modalities() if m.package == "embench_other"} == {"fnirs", "pupil"}
    assert registry.known_as(registry.load_plugin("encoder", "handcrafted").accepts, "fnirs") == "temp"


@pytest.mark.slow
def test_commands_run_and_the_package_with_them(mine, shell, workplace):
    run_all([words for page in GUIDE for words in commands(page)], shell)
    (folder,) = (workplace / "runs" / "my_dataset").iterdir()
    run = yaml.safe_load((folder / "run.yaml").read_text())
    assert run["dataset"]["name"] == f"{mine.name}/my_dataset"
    assert run["dataset"]["synthetic"] == {"seed": 0, "effect": 1.0}
    assert set(run["method"]["encoders"].values()) == {f"{mine.name}/my_encoder"}
    assert {"my_metric", "my_log_loss"} <= json.loads((folder / "scores.json").read_text())["scores"]["arousal"].keys()
    assert (workplace / "epochs.jsonl").read_text().count("\n") > 0


@pytest.mark.slow
def test_the_whole_way_from_a_network_to_an_entry(place, shell, workplace, site, installing, monkeypatch):
    """The lines of the tutorial; pip is what `installing` is, and runs are called by the ids that they print."""
    monkeypatch.setenv("EMBENCH_CACHE", str(place.root / "cache"))
    (way,) = (block.body for block in blocks(NETWORK) if "embench leaderboard submit" in block.body)
    runs: list[str] = []
    for line in way.splitlines():
        words = shlex.split(line.removeprefix("$ "))
        if words[0] == "pip":
            package = next((workplace / words[-1]).glob("embench_*"))
            installing.write(site, "embench-my-net", "0.1.0", {"plugins": package.name}, package)
            registry.refresh()
            continue
        words = [str(place.data) if word == "DIR" else word for word in words]
        for name, run in zip(("MINE", "OTHER"), runs, strict=False):
            words = [word.replace(name, run) for word in words]
        code, printed = shell(words)
        assert code == 0, f"{line}\n{printed}"
        if words[1] == "run":
            runs.append(re.search(r"^files: (?:.*/)?(\S+)$", printed, re.MULTILINE)[1])
    assert (workplace / "leaderboards" / "stress_predict" / "subject-independent-v4" / runs[0]).is_dir()
