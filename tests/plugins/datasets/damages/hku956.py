"""Damaged copies of HKU956."""

from functools import partial

from embench_plugins.datasets.hku956 import synthetic
from embench_plugins.datasets.hku956.reader import Hku956

from .. import edit
from ..damage import Copy, Damage, Table, nothing, refused, same, warned

SIGNALS = "1. physiological_signals"
FIRST = synthetic.draw(1, 3, 1.0, length_s=15.0)["song"][0]
SONG = f"{SIGNALS}/hku1903/BVP/0_{FIRST}.csv"
RATINGS = "3. AV_ratings.csv"

whole = partial(synthetic.synthesize, subjects=2, seed=3, effect=1.0, length_s=15.0)
"""hku1903 and hku1904."""


def bad(content: str, *words: str) -> Damage:
    """Another content of the first song's pulse wave."""
    return refused(SONG, edit.write(content), *words)


DAMAGES: Table = {
    Copy("hku956", Hku956, "hku1903", whole): [
        bad("1580000000\n" + "1.5\n" * 900, "line 1: the first sample is 1580000000"),
        bad("1.5\n" * 5 + "x\n", "line 6: not readable"),
        bad("1.5\n" * 64, "of the same song"),
        bad("1.5,2\n" * 900, "2 columns"),
        bad("", "empty"),
        refused(SONG, edit.twin("0_1.csv"), "two songs at position 0", at=f"{SIGNALS}/hku1903/BVP"),
        refused(RATINGS, edit.replace("song_no", "number"), "no column song_no"),
        refused(RATINGS, edit.replace(",", ";"), "no column"),
        warned(RATINGS, edit.replace("positive", "negative"), "and called negative"),
        same(SIGNALS, edit.move("1. physiological signals")),
        same("*", edit.into("HKU956")),
    ],
    Copy("no hku956", Hku956, "hku1903", edit.nothing): [nothing(".", edit.nothing, "no file of HKU956")],
}
