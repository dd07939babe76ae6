"""Damaged copies of quiroz2018."""

import re
from functools import partial

from embench_plugins.datasets.quiroz2018 import synthetic
from embench_plugins.datasets.quiroz2018.reader import Quiroz2018

from .. import edit
from ..damage import Copy, Damage, Table, noted, nothing, refused, same, warned

WALKS = "walking_data"
FILE = f"{WALKS}/mo_ew2_accdata_25_1_1029-1045.csv"
TABLE = "user_study_encoding.csv"
MOODS = "PANAS/PANAS_mo_mu.csv"

whole = partial(synthetic.synthesize, subjects=2, seed=3, effect=1.0, length_s=20.0)
"""EW2 (movie) and EW3 (music), both sad first."""


def bad(change: edit.Edit, *words: str) -> Damage:
    """The file of EW2, changed."""
    return refused(FILE, change, *words)


def without(start: str) -> edit.Edit:
    """No line that begins so."""
    return edit.lines(lambda rows: [row for row in rows if start not in row])


def pulse_of_zero(lines: int) -> edit.Edit:
    """The heart rate of the first lines is 0; of all, where that is none."""
    return edit.text(lambda text: re.sub(r",[0-9.]+$", ",0.0", text, count=lines, flags=re.MULTILINE))


DAMAGES: Table = {
    Copy("quiroz2018", Quiroz2018, "EW2", whole): [
        bad(edit.write(""), "the file is empty"),
        bad(edit.write("# condition,emotion,data\n0.0,-1.0,1,2\n"), "4 columns"),
        bad(edit.line(6, "0.0,-1.0,x,1,1,1,1,1,90.0"), "line 6: not readable"),
        bad(edit.lines(lambda rows: rows[:-200]), "walk 3 has", "samples in"),
        bad(edit.replace("0.0,-1.0,", "1.0,-1.0,", 1), "several studies"),
        bad(edit.replace(",1.0,", ",0.0,"), "the emotions are -1, 0"),
        refused(FILE, edit.twin("mo_ew2_accdata_1_1_90-910.csv"), "two files of EW2", at=WALKS),
        refused(TABLE, edit.replace("Mo-SNH", "Mo-HNS"), "-1, 0, 1, the table says HNS", at=FILE),
        refused(TABLE, edit.replace("Mo-SNH", "Mo-SNN"), "the row of EW2 is Mo-SNN"),
        refused(TABLE, edit.replace("Mo-SNH", "Mw-SNH"), "several studies", at=FILE),
        refused(TABLE, edit.column("START W", lambda _: "23.59.59", 0), "the row of EW2 is"),
        refused(TABLE, without("EW2,"), "EW2 has 0 rows"),
        refused(TABLE, edit.replace("START W", "BEGIN"), "no column START W"),
        warned(FILE, pulse_of_zero(0), "mo_ew2", "the strap did not record"),
        warned(FILE, pulse_of_zero(30), "mo_ew2", "30 samples of hr are missing"),
        warned(MOODS, edit.replace("Mo-SNH", "Mo-SNN"), "EW2 has the condition Mo-SNN"),
        noted(MOODS, without("Ew2,"), "EW2 is not in the questionnaire"),
        same("PANAS", edit.remove),
        same(FILE, edit.move("Mo_EW2_accdata_25_1_1029-1045.csv")),
        same("*", edit.into("emotion-recognition-walking-acc-master")),
    ],
    Copy("no quiroz2018", Quiroz2018, "EW2", edit.nothing): [nothing(".", edit.nothing, "no file of Walking after")],
}
