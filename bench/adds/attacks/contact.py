"""Contact with the skin: how strong the PPG is, where beats are missing, how warm the wristband is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from bench.adds.attacks import Attack, Sees, bases
from bench.adds.attacks import features as f
from bench.adds.attacks.fitting import boosting, crossfit, extra, logistic
from bench.adds.attacks.wristband import beats_in
from bench.adds.study import Study


@cache
def ppg(study: Study) -> f.Columns:
    """Size, roughness and flatness of the PPG in each unit."""
    x = study.windows("ppg")[:, 0].astype(float)
    sd = x.std(-1)
    c = x - x.mean(-1, keepdims=True)
    return {
        "size": np.log(sd + 1e-3),
        "highest": np.log(np.abs(x).max(-1) + 1),
        "range": np.log(np.ptp(x, axis=-1) + 1),
        "roughness": np.log(np.abs(np.diff(x, n=2, axis=-1)).mean(-1) + 1e-4) - np.log(sd + 1e-3),
        "kurtosis": np.log1p((c**4).mean(-1) / (sd**4 + 1e-6)),
        "flat": (np.abs(np.diff(x, axis=-1)) < 0.01).mean(-1),
        "uneven": np.log(_seconds(c).std(-1) + 1e-3) - np.log(sd + 1e-3),
    }


def _seconds(x: np.ndarray) -> np.ndarray:
    """(n, seconds) the SD in each second."""
    return np.stack([part.std(-1) for part in np.array_split(x, 10, axis=-1)], 1)


@cache
def gaps(study: Study) -> f.Columns:
    """Features of gaps: windows without beats from the wristband, and those with it off the wrist."""
    found = beats_in(study)
    count = found["count"]
    return {
        **found,
        "minute": f.smooth(study, count, 6),
        "five_minutes": f.smooth(study, count, 30),
        "off": (study.windows("eda")[:, 0] < 0.05).mean(-1),
    }


@cache
def temperature(study: Study) -> f.Columns:
    """The skin's temperature, its slope in a unit, and its rise over 1 and 5 min."""
    x = study.windows("temp")[:, 0].astype(float)
    level = x.mean(-1)
    return {
        "level": level,
        "slope": x[:, -x.shape[1] // 4 :].mean(-1) - x[:, : x.shape[1] // 4].mean(-1),
        "rise_1": level - f.smooth(study, level, 6, 0),
        "rise_5": level - f.smooth(study, level, 30, 0),
    }


def attacks(study: Study) -> Iterator[Attack]:
    signal, missing, warm = (f.table(study, columns) for columns in (ppg(study), gaps(study), temperature(study)))
    m, best = bases.smoothed(study), bases.moving(study)
    for name, own in (("PPG size", signal), ("beats missing", missing), ("temperature", warm)):
        for make in (boosting, logistic, extra):
            sees: Sees = "unit" if name == "PPG size" else "session"
            yield Attack(f"contact: {name}, {make.__name__}", crossfit(study, own, make), sees, "contact")
        wide = crossfit(study, f.context(study, own, 3, 6, 12), logistic)
        yield Attack(f"contact: {name} with context, logistic", wide, held="contact")
        yield Attack(f"contact: {name} with context + movement", f.z(study, wide) + best, held="contact")
        joined = np.hstack([own, f.table(study, f.size(study)), f.clock(study)])
        yield Attack(
            f"contact: {name}, movement and clock, boosting", crossfit(study, joined, boosting), held="contact"
        )
    every = np.hstack([signal, missing, warm])
    yield Attack("contact: everything, extra", crossfit(study, every, extra), held="contact")
    yield Attack("contact: everything with context, boosting", crossfit(study, f.context(study, every, 6), boosting),
                 held="contact")  # fmt: skip
    for name, column in {
        "PPG size": ppg(study)["size"],
        "highest PPG": ppg(study)["highest"],
        "beats found": gaps(study)["count"],
        "temperature's rise": temperature(study)["rise_5"],
        "off the wrist": gaps(study)["off"],
    }.items():
        own = f.z(study, np.tile(column, (len(study.seeds), 1)))
        for sign, word in ((1, ""), (-1, "minus ")):
            yield Attack(f"contact: {word}{name}", sign * own, held="contact")
            yield Attack(f"contact: {word}{name}, a minute around", sign * f.smooth(study, own, 6), held="contact")
        yield Attack(f"contact: movement where there is {name}", m * (own > 0), held="contact")
