"""A recipe as plain values: what was written before `adapt` reads and hashes as it did."""

import pytest

from embench.files import digest
from embench.interfaces.recipe import Recipe


@pytest.mark.parametrize(("adapt", "frozen"), [("full", False), ("frozen", True)])
def test_what_frozen_said_keeps_its_place_in_plain_values(adapt, frozen):
    plain = Recipe(adapt=adapt).to_mapping()
    assert plain["frozen"] is frozen
    assert not {"adapt", "lora"} & plain.keys()
    assert Recipe.from_mapping({**Recipe().to_mapping(), "frozen": frozen}) == Recipe(adapt=adapt)


def test_hashes_of_recipes_are_those_of_before():
    assert digest(Recipe().to_mapping())[:10] == "204a231fc5"
    assert digest(Recipe(adapt="frozen").to_mapping())[:10] == "32af1a3bfe"


@pytest.mark.parametrize("recipe", [Recipe(adapt="ridge"), Recipe(adapt="lora").replace(lora={"rank": 4})])
def test_ridge_and_lora_are_read_back(recipe):
    assert Recipe.from_mapping(recipe.to_mapping()) == recipe
    assert digest(recipe.to_mapping()) not in [digest(Recipe(adapt=a).to_mapping()) for a in ("full", "frozen")]


def test_only_lora_says_its_rank():
    assert "lora" not in Recipe(adapt="ridge").to_mapping()
    assert Recipe(adapt="lora").to_mapping()["lora"] == {"rank": 8, "alpha": 16.0, "dropout": 0.0}
