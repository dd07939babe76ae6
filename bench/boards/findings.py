"""`docs/findings.md`, written from the published entries: `findings.md.j2` has the words, `published` the figures.

Not one figure is typed. A sentence names the row that it rests on, with its interval; where an interval includes the
bound it says *not shown*, never *is not*.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from bench.boards.capabilities import Gain, measure_gains
from bench.boards.paired import compare_kinds, pretrained_pairs, sensor_pairs
from bench.boards.published import EVERY, WITHIN, Board, figure, low, shown
from bench.boards.rows import FIXED
from bench.transfer import METHODS, load_map
from embench.statistics.intervals import ALPHA, Estimate

TEMPLATE = Path(__file__).with_name("findings.md.j2")


def written() -> str:
    """The page, its tables still empty."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701  Markdown
    )
    environment.filters |= {"shown": shown}
    page = environment.get_template(TEMPLATE.name).render(
        boards=EVERY, within=WITHIN, protocol=FIXED, level=figure(ALPHA, ".2f"), **_answers()
    )
    return "\n\n".join(_wrapped(block) for block in re.split(r"\n{2,}", page.strip())) + "\n"


def _answers() -> dict[str, Any]:
    """Return what the six answers are made of."""
    stress = [board for board in EVERY if board.target == "stress"]
    sensors = sensor_pairs()
    gains = [gain for gain in measure_gains() if gain.difference is not None]
    calibrated = [gain for gain in gains if gain.own.run.calibration_data is not None]
    without = [(board, _largest_loss(board, gains)) for board in stress]
    pretrained = [found for *_, found in pretrained_pairs() if found]
    moved = load_map()
    losses, over_confounds = (
        [row["mean"] for row in moved[kind] if row["model"] in METHODS and row["p"] < ALPHA]
        for kind in ("losses", "differences")
    )
    return {
        "transfer_loses": any(mean < 0 for mean in losses),
        "transfer_gains": any(mean > 0 for mean in over_confounds),
        "stress": stress,
        "predicted": [b.summary.dataset for b in stress if len(b.adding) > int(b.by_chance("movement"))],
        "compared": sum(len(pair.p) for pair in sensors),
        "sensors_shown": [(pair, name) for pair in sensors for name in pair.shown],
        "brain_or_heart": any(pair.shown for pair in sensors if pair.board.dataset == "eegmat"),
        "without": without,
        "kinds_differ": any(is_shown(gap) for *_, gap in compare_kinds()),
        "pretrained": pretrained,
        "pretrained_shown": [found for found in pretrained if low(found.difference) > 0],
        "calibrated": sorted(calibrated, key=lambda gain: -gain.difference.mean),
        "calibrated_shown": [gain for gain in calibrated if low(gain.difference) > 0],
    }


def is_shown(difference: Estimate) -> bool:
    """Return True if the interval of a difference excludes 0."""
    return low(difference) > 0 or (difference.high is not None and difference.high < 0)


def _largest_loss(board: Board, gains: Sequence[Gain]) -> Gain:
    """Return the largest loss of a method that is tested without one of its sensors."""
    lost = [gain for gain in gains if gain.own.board == board and gain.own.run.config.get("drop")]
    return min(lost, key=lambda gain: gain.difference.mean)


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
