"""A recipe as plain values: what was written before `adapt` reads and hashes as it did."""

import pytest

from embench.files import digest
from embench.interfaces.recipe import Recipe


@pytest.mark.parametrize(("adapt", "frozen"), [("full", False), ("frozen", True)])
def test_what_frozen_said_keeps_its_place_in_plain_values(adapt, frozen):
    plain = Recipe(adapt=adapt).mapping()
    assert plain["frozen"] is frozen
    assert not {"adapt", "lora"} & plain.keys()
    assert Recipe.from_mapping({**Recipe().mapping(), "frozen": frozen}) == Recipe(adapt=adapt)


def test_hashes_of_recipes_are_those_of_before():
    assert digest(Recipe().mapping())[:10] == "204a231fc5"
    assert digest(Recipe(adapt="frozen").mapping())[:10] == "32af1a3bfe"


@pytest.mark.parametrize("recipe", [Recipe(adapt="ridge"), Recipe(adapt="lora").but(lora={"rank": 4})])
def test_ridge_and_lora_are_read_back(recipe):
    assert Recipe.from_mapping(recipe.mapping()) == recipe
    assert digest(recipe.mapping()) not in [digest(Recipe(adapt=a).mapping()) for a in ("full", "frozen")]


def test_only_lora_says_its_rank():
    assert "lora" not in Recipe(adapt="ridge").mapping()
    assert Recipe(adapt="lora").mapping()["lora"] == {"rank": 8, "alpha": 16.0, "dropout": 0.0}
