"""Settings that recipes and pages name are there: each field that a recipe says its paper leaves open, and each field
that a paper's page offers, can be set."""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from embench import registry
from embench.interfaces.recipe import Recipe
from embench.interfaces.units import View
from embench.protocols import Protocol

ROOT = Path(__file__).parents[2]
PLUGINS = [(kind, name) for kind in ("encoder", "pretrainer", "fusion") for name in registry.list_plugins(kind)]
PAGES = sorted(path.stem for path in (ROOT / "docs" / "papers").glob("*.md"))


def settable(recipe: Recipe) -> set[str]:
    """The paths that `--set` takes behind the kind of a part."""
    paths = {field.name for field in fields(Recipe)}
    for name in ("build", "prepare"):
        paths |= {f"{name}.{key}" for key in getattr(recipe, name)}
    return paths | {f"view.{key}" for key in asdict(View())}


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_what_a_recipe_says_is_assumed_can_be_set(kind: str, name: str) -> None:
    try:
        recipes = registry.load_plugin(kind, name).recipes
    except ImportError:
        pytest.skip(f"{name} is not installed")
    for preset, recipe in recipes.items():
        for on in (recipe, *(recipe.apply_dataset(dataset) for dataset in recipe.datasets)):
            assert set(on.assumed) <= settable(on), preset


def offered(page: str) -> list[str]:
    """The fields in the tables of a page whose last column is `field`; `.compat` stands for the same place as the one
    before."""
    found: list[str] = []
    for table in re.findall(r"(?:^\|.*\n)+", (ROOT / "docs" / "papers" / f"{page}.md").read_text(), re.MULTILINE):
        head, _, *rows = table.splitlines()
        if head.rstrip(" |").endswith("| field"):
            for row in rows:
                for path in re.findall(r"`([\w.*-]+)", row.rstrip(" |").rpartition("|")[2]):
                    found.append(found[-1].rpartition(".")[0] + path if path.startswith(".") else path)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_field_that_a_page_offers_can_be_set(page: str) -> None:
    """Those of parts by `--set`, on one of the paper's plugins at least; others are of a protocol's file."""
    own = {
        kind: set().union(
            *(settable(r) for n in registry.list_plugins(kind) for r in registry.load_plugin(kind, n).recipes.values())
        )
        for kind in ("encoder", "pretrainer", "fusion")
    }
    for path in offered(page):
        kind, _, rest = path.partition(".")
        if kind not in own:
            assert kind in Protocol.model_fields or path.startswith("--"), path
        else:
            assert rest in own[kind] | {"view", "*"}, path
