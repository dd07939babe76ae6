"""Stages of the papers' size take no more memory on a CPU than the papers' pages state."""

import re

import pytest

from bench.speed.measure import command, embench
from embench.engine.stage import Folder
from embench.planning.graph import stage_folder

from ..sample import proof
from .memory import MADE, STEPS, stages
from .pages import ROOT

_STATED = re.compile(r"`(\w+)` (\d+(?:\.\d)?) GB in batches of (\d+)")


def stated(paper):
    """Batch and GB of memory of each kind of stage, as the paper's page has them."""
    text = " ".join((ROOT / "docs" / "papers" / f"{paper}.md").read_text().split())
    return {kind: (int(batch), float(memory)) for kind, memory, batch in _STATED.findall(text)}


@proof
@pytest.mark.slow
@pytest.mark.parametrize("paper", MADE)
def test_stages_of_a_papers_size_take_the_memory_that_its_page_states(paper, tmp_path, session_cache, monkeypatch):
    """Each in a process of its own, whose highest memory counts."""
    monkeypatch.setenv("EMBENCH_CACHE", str(session_cache))
    dataset, *size = MADE[paper].split()
    embench("data", "synthesize", dataset, "--out", tmp_path / dataset, *size)()
    trained, limits = stages(paper, tmp_path), stated(paper)
    assert {stage.kind for stage in trained} == limits.keys()
    for number, stage in enumerate(trained):
        took = command("-m", "tests.docs.memory", paper, tmp_path, str(number))()
        batch, memory_gb = limits[stage.kind]
        result = Folder(stage_folder(tmp_path / "runs"), stage.id).result()
        steps = result["epochs"] * -(-result["rows"] // batch)
        print(f"{stage.title}: {took.memory * 2**20 / 1e9:.2f} GB, {took.seconds / steps:.1f} s a step")
        assert stage.params.recipe.batch == batch < result["rows"]
        assert steps >= STEPS
        assert took.memory * 2**20 / 1e9 <= memory_gb
