"""Every printed configuration of the papers has one command: it is of a method that fits together, it can be planned
with the paper's recipe on the data that it names, and says what is missing without them. Twelve of them are trained."""

from __future__ import annotations

import re
import shlex
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from embench import registry
from embench.data.cohort import card_for_protocol, choose_targets
from embench.errors import DataError
from embench.planning.method import resolve_method
from embench.planning.plan import make
from embench.planning.request import Request, make_request
from embench.protocols import load_protocol
from embench.runs.run import run
from embench_plugins.datasets.synthetic import films

from ..sample import proof
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
    return make_request(**{**options, "device": "cpu", "seeds": "0", "workers": 1, **more})


def with_weights(row: str, place: object) -> str:
    """The row with weights from elsewhere in place of those on the hub."""
    return " ".join(_ON_HUB.sub(f"={place}", word) for word in row.split())


def datasets(asked: Request) -> list[str]:
    """The datasets of a run: its own, and those of its pretraining."""
    read = [source for name in asked.pretrainers for source in name.partition(":")[2].split("+")]
    return list(dict.fromkeys([asked.dataset, *filter(None, read)]))


ROWS = [(paper, row) for paper in PRINTED for row in rows(paper)]
DRAWN = sorted((row for _, row in ROWS), key=lambda row: sha256(row.encode()).hexdigest())[:12]
"""The rows that are trained."""


@pytest.mark.parametrize("paper", PRINTED)
def test_every_printed_configuration_has_a_command(paper):
    assert len(rows(paper)) >= PRINTED[paper]


@pytest.mark.parametrize(("paper", "row"), ROWS)
def test_a_row_is_of_a_method_that_fits_together(paper, row, hub):
    asked = request(with_weights(row, hub))
    assert (asked.recipe, load_protocol(asked.protocol).name) == ("paper", asked.protocol)
    assert asked.protocol.startswith(paper)
    card = card_for_protocol(load_protocol(asked.protocol), registry.load_plugin("dataset", asked.dataset).card)
    assert choose_targets(card, asked.targets)
    method = resolve_method(asked, card, list(card.modalities), "cpu")
    assert asked.modalities == ",".join(method.modalities)


@pytest.mark.parametrize("row", [row for _, row in ROWS])
def test_a_row_without_its_data_says_what_is_missing_and_where_to_get_it(row, tmp_path):
    """Before weights are asked for, which would be downloaded in vain."""
    asked = request(row, data_root=tmp_path, runs=tmp_path / "runs")
    for name in datasets(asked):
        folder = tmp_path / name.partition("/")[0]
        with pytest.raises(DataError) as found:
            make(asked)
        assert found.value.what == f"no data of {registry.load_plugin('dataset', name).card.title} found"
        assert found.value.where == str(folder)
        assert f"embench data synthesize {folder.name} --out {folder}" in str(found.value.hint)
        folder.mkdir()


@pytest.fixture(scope="module")
def made(tmp_path_factory, session_cache):
    """A few synthetic subjects of every dataset of the papers, as short as their protocols allow. One film of each kind
    stands for all: its preparation takes the time, not what it shows."""
    root = tmp_path_factory.mktemp("papers")
    sizes = {"amigos": (3, 12.0), "deap": (3, 15.0), "wesad": (3, None), "case": (3, 1200.0), "k_emocon": (4, 300.0)}
    film, shot = films.write_film, dict[str, Path]()

    def shot_once(path, face, done, **about):
        key = f"{len(done.smile)}{path.suffix}"
        if key not in shot:
            film(path, face, done, **about)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path != shot.setdefault(key, path):
            path.hardlink_to(shot[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(session_cache))
        patch.setattr(films, "write_film", shot_once)
        for name, (subjects, seconds) in sizes.items():
            faces = {"videos": True} if name in ("amigos", "deap") else {}
            registry.synthesizer(name)(root / name, subjects=subjects, seed=0, effect=1.0, length_s=seconds, **faces)
        yield root


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for _, row in ROWS])
def test_a_row_is_planned_on_the_data_that_it_names_and_warns_of_nothing(row, made, hub, tmp_path):
    asked = request(with_weights(row, hub), data_root=made, runs=tmp_path)
    with warnings.catch_warnings(action="error"):
        plan = make(asked)
    assert plan.graph.predictions
    assert plan.method.preset == "paper"
    assert plan.dataset == f"embench_plugins/{asked.dataset}"
    assert ",".join(plan.method.modalities) == asked.modalities
    assert {t.name for t in plan.test.targets} == set((asked.targets or "arousal,valence").split(","))
    assert [cohort.store.name for cohort in plan.cohorts] == [f"embench_plugins/{name}" for name in datasets(asked)]


@pytest.mark.slow
def test_windows_of_a_film_begin_with_the_film(made, hub, tmp_path):
    """Of DEAP it begins 3 s after the signals, which would leave `mae` no film in its first window."""
    (row,) = (row for _, row in ROWS if "--dataset deap" in row and "--pretrainer mae:" in row)
    plan = make(request(with_weights(row, hub), data_root=made, runs=tmp_path))
    task = next(stage.task for stage in plan.graph.stages.values() if stage.kind == "pretrain")
    filmed = [plan.fit.store.recordings[r].spans["video"].t0 for r in task["recording"].tolist()]
    assert task["start"].tolist() == filmed
    assert set(filmed) == {3.0}


@pytest.mark.slow
@pytest.mark.parametrize("row", [pytest.param(row, marks=[proof] * (row != DRAWN[1])) for row in DRAWN])
def test_a_row_is_trained(row, made, tmp_path):
    """By the recipe `quick`, which has networks of its own: weights of the paper's size are not read."""
    asked = request(
        with_weights(row.replace("--recipe paper", "--recipe quick"), "random"), data_root=made, runs=tmp_path
    )
    result = run(asked)
    assert (result.folder / "scores.json").is_file()
    assert set(result.scores["primary_metrics"]) == {target.name for target in make(asked).test.targets}
