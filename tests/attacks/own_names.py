"""A study whose folder, participants, sessions and devices have names that must not leave, and a search for them."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

FOLDER = "Klinik_Meier_Schlafstudie"
DAY, SERIAL, START = "2024-05-17", "A01234", 1_715_936_400
PEOPLE = (
    "Annegret_Schmidtbauer_1987-03-02", "Berthold_Vogelsang_1990-11-23", "Clarissa_Weissenfels_1975-06-30",
    "Dietmar_Braunschweiger_2001-01-15", "Emmanuela_Langenfeld_1969-12-05", "Ferdinand_Kurzmann_1983-08-19",
    "Gretchen_Steinbrecher_1995-04-07", "Hannelore_Fuchsberger_1978-09-28", "Idomeneo_Wolfsburger_1988-02-11",
    "Janosch_Kellermann_1993-07-21",
)  # fmt: skip
ABSENT = "Quirin Ohnefund"
"""A participant without recordings."""
TITLE, STIMULI = "Skin conductance under two tasks", ("counting", "resting")
SESSION_S, STRETCH_S, RATE = 400, 100, 4
DESCRIPTION = """\
name: tasks
title: {title}
citation: unpublished
licence: not shared
mains_hz: 50
longest_s: 400
fixed_order: false
labels_public: {public}

participants: {{table: people.csv, id: code, group: couple}}

recordings:
  - e4: "{{participant}}/{{session}}_{{device}}"
    stimulus: "{{session}}"
    signals: [eda, temp]

labels:
  task: {{table: stages.csv, keys: {{participant: code}}, start: begins, end: ends, clock: absolute, column: task,
         classes: [resting, counting]}}

targets:
  counting: {{label: task, kind: binary, positive: [counting], negative: [resting]}}
"""
NAMES = re.compile(
    "|".join(
        [
            *("Klinik", "Meier", "Schlafstudie", "A0123[0-9]", "Ehepaar", "Quirin", "Ohnefund"),
            r"(?<![0-9.])17159[0-9]{5}(?![0-9])",
            *(re.escape(part) for name in PEOPLE for part in name.split("_")),
            r"2024.?05.?17", r"17.05.2024",
        ]
    ).encode(),
    re.IGNORECASE,
)  # fmt: skip
"""What no output may hold: of the folder, of people, of devices, and days of birth or of recording."""


def make_study(parent: Path, public: str = "no") -> Path:
    """Writes the study below `parent`: a wristband's session of each participant, tasks in turn."""
    root, rng = parent / FOLDER, np.random.default_rng(0)
    people, stages = ["code,couple", f"{ABSENT},Ehepaar 9 Meier"], ["code,begins,ends,task"]
    for number, name in enumerate(PEOPLE):
        start, folder = START + 3600 * number, root / name / f"{DAY}_{SERIAL[:-1]}{number}"
        folder.mkdir(parents=True)
        people.append(f"{name},Ehepaar {number // 2} Meier")
        counting = (np.arange(SESSION_S * RATE) // (STRETCH_S * RATE) + number) % 2
        eda = 3 + 0.05 * np.cumsum(rng.standard_normal(SESSION_S * RATE)) + 0.3 * counting * rng.random(len(counting))
        warmth = 33 + 0.1 * rng.standard_normal(SESSION_S * RATE)
        for file, values in (("EDA.csv", np.abs(eda)), ("TEMP.csv", warmth)):
            lines = [f"{start}.000000", f"{RATE}.000000", *(f"{value:.4f}" for value in values)]
            (folder / file).write_text("\n".join(lines) + "\n")
        for at in range(0, SESSION_S, STRETCH_S):
            task = STIMULI[0] if (at // STRETCH_S + number) % 2 else STIMULI[1]
            stages.append(f"{name},{start + at},{start + at + STRETCH_S - 1},{task}")
        stages.append(f"{name},{start + SESSION_S - 1},{start + SESSION_S},asked by {ABSENT}")
    (root / "people.csv").write_text("\n".join(people) + "\n")
    (root / "stages.csv").write_text("\n".join(stages) + "\n")
    (root / "dataset.yaml").write_text(DESCRIPTION.format(title=TITLE, public=public))
    return root


def places(root: Path, *, also: bytes | None = None) -> list[str]:
    """Where names stand in files below `root`, or in their names: file and text, each once."""
    sought = NAMES if also is None else re.compile(NAMES.pattern + b"|" + re.escape(also), re.IGNORECASE)
    found: dict[str, None] = {}
    for path in [root] if root.is_file() else sorted(root.rglob("*")):
        name = path.name if root.is_file() else path.relative_to(root).as_posix()
        inside_of = contents(path.name, path.read_bytes()) if path.is_file() else ()
        for inside, content in [("its name", name.encode()), *inside_of]:
            for hit in sought.finditer(content):
                found[f"{name} ({inside}): {content[max(0, hit.start() - 40) : hit.end() + 20]!r}"] = None
    return list(found)


def contents(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """A file's bytes as they are, and unpacked."""
    yield "as it is", content
    if content[:2] == b"\x1f\x8b":
        yield from contents(f"{name}, unpacked", gzip.decompress(content))
    elif content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for each in archive.namelist():
                yield from contents(f"{name}, {each}", archive.read(each))
    elif content[:6] == b"\x93NUMPY" and b"U" in content[:100]:
        yield f"{name}, as text", content.replace(b"\0", b"")
