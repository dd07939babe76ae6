"""Synthetic folders of own recordings with their `dataset.yaml`.

`synthesize` writes a study with labels, `synthesize_corpus` recordings without labels for pretraining.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from embench_plugins.datasets.devices.e4 import FILES
from embench_plugins.datasets.own.description import DATASET
from embench_plugins.datasets.synthetic import body, writers
from embench_plugins.datasets.synthetic.body import Body, draw_smooth_noise
from embench_plugins.datasets.synthetic.generator import check_arguments, check_length, claim

# A synthetic corpus of EEG in EDF files, ECG in WFDB records, and wearable signals in CSV files.
#
# Signals contain no effect, since subjects have no labels. They have the three kinds of files in turn, so that a small
# corpus has all of them. Names and rates vary as in real corpora: EEG channels have dots, lowercase letters or old
# 10-20 names, and every third EEG is at 128 Hz, all others at 160.

CORPUS_PEOPLE = 999
LENGTH_S = 120.0
EEG = ("F7", "F3", "T7", "P7", "O1", "O2", "P8", "T8", "F4", "F8")
WRITTEN = (
    ("F7..", "F3..", "T7..", "P7..", "O1..", "O2..", "P8..", "T8..", "F4..", "F8.."),
    ("f7", "f3", "T3", "T5", "o1", "o2", "T6", "T4", "f4", "f8"),
)
CORPUS_TEXT = """\
title: A generated corpus
citation: made up by embench
licence: CC0 1.0
mains_hz: 50
recordings:
  - files: "eeg/{participant}R01.edf"
    signals:
      eeg: {channels: [F7, F3, T7, P7, O1, O2, P8, T8, F4, F8]}
  - files: "ecg/{participant}.hea"
    signals:
      ecg: {channels: {left: II}}
  - files: "wearable/{participant}.csv"
    signals:
      ecg: {channels: {left: ECG}, rate: 256, unit: uV}
      eda: {channels: {eda: EDA}, rate: 256, unit: uS}
"""


def synthesize_corpus(out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None) -> None:
    """Write `dataset.yaml` and files of some subjects, as `Generator.synthesize` does. The effect changes nothing."""
    check_arguments(subjects, CORPUS_PEOPLE, seed, effect)
    seconds = int(check_length(LENGTH_S if length_s is None else length_s, 4, 7200, "recordings of {} s"))
    out = claim(out, __name__, "corpus", seed=seed, subjects=subjects, effect=effect, length_s=float(seconds))
    for folder in ("eeg", "ecg", "wearable"):
        (out / folder).mkdir()
    # Patterns without matching files are errors, so leave out the kinds of files that no subject has.
    text, *sources = CORPUS_TEXT.split("  - files")
    (out / DATASET).write_text(text + "".join(f"  - files{source}" for source in sources[:subjects]), "utf-8")
    for person in range(1, subjects + 1):
        rng = np.random.default_rng([seed, person])
        name, kind = f"S{person:03d}", (person - 1) % 3
        if kind == 0:
            turn = (person - 1) // 3
            rate = 128 if turn % 3 == 2 else 160
            write_edf(out / "eeg" / f"{name}R01.edf", WRITTEN[turn % 2], rate, _make_eeg(seconds, rate, rng))
        elif kind == 1:
            _write_wfdb(out / "ecg" / name, 250, _make_hearts(seconds, 250, rng))
        else:
            _write_csv(out / "wearable" / f"{name}.csv", seconds, rng)


def _make_eeg(seconds: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return (10, samples) an EEG in microvolt: a 1/f background and alpha waves."""
    time = np.arange(seconds * rate) / rate
    slow = np.stack([draw_smooth_noise(rng, len(time), rate, tau) for tau in (1.0, 0.2, 0.05)])
    alpha = np.sin(2 * np.pi * rng.uniform(9, 11.5) * time) * np.exp(0.5 * draw_smooth_noise(rng, len(time), rate, 2))
    mixing = rng.standard_normal((len(EEG), len(slow)))
    return 8 * (mixing @ slow) + 6 * rng.uniform(0.3, 1.5, (len(EEG), 1)) * alpha


