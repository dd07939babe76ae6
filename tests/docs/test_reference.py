"""Pages of the reference say what the program is today."""

import subprocess
import sys

import pytest

from .pages import ROOT
from .reference import MADE, written


@pytest.mark.parametrize("page", MADE, ids=lambda page: page.stem)
def test_a_page_has_what_is_made_today(page):
    """What it lists was changed on purpose: then `python -m tests.docs.reference` writes it again."""
    assert page.read_text("utf-8") == written(page)


def test_commands_and_exit_codes_need_no_torch():
    code = "import sys; sys.modules['torch'] = None; from tests.docs import commands as c; c.commands(); c.settings()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
