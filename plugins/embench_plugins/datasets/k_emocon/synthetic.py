"""Synthetic K-EmoCon files: the release's tables and their quirks, with an effect in the physiology.

Planted. Each subject has two latent values, arousal and valence, which change within about 20 s. The subject's
annotation is the latent value of each 5 s in five steps, high (3 to 5) about half of the time. A physiological response
has a correlation of `RHO * effect` with it:
- arousal -> heart rate (wristband's PPG and belt) and skin conductance responses per minute;
- valence -> modulation of heart rate by breathing (PPG; vagal tone), and alpha's proportion of the band powers;
- with videos, from the same responses: valence -> smile, arousal -> raised brows (see `films`).
`RHO` is chosen so that each of these true quantities ranks one subject's units of 10 s by their label with an AUROC of
.90 at effect 1, and .50 at effect 0. Subjects differ more than the effect, except in their faces and their alpha. The
partner and the five observers rate the latent value with independent noise. The two subjects of a debate share nothing
but the time.

Not planted. Mean and variance of a unit's PPG, EDA, temperature and acceleration are independent of the label. A band's
power has a correlation of only .05 with it, because the level common to all bands varies fifteen times as much. The
belt's heart rate is the exception: its mean is the planted quantity.

Unlike real files: rest before the debate lasts a fifth of it, the debate lasts five minutes by default, there is no
sound, and video only if requested.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from embench_plugins.datasets.k_emocon import reader
from embench_plugins.datasets.k_emocon.reader import BANDS, DIMENSIONS, MARKS, RATERS, SCALE, SERIALS, WINDOW_S
from embench_plugins.datasets.synthetic import films
from embench_plugins.datasets.synthetic.body import Body, draw_smooth_noise, plant_response, standardise
from embench_plugins.datasets.synthetic.films import OWN, Face, Performance
from embench_plugins.datasets.synthetic.generator import Generator

RHO = 0.765
LENGTH_S = 300.0
SHORTEST_S = 20.0
TAU_S = 20.0
EPOCH_MS = 1_550_000_000_000
STEPS = (-0.8, 0.0, 0.6, 1.3)
"""Borders of the latent value between the ratings 1 to 5."""

# Quirks of the release, by subject.
NO_E4 = (2, 3, 6, 7)
ONLY_BRAINWAVE = (20,)
NO_SCORES = (1,)
"""Subjects without Attention and Meditation."""
# Quirks that occur somewhere in the release; the subjects are ours, early enough for small sets to have them.
LACKING = {12: "Polar_HR", 17: "Polar_HR", 18: "E4_EDA", 21: "Polar_HR", 29: "Polar_HR", 30: "E4_TEMP"}
"""Subject -> missing file. With the subjects above, eleven lack one of PPG, EDA, temperature and the belt's heart
rate."""
UNSORTED = {1: "E4_EDA", 4: "E4_BVP", 5: "Polar_HR"}
TWICE = {4: "E4_TEMP"}
"""Subject -> file with some duplicate rows."""
GAPS = {1: ("E4_BVP", 2), 5: ("E4_EDA", 12), 8: ("E4_ACC", 64)}
"""Subject -> file and number of samples lost in the middle of the debate: few enough to fill, or too many."""
CHECKPOINTS = (4,)
"""Subjects with a folder .ipynb_checkpoints, whose copies must not be read."""
UNFILMED = (2, 6, 7, 12, 13, 17, 18, 21, 24, 29, 30)
"""Eleven subjects who did not agree to the release of their video."""
BY_OLD_OPENFACE = (4,)
"""Subjects whose tables have spaces, as in older versions."""
FLOAT_RATINGS = (4, 5)
UNRATED = (1, 5)
"""Subjects without a rating of arousal in the second window, by themselves and by the first observer."""

RATES = {"E4_BVP": 64, "E4_EDA": 4, "E4_TEMP": 4, "E4_ACC": 32, "E4_HR": 1}
E4_STREAMS = (*RATES, "E4_IBI")
QUANTITIES = {
    "heart_rate": "arousal", "scr_per_min": "arousal", "breath_share": "valence", "alpha_share": "valence",
    "smile": "valence", "brow": "arousal",
}  # fmt: skip
ROWS = np.dtype(
    [("person", "i8"), ("window", "i8")]
    + [(f"{name}_{kind}", "f8") for name in DIMENSIONS for kind in ("latent", "rating")]
    + [(name, "f8") for name in QUANTITIES]
)
"""A row of `draw`, for 5 s of a subject: ratings 1 to 5, beats and responses per minute, relative modulation of heart
rate by breathing, log of alpha's proportion of power relative to the subject's mean, smile and brow in standard
deviations."""

Clock = tuple[int, int, int]
"""initTime, startTime and endTime of a subject, in unix ms."""


def _write(out: Path, people: list[np.ndarray], seed: int, length_s: float, *, videos: bool = False) -> None:
    """Write metadata, e4_data, neurosky_polar_data, emotion_annotations, data_quality_tables; with `videos` also
    openface and debate_recordings. Debates are up to 6 % shorter than the longest."""
    clocks = {pid: _draw_clock(pid, length_s) for pid in range(1, len(people) + 1)}
    written = {pid: write_person(out, people[pid - 1], seed, clocks[pid]) for pid in clocks}
    _write_metadata(out / "metadata", clocks, written)
    _write_quality(out / "data_quality_tables", written)
    for pid in sorted(set(clocks) - set(UNFILMED)) if videos else ():
        _write_video(out, people[pid - 1], seed, clocks[pid])


def _draw_truth(pid: int, seed: int, effect: float, length_s: float) -> np.ndarray:
    """Return the planted values of one subject: `ROWS`, one for each window of 5 s."""
    _, start, end = _draw_clock(pid, length_s)
    rng, windows = np.random.default_rng([seed, pid, 0]), int((end - start) / 1000 // WINDOW_S)
    rows, response = np.zeros(windows, ROWS), {}
    for name in DIMENSIONS:
        latent, other = (standardise(draw_smooth_noise(rng, windows, 1 / WINDOW_S, TAU_S)) for _ in range(2))
        response[name] = plant_response(latent, other, RHO * effect)
        rows[f"{name}_latent"], rows[f"{name}_rating"] = latent, _draw_ratings(latent, rng)
    rows["person"], rows["window"] = pid, np.arange(windows)
    # Standard deviations: heart rate 8 between subjects, 5 within; log of SCR rate .52, .45; log of the swing .6, .5.
    rows["heart_rate"] = rng.uniform(62, 90) + 5 * response["arousal"]
    rows["scr_per_min"] = np.exp(rng.uniform(np.log(3), np.log(18)) + 0.45 * response["arousal"])
    rows["breath_share"] = np.exp(rng.normal(np.log(0.03), 0.6) + 0.5 * response["valence"])
    rows["alpha_share"] = 0.06 * response["valence"]
    rest = OWN * np.random.default_rng([seed, pid, 3]).standard_normal(2)
    rows["smile"], rows["brow"] = rest[0] + response["valence"], rest[1] + response["arousal"]
    return rows


def write_person(out: Path, rows: np.ndarray, seed: int, clock: Clock) -> dict[str, pd.DataFrame]:
    """Write one subject's files, from that subject's `ROWS`; returns the devices' tables by name."""
    pid, rng = int(rows["person"][0]), np.random.default_rng([seed, int(rows["person"][0]), 1])
    e4, belt = _make_e4(rows, clock, rng), _make_headset_and_belt(rows, clock, rng)
    if pid in NO_E4:
        e4 = {}
    if pid in ONLY_BRAINWAVE:
        belt = {"BrainWave": belt["BrainWave"]}
    if pid in NO_SCORES:
        belt = {name: belt[name] for name in ("BrainWave", "Polar_HR")}
    tables = {name: _add_quirks(name, table, pid, clock) for name, table in (e4 | belt).items()}
    if pid in LACKING:
        del tables[LACKING[pid]]
    for name, table in tables.items():
        folder = out / ("e4_data" if name in e4 else "neurosky_polar_data") / str(pid)
        _write_table(table, folder / f"{name}.csv")
        if pid in CHECKPOINTS:
            _write_table(table[:5], folder / ".ipynb_checkpoints" / f"{name}-checkpoint.csv")
    _write_annotations(out / "emotion_annotations", rows, np.random.default_rng([seed, pid, 2]))
    return tables


