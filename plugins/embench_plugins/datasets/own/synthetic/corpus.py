"""A synthetic corpus: EEG as EDF, ECG as WFDB records and CSV files, and the `dataset.yaml` that describes them.

There are no labels, so nothing is planted. Subjects take turns with the three kinds, so that a small set has them all.
Names and rates are as uneven as in real corpora: EEG channels have dots and odd case, old 10-20 names in some files,
and every third EEG is at 128 Hz, all others at 160.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from embench_plugins.datasets.own.yaml import DATASET
from embench_plugins.datasets.synthetic import edf
from embench_plugins.datasets.synthetic.body import Body, smooth_noise
from embench_plugins.datasets.synthetic.generator import check_arguments, checked_length, claim

PEOPLE = 999
LENGTH_S = 120.0
EEG = ("F7", "F3", "T7", "P7", "O1", "O2", "P8", "T8", "F4", "F8")
WRITTEN = (
    ("F7..", "F3..", "T7..", "P7..", "O1..", "O2..", "P8..", "T8..", "F4..", "F8.."),
    ("f7", "f3", "T3", "T5", "o1", "o2", "T6", "T4", "f4", "f8"),
)
TEXT = """\
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


def synthesize(out: Path, subjects: int, seed: int, effect: float, *, length_s: float | None = None) -> None:
    """As `Generator.synthesize`: `dataset.yaml` and the files of some subjects. The effect changes nothing."""
    check_arguments(subjects, PEOPLE, seed, effect)
    seconds = int(checked_length(LENGTH_S if length_s is None else length_s, 4, 7200, "recordings of {} s"))
    out = claim(out, __name__, "corpus", seed=seed, subjects=subjects, effect=effect, length_s=float(seconds))
    for folder in ("eeg", "ecg", "wearable"):
        (out / folder).mkdir()
    # Patterns of kinds that nobody's turn was would match nothing.
    text, *sources = TEXT.split("  - files")
    (out / DATASET).write_text(text + "".join(f"  - files{source}" for source in sources[:subjects]), "utf-8")
    for person in range(1, subjects + 1):
        rng = np.random.default_rng([seed, person])
        name, kind = f"S{person:03d}", (person - 1) % 3
        if kind == 0:
            turn = (person - 1) // 3
            rate = 128 if turn % 3 == 2 else 160
            write_edf(out / "eeg" / f"{name}R01.edf", WRITTEN[turn % 2], rate, _eeg(seconds, rate, rng))
        elif kind == 1:
            _write_wfdb(out / "ecg" / name, 250, _hearts(seconds, 250, rng))
        else:
            _write_csv(out / "wearable" / f"{name}.csv", seconds, rng)


def _eeg(seconds: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """(10, samples) in microvolt: a 1/f background and alpha."""
    time = np.arange(seconds * rate) / rate
    slow = np.stack([smooth_noise(rng, len(time), rate, tau) for tau in (1.0, 0.2, 0.05)])
    alpha = np.sin(2 * np.pi * rng.uniform(9, 11.5) * time) * np.exp(0.5 * smooth_noise(rng, len(time), rate, 2))
    mixing = rng.standard_normal((len(EEG), len(slow)))
    return 8 * (mixing @ slow) + 6 * rng.uniform(0.3, 1.5, (len(EEG), 1)) * alpha


def _hearts(seconds: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """(2, samples) in millivolt: two leads of one heart."""
    body, samples = Body.draw(rng), seconds * rate
    beats = rng.uniform(55, 90) + 4 * smooth_noise(rng, samples, rate, 10)
    phase = body.heart(beats, body.breathing(samples, rate, rng), rate, rng)
    return np.stack([gain * body.ecg(phase, rate, rng) for gain in (1.0, 0.6)])


def write_edf(path: Path, names: tuple[str, ...], rate: int, data: np.ndarray, start: str = "01.01.0000.00.00") -> None:
    """An EDF file of one-second records, each channel over a range of +- 200 uV."""
    count, records = len(data), data.shape[1] // rate
    channels = edf.Channels(
        names, ["uV"] * count, ["-200"] * count, ["200"] * count, -32768, 32767, [rate] * count, [""] * count
    )
    head = edf.header(channels, records, start=start, person="X X X X", recording="Startdate X X X X")
    digital = np.clip(np.round((data + 200) / 400 * 65535 - 32768), -32768, 32767).astype("<i2")
    body = digital.reshape(count, records, rate).transpose(1, 0, 2)
    path.write_bytes(head + body.tobytes())


def _write_wfdb(record: Path, rate: int, data: np.ndarray) -> None:
    """A WFDB record of format 16: a header and samples in turn, 2000 a millivolt."""
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
    heart = 1000 * _hearts(seconds, rate, rng)[0]
    skin = Body.draw(rng).eda(np.full(seconds * rate, 6.0), rate, rng)
    table = np.stack([np.arange(len(heart)) / rate, heart, skin], 1)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("time,ECG,EDA\n")
        np.savetxt(file, table, fmt=("%.6f", "%.2f", "%.5f"), delimiter=",")
