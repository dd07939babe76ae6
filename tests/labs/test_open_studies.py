"""Two open studies that no reader was written for: `data new` describes them, and `verify` accepts the description with
the edits that its screen asks for."""

import os
import re
import shutil
from pathlib import Path

import pytest
from tests.plugins.datasets.real import released
from tests.sample import sample

from embench_plugins.datasets.own.draft import write_draft
from embench_plugins.datasets.own.reader import Own

from .test_labs import KNOWN

WRIST = "acc: {channels: {x: 3, y: 4, z: 5}, rate: 24, unit: m/s2}"


def linked(name: str, folder: Path, only: str) -> Path:
    """A copy by links of the files of some participants, and of all other files."""
    source = released(name)

    def spared(inside: str, names: list[str]) -> set[str]:
        paths = {name: Path(inside, name).relative_to(source).as_posix() for name in names}
        return {
            name for name, path in paths.items() if re.search(r"ew\d+_|pilot/\d", path) and not re.search(only, path)
        }

    shutil.copytree(source, folder, copy_function=os.symlink, ignore=spared)
    return folder


def edited(text: str, *edits: tuple[str, str]) -> str:
    """A draft with what only its owner knows."""
    known = {**KNOWN, "longest_s": "900"}
    lines = [f"{k}: {known[k]}" if (k := line.partition(":")[0]) in known and "TODO" in line else line
             for line in text.splitlines()]  # fmt: skip
    text = "\n".join(lines)
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("only", sample((r"pilot/[38]\b", ""), r"pilot/[38]\b"))
def test_files_of_one_recording_are_one_entry_and_answers_without_times_are_no_labels(only, tmp_path):
    """CogWear: a file for each signal of a wristband, a second device, and a table of answers."""
    root = linked("cogwear", tmp_path / "cogwear", only)
    text = write_draft(root)
    said = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))
    assert "samsung_bvp.csv (ppg of these recordings is in pilot/{participant}/{part1}/empatica_bvp.csv too" in said
    assert "stroop_responses.csv (up to 120 rows for a recording" in said
    assert "fixed_order: true" in text  # the load came first, by the files' times
    (root / "dataset.yaml").write_text(edited(text))
    reader = Own(root)
    assert [found for found in reader.verify() if found.severity == "error"] == []
    recordings = [r for subject in reader.subjects() for r in reader.recordings(subject)]
    assert len(recordings) == 2 * len(reader.subjects())
    assert {frozenset(r.labels) for r in recordings} == {frozenset({"part1"})}
    assert {m for r in recordings for m in r.signals} == {"ppg", "eda", "temp"}


@pytest.mark.parametrize("only", sample((r"ew[123]_|ew10_", ""), r"ew[123]_|ew10_"))
def test_columns_without_names_are_asked_for_and_one_of_conditions_is_the_label(only, tmp_path):
    """Quiroz 2018: files of numbers whose first column is a code and whose second the emotion."""
    root = linked("quiroz2018", tmp_path / "quiroz2018", only)
    text = write_draft(root)
    assert "2: -1.0 or 0.0 or 1.0; 3: " in text
    open_ = next(line for line in text.splitlines() if line.startswith("      TODO: "))
    (root / "dataset.yaml").write_text(edited(text, (open_.strip(), WRIST)))
    reader = Own(root)
    assert [found for found in reader.verify() if found.severity == "error"] == []
    assert list(reader.description.labels) == ["column2"]
    (recording,) = reader.recordings(reader.subjects()[0])
    assert set(recording.signals) == {"acc"}
    assert set(recording.labels["column2"].values) == {0, 1, 2}
