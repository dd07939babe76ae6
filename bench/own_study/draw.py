"""Write one draw of the study: 24 subjects who rated their arousal after each of 12 films, with Empatica E4 signals."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

Kind = Literal["effect", "none", "film", "habituation"]
KINDS: tuple[Kind, ...] = ("effect", "none", "film", "habituation")
N_SUBJECTS = 24
FILMS = (
    *("Meer", "Wald", "Clown", "Achterbahn", "Unfall", "Spinne"),
    *("Hochzeit", "Streit", "Fußball", "Zahnarzt", "Kätzchen", "Absturz"),
)
FILM_AROUSAL = np.array([-1.2, -1.3, -0.2, 1.1, 1.0, 0.9, 0.1, 0.4, 0.3, 0.2, -0.6, 1.2])
"""What all subjects share of the arousal by each film, in SDs of what is their own."""
EFFECT = 0.45
"""Change of the log rate of skin conductance responses with one SD of arousal, or of a film's arousal."""
PER_FILM = 4.0
FILM_S, GAP_S, BEFORE_S, AFTER_S = 75, 10, 30, 20
RATES = {"EDA": 4, "TEMP": 4, "ACC": 32}
MISSING = (17, 200)
"""Rows of the table of ratings without a rating."""
_ZONE = ZoneInfo("Europe/Berlin")
_DESCRIPTION = """\
name: {name}
title: Films
citation: unpublished
licence: not shared
mains_hz: 50
longest_s: {longest}
timezone: Europe/Berlin
fixed_order: false
labels_public: no
participants: {{table: Fragebogen.csv, id: Code, info: {{sex: Geschlecht, age: Alter}}}}
recordings:
  - e4: "{{participant}}"
    trials: {{table: Reihenfolge.csv, keys: {{participant: VP}}, start: Beginn, duration: Dauer_s, stimulus: Film}}
    signals: [eda, temp, acc]
labels:
  Erregung:
    table: Ratings.csv
    keys: {{participant: VP, stimulus: Film}}
    column: Erregung
    scale: [1, 9]
targets:
  Erregung: {{label: Erregung, kind: value}}
"""


def write_draw(folder: Path, kind: Kind, number: int) -> float:
    """Write the files of one draw, and return how the true number of responses is correlated with arousal within
    subjects and films: both minus the mean of the subject and then of the film."""
    rng = np.random.default_rng([74, KINDS.index(kind), number])
    folder.mkdir(parents=True)
    orders = np.array([rng.permutation(len(FILMS)) for _ in range(N_SUBJECTS)])
    position = np.argsort(orders, axis=1) / (len(FILMS) - 1)
    felt = FILM_AROUSAL + rng.standard_normal(position.shape)
    if kind == "habituation":
        felt = felt + rng.normal(-1.0, 1.0, (N_SUBJECTS, 1)) * position
    arousal = np.clip(np.round((5 + 1.5 * felt) * 2) / 2, 1, 9)
    counts = rng.poisson(PER_FILM * np.exp(_log_rate(kind, arousal, position, rng)))
    rows = []
    for i in range(N_SUBJECTS):
        rows += _write_subject(folder / _code(i), i, orders[i], counts[i], rng)
    _write_tables(folder, arousal, rows, rng)
    (folder / "dataset.yaml").write_text(_DESCRIPTION.format(name=folder.name, longest=FILM_S), encoding="utf-8")
    left = [values - values.mean(1, keepdims=True) for values in (arousal, counts.astype(float))]
    return float(np.corrcoef(*[(values - values.mean(0)).ravel() for values in left])[0, 1])


