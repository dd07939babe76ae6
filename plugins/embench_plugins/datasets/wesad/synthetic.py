"""Synthetic WESAD files: the release's pickles and their quirks, with effects of the conditions on the physiology.

Planted. All subjects have the baseline first, then stress, meditation, amusement, meditation, or with stress and
amusement exchanged, as in the release, at times that differ between subjects. In every second:
- arousal is `D_PRIME * effect` higher in the stress condition; heart rate (ECG, PPG) and skin conductance responses per
  minute (both EDA) rise with it;
- breathing is `D_PRIME * effect` higher in amusement and lower in meditation; breaths per minute (Resp) rise with it.
Both have additional noise that is independent of the conditions. `D_PRIME` is chosen so that the mean of a true rate
over a 10 s unit ranks one subject's units with an AUROC of .90 at effect 1, and .50 at effect 0. Heart rate and
responses rank stress against baseline and amusement, breaths amusement against baseline. Subjects differ more.

Not planted. Mean and variance of the signals, temperature, EMG and movement are independent of the conditions. Answers
to the questionnaires depend on the subject and the condition, at every effect, and on no signal.

Unlike real files: sessions last `SESSION_S` by default (real ones 87 to 118 minutes), with short breaks; the devices'
own files hold their header and a few rows; the readme in PDF is missing.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
from scipy.stats import norm

from embench_plugins.datasets.synthetic.body import MEAN_SD, TAU_S, Body, draw_smooth_noise
from embench_plugins.datasets.synthetic.generator import Generator
from embench_plugins.datasets.synthetic.writers import dump_python2
from embench_plugins.datasets.wesad.reader import LABEL_RATE, PEOPLE

SESSION_S = 720.0
SHORTEST_S = 60.0
LONGEST_S = 7071.0
D_PRIME = float(np.sqrt(2) * norm.ppf(0.9))
HEART_SD, SKIN_SD, BREATH_SD = 4.5, 0.25, 0.15
"""Standard deviations within a subject: of beats per minute, and of the logs of responses and of breaths per minute.
Between subjects they are 10, .52 and .34."""

# Phases of a session with their proportion of its length; names are those in the files, codes those of `label`.
ORDERS = (("Base", "TSST", "Medi 1", "Fun", "Medi 2"), ("Base", "Fun", "Medi 1", "TSST", "Medi 2"))
SHARES = {"Base": 0.27, "TSST": 0.19, "Fun": 0.16, "Medi 1": 0.1, "Medi 2": 0.1}
CODES = {"Base": 1, "TSST": 2, "Fun": 3, "Medi 1": 4, "Medi 2": 4}
BREAK = 0.04
MARGIN_S = 10  # codes begin this much later and end this much earlier than the questionnaires' times
READ_AFTER = {"Base": ("bRead", 5), "TSST": ("sRead", 6), "Fun": ("fRead", 7)}
SAM = {"Base": (6.5, 3.0), "TSST": (3.7, 7.4), "Fun": (7.0, 4.0), "Medi 1": (6.8, 2.3), "Medi 2": (6.8, 2.3)}
"""Phase -> typical valence and arousal after it."""

# Quirks of the release; the subjects are ours, early enough for small sets to have them.
PROTOCOL_0 = (3, 9, 14)  # subjects with the text protocol of Python 2; the others have its protocol 2
WRITTEN_AGAIN = (4,)  # subjects whose file was written again by Python 3, with codes as floats
READ_FIRST = (3, 8)  # subjects with a reading after the baseline too

SECONDS = np.dtype(
    [(name, "i8") for name in ("person", "second", "code", "condition")]
    + [(name, "f8") for name in ("heart_rate", "scr_per_min", "breaths_per_min")]
)
"""A row of `draw`: a second of a subject's session, from 0, with its code (0 to 7), the true condition (1 to 4, 0 for
breaks; longer than the code by `MARGIN_S` at both ends), and the true rates per minute."""


def _write(out: Path, people: list[np.ndarray], seed: int, length_s: float) -> None:
    """Write `WESAD/S2/S2.pkl` and so on, and each subject's other files."""
    for name, truth in zip(PEOPLE, people, strict=False):
        folder = out / "WESAD" / name
        folder.mkdir(parents=True)
        _write_person(folder, truth, seed, length_s)


