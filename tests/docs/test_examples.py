"""Every example in a docstring of the two packages runs and prints what it shows."""

import doctest
from importlib import import_module

import pytest

from .pages import ROOT

ON_DATA = (">>> run = embench.run(", ">>> windows = embench.load_windows(")


def modules(trains):
    """Modules with examples: those that read data, or the others."""
    found = []
    for folder in (ROOT / "benchmark", ROOT / "plugins"):
        for path in sorted(folder.rglob("*.py")):
            text = path.read_text()
            if ">>> " in text and any(call in text for call in ON_DATA) == trains:
                found.append(".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"))
    return found


def run_examples(name):
    result = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize("name", modules(trains=False))
def test_examples_print_what_they_show(name):
    run_examples(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", modules(trains=True))
@pytest.mark.usefixtures("workplace")
def test_examples_that_train_print_what_they_show(name):
    run_examples(name)