def _log_rate(kind: Kind, arousal: np.ndarray, position: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The log of the expected number of responses, relative to `PER_FILM`, of each subject in each film."""
    if kind == "effect":
        own = (arousal - arousal.mean(1, keepdims=True)) / arousal.std(1, keepdims=True)
        return EFFECT * own
    if kind == "film":
        film = (FILM_AROUSAL - FILM_AROUSAL.mean()) / FILM_AROUSAL.std()
        return np.tile(EFFECT * film, (N_SUBJECTS, 1))
    if kind == "habituation":
        return 0.5 + rng.normal(-1.0, 0.7, (N_SUBJECTS, 1)) * position
    return np.zeros(position.shape)


def _write_subject(
    folder: Path, i: int, order: np.ndarray, counts: np.ndarray, rng: np.random.Generator
) -> list[tuple[str, int, str, str, int]]:
    """Write the signals of a subject, and return the rows of the table of films."""
    folder.mkdir()
    total = BEFORE_S + len(FILMS) * (FILM_S + GAP_S) + AFTER_S
    day = dt.datetime(2024, 3, 4 + i % 20, 9 + (i % 3) * 3, rng.integers(59), rng.integers(59), tzinfo=_ZONE)
    began = int(day.timestamp())
    n = total * RATES["EDA"]
    drift = np.linspace(0, rng.normal(0, 0.6), n) + np.cumsum(rng.standard_normal(n)) * 0.004
    eda = rng.uniform(1, 6) + drift
    seconds = np.arange(0, 20, 1 / RATES["EDA"])
    response = np.exp(-seconds / 4) - np.exp(-seconds / 0.8)
    response /= response.max()
    size, rows = rng.uniform(0.1, 0.4), []
    times = [rng.uniform(0, total, rng.poisson(total / 30))]
    for k, film in enumerate(order):
        start = BEFORE_S + k * (FILM_S + GAP_S) + rng.uniform(-3, 3)
        times.append(rng.uniform(start + 1, start + FILM_S - 2, counts[film]))
        shown = dt.datetime.fromtimestamp(began + start, _ZONE).strftime("%d.%m.%Y %H:%M:%S")
        rows.append((_code(i), k + 1, FILMS[film], shown, FILM_S))
    for time in np.concatenate(times):
        at = int(time * RATES["EDA"])
        part = eda[at : at + len(response)]
        part += size * rng.lognormal(0, 0.5) * response[: len(part)]
    temperature = rng.uniform(30, 34) + np.linspace(0, rng.normal(0.8, 0.5), n)
    temperature += np.cumsum(rng.standard_normal(n)) * 0.002
    moves = rng.standard_normal((total, 3)) * (rng.random((total, 1)) < 0.06) * 25
    rest = rng.normal(0, 30, 3) + rng.normal(0, 1.5, (total * RATES["ACC"], 3))
    _write_e4(folder, "EDA", began, np.maximum(eda + rng.normal(0, 0.01, n), 0.05)[:, None], "%.6f")
    _write_e4(folder, "TEMP", began, temperature[:, None], "%.2f")
    _write_e4(folder, "ACC", began, rest + np.repeat(moves, RATES["ACC"], 0), "%d")
    return rows


def _write_e4(folder: Path, name: str, began: int, samples: np.ndarray, form: str) -> None:
    heads = [", ".join([f"{value:.6f}"] * samples.shape[1]) for value in (began, RATES[name])]
    np.savetxt(folder / f"{name}.csv", samples, form, ",", header="\n".join(heads), comments="")


def _write_tables(
    folder: Path, arousal: np.ndarray, rows: list[tuple[str, int, str, str, int]], rng: np.random.Generator
) -> None:
    """Write the tables as a German Excel saves them: semicolons, decimal commas, cp1252."""
    ratings = ["VP;Film;Erregung"]
    for i in range(N_SUBJECTS):
        for k, film in enumerate(FILMS):
            value = "" if i * len(FILMS) + k in MISSING else f"{arousal[i, k]:g}".replace(".", ",")
            ratings.append(f"{_code(i)};{film};{value}")
    people = ["Code;Geschlecht;Alter"]
    people += [
        f"{_code(i)};{rng.choice(['w', 'm', 'd'], p=[0.55, 0.41, 0.04])};{rng.integers(19, 41)}"
        for i in range(N_SUBJECTS)
    ]
    films = ["VP;Position;Film;Beginn;Dauer_s", *(";".join(map(str, row)) for row in rows)]
    for name, lines in (("Ratings", ratings), ("Fragebogen", people), ("Reihenfolge", films)):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="cp1252")


def _code(i: int) -> str:
    return f"VP{i + 1:02d}"
