"""Synthetic CASE files in the text formats of all three trees, with an effect in the physiology.

Planted. Arousal and valence are two slow latent values of every moment, from which the joystick's positions are made. A
physiological response to each has a correlation of `RHO * effect` with it, and the same autocorrelation:
- arousal -> heart rate (ECG, BVP) and skin conductance responses per minute (GSR), both rising with one response;
- valence -> breathing rate (RSP).
`RHO` is chosen so that the mean of each true rate over a 10 s unit ranks one subject's units by their label with an
AUROC of .90 at effect 1, and .50 at effect 0. Subjects differ more than the effect. The videos play no part.

Not planted. Mean and variance of the signals, skin temperature, EMG and the type of video carry no information.

Unlike real files: a session lasts `SESSION_S` by default (`REAL_S` gives the real one, with clips of real length), and
metadata are only the two text files that readers need.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from embench_plugins.datasets.case.tables import AXES, OFFSET, OTHER_VIDEOS, PEOPLE, REST, SCALE, SENSORS, STICK, VIDEOS
from embench_plugins.datasets.synthetic.body import Body, draw_smooth_noise, plant_response
from embench_plugins.datasets.synthetic.generator import Generator
from embench_plugins.datasets.synthetic.writers import write_rows

RHO = 0.845
TAU_S = 15.0
UNIT_MS = 10_000
TRACK_HZ = 20
RATE = 1000
SESSION_S = 720.0  # long enough for windows of a minute in most clips
REAL_S = 2451.584
SHORTEST_S = 40.0
TREES = ("interpolated", "non-interpolated", "raw")

DURATION_MS = {1: 185_000, 2: 173_000, 3: 119_000, 4: 160_000, 5: 145_000, 6: 147_000, 7: 197_000, 8: 144_000,
               10: 101_500, 11: 120_000, 12: 120_083.333}  # fmt: skip
"""Duration of each video. The release states the sum, the start video and the blue screen; the others are estimates."""
CLIPS_SHARE = 0.75  # proportion of a shortened session that clips take, so that units are not rare

# Quirks of the release; the subjects are ours, early enough for small sets to have them.
CODES_WITH_POINT = (2,)  # subjects whose video codes are written 10.0
LOGGER_GAP = {2: (0.4, 300), 4: (0.7, 800)}  # subject -> position in the session (0 to 1), and rows lost by the logger
LOGGED_LONGER = 700  # rows after the end of the last video, in raw files only

UNITS = np.dtype(
    [(name, "i8") for name in ("person", "video", "order", "start_ms")]
    + [(name, "f8") for name in ("arousal", "valence", "heart_rate", "scr_per_min", "breath_hz")]
)
"""A row of `draw`, for a unit of 10 s inside a clip: its start in the session, and means over the unit. They are of the
joystick (0.5 to 9.5), heart rate and skin conductance responses per minute, and breaths per second."""
PLANTED = {"heart_rate": "arousal", "scr_per_min": "arousal", "breath_hz": "valence"}


class Truth(NamedTuple):
    """One subject's session at `TRACK_HZ`: the schedule as (video, duration in ms), the raw joystick (2, T) (valence,
    arousal), and the true rates (T,)."""

    schedule: tuple[tuple[int, float], ...]
    stick: np.ndarray
    heart_rate: np.ndarray
    scr_per_min: np.ndarray
    breath_hz: np.ndarray


def synthesize(
    out: Path,
    subjects: int,
    seed: int,
    effect: float,
    *,
    length_s: float | None = None,
    trees: tuple[str, ...] = ("interpolated",),
) -> None:
    """Write synthetic files as `Generator.synthesize` does: the same sessions in the form of each of `trees`."""
    GENERATOR.make(out, subjects, seed, effect, length_s, trees=list(trees))


def _write(out: Path, people: list[Truth], seed: int, length_s: float, *, trees: Sequence[str]) -> None:
    """Write `CASE_full/data/interpolated/physiological/sub_1.csv` and so on, and `CASE_full/metadata`."""
    folder = out / "CASE_full"
    for name in [f"data/{tree}/{part}" for tree in trees for part in ("physiological", "annotations")] + ["metadata"]:
        (folder / name).mkdir(parents=True)
        (folder / name / "README.txt").write_text(f"README -- generated {name}\n", "utf-8")
    _write_metadata(folder / "metadata", seed, length_s)
    for person, truth in enumerate(people, 1):
        _write_signals(folder / "data", person, truth, np.random.default_rng([seed, person, 1]), trees)
        _write_stick(folder / "data", person, truth, np.random.default_rng([seed, person, 2]), trees)


def draw(subjects: int, seed: int, effect: float, length_s: float | None = None) -> np.ndarray:
    """Return the planted values as `Generator.draw` does: `UNITS` (n,), a row for each unit of a subject's clips."""
    rows = []
    for person, truth in enumerate(GENERATOR.truths(subjects, seed, effect, length_s), 1):
        stick = _scale_stick(truth.stick)
        for order, (video, first, last) in enumerate(_find_clips(truth.schedule)):
            for start in range(-(-first // UNIT_MS) * UNIT_MS, last - UNIT_MS + 1, UNIT_MS):
                inside = slice(start * TRACK_HZ // 1000, (start + UNIT_MS) * TRACK_HZ // 1000)
                means = [stick[AXES.index(name), inside].mean() for name in ("arousal", "valence")]
                means += [rate[inside].mean() for rate in (truth.heart_rate, truth.scr_per_min, truth.breath_hz)]
                rows.append((person, video, order, start, *means))
    return np.array(rows, UNITS)


def _choose_durations(length_s: float) -> dict[int, float]:
    """Return video -> duration in ms for a session of `length_s`: the real durations, or shortened ones."""
    length = 1000 * length_s
    if length >= 1000 * REAL_S - 1:
        return dict(DURATION_MS)
    clips = sum(DURATION_MS[code] for code in VIDEOS)
    other = DURATION_MS[10] + len(VIDEOS) * DURATION_MS[11] + DURATION_MS[12]
    scale = {code: (CLIPS_SHARE / clips if code in VIDEOS else (1 - CLIPS_SHARE) / other) for code in DURATION_MS}
    return {code: round(ms * scale[code] * length, 3) for code, ms in DURATION_MS.items()}


@cache
def _list_orders() -> tuple[tuple[int, ...], ...]:
    """Return all orders of the eight clips in which no two successive clips have the same type."""
    types = [VIDEOS[code] for code in VIDEOS]
    orders = itertools.permutations(VIDEOS)
    return tuple(clips for clips in orders if all(types[a - 1] != types[b - 1] for a, b in itertools.pairwise(clips)))


def _draw_schedule(person: int, seed: int, length_s: float) -> tuple[tuple[int, float], ...]:
    """Return the videos of a subject's session with their durations in ms; each subject has another order of clips."""
    order = _list_orders()[np.random.default_rng([seed, 0]).permutation(len(_list_orders()))[person]]
    durations = _choose_durations(length_s)
    between = [code for clip in order for code in (11, clip)]  # a blue screen before each clip
    return tuple((code, durations[code]) for code in (10, *between, 12))


def _make_codes(schedule: tuple[tuple[int, float], ...], times_ms: np.ndarray) -> np.ndarray:
    """Return the video code at each of `times_ms` (n,), 0 after the end. A video ends at the row closest to its
    duration after the end of the one before."""
    codes, first, end = np.zeros(len(times_ms), np.int64), 0, 0.0
    for video, duration in schedule:
        after = min(int(np.searchsorted(times_ms, end + duration)), len(times_ms) - 1)
        last = after - int(after > 0 and end + duration - times_ms[after - 1] <= times_ms[after] - end - duration)
        codes[first : last + 1] = video
        first, end = last + 1, times_ms[last]
    return codes


def _find_clips(schedule: tuple[tuple[int, float], ...]) -> list[tuple[int, int, int]]:
    """Return (code, first ms, ms after the last) of each clip on the regular grid, as in `_make_codes`."""
    clips, end = [], -1
    for video, duration in schedule:
        first, end = end + 1, math.ceil(max(end, 0) + duration - 0.5)
        if video in VIDEOS:
            clips.append((video, first, end + 1))
    return clips


def _draw_truth(person: int, seed: int, effect: float, length_s: float) -> Truth:
    """Return one subject's session with its planted values."""
    schedule = _draw_schedule(person, seed, length_s)
    rng = np.random.default_rng([seed, person, 0])
    samples = int(sum(ms for _, ms in schedule) / 1000 * TRACK_HZ) + TRACK_HZ
    clips = [(first * TRACK_HZ // 1000, last * TRACK_HZ // 1000) for _, first, last in _find_clips(schedule)]
    watched = np.concatenate([np.arange(*clip) for clip in clips])
    response, stick = {}, np.zeros((len(AXES), samples))
    for axis in ("arousal", "valence"):
        # Standardised over the clips, so that both classes occur in every subject.
        latent, other = (_standardise(draw_smooth_noise(rng, samples, TRACK_HZ, TAU_S), watched) for _ in range(2))
        response[axis] = plant_response(latent, other, RHO * effect)
        felt = rng.uniform(1.4, 2.2) * (latent + rng.uniform(-0.3, 0.3))
        for first, last in clips:
            rest_s = min(20.0, rng.uniform(0.1, 0.4) * (last - first) / TRACK_HZ)
            since = np.arange(last - first) / TRACK_HZ - rest_s
            stick[AXES.index(axis), first:last] = felt[first:last] * np.clip(since / 1.5, 0, 1)
    return Truth(
        schedule,
        np.clip(np.round(stick / 9 * 2 * STICK), -STICK, STICK),
        # Standard deviations: heart rate 10 between subjects, 5 within; log SCR rate .38, .35; log breathing .14, .12.
        rng.uniform(58, 92) + 5 * response["arousal"],
        np.exp(rng.uniform(np.log(3), np.log(11)) + 0.35 * response["arousal"]),
        rng.uniform(0.2, 0.32) * np.exp(0.12 * response["valence"]),
    )


def _standardise(track: np.ndarray, watched: np.ndarray) -> np.ndarray:
    """Return a track with mean 0 and standard deviation 1 over the samples `watched`."""
    return (track - track[watched].mean()) / track[watched].std()


def _scale_stick(stick: np.ndarray) -> np.ndarray:
    """Return values of the raw files (-STICK to STICK) as in the other files: 0.5 to 9.5, with three decimals."""
    return np.round(REST + 9 * stick / (2 * STICK), 3)


def _make_volts(truth: Truth, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return (8, samples) at `RATE` in microvolts, rounded: what the logger recorded."""
    body, slow = Body.draw(rng), len(truth.heart_rate)
    fast = np.arange(samples) * (TRACK_HZ / RATE)

    def at_rate(track: np.ndarray) -> np.ndarray:
        return np.interp(fast, np.arange(slow), track)

    breath = body.draw_breath_phase(slow, TRACK_HZ, rng, truth.breath_hz)
    heart = body.draw_heart_phase(at_rate(truth.heart_rate), at_rate(breath), RATE, rng)
    units = {
        "ecg": lambda: body.draw_ecg(heart, RATE, rng),
        "bvp": lambda: 36 + 5 * body.draw_ppg(heart, RATE, rng),
        "gsr": lambda: at_rate(body.draw_eda(truth.scr_per_min, TRACK_HZ, rng)),
        "rsp": lambda: at_rate(34 + 2 * body.draw_respiration(breath, TRACK_HZ, rng)),
        "skt": lambda: at_rate(body.draw_temperature(slow, TRACK_HZ, rng)),
    } | dict.fromkeys(SENSORS[5:], lambda: 8 + body.draw_emg(samples, RATE, rng))
    volts = np.empty((len(SENSORS), samples), np.int32)
    for row, name in enumerate(SENSORS):
        volts[row] = np.round(1e6 * (units[name]() - OFFSET[row]) / SCALE[row])
    return volts


def _write_signals(data: Path, person: int, truth: Truth, rng: np.random.Generator, trees: Sequence[str]) -> None:
    """Write one subject's signals: the logger's rows, and regular ones that are interpolated from them."""
    session_ms = sum(ms for _, ms in truth.schedule)
    samples = int(session_ms) + LOGGED_LONGER
    volts = _make_volts(truth, samples, rng)
    logged = 1000 * np.arange(samples) + rng.integers(-200, 201, samples)  # microseconds
    logged[0] = 0
    if person in LOGGER_GAP:
        position, rows = LOGGER_GAP[person]
        middle = _find_clips(truth.schedule)[int(position * len(VIDEOS))]
        first = (middle[1] + middle[2]) // 2  # inside a clip
        remaining = np.r_[:first, first + rows : samples]
        logged, volts = logged[remaining], volts[:, remaining]
    times = {"interpolated": np.arange(int(session_ms) + 1), "non-interpolated": logged / 1000}
    for tree in ("interpolated", "non-interpolated"):
        if tree in trees:
            codes = _make_codes(truth.schedule, times[tree])
            inside = codes > 0
            columns = [_convert_units(row, volts[row], logged, times[tree])[inside] for row in range(len(SENSORS))]
            whole = tree == "interpolated"
            time = times[tree][inside] if whole else logged[inside]
            path = data / tree / "physiological" / f"sub_{person}.csv"
            _write_csv(path, ("daqtime", *SENSORS, "video"), person, [time, *columns, codes[inside]], 0 if whole else 3)
    if "raw" in trees:
        with (data / "raw" / "physiological" / f"sub{person}_DAQ.txt").open("wb") as file:
            write_rows(file, [logged, *volts], [6] * 9, separator="\t", short=False)


def _convert_units(row: int, volts: np.ndarray, logged: np.ndarray, times_ms: np.ndarray) -> np.ndarray:
    """Return one sensor's values at `times_ms`, in thousandths of its unit, rounded. `logged`: times in µs."""
    interpolated = np.interp(1000.0 * times_ms, logged, volts)
    return np.round(1000 * (interpolated * 1e-6 * SCALE[row] + OFFSET[row])).astype(np.int64)


def _write_stick(data: Path, person: int, truth: Truth, rng: np.random.Generator, trees: Sequence[str]) -> None:
    """Write one subject's joystick, in the same way as `_write_signals`."""
    session_ms = sum(ms for _, ms in truth.schedule)
    logged = 50_000 * np.arange(truth.stick.shape[1]) + rng.integers(-3000, 3001, truth.stick.shape[1])
    logged[0] = 0
    times = {"interpolated": np.arange(0.0, session_ms, 50), "non-interpolated": logged / 1000}
    for tree in ("interpolated", "non-interpolated"):
        if tree in trees:
            codes = _make_codes(truth.schedule, times[tree])
            inside = codes > 0
            shown = [_scale_stick(np.interp(1000 * times[tree], logged, axis))[inside] for axis in truth.stick]
            values = [np.round(1000 * axis).astype(np.int64) for axis in shown]
            whole = tree == "interpolated"
            time = times[tree][inside].astype(np.int64) if whole else logged[inside]
            path = data / tree / "annotations" / f"sub_{person}.csv"
            _write_csv(path, ("jstime", *AXES, "video"), person, [time, *values, codes[inside]], 0 if whole else 3)
    if "raw" in trees:
        with (data / "raw" / "annotations" / f"sub{person}_joystick.txt").open("wb") as file:
            write_rows(file, [logged, *truth.stick.astype(np.int64)], [6, 0, 0], separator="\t", short=False)


def _write_csv(path: Path, names: tuple[str, ...], person: int, columns: list[np.ndarray], time_decimals: int) -> None:
    """Write a table as MATLAB does: numbers without trailing zeros, but video codes as `10.0` for some subjects."""
    point = int(person in CODES_WITH_POINT)
    decimals = [time_decimals] + [3] * (len(columns) - 2)
    with path.open("wb") as file:
        file.write((",".join(names) + "\n").encode())
        short = [True] * len(decimals) + [False]
        write_rows(file, [*columns[:-1], 10**point * columns[-1]], [*decimals, point], short=short)


def _write_metadata(folder: Path, seed: int, length_s: float) -> None:
    """Write the order of videos of all 30 subjects, and the videos' durations, as tables with tabs and quotes."""
    names = {code: f"{kind}-{2 - code % 2}" for code, kind in VIDEOS.items()} | OTHER_VIDEOS
    orders = [[names[code] for code, _ in _draw_schedule(person, seed, length_s)] for person in range(1, PEOPLE + 1)]
    header = "\t".join(f'"seq_sub{person}"' for person in range(1, PEOPLE + 1))
    lines = ["\t".join(f'"{name}"' for name in row) for row in zip(*orders, strict=True)]
    (folder / "seqs_order.txt").write_text("\n".join([header, *lines]) + "\n", "utf-8")
    lengths = [f'"{names[code]}"\t{ms:.10g}' for code, ms in _choose_durations(length_s).items()]
    lengths[3] += "\t"  # a stray tab, as in the release
    (folder / "videos_duration.txt").write_text("\n".join(['"video_name"\t"video_duration"', *lengths]) + "\n", "utf-8")


GENERATOR = Generator(
    __name__, "case", range(1, PEOPLE + 1), SESSION_S, (SHORTEST_S, REAL_S), "sessions of {} s", _draw_truth, _write
)
