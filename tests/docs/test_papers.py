"""Every printed configuration of the papers has one command: it is of a method that fits together, it can be planned
with the paper's recipe, and says nothing that the page leaves out."""

from __future__ import annotations

import re
import shlex
import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from embench import registry
from embench.data.cohort import card_for_protocol, choose_targets
from embench.planning.method import resolve_method
from embench.planning.plan import make
from embench.planning.request import Request, request_of
from embench.protocols import load_protocol
from embench.runs.run import run
from embench_plugins.datasets.synthetic import films

from .pages import ROOT, blocks

PRINTED = {"vazquez2022": 5, "strizhkova2024": 28, "woo2023": 2, "wu2023": 18}
"""How many configurations the tables of a page have at least."""

_CELL = re.compile(r"^\|.*`(--[^`]*--[^`]+)` \|$", re.MULTILINE)
_MODE = re.compile(r"^\| \*\w\* \| `(--[^`]+)` \|$", re.MULTILINE)
_ON_HUB = re.compile(r"=[\w-]+/[\w-]+@[0-9a-f]{40}$")
_MANY = ("encoder", "pretrainer", "set")


def rows(paper: str) -> list[str]:
    """The commands of a page's tables: what stands above them, the options of each row, and those of each mode."""
    page = ROOT / "docs" / "papers" / f"{paper}.md"
    (base,) = [b.body for b in blocks(page) if b.language == "text" and b.body.startswith("embench run --protocol")]
    modes = _MODE.findall(page.read_text())
    cells = [cell for cell in _CELL.findall(page.read_text()) if cell not in modes]
    return list(dict.fromkeys(f"{base.strip()} {cell} {mode}".strip() for cell in cells for mode in ("", *modes)))


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A folder that stands in for weights on the hub."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "config.json").write_text("{}")
    save_file({"weight": torch.zeros(1)}, folder / "model.safetensors")
    return folder


def request(command: str, **more: Any) -> Request:
    words, options = shlex.split(command), dict[str, Any]()
    assert words[:2] == ["embench", "run"]
    for option, value in zip(words[2::2], words[3::2], strict=True):
        name = option.removeprefix("--")
        if name in _MANY:
            options[name] = (*options.get(name, ()), value)
        else:
            assert name not in options, f"{option} stands twice"
            options[name] = value
    return request_of(**{**options, "device": "cpu", "seeds": "0", "workers": 1, **more})


ROWS = [(paper, row) for paper in PRINTED for row in rows(paper)]
SIGNALS = [(paper, row) for paper, row in ROWS if "videomae" not in row]
"""Films are decoded while a run is planned, which takes longer than all others together."""


@pytest.mark.parametrize("paper", PRINTED)
def test_every_printed_configuration_has_a_command(paper):
    assert len(rows(paper)) >= PRINTED[paper]


@pytest.mark.parametrize(("paper", "row"), ROWS)
def test_a_row_is_of_a_method_that_fits_together(paper, row, hub):
    asked = request(" ".join(_ON_HUB.sub(f"={hub}", word) for word in row.split()))
    assert (asked.recipe, load_protocol(asked.protocol).name) == ("paper", asked.protocol)
    assert asked.protocol.startswith(paper)
    card = card_for_protocol(load_protocol(asked.protocol), registry.load("dataset", asked.dataset).card)
    assert choose_targets(card, asked.targets)
    method = resolve_method(asked, card, list(card.modalities), "cpu")
    assert asked.modalities == ",".join(method.modalities)


@pytest.fixture(scope="module")
def made(tmp_path_factory, session_cache):
    """A few synthetic subjects of every dataset of the papers, as short as their protocols allow; of faces the tables,
    without the films."""
    root = tmp_path_factory.mktemp("papers")
    sizes = {"amigos": (4, 12.0), "deap": (4, 15.0), "wesad": (3, None), "case": (3, 1200.0), "k_emocon": (4, 300.0)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(session_cache))
        patch.setattr(films, "film", lambda *_, **__: None)
        for name, (subjects, seconds) in sizes.items():
            faces = {"videos": True} if name in ("amigos", "deap") else {}
            registry.synthesizer(name)(root / name, subjects=subjects, seed=0, effect=1.0, length_s=seconds, **faces)
        yield root


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for _, row in SIGNALS])
def test_a_row_can_be_planned_and_warns_of_nothing(row, made, tmp_path):
    with warnings.catch_warnings(action="error"):
        plan = make(request(row, data_root=made, runs=tmp_path))
    assert plan.graph.predictions
    assert plan.method.preset == "paper"


@pytest.mark.slow
@pytest.mark.parametrize("paper", PRINTED)
def test_a_row_of_each_paper_runs(paper, made, tmp_path):
    """The last row of its tables without pretraining, for one target and one epoch."""
    row = [row for of, row in SIGNALS if of == paper and "--pretrainer" not in row][-1]
    quick = request(row.replace("--recipe paper", "--recipe quick"), data_root=made, runs=tmp_path)
    card = card_for_protocol(load_protocol(quick.protocol), registry.load("dataset", quick.dataset).card)
    once = (*quick.settings, "encoder.epochs=1", "fusion.epochs=1")
    result = run(replace(quick, targets=choose_targets(card, quick.targets)[0].name, settings=once))
    assert (result.folder / "scores.json").is_file()
    assert set(result.scores["headlines"]) == set(result.manifest["targets"])