def _choose_order(person: int) -> tuple[str, ...]:
    return ORDERS[PEOPLE.index(f"S{person}") % 2]


def _draw_spans(person: int, seed: int, longest_s: float) -> tuple[int, dict[str, tuple[int, int]]]:
    """Return a session's length, and phase (named as in the files) -> first second, second after the last."""
    rng = np.random.default_rng([seed, person, 0])
    session = round(longest_s * (1 if person == 2 else rng.uniform(0.88, 1)))
    order = _choose_order(person)
    parts = [share for name in order for share in (BREAK, SHARES[name])] + [BREAK]
    lengths = np.array(parts) * rng.uniform(0.75, 1.3, len(parts))
    borders = np.round(np.concatenate([[0], np.cumsum(lengths)]) / lengths.sum() * session).astype(int).tolist()
    spans = {}
    for number, name in enumerate(order):
        spans[name] = (borders[2 * number + 1], borders[2 * number + 2])
        if name in READ_AFTER and (name != "Base" or person in READ_FIRST):
            start, stop = borders[2 * number + 2 : 2 * number + 4]
            spans[READ_AFTER[name][0]] = (start + (stop - start) // 3, stop - (stop - start) // 3)
    return session, spans


def _draw_truth(person: int, seed: int, effect: float, longest_s: float) -> np.ndarray:
    """Return the planted values of one subject: a row of `SECONDS` for each second."""
    session, spans = _draw_spans(person, seed, longest_s)
    rows = np.zeros(session, SECONDS)
    rows["person"], rows["second"] = person, np.arange(session)
    margin = min(MARGIN_S, round(longest_s / 60))
    for name, (start, stop) in spans.items():
        if name in CODES:
            rows["condition"][start:stop] = CODES[name]
            rows["code"][start + margin : stop - margin] = CODES[name]
    for name, code in READ_AFTER.values():
        rows["code"][slice(*spans.get(name, (0, 0)))] = code
    rng = np.random.default_rng([seed, person, 1])
    noise = [draw_smooth_noise(rng, session, 1.0, TAU_S) / MEAN_SD for _ in range(2)]
    condition = rows["condition"]
    arousal = noise[0] + D_PRIME * effect * (condition == 2)
    breathing = noise[1] + D_PRIME * effect * ((condition == 3) * 1.0 - (condition == 4))
    rows["heart_rate"] = np.clip(rng.uniform(58, 92) + HEART_SD * arousal, 42, 170)
    rows["scr_per_min"] = np.exp(rng.uniform(np.log(2), np.log(12)) + SKIN_SD * arousal)
    rows["breaths_per_min"] = np.exp(rng.uniform(np.log(8), np.log(26)) + BREATH_SD * breathing)
    return rows


def _write_person(folder: Path, truth: np.ndarray, seed: int, length_s: float) -> None:
    """Write one subject's files."""
    person, session = int(truth["person"][0]), len(truth)
    rng = np.random.default_rng([seed, person, 2])
    signal, codes = _make_signals(truth, rng), np.repeat(truth["code"], LABEL_RATE).astype(np.int32)
    unfinished = folder / f"{folder.name}.part"
    with unfinished.open("wb") as file:
        if person in WRITTEN_AGAIN:
            content = {"subject": folder.name, "signal": signal, "label": codes.astype(np.float64)}
            pickle.dump(content, file, protocol=4)
        else:
            dump_python2(
                file, {"signal": signal, "label": codes, "subject": folder.name}, 0 if person in PROTOCOL_0 else 2
            )
    rng = np.random.default_rng([seed, person, 3])
    _write_text(folder, "_quest.csv", _make_questionnaire(person, _draw_spans(person, seed, length_s)[1], rng))
    _write_text(folder, "_readme.txt", _make_readme(person, rng))
    _write_text(folder, "_respiban.txt", _make_respiban(rng))
    (folder / f"{folder.name}_E4_Data.zip").write_bytes(_make_e4(1_495_438_000 + 86_400 * person + session, rng))
    unfinished.rename(folder / f"{folder.name}.pkl")


def _write_text(folder: Path, ending: str, text: str) -> None:
    (folder / f"{folder.name}{ending}").write_text(text, "utf-8", newline="\n")


def _make_signals(truth: np.ndarray, rng: np.random.Generator) -> dict[str, dict[str, np.ndarray]]:
    """Return the signals of both devices, as in the pickle: (samples, channels), chest first."""
    session, body = len(truth), Body.draw(rng)

    def rates(rate: float, name: str) -> np.ndarray:
        return np.interp(np.arange(round(session * rate)) / rate, truth["second"] + 0.5, truth[name])

    breath = body.draw_breath_phase(64 * session, 64, rng, rates(64, "breaths_per_min") / 60)
    heart = body.draw_heart_phase(rates(64, "heart_rate"), breath, 64, rng)
    time = {rate: np.arange(round(session * rate)) / rate for rate in (4, 64, LABEL_RATE)}
    count = len(time[LABEL_RATE])
    breath_chest, heart_chest = (np.interp(time[LABEL_RATE], time[64], phase) for phase in (breath, heart))
    skin = [body.draw_eda(rates(4, "scr_per_min"), 4, rng) for _ in range(2)]
    skin_chest = np.interp(time[LABEL_RATE], time[4], skin[0]) + 0.002 * rng.standard_normal(count)
    chest = {
        "ACC": _quantise(body.draw_acceleration(count, LABEL_RATE, rng).T, 2e-4, 28_000 * 2e-4 + 1),
        "ECG": _quantise(body.draw_ecg(heart_chest, LABEL_RATE, rng), 3 / 65_536, 1.5),
        "EMG": _quantise(body.draw_emg(count, LABEL_RATE, rng) / 1000, 3 / 65_536, 1.5),
        "EDA": _quantise(skin_chest, 25 / 65_536, 0),
        "Temp": body.draw_temperature(count, LABEL_RATE, rng).astype(np.float32)[:, None],
        "Resp": _quantise(5 * body.draw_respiration(breath_chest, LABEL_RATE, rng), 100 / 65_536, 50),
    }
    moves = np.round(64 * body.draw_acceleration(32 * session, 32, rng).T).clip(-128, 127)
    wrist = {
        "ACC": moves + 0.0,  # no negative zeros
        "BVP": np.round(40 * body.draw_ppg(heart, 64, rng), 2)[:, None],
        "EDA": np.round(0.3 * skin[1], 6)[:, None],
        "TEMP": np.round(body.draw_temperature(4 * session, 4, rng), 2)[:, None],
    }
    return {"chest": chest, "wrist": wrist}


def _quantise(values: np.ndarray, step: float, zero: float) -> np.ndarray:
    """Return values as (samples, channels) of the belt's 16-bit counts, in steps of `step` from `-zero`."""
    counts = np.round((values + zero) / step).clip(0, 65_535)
    return (counts * step - zero).reshape(len(values), -1)


def _make_questionnaire(person: int, spans: dict[str, tuple[int, int]], rng: np.random.Generator) -> str:
    """Return the questionnaires' text, with times from the start of the belt's own file, which began earlier."""
    order = _choose_order(person)
    spans = {name: spans[name] for name in (*order, *(reading for reading, _ in READ_AFTER.values())) if name in spans}
    cut = int(rng.integers(60, 400))
    cut += -(spans[order[1]][1] + cut) % 10  # the second condition ends at full ten seconds: its last zero is dropped
    rows = [
        ["# Subj", f"S{person}"],
        ["# ORDER", *spans],
        ["# START", *(_format_time(start + cut) for start, _ in spans.values())],
        ["# END", *(_format_time(stop + cut) for _, stop in spans.values())],
        [],
    ]
    rows += [["# PANAS", *_draw_answers(rng, 26 if name == "TSST" else 24, 5)] for name in order] + [[]]
    rows += [["# STAI", *_draw_answers(rng, 6, 4)] for name in order] + [[]]
    shift = rng.normal(0, 0.5, 2)
    for name in order:
        answers = np.round(SAM[name] + shift + rng.normal(0, 0.8, 2)).clip(1, 9).astype(int)
        rows.append(["# DIM", *map(str, answers)])
    rows += [[], ["# SSSQ", *_draw_answers(rng, 6, 5)]]
    width = max(map(len, rows))
    return "".join(";".join(row + [""] * (width - len(row))) + "\n" for row in rows)


def _format_time(seconds: int) -> str:
    """Return minutes and seconds as a spreadsheet writes them: 50 min 30 s is 50.3."""
    return f"{seconds // 60}.{seconds % 60:02d}".rstrip("0").rstrip(".")


def _draw_answers(rng: np.random.Generator, count: int, top: int) -> list[str]:
    return [str(value) for value in rng.integers(1, top + 1, count)]


def _make_readme(person: int, rng: np.random.Generator) -> str:
    asked = ("Did you drink coffee today", "Did you drink coffee within the last hour", "Did you do any sports today",
             "Are you a smoker", "Did you smoke within the last hour", "Do you feel ill today")  # fmt: skip
    facts = {
        "Age": rng.integers(24, 36), "Height (cm)": rng.integers(163, 192), "Weight (kg)": rng.integers(54, 91),
        "Gender": "female" if person in (8, 11, 17) else "male", "Dominant hand": "left" if person == 11 else "right",
    }  # fmt: skip
    answers = [f"{question}? {'NO' if rng.random() < 0.8 else 'YES'}" for question in asked]
    parts = {"Personal information": [f"{name}: {value}" for name, value in facts.items()],
             "Study pre-requisites": answers, "Additional notes": ["-"]}  # fmt: skip
    return "\n".join("".join(f"{line}\n" for line in (f"### {name} ###", *lines)) for name, lines in parts.items())


def _make_respiban(rng: np.random.Generator) -> str:
    """Return the belt's own file as text: its header, and rows of a counter, an unused column, and eight counts."""
    device = {
        "sensor": ["ECG", "EDA", "EMG", "TEMP", "XYZ", "XYZ", "XYZ", "RESPIRATION"],
        "device name": "RespiBan",
        "column": ["nSeq", "DI", *(f"CH{channel}" for channel in range(1, 9))],
        "time": "9:39:1.0",
        "channels": list(range(1, 9)),
        "date": "2017-5-22",
        "device": "biosignalsplux",
        "sampling rate": LABEL_RATE,
        "resolution": [16] * 8,
    }
    head = json.dumps({"00:07:80:00:00:00": device})
    counts = rng.integers(20_000, 45_000, (20, 8))
    rows = ("\t".join(map(str, [at, 0, *row])) + "\t\n" for at, row in enumerate(counts.tolist()))
    return f"# OpenSignals Text File Format\n# {head}\n# EndOfHeader\n" + "".join(rows)


def _make_e4(start: int, rng: np.random.Generator) -> bytes:
    """Return a zip of the wristband's own files, with one second each."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rate, columns in (("ACC", 32, 3), ("BVP", 64, 1), ("EDA", 4, 1), ("TEMP", 4, 1)):
            head = [", ".join([f"{value:.6f}"] * columns) for value in (start, rate)]
            rows = [",".join(map(str, row)) for row in rng.integers(-60, 60, (rate, columns)).tolist()]
            text = "\n".join([*head, *rows, ""])
            archive.writestr(zipfile.ZipInfo(f"{name}.csv"), text)  # dated 1980, whenever it is written
        archive.writestr(zipfile.ZipInfo("info.txt"), "Empatica E4\n")
    return buffer.getvalue()


GENERATOR = Generator(
    __name__, "wesad", [int(name[1:]) for name in PEOPLE], SESSION_S, (SHORTEST_S, LONGEST_S), "sessions of {} s",
    _draw_truth, _write,
)  # fmt: skip
synthesize, draw = GENERATOR.synthesize, GENERATOR.draw
