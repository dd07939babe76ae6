"""What a dataset.yaml can have wrong: each fault is named with its line and what to do about it."""

from pathlib import Path

import pytest

from embench.errors import DataError
from embench.interfaces.recording import Recording
from embench_plugins.datasets.own import Own

GOOD = """\
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


def write(root: Path, text: str = GOOD) -> Path:
    for code in ("A1", "A2"):
        (root / code).mkdir()
        for clip in (1, 2):
            (root / code / f"clip{clip}.csv").write_text("EDA\n" + "".join(f"{k % 7 + 0.5}\n" for k in range(200)))
    rows = [f"{code},{clip}" for code in ("A1", "A2") for clip in (1, 2)]
    (root / "people.csv").write_text("code,site\nA1,Lyon\nA2,Graz\n")
    (root / "ratings.csv").write_text("code,clip,arousal\n" + "".join(f"{row},{i + 3}\n" for i, row in enumerate(rows)))
    tasks = "".join(f"{row},{('rest', 'stress')[i % 2]}\n" for i, row in enumerate(rows))
    (root / "tasks.csv").write_text(f"code,clip,task\n{tasks}")
    (root / "dataset.yaml").write_text(text)
    return root


def refusal(root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read(root)
    return caught.value


def read(root: Path) -> list[Recording]:
    reader = Own(root)
    assert all(path.is_file() for subject in reader.subjects() for path in reader.files(subject))
    return [recording for subject in reader.subjects() for recording in reader.recordings(subject)]


def test_the_description_that_is_spoiled_below_is_right(tmp_path):
    reader = Own(write(tmp_path))
    recordings = read(tmp_path)
    assert [r.id for r in recordings] == ["A1/1", "A1/2", "A2/1", "A2/2"]
    assert [float(r.labels["arousal"].values[0]) for r in recordings] == [3, 4, 5, 6]
    assert {r.group for r in recordings} == {"site Lyon", "site Graz"}
    assert {finding.severity for finding in reader.verify()} <= {"note"}


MISTAKES = {
    "a key that does not exist": (
        "    stimulus: ",
        "    stimuls: ",
        "unknown key `recordings.0.stimuls`; did you mean `stimulus`",
        "known here",
    ),
    "a key twice": (
        "mains_hz: 50\n",
        "mains_hz: 50\nmains_hz: 60\n",
        "`mains_hz` stands here a second time",
        "remove one",
    ),
    "a key that is missing": (
        "fixed_order: false\n",
        "",
        "`fixed_order` is missing",
        "fixed_order: true, if all subjects",
    ),
    "a text for a number": ("mains_hz: 50", "mains_hz: fifty", "`mains_hz`", "not `fifty`"),
    "a modality that does not exist": ("      eda:\n", "      gsr:\n", "`gsr` is none of", "eda"),
    "a pattern that fits no file": ("/clip{clip}.csv", "/video{clip}.csv", "no file matches", "clip1.csv"),
    "a path without the participant": (
        'files: "{participant}/',
        'files: "*/',
        "whose recording is it",
        "{participant}",
    ),
    "a path out of the folder": (
        '"{participant}/clip',
        '"../{participant}/clip',
        "leads out of the folder",
        "recordings.0.files",
    ),
    "a channel that the files do not have": ("{eda: EDA}", "{eda: GSR}", "no column `GSR`", "EDA"),
    "a column that the table does not have": ("column: arousal", "column: arosal", "no column `arosal`", "arousal"),
    "a key that no path has": (
        "{participant: code, clip: clip}\n    column: arousal",
        "{participant: code, song: clip}\n    column: arousal",
        "`song` is none of clip, participant",
        "put `{song}` into the path",
    ),
    "a target of a label that does not exist": (
        "{label: task,",
        "{label: tasks,",
        "no label `tasks`; did you mean `task`",
        "labels: arousal, task",
    ),
    "a class that does not exist": (
        "positive: [stress]",
        "positive: [strss]",
        "`strss` is no class of task",
        "rest, stress",
    ),
    "a binary target without a cut": ("kind: binary, cut: 5", "kind: binary", "above which number", "cut: 5"),
    "a length that is too short": ("longest_s: 60", "longest_s: 30", "lasts 50 s", "longest_s: 50"),
    "no unit": ("        unit: uS\n", "", "`unit` of eda is missing", "unit: uS"),
    "no rate": ("        rate: 4\n", "", "how many samples of eda a second", "`rate`, or `time`"),
    "a length without end": ("longest_s: 60", "longest_s: inf", "`longest_s`", "not `inf`"),
    "a cut that is no number": ("cut: 5", "cut: nan", "`targets.arousal.cut`", "not `nan`"),
    "a name in braces that does more": ("clip {clip}", "{clip.__class__}", "is none of participant, clip", "stimulus"),
    "a file that is not filled in": (
        "title: A study",
        "title: TODO  # say it",
        "`title` still says TODO",
        "remove what",
    ),
    "an indentation": ("  arousal:\n    table", "  arousal:\n   table", "", "indent with spaces"),
    "an alias": (
        "{eda: EDA}",
        "&c {eda: EDA}\n      ppg: {channels: *c, rate: 4, unit: uS}",
        "`*c` repeats another part",
        "write it out",
    ),
    "a tag": ("title: A study", "title: !!python/object/apply:os.system [echo]", "is a tag", "remove the tag"),
    "an excluded participant who is not here": (
        "  group: site\n",
        "  group: site\n  exclude: [A3]\n",
        "no participant `A3`",
        "A1, A2",
    ),
    "a name in braces that is open": ('clip{clip}.csv"', 'clip{clip.csv"', "braces in", "{participant}"),
}


@pytest.mark.parametrize(("old", "new", "what", "remedy"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_line_and_a_remedy(tmp_path, old, new, what, remedy):
    assert old in GOOD
    error = refusal(write(tmp_path, GOOD.replace(old, new, 1)))
    assert what in error.what
    assert remedy in str(error)
    file, _, line = (error.where or "").rpartition(", line ")
    assert file == str(tmp_path / "dataset.yaml")
    start = 1 if what.startswith("`fixed_order`") else GOOD[: GOOD.index(old)].count("\n") + 1
    assert abs(int(line) - start) <= 4, (line, start)


def test_all_mistakes_are_told_at_once(tmp_path):
    text = GOOD.replace("mains_hz: 50", "mains_hz: fifty").replace("    stimulus:", "    stimuls:")
    error = refusal(write(tmp_path, text))
    assert error.where.endswith("line 5")
    assert "line 15: unknown key" in error.what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "the file is empty"),
        ("- a\n- b\n", "valid dictionary"),
        ("a: [" * 50 + "]" * 50, "nested over"),
        ("x: " + "y" * (1 << 21), "over a megabyte"),
        ("name: \x00", ""),
        ("? [a, b]\n: 1\n", "a key is a list"),
        ("a: &a [1, *a]\n", "`*a` repeats"),
    ],
)
def test_what_is_no_description_is_refused(tmp_path, text, what):
    error = refusal(write(tmp_path, text))
    assert what in error.what
    assert "dataset.yaml" in error.where
    assert error.hint


def test_texts_stay_as_they_are_written(tmp_path):
    """YAML would make a truth value of `no`, and numbers of `01`."""
    text = GOOD.replace("classes: [rest, stress]", "classes: {no: rest, yes: stress}")
    text = text.replace("  id: code", "  id: code\n  exclude: [01]")
    root = write(tmp_path, text)
    (root / "A1").rename(root / "01")
    for name in ("people.csv", "ratings.csv", "tasks.csv"):
        table = (root / name).read_text().replace("A1", "01").replace(",rest", ",no").replace(",stress", ",yes")
        (root / name).write_text(table)
    reader = Own(root)
    assert reader.subjects() == ["A2"]
    assert [r.labels["task"].values[0] for r in reader.recordings("A2")] == [0, 1]
