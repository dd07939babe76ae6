"""Damaged folders of own recordings, and what can be wrong in a `dataset.yaml`: each fault is named with its line."""

import os
from functools import partial
from pathlib import Path

from embench_plugins.datasets.own.reader import Own

from .. import edit
from ..damage import Copy, Damage, Edit, Table, nothing, refused
from ..own_files import BINARY, MOOD, SOURCE, STAGES, column, describe, study, write

DESCRIPTION = """\
name: study
title: A study
citation: unpublished
licence: not shared
mains_hz: 50
longest_s: 60
fixed_order: false
labels_public: no
participants:
  table: people.csv
  id: code
  group: site
recordings:
  - files: "{participant}/clip{clip}.csv"
    stimulus: "clip {clip}"
    signals:
      eda:
        channels: {eda: EDA}
        rate: 4
        unit: uS
labels:
  arousal:
    table: ratings.csv
    keys: {participant: code, clip: clip}
    column: arousal
    scale: [1, 9]
  task:
    table: tasks.csv
    keys: {participant: code, clip: clip}
    column: task
    classes: [rest, stress]
targets:
  arousal: {label: arousal, kind: binary, cut: 5}
  stress: {label: task, kind: binary, positive: [stress], negative: [rest]}
"""


def described(root: Path) -> None:
    """Two subjects with two clips each, of 50 s, and all that `DESCRIPTION` names."""
    signal = "EDA\n" + "".join(f"{k % 7 + 0.5}\n" for k in range(200))
    rows = [f"{code},{clip}" for code in ("A1", "A2") for clip in (1, 2)]
    write(root, {
        **{f"{row.replace(',', '/clip')}.csv": signal for row in rows},
        "people.csv": "code,site\nA1,Lyon\nA2,Graz\n",
        "ratings.csv": "code,clip,arousal\n" + "".join(f"{row},{i + 3}\n" for i, row in enumerate(rows)),
        "tasks.csv": "code,clip,task\n" + "".join(f"{row},{('rest', 'stress')[i % 2]}\n" for i, row in enumerate(rows)),
        "dataset.yaml": DESCRIPTION,
    })  # fmt: skip


def timed(root: Path, **more) -> None:
    write(root, {"A.csv": "t,EDA\n0,1\n0.5,2\n1,3\n", "moods.csv": "who,mood\nA,1\n"})
    describe(root, {**SOURCE, "signals": {"eda": {"channels": {"eda": "EDA"}, "unit": "uS", "time": "t", **more}}})


def staged(root: Path, rows: str = "A,0,20,rest\n", **changes) -> Path:
    write(root, {"A.csv": column(range(1, 241)), "stages.csv": "who,from,to,stage\n" + rows})
    stage = {key: value for key, value in {**STAGES, **changes}.items() if value}
    return describe(root, SOURCE, {"stage": stage}, {"stress": {"label": "stage", **BINARY}})


def mistake(line: int, old: str, new: str, *words: str, seen=nothing, expected=None, hint="") -> Damage:
    """A mistake in the description, which is told with its line."""
    change = edit.replace(old, new, 1)
    return seen("dataset.yaml", change, *words, at=f"dataset.yaml, line {line}", expected=expected, hint=hint)


unread = partial(mistake, seen=refused, hint=None)
"""A mistake that shows when a subject is read."""


def stages(rows: str, *words: str) -> Damage:
    return refused("stages.csv", edit.write("who,from,to,stage\n" + rows), *words, hint=None)


def times(rows: str, *words: str, hint: str | None = None) -> Damage:
    return refused("A.csv", edit.write("t,EDA\n" + rows), *words, hint=hint)


def no_description(text: str, *words: str, line: int | None = None, expected: str | None = "") -> Damage:
    at = "dataset.yaml" if line is None else f"dataset.yaml, line {line}"
    return nothing("dataset.yaml", edit.write(text), *words, at=at, expected=expected)


KEYS = "clip: clip}\n    column: arousal"
ALIAS = "&c {eda: EDA}\n      ppg: {channels: *c, rate: 4, unit: uS}"


