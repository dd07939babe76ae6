"""Writers of three labs' folders whose trials and ratings are in the log of an experiment."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np

from .folders import CENTRAL_EUROPE, FILM_S, Session, body, sessions

EARLIER_S = 75
"""How long before the recording the experiment was started."""


def _wristband(folder: Path, one: Session) -> None:
    """An Empatica E4 export of skin conductance and pulse."""
    folder.mkdir(parents=True)
    for name, rate, kind in (("BVP", 64, "ppg"), ("EDA", 4, "eda")):
        head = f"{one.start.timestamp():.6f}\n{rate:.6f}\n"
        (folder / f"{name}.csv").write_text(head + "".join(f"{v:.3f}\n" for v in body(one, rate, kind)))


def eprime(root: Path, people: int) -> Path:
    """E-Prime's text logs, in UTF-16, beside exports of a wristband."""
    (root / "eprime").mkdir(parents=True)
    for one in sessions(people):
        _wristband(root / "E4" / str(one.person), one)
        start = one.start - timedelta(seconds=EARLIER_S)
        local, utc = start.astimezone(CENTRAL_EUROPE), f"{start:%m/%d/%Y %I:%M:%S %p}".replace("/0", "/").lstrip("0")
        about = ["Experiment: Films", f"SessionDate: {local:%m-%d-%Y}", f"SessionTime: {local:%H:%M:%S}",
                 f"SessionStartDateTimeUtc: {utc}", f"Subject: {one.person}", "Session: 1"]  # fmt: skip
        lines = ["*** Header Start ***", "VersionPersist: 1", "LevelName: Session", "LevelName: Block",
                 "LevelName: Trial", *about, "RandomSeed: -1532431", "Group: 1", "Display.RefreshRate: 60.005",
                 "*** Header End ***"]  # fmt: skip
        for k, film in enumerate(one.films):
            onset = round(1000 * (one.begins[k] + EARLIER_S)) + k
            rated = onset + 1000 * FILM_S + 30
            felt = [f"Arousal.RESP: {one.arousal[k]}", f"Valence.RESP: {one.valence[k]}"]
            frame = ["Procedure: FilmProc", f"FilmList: {ord(film[-1]) % 7}", f"Film: {film}", "FilmList.Cycle: 1",
                     f"FilmList.Sample: {k + 1}", "Running: FilmList", "Fixation.OnsetTime: " + str(onset - 2000),
                     f"Fixation.OffsetTime: {onset - 12}", "FilmMovie.OnsetDelay: 12", f"FilmMovie.OnsetTime: {onset}",
                     f"FilmMovie.OffsetTime: {onset + 1000 * FILM_S}", "FilmMovie.RTTime: 0",
                     f"Arousal.OnsetTime: {rated}", "Arousal.OffsetTime: 0", f"Arousal.RTTime: {rated + 2033}",
                     "Arousal.RT: 2033", *felt]  # fmt: skip
            lines += ["Level: 2", *(f"\t{line}" for line in ("*** LogFrame Start ***", *frame))]
            lines += ["\t*** LogFrame End ***"]
        lines += ["Level: 1", "*** LogFrame Start ***", *about, "Clock.Information: <?xml version=\"1.0\"?>\\n<Clock/>",
                  "*** LogFrame End ***"]  # fmt: skip
        (root / "eprime" / f"Films-{one.person}-1.txt").write_bytes("\r\n".join([*lines, ""]).encode("utf-16"))
    return root