def _draw_clock(pid: int, length_s: float) -> Clock:
    """Return initTime, startTime and endTime in ms: the same for the two subjects of a debate."""
    debate = (pid - 1) // 2
    start = EPOCH_MS + 86_400_000 * debate + 137 * debate
    duration = round(1000 * length_s * (1 - 0.02 * (debate % 4)))
    return start - duration // 5 - 7000 - 1000 * (debate % 3), start, start + duration


def _draw_ratings(latent: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (n,) ratings 1 to 5 of latent values (n,); `STEPS` are shifted slightly for each annotator."""
    return 1.0 + np.digitize(latent, np.array(STEPS) + rng.uniform(-0.3, 0.3))


def _make_e4(rows: np.ndarray, clock: Clock, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Return the wristband's tables, from initTime to 3 s after the debate. Sampling times have a random offset."""
    init, start, end = clock
    seconds = (end - init) / 1000 + 3
    body, pid = Body.draw(rng), int(rows["person"][0])

    def draw_times(rate: int) -> np.ndarray:
        return init + rng.integers(0, 1000 // rate + 1) + 1000 * np.arange(int(seconds * rate)) / rate

    def interpolate(name: str, ms: np.ndarray) -> np.ndarray:
        return np.interp((ms - start) / 1000, WINDOW_S * (rows["window"] + 0.5), rows[name])

    ms = {name: draw_times(rate) for name, rate in RATES.items()}
    wave = ms["E4_BVP"]
    breath = body.draw_breath_phase(len(wave), 64, rng)
    beats = interpolate("heart_rate", wave) * (1 + interpolate("breath_share", wave) * np.sin(2 * np.pi * breath))
    phase = replace(body, breath_share=0.0).draw_heart_phase(beats, breath, 64, rng)  # `beats` has the modulation
    crossed = np.interp(np.arange(np.ceil(phase[0]), phase[-1]), phase, wave)
    values = {
        "E4_BVP": np.round(60 * body.draw_ppg(phase, 64, rng), 2),
        "E4_EDA": np.round(body.draw_eda(interpolate("scr_per_min", ms["E4_EDA"]), 4, rng), 6),
        "E4_TEMP": np.round(body.draw_temperature(len(ms["E4_TEMP"]), 4, rng), 2),
        "E4_ACC": np.round(64 * body.draw_acceleration(len(ms["E4_ACC"]), 32, rng)).astype(int),
        "E4_HR": np.round(interpolate("heart_rate", ms["E4_HR"]), 2),
        "E4_IBI": np.diff(crossed).round(3) / 1000,
    }
    tables = {}
    for name, value in values.items():
        times = np.rint(ms.get(name, crossed[1:])).astype(np.int64)
        columns = dict(zip("xyz", value, strict=True)) if name == "E4_ACC" else {"value": value}
        serial = SERIALS.get(pid, f"A00{pid:03d}") if (pid, name) != (31, "E4_IBI") else "A01525"
        tables[name] = pd.DataFrame({"timestamp": times, **columns, "pid": pid, "device_serial": serial})
        if pid in SERIALS:  # a second wristband, whose rows have the same times
            other = tables[name].assign(device_serial="A01FFF", **{c: v[::-1] + 1 for c, v in columns.items()})
            tables[name] = pd.concat([tables[name], other]).sort_values("timestamp", kind="stable", ignore_index=True)
        tables[name] = tables[name].assign(device_number=1, entry_time=clock[0] - 60_000)
    return tables


def _make_headset_and_belt(rows: np.ndarray, clock: Clock, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Return the headset's and the belt's tables, mostly with a row per second. One second in ten has two rows, one in
    twenty none, one in forty only zeros."""
    init, start, end = clock
    seconds = np.arange(int((end - init) / 1000) + 3)
    heart, share = (
        np.interp(seconds - (start - init) / 1000, WINDOW_S * (rows["window"] + 0.5), rows[name])
        for name in ("heart_rate", "alpha_share")
    )
    level = draw_smooth_noise(rng, len(seconds), 1, TAU_S) + 0.5 * rng.standard_normal(len(seconds))
    typical = np.linspace(13, 9, 8) + 0.4 * rng.standard_normal(8)
    alpha = np.array([-0.25, -0.25, 0.75, 0.75, -0.25, -0.25, -0.25, -0.25])
    power = typical + level[:, None] + share[:, None] * alpha + 0.06 * rng.standard_normal((len(seconds), 8))
    columns = {
        "BrainWave": dict(zip(BANDS, np.exp(power).T, strict=True)),
        "Polar_HR": {"value": heart + 0.5 * rng.standard_normal(len(seconds))},
        "Attention": {"value": rng.integers(1, 101, len(seconds))},
        "Meditation": {"value": rng.integers(1, 101, len(seconds))},
    }
    tables = {}
    for name, values in columns.items():
        times = init + 1000 * seconds + rng.integers(0, 400, len(seconds))
        table = pd.DataFrame({"timestamp": times, **{key: np.rint(value) for key, value in values.items()}}).astype(int)
        chance = rng.random(len(seconds))
        table.loc[chance > 0.975, list(values)] = 0
        second = table[chance < 0.1].assign(timestamp=lambda t: t["timestamp"] + 500)
        second[list(values)] += 1
        table = pd.concat([table[(chance < 0.1) | (chance > 0.15)], second])
        tables[name] = table.sort_values("timestamp", kind="stable", ignore_index=True)
    return tables


def _add_quirks(name: str, table: pd.DataFrame, pid: int, clock: Clock) -> pd.DataFrame:
    """Return a device's table with quirks of the release: rows that are lost, out of order, or duplicate."""
    middle = int(np.searchsorted(table["timestamp"], (clock[1] + clock[2]) // 2))
    lost, count = GAPS.get(pid, ("", 0))
    if lost == name:
        table = table.drop(index=range(middle, middle + count))
    if UNSORTED.get(pid) == name:
        table = pd.concat([table[:20], table[middle:], table[20:middle]])
    if TWICE.get(pid) == name:
        table = pd.concat([table, table[middle : middle + 30]])
    return table


def _write_video(out: Path, rows: np.ndarray, seed: int, clock: Clock) -> None:
    """Write one subject's video of the debate, with its length in its name, and OpenFace's table of it."""
    pid, length_s = int(rows["person"][0]), (clock[2] - clock[1]) / 1000
    seconds, rng = films.list_times(length_s), np.random.default_rng([seed, pid, 4])
    smile, brow = (np.interp(seconds, WINDOW_S * (rows["window"] + 0.5), rows[name]) for name in ("smile", "brow"))
    face, performance = Face.draw(rng), Performance.draw(smile, brow, float(films.FPS), rng)
    name = f"p{pid}_{length_s:.0f}"
    films.write_film(out / "debate_recordings" / f"{name}.mp4", face, performance)
    films.write_table(out / "openface" / f"{name}.csv", performance, rng, spaced=pid in BY_OLD_OPENFACE)


def _write_annotations(folder: Path, rows: np.ndarray, rng: np.random.Generator) -> None:
    """Write all annotations of one subject. Some begin a window late, end early, or continue after the debate."""
    pid, windows = int(rows["person"][0]), len(rows)
    ratings: dict[str, dict[str, np.ndarray]] = {name: {} for name in ("self", "partner", *RATERS)}

    def noise() -> np.ndarray:
        return draw_smooth_noise(rng, windows, 1 / WINDOW_S, TAU_S)

    for name in DIMENSIONS:
        latent = rows[f"{name}_latent"]
        ratings["self"][name] = rows[f"{name}_rating"]
        ratings["partner"][name] = _draw_ratings(plant_response(latent, noise(), 0.5), rng)
        observed = plant_response(latent, noise(), 0.5)
        for rater in RATERS:
            ratings[rater][name] = _draw_ratings(plant_response(observed, noise(), 0.8), rng)
    for order, (annotator, rated) in enumerate(ratings.items()):
        kind = "external" if annotator in RATERS else annotator
        first, after = (pid + order) % 4 == 3, (pid + order) % 6 - 1
        table = _make_annotation(rated, int(first), windows + after, rng)
        if pid in UNRATED and annotator in ("self", "R1"):
            table.loc[table["seconds"] == 2 * WINDOW_S, "arousal"] = np.nan
        if pid in FLOAT_RATINGS:
            table = table.astype(dict.fromkeys(SCALE, float))
        _write_table(table, folder / f"{kind}_annotations" / f"P{pid}.{annotator}.csv")
    votes = {name: np.median([ratings[rater][name] for rater in RATERS], axis=0) for name in DIMENSIONS}
    _write_table(
        _make_annotation(votes, 0, windows, rng), folder / "aggregated_external_annotations" / f"P{pid}.external.csv"
    )


def _make_annotation(rated: dict[str, np.ndarray], first: int, stop: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return the windows `first` to `stop` of an annotation, with random ratings after the debate's end. Column
    `seconds` is a window's end."""
    table = pd.DataFrame({"seconds": (WINDOW_S * np.arange(1, stop + 1)).astype(int)})
    for name, (low, high) in SCALE.items():
        table[name] = rng.integers(low, high + 1, stop)
    for name, values in rated.items():
        table.loc[: len(values) - 1, name] = values[:stop].astype(int)
    for name in MARKS:
        table[name] = np.where(rng.random(stop) < 0.1, "x", "")
    return table[first:].astype(dict.fromkeys(SCALE, "Int64"))


def _write_metadata(folder: Path, clocks: dict[int, Clock], written: dict[int, dict[str, pd.DataFrame]]) -> None:
    debates = pd.DataFrame([(pid, *clock) for pid, clock in clocks.items()])
    debates.columns = pd.Index(["pid", "initTime", "startTime", "endTime"])
    _write_table(debates, folder / "subjects.csv", "utf-8-sig")
    streams = [*E4_STREAMS, "Attention", "BrainWave", "Meditation", "Polar_HR"]
    available = pd.DataFrame([{"pid": pid, **{s: s in tables for s in streams}} for pid, tables in written.items()])
    for name in ("self_annotations", "partner_annotations", *(f"external_annotations_{rater}" for rater in RATERS)):
        available[name] = True
    _write_table(available, folder / "data_availability.csv")


def _write_quality(folder: Path, written: dict[int, dict[str, pd.DataFrame]]) -> None:
    """Write the quality tables, whose row k is subject k. Cells are a number, a count with a proportion, or n/a."""
    rows = {
        "durations": lambda table: f"{(table['timestamp'].max() - table['timestamp'].min()) / 1000:.1f}",
        "completeness": lambda table: f"{len(table)} (1.0)",
        "outliers": lambda table: f"{len(table) // 50} (0.02)",
        "zeros": lambda table: f"{len(table) // 100} (0.01)",
    }
    for name, cell in rows.items():
        cells = [[cell(tables[s]) if s in tables else "n/a" for s in E4_STREAMS] for tables in written.values()]
        _write_table(pd.DataFrame(cells, columns=pd.Index(E4_STREAMS)), folder / f"e4_{name}.csv")


def _write_table(table: pd.DataFrame, path: Path, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, encoding=encoding, lineterminator="\n")


GENERATOR = Generator(
    __name__, "k_emocon", range(1, reader.PEOPLE + 1), LENGTH_S, (SHORTEST_S, reader.LONGEST_S), "debates of {} s",
    _draw_truth, _write,
)  # fmt: skip
synthesize, draw = GENERATOR.synthesize_with_videos, GENERATOR.draw
