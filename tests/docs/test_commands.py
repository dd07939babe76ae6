"""Every command that README, CONTRIBUTING and the pages of docs/ print is run, in the order of its page, and ends well.

Commands are read from the pages, so a page that gains one is tested with it. Only what they work on is small: a few
made-up people in `.embench/demo` and in $EMBENCH_DATA, and a few real ones in the folder written as DIR.
"""

import pytest

from .conftest import EMBENCH
from .pages import PAGES, ROOT, commands

TRAINING = ("run", "grid", "baselines", "claims", "pretrain")


def makes_data(words):
    return words[1:3] == ("data", "synthesize")


def is_slow(words):
    """Whether a command plans a paper's network, or trains: all that does, but for the guide's own files, which are
    small."""
    if words[0] == "python":
        return words[1] == "from_python.py"
    trains = words[0] in EMBENCH and words[1] in TRAINING and not {"--dry-run", "--help"} & set(words)
    if {"--dry-run", "paper"} <= set(words):
        return True
    return trains and "./my_fusion.py:MyFusion" not in words


def pages_with(wanted):
    found = {page: [words for words in commands(page) if wanted(words)] for page in PAGES}
    return [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page, lines in found.items() if lines]


def run_all(lines, shell):
    for words in lines:
        code, printed = shell(words)
        assert code == 0, f"{' '.join(words)}\nended with {code}:\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_are_of_programs_that_a_test_can_run(page):
    for words in commands(page):
        assert words[0] in {*EMBENCH, "make", "python"}, f"no test runs `{' '.join(words)}`"
        if words[0] == "make":
            assert f"\n{words[1]}: " in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("page", pages_with(lambda words: not is_slow(words)))
@pytest.mark.usefixtures("mine")
def test_quick_commands_run(page, shell):
    run_all([words for words in commands(page) if not is_slow(words)], shell)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with(is_slow))
@pytest.mark.usefixtures("mine")
def test_slow_commands_run(page, shell):
    lines = commands(page)
    real = [words for words in lines if "DIR" in words]
    run_all([words for words in lines if words not in real and (is_slow(words) or makes_data(words))], shell)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with(lambda words: "DIR" in words))
def test_commands_on_real_people_run(page, shell, real_data):
    assert real_data
    run_all([words for words in commands(page) if "DIR" in words], shell)
