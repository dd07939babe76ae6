"""`docs/findings.md`, written from the published entries: `findings.md.j2` has the words, `published` the figures.

Not one figure is typed. A sentence names the row that it rests on, with its interval; where an interval includes the
bound it says *not shown*, never *is not*.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import jinja2

from bench.boards.published import EVERY, WITHIN, figure, low, shown
from bench.boards.rows import FIXED
from embench.statistics.intervals import Estimate

TEMPLATE = Path(__file__).with_name("findings.md.j2")


def verdict(difference: Estimate) -> str:
    """Return whether a paired difference is shown to be above 0."""
    return "shown" if low(difference) > 0 else "not shown"


def written() -> str:
    """The page, its tables still empty."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701  Markdown
    )
    environment.filters |= {"shown": shown, "figure": figure, "verdict": verdict}
    names = {"stress": EVERY[1], "task": EVERY[5]}
    page = environment.get_template(TEMPLATE.name).render(
        boards=EVERY,
        **names,
        within=WITHIN,
        protocol=FIXED,
    )
    return "\n\n".join(_wrapped(block) for block in re.split(r"\n{2,}", page.strip())) + "\n"


def _wrapped(block: str) -> str:
    """A paragraph or a list, in lines as long as those of other pages."""
    if block.startswith(("#", "|", "<!--")):
        return block
    return "\n".join(_filled(item) for item in re.split(r"\n(?=\s*- )", block))


def _filled(item: str) -> str:
    mark = re.match(r"\s*(?:- )?", item)
    indent = " " * len(mark[0]) if mark else ""
    return textwrap.fill(
        " ".join(item.split()),
        120,
        initial_indent=indent.removesuffix("  ") if mark and mark[0].endswith("- ") else "",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