def told(*source: object, **more) -> Edit:
    """Another description of the same files."""
    return lambda path: describe(path.parent, *source, **more)


def renamed(a: str, b: str, pattern: str) -> Edit:
    """Both tables under other names, and the pattern that finds them."""
    source = {**SOURCE, "files": pattern}
    moves = (edit.within("A.csv", edit.move(a)), edit.within("B.csv", edit.move(b)))
    return edit.both(*moves, edit.within("dataset.yaml", told(source)))


MISTAKES = [
    mistake(15, "    stimulus: ", "    stimuls: ", "unknown key `recordings.0.stimuls`; did you mean `stimulus`",
            hint="known here"),
    mistake(6, "mains_hz: 50\n", "mains_hz: 50\nmains_hz: 60\n", "`mains_hz` stands here a second time",
            expected="", hint="remove one"),
    mistake(1, "fixed_order: false\n", "", "`fixed_order` is missing", hint="fixed_order: true, if all subjects"),
    mistake(5, "mains_hz: 50", "mains_hz: fifty", "`mains_hz`", "not `fifty`"),
    mistake(14, "      eda:\n", "      gsr:\n", "`gsr` is none of", "eda"),
    mistake(14, "/clip{clip}.csv", "/video{clip}.csv", "no file matches", expected="clip1.csv"),
    mistake(14, 'files: "{participant}/', 'files: "*/', "whose recording is it", "{participant}"),
    mistake(14, '"{participant}/clip', '"../{participant}/clip', "leads out of the folder", "recordings.0.files"),
    unread(17, "{eda: EDA}", "{eda: GSR}", "has no channel `GSR` of eda", expected="EDA", hint=""),
    unread(22, "column: arousal", "column: arosal", "no column `arosal`", expected="arousal"),
    mistake(24, KEYS, f"song: {KEYS[6:]}", "`song` is none of clip, participant", hint="put `{song}` into the path"),
    mistake(34, "{label: task,", "{label: tasks,", "no label `tasks`; did you mean `task`",
            hint="labels: arousal, task"),
    mistake(34, "positive: [stress]", "positive: [strss]", "`strss` is not a class of task", hint="rest, stress"),
    mistake(33, "kind: binary, cut: 5", "kind: binary", "above which number", hint="cut: 5"),
    unread(6, "longest_s: 60", "longest_s: 30", "lasts 50 s", expected="longest_s: 50"),
    unread(17, "        unit: uS\n", "", "`unit` of eda is missing", expected="unit: uS", hint=None),
    unread(17, "        rate: 4\n", "", "how many samples of eda a second", expected="`rate`, or `time`"),
    mistake(6, "longest_s: 60", "longest_s: inf", "`longest_s`", "not `inf`"),
    mistake(33, "cut: 5", "cut: nan", "`targets.arousal.cut`", "not `nan`"),
    mistake(15, "clip {clip}", "{clip.__class__}", "is none of participant, clip", "stimulus"),
    mistake(2, "title: A study", "title: TODO  # say it", "`title` still says TODO", hint="remove what"),
    mistake(24, "  arousal:\n    table", "  arousal:\n   table", hint="indent with spaces"),
    mistake(19, "{eda: EDA}", ALIAS, "`*c` repeats another part", expected="", hint="write it out"),
    mistake(2, "A study", "!!python/object/apply:os.system [echo]", "is a tag", expected="", hint="remove the tag"),
    mistake(13, "  group: site\n", "  group: site\n  exclude: [A3]\n", "no participant `A3`",
            expected="A1, A2", hint=None),
    mistake(14, 'clip{clip}.csv"', 'clip{clip.csv"', "braces in", "{participant}"),
    mistake(5, DESCRIPTION, DESCRIPTION.replace("50", "fifty").replace("stimulus:", "stimuls:"),
            "line 15: unknown key"),
    no_description("", "the file is empty"),
    no_description("- a\n- b\n", "valid dictionary", line=1, expected=None),
    no_description("a: [" * 50 + "]" * 50, "nested over", line=1, expected=None),
    no_description("x: " + "y" * (1 << 21), "over a megabyte"),
    no_description("name: \x00", expected=None),
    no_description("? [a, b]\n: 1\n", "a key is a list", line=1),
    no_description("a: &a [1, *a]\n", "`*a` repeats", line=1),
]  # fmt: skip