def _make_hearts(seconds: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return (2, samples) two leads of an ECG in millivolt."""
    body, samples = Body.draw(rng), seconds * rate
    beats = rng.uniform(55, 90) + 4 * draw_smooth_noise(rng, samples, rate, 10)
    phase = body.draw_heart_phase(beats, body.draw_breath_phase(samples, rate, rng), rate, rng)
    return np.stack([gain * body.draw_ecg(phase, rate, rng) for gain in (1.0, 0.6)])


def write_edf(path: Path, names: tuple[str, ...], rate: int, data: np.ndarray, start: str = "01.01.0000.00.00") -> None:
    """Write channels (channels, samples) in microvolt, within +-200, as an EDF file of one-second records."""
    count, records = len(data), data.shape[1] // rate
    channels = writers.Channels(
        names, ["uV"] * count, ["-200"] * count, ["200"] * count, -32768, 32767, [rate] * count, [""] * count
    )
    head = writers.make_edf_header(channels, records, start=start, person="X X X X", recording="Startdate X X X X")
    digital = np.clip(np.round((data + 200) / 400 * 65535 - 32768), -32768, 32767).astype("<i2")
    body = digital.reshape(count, records, rate).transpose(1, 0, 2)
    path.write_bytes(head + body.tobytes())


def _write_wfdb(record: Path, rate: int, data: np.ndarray) -> None:
    """Write leads (2, samples) in millivolt as a WFDB record of format 16, at 2000 steps per millivolt."""
    digital = np.clip(np.round(data.T * 2000), -32767, 32767).astype("<i2")
    lines = [f"{record.name} {len(data)} {rate} {len(digital)}"]
    for name, first in zip(("II", "V"), digital[0], strict=True):
        column = digital[:, len(lines) - 1]
        check = int(np.int64(column.sum()).astype(np.int16))
        lines.append(f"{record.name}.dat 16 2000(0)/mV 16 0 {first} {check} 0 {name}")
    record.with_suffix(".dat").write_bytes(digital.tobytes())
    record.with_suffix(".hea").write_text("\n".join(lines) + "\n", "ascii")


def _write_csv(path: Path, seconds: int, rng: np.random.Generator) -> None:
    rate = 256
    heart = 1000 * _make_hearts(seconds, rate, rng)[0]
    skin = Body.draw(rng).draw_eda(np.full(seconds * rate, 6.0), rate, rng)
    table = np.stack([np.arange(len(heart)) / rate, heart, skin], 1)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("time,ECG,EDA\n")
        np.savetxt(file, table, fmt=("%.6f", "%.2f", "%.5f"), delimiter=",")


# A synthetic study with several kinds of files and labels.
#
# Every subject has a session with a wristband, in which stress and rest alternate. Heart rate and skin responses rise
# under stress; see `draw_responses`. The clips, their ratings and the EEG contain no effect.
#
# Tables differ as in real studies: one has semicolons and decimal commas, one a byte order mark and Windows line ends.

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
    """Write `dataset.yaml` and the files of some subjects, as `Generator.synthesize` does."""
    check_arguments(subjects, PEOPLE, seed, effect)
    longest = int(check_length(SESSION_S if length_s is None else length_s, SHORTEST_S, 7200, "sessions of {} s"))
    out = claim(out, __name__, "own", seed=seed, subjects=subjects, effect=effect, length_s=float(longest))
    for folder in ("wrist", "clips", "eeg"):
        (out / folder).mkdir()
    (out / DATASET).write_text(TEXT.format(longest_s=longest), "utf-8")
    people, stages, ratings = ["code,sex"], ["code;begins;ends;stage"], ["code,clip,arousal"]
    for person in range(1, subjects + 1):
        rng, name = np.random.default_rng([seed, person]), f"P{person:03d}"
        people.append(f"{name},{rng.choice(['f', 'm'])}")
        stages += _write_session(out / "wrist" / name, name, longest, effect, rng)
        ratings += _write_clips(out / "clips", name, rng)
        for hour, task in enumerate(("rest", "count"), 9):
            data = 20 * rng.standard_normal((len(EEG), EEG_S * EEG_RATE))
            write_edf(out / "eeg" / f"{name}_{task}.edf", EEG, EEG_RATE, data, f"01.01.24{hour:02d}.00.00")
    (out / "participants.csv").write_bytes(("\ufeff" + "\r\n".join(people) + "\r\n").encode())
    (out / "stages.csv").write_text("\n".join(stages) + "\n", "utf-8")
    (out / "ratings.csv").write_text("\n".join(ratings) + "\n", "utf-8")


def _write_session(folder: Path, name: str, longest: int, effect: float, rng: np.random.Generator) -> list[str]:
    """Write a wristband's files, and return the rows of the table of stages."""
    folder.mkdir()
    session = round(longest * rng.uniform(0.93, 1)) - 2  # files end up to two seconds apart
    lengths = rng.uniform(0.7, 1.3, PHASES)
    borders = np.round(np.cumsum(lengths) / lengths.sum() * session).astype(int)
    first = int(rng.integers(2))
    phase = np.searchsorted(borders, np.arange(session), side="right")
    stress = ((phase + first) % 2).astype(float)
    device = body.record_wristband(*body.draw_responses(rng, stress, effect), rng)
    start = 1_704_103_200 + int(rng.integers(30 * 86_400))
    body.write_e4(folder / FILES["ppg"], f"{start}.00", "64.00", device.ppg, "%.2f")
    body.write_e4(folder / FILES["eda"], f"{start}.00", "4.00", device.eda, "%.6f")
    body.write_e4(folder / FILES["temp"], f"{start}.00", "4.00", device.temperature, "%.2f")
    body.write_e4(folder / FILES["acc"], f"{start}.00", "32.00", device.acceleration.T, "%d")
    edges = [0, *borders.tolist()]
    return [
        f"{name};{_format_date(start + edges[k])};{_format_date(start + edges[k + 1])};"
        f"{('rest', 'stress')[(k + first) % 2]}"
        for k in range(PHASES)
    ]


def _format_date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _write_clips(folder: Path, name: str, rng: np.random.Generator) -> list[str]:
    """Write the signals during clips, with decimal commas, and return the rows of the table of ratings."""
    rows, body = [], Body.draw(rng)
    for clip in range(1, CLIPS + 1):
        skin = body.draw_eda(np.full(CLIP_S * CLIP_RATE, 6.0), CLIP_RATE, rng)
        lines = [f"{k / CLIP_RATE:.4f};{value:.5f}".replace(".", ",") for k, value in enumerate(skin)]
        (folder / f"{name}_clip{clip}.csv").write_text("Time;Skin\n" + "\n".join(lines) + "\n", "utf-8")
        rows.append(f"{name},{clip},{rng.integers(1, 10)}")
    return rows
