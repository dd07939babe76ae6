"""The options in the papers' tables are of methods that can be planned, on the dataset that they name."""

import re
import shlex

import pytest
import torch
from safetensors.torch import save_file

from embench import registry
from embench.data.cohort import card_for_protocol, choose_targets
from embench.planning.method import resolve_method
from embench.planning.request import Request
from embench.protocols import load_protocol

from .pages import ROOT

_CELL = re.compile(r"^\|.*`(--dataset [^`]+ --encoder [^`]+)`", re.MULTILINE)
_ON_HUB = re.compile(r"=[\w-]+/[\w-]+@[0-9a-f]{40}$")
_MANY = {"encoder": "encoders", "pretrainer": "pretrainers", "set": "settings"}


ROWS = [
    (page.stem, cell) for page in (ROOT / "docs" / "papers").glob("*.md") for cell in _CELL.findall(page.read_text())
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A folder that stands in for weights on the hub."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "config.json").write_text("{}")
    save_file({"weight": torch.zeros(1)}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(("paper", "options"), sorted(set(ROWS)))
def test_a_row_can_be_planned(paper, options, hub):
    words = [_ON_HUB.sub(f"={hub}", word) for word in shlex.split(options)]
    arguments = {"protocol": paper, "recipe": "paper", "device": "cpu"}
    for option, value in zip(words[::2], words[1::2], strict=True):
        name = option.removeprefix("--").replace("-", "_")
        if name in _MANY:
            arguments[_MANY[name]] = (*arguments.get(_MANY[name], ()), value)
        else:
            arguments["targets" if name == "target" else name] = value
    request = Request(**arguments)
    card = card_for_protocol(load_protocol(paper), registry.load("dataset", request.dataset).card)
    assert choose_targets(card, request.targets)
    method = resolve_method(request, card, list(card.modalities), "cpu")
    assert ",".join(method.modalities) == arguments.get("modalities", ",".join(card.default_modalities))