def psychopy(root: Path, people: int) -> Path:
    """PsychoPy's CSV files, beside exports of a wristband."""
    (root / "data").mkdir(parents=True)
    components = ("instructions", "trial", "fixation", "movie")
    names = ["films.thisRepN", "films.thisTrialN", "films.thisN", "films.thisIndex", "thisRow.t", "notes", "film",
             *(f"{c}.{when}" for c in components for when in ("started", "stopped")), "arousal.response", "arousal.rt",
             "arousal.started", "arousal.stopped", "valence.response", "participant", "session", "date", "expName",
             "psychopyVersion", "frameRate", "expStart", ""]  # fmt: skip
    for one in sessions(people):
        _wristband(root / "E4" / f"{one.person:02d}", one)
        start = (one.start - timedelta(seconds=EARLIER_S, microseconds=-250_000)).astimezone(CENTRAL_EUROPE)
        opened = start - timedelta(seconds=3)
        date = f"{opened:%Y-%m-%d_%Hh%M.%S}.{opened.microsecond // 1000:03d}"
        about = {"participant": f"{one.person:02d}", "session": "001", "date": date, "expName": "films",
                 "psychopyVersion": "2023.2.3", "frameRate": f"{59.9 + one.person / 100:.4f}",
                 "expStart": f"{start:%Y-%m-%d %Hh%M.%S.%f %z}"}  # fmt: skip
        rows = [about | {"instructions.started": "0.0213", "instructions.stopped": "71.8711", "thisRow.t": "0.0101"}]
        for k, film in enumerate(one.films):
            onset = one.begins[k] + EARLIER_S - 0.25
            trial = {"films.thisRepN": 0, "films.thisTrialN": k, "films.thisN": k, "films.thisIndex": ord(film[-1]) % 7,
                     "film": film, "fixation.started": onset - 2, "fixation.stopped": onset - 0.017,
                     "trial.started": onset - 2.01, "trial.stopped": onset + FILM_S + 9,
                     "movie.started": f"{onset:.4f}", "movie.stopped": f"{onset + FILM_S:.4f}",
                     "arousal.started": onset + FILM_S + 0.03, "arousal.stopped": "None",
                     "arousal.response": one.arousal[k], "arousal.rt": 2.033, "valence.response": one.valence[k],
                     "thisRow.t": onset - 2}  # fmt: skip
            rows.append(about | {name: str(value) for name, value in trial.items()})
        lines = [",".join(names), *(",".join(row.get(name, "") for name in names) for row in rows)]
        (root / "data" / f"{one.person:02d}_films_{date}.csv").write_text("\n".join(lines) + "\n", "utf-8-sig")
    return root


def presentation(root: Path, people: int) -> Path:
    """Presentation's logs beside tables of skin conductance, which begin with the scenario and state no date."""
    for name in ("logs", "eda"):
        (root / name).mkdir(parents=True)
    head = ["Subject", "Trial", "Event Type", "Code", "Time", "TTime", "Uncertainty", "Duration", "Uncertainty",
            "ReqTime", "ReqDur", "Stim Type", "Pair Index"]  # fmt: skip
    ratings = ["participant,film,arousal,valence"]
    for one in sessions(people):
        name = f"P{one.person:02d}"
        lines = ["Scenario - films", f"Logfile written - {one.start.astimezone(CENTRAL_EUROPE):%m/%d/%Y %H:%M:%S}", "",
                 "\t".join(head), "", f"{name}\t1\tPulse\t30\t81\t0\t1"]  # fmt: skip
        for k, (film, begin) in enumerate(zip(one.films, one.begins, strict=True), 1):
            for code, second, lasts in (("fixation", begin - 2, 2), (film, begin, FILM_S)):
                kind, tail = ("Picture", "other\t0") if code == "fixation" else ("Video", "")
                at = round(10_000 * second)
                lines.append(f"{name}\t{k}\t{kind}\t{code}\t{at}\t0\t1\t{10_000 * lasts}\t2\t0\tnext\t{tail}")
            lines.append(f"{name}\t{k}\tResponse\t{one.arousal[k - 1]}\t{round(10_000 * (begin + 44))}\t440000\t1")
            ratings.append(f"{name},{film},{one.arousal[k - 1]},{one.valence[k - 1]}")
        lines += ["", "\t".join(head[2:]), "", "Picture\tfixation\t180000\t0\t1", ""]
        (root / "logs" / f"{name}-films.log").write_bytes("\r\n".join(lines).encode())
        values = enumerate(np.round(body(one, 4, "eda"), 4).tolist())
        (root / "eda" / f"{name}.csv").write_text("time,EDA\n" + "".join(f"{k / 4},{v}\n" for k, v in values))
    (root / "ratings.csv").write_text("\n".join(ratings) + "\n")
    return root
