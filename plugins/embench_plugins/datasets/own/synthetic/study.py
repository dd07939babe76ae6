"""A synthetic folder of own recordings: kinds of files and labels, and the `dataset.yaml` that describes them.

What is planted: every subject has a session with a wristband, in which stress and rest take turns; heart rate and
responses of the skin rise under stress, as `e4` says. The clips, their ratings and the EEG hold nothing to be found.

Tables are as uneven as people's own: one has semicolons and commas in numbers, one a mark of its encoding and the line
ends of another system.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from embench_plugins.datasets.devices.e4 import FILES
from embench_plugins.datasets.own.synthetic.corpus import EEG, write_edf
from embench_plugins.datasets.own.yaml import DATASET
from embench_plugins.datasets.synthetic import e4
from embench_plugins.datasets.synthetic.body import Body
from embench_plugins.datasets.synthetic.generator import check_arguments, checked_length, claim

PEOPLE = 999
SESSION_S = 720.0
SHORTEST_S = 60.0
PHASES = 6
CLIPS, CLIP_S, CLIP_RATE = 4, 20, 16
EEG_S, EEG_RATE = 20, 128
TEXT = """\
name: own
title: Recordings as a laboratory has them
citation: made up by embench
licence: CC0 1.0
mains_hz: 50
longest_s: {longest_s:g}
fixed_order: false
labels_public: yes

participants:
  table: participants.csv
  id: code
  info: {{sex: sex}}

recordings:
  - e4: "wrist/{{participant}}"
    labels: [stage]
  - files: "clips/{{participant}}_clip{{clip}}.csv"
    stimulus: "clip {{clip}}"
    order: "{{clip}}"
    labels: [arousal]
    signals:
      eda: {{channels: {{eda: Skin}}, unit: uS, time: Time}}
  - files: "eeg/{{participant}}_{{task}}.edf"
    stimulus: "{{task}}"
    labels: [task]
    signals:
      eeg: {{channels: [F7, F3, T7, P7, O1, O2, P8, T8, F4, F8]}}

labels:
  stage:
    table: stages.csv
    keys: {{participant: code}}
    start: begins
    end: ends
    clock: absolute
    column: stage
    classes: [rest, stress]
  arousal:
    table: ratings.csv
    keys: {{participant: code, clip: clip}}
    column: arousal
    scale: [1, 9]
  task:
    file: task
    classes: [rest, count]

targets:
  stress: {{label: stage, kind: binary, positive: [stress], negative: [rest]}}
  arousal: {{label: arousal, kind: binary, cut: 5}}
  task: {{label: task, kind: binary, positive: [count], negative: [rest]}}
default_targets: [stress]
default_modalities: [ppg, eda]
"""


def synthesize(out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None) -> None:
    """As `Generator.synthesize`: `dataset.yaml` and the files of some subjects."""
    check_arguments(subjects, PEOPLE, seed, effect)
    longest = int(checked_length(SESSION_S if length_s is None else length_s, SHORTEST_S, 7200, "sessions of {} s"))
    out = claim(out, __name__, "own", seed=seed, subjects=subjects, effect=effect, length_s=float(longest))
    for folder in ("wrist", "clips", "eeg"):
        (out / folder).mkdir()
    (out / DATASET).write_text(TEXT.format(longest_s=longest), "utf-8")
    people, stages, ratings = ["code,sex"], ["code;begins;ends;stage"], ["code,clip,arousal"]
    for person in range(1, subjects + 1):
        rng, name = np.random.default_rng([seed, person]), f"P{person:03d}"
        people.append(f"{name},{rng.choice(['f', 'm'])}")
        stages += _session(out / "wrist" / name, name, longest, effect, rng)
        ratings += _clips(out / "clips", name, rng)
        for hour, task in enumerate(("rest", "count"), 9):
            data = 20 * rng.standard_normal((len(EEG), EEG_S * EEG_RATE))
            write_edf(out / "eeg" / f"{name}_{task}.edf", EEG, EEG_RATE, data, f"01.01.24{hour:02d}.00.00")
    (out / "participants.csv").write_bytes(("\ufeff" + "\r\n".join(people) + "\r\n").encode())
    (out / "stages.csv").write_text("\n".join(stages) + "\n", "utf-8")
    (out / "ratings.csv").write_text("\n".join(ratings) + "\n", "utf-8")


def _session(folder: Path, name: str, longest: int, effect: float, rng: np.random.Generator) -> list[str]:
    """Writes a wristband's files; the rows of the table of stages."""
    folder.mkdir()
    session = round(longest * rng.uniform(0.93, 1)) - 2  # files end up to two seconds apart
    lengths = rng.uniform(0.7, 1.3, PHASES)
    borders = np.round(np.cumsum(lengths) / lengths.sum() * session).astype(int)
    first = int(rng.integers(2))
    phase = np.searchsorted(borders, np.arange(session), side="right")
    stress = ((phase + first) % 2).astype(float)
    device = e4.worn(*e4.responses(rng, stress, effect), rng)
    start = 1_704_103_200 + int(rng.integers(30 * 86_400))
    e4.write(folder / FILES["ppg"], f"{start}.00", "64.00", device.pulse, "%.2f")
    e4.write(folder / FILES["eda"], f"{start}.00", "4.00", device.skin, "%.6f")
    e4.write(folder / FILES["temp"], f"{start}.00", "4.00", device.warmth, "%.2f")
    e4.write(folder / FILES["acc"], f"{start}.00", "32.00", device.moves.T, "%d")
    edges = [0, *borders.tolist()]
    return [
        f"{name};{_date(start + edges[k])};{_date(start + edges[k + 1])};{('rest', 'stress')[(k + first) % 2]}"
        for k in range(PHASES)
    ]


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _clips(folder: Path, name: str, rng: np.random.Generator) -> list[str]:
    """Writes what was recorded during clips, with commas in numbers; the rows of the table of ratings."""
    rows, body = [], Body.draw(rng)
    for clip in range(1, CLIPS + 1):
        skin = body.eda(np.full(CLIP_S * CLIP_RATE, 6.0), CLIP_RATE, rng)
        lines = [f"{k / CLIP_RATE:.4f};{value:.5f}".replace(".", ",") for k, value in enumerate(skin)]
        (folder / f"{name}_clip{clip}.csv").write_text("Time;Skin\n" + "\n".join(lines) + "\n", "utf-8")
        rows.append(f"{name},{clip},{rng.integers(1, 10)}")
    return rows