TABLES = [
    refused("A.csv", edit.write("EDA\n1\nx2\n"), "row 2: `x2` is not a number", hint=None),
    refused("A.csv", edit.write("EDA,EDA\n1,2\n"), "two columns are called `EDA`", expected=None),
    refused("A.csv", edit.write(""), "empty"),
    refused("A.csv", edit.write("EDA\n"), "no rows"),
    refused("A.csv", edit.write("EDA\n1,2,3\n"), "not readable"),
    refused("A.csv", edit.write("\x00\x01\x02" * 90_000), "this is not text", expected=None),
    refused("A.csv", edit.write("EDA" + " " * 70_000 + "\n1\n"), "64 kB", expected=None),
    refused("A.csv", edit.both(edit.remove, os.mkfifo), "missing", hint=None),
    refused("A.csv", edit.write("EDA\n" + "1\n" * 60 + "1" * 70_000), "64 kB", expected=None),
    refused("A.csv", edit.write('EDA,b\n1,"x\n2,y"\n3,"z\n'), "EOF inside string"),
    refused("moods.csv", edit.both(edit.write("who,mood\n" + "C,3\n" * 60), partial(os.truncate, length=3_000_000_000)),
            "GB large", expected=None),  # sparse: it is not read
    refused("moods.csv", edit.write("who,mood\nA,3\nB,8\nA,4\n"), "lines 2, 4 are all of A"),
    refused("moods.csv", edit.write("who,mood\nA,good\nB,8\n"), "mood: `good` is not a number", at="moods.csv, line 2"),
]  # fmt: skip

unfit = partial(nothing, "dataset.yaml", at="dataset.yaml", expected=None)

FOLDERS = [
    unfit(told({**SOURCE, "files": "{code}.csv"}), "whose recording is it"),
    unfit(told({"e4": "worn/{code}"}), "whose recording is it"),
    unfit(told(labels={"mood": {**MOOD, "end": "to"}}), "when does it begin"),
    unfit(told([SOURCE, SOURCE]), "in two of the `recordings`", expected="", hint=None),
    nothing(".", renamed("1_a.csv", "01_b.csv", "{participant}_{part}.csv"), "written differently", hint=None),
    nothing(".", renamed("A_1.csv", "A_2.csv", "{participant}_*.csv"), "two files of eda: A_1.csv and A_2.csv"),
]

TIMES = [
    times("0,1\n1,2\n0.5,3\n", "does not rise"),
    times("0,1\nx,2\n", "not a time"),
    times("0,1\n1,2\n,3\n", "not a time"),
    times("0,1\n" * 9 + "1,2\n" * 9, "do not come evenly", hint=""),
    times("0,1\n0.25,1\n0.5,1\n1e9,3\n", "goes over"),
]

STRETCHES = [
    stages("A,0,20,rest\nA,19,40,stress\n", "lines 2 and 3 overlap: `rest` until 20 s, `stress` from 19 s"),
    stages("A,0,60,rest\nA,10,20,rest\nA,30,40,stress\n", "lines 2 and 4 overlap"),
    stages("A,20,0,rest\n", "line 2: from `20`, to `0`"),
    stages("A,NaN,10,rest\n", "line 2: from `NaN`, to `10`"),
    stages("A,soon,10,rest\n", "line 2, column from: `soon` is not a time"),
]

DAMAGES: Table = {
    Copy("own", Own, "A1", described): MISTAKES,
    Copy("own tables", Own, "A", study): TABLES + FOLDERS,
    Copy("own times", Own, "A", timed): TIMES,
    Copy("own stretches of time", Own, "A", staged): STRETCHES,
}
