"""How often the score that holds the moment of a film constant finds an own part, and what a curve of other people
would win if units of one moment began up to a unit apart: `python -m tests.truth.moments 100`."""

from __future__ import annotations

import sys

import numpy as np
from scipy.ndimage import gaussian_filter1d
from tabulate import tabulate

from embench.interfaces.units import LabelRule, Target, Units
from embench.statistics import conditioned
from embench.statistics.estimates import estimate
from embench.statistics.intervals import Estimate, leave_one_out, with_add_one_interval
from embench.statistics.joined import Joined

PEOPLE, FILMS, UNITS, UNIT_S, FOLDS, SEEDS = 30, 8, 15, 10, 5, 3
FELT = Target("felt", "value", LabelRule("mean"), "felt", step=0.3)
SCORE = "concordance_crossed_moment"


def curves(rng: np.random.Generator, width_s: float, *people: int) -> np.ndarray:
    """(*people, FILMS, seconds) curves of SD 1, smooth over `width_s` (SD of a Gaussian)."""
    made = gaussian_filter1d(rng.normal(size=(*people, FILMS, (UNITS + 1) * UNIT_S)), width_s, axis=-1)
    return np.asarray(made / made.std())


def in_units(curve: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """(PEOPLE, FILMS, UNITS) means of a curve in units that begin `offset` (PEOPLE, FILMS) seconds into the film."""
    at = offset[:, :, None] + np.arange(UNITS * UNIT_S)
    values = np.take_along_axis(np.broadcast_to(curve, (PEOPLE, FILMS, curve.shape[-1])), at, axis=2)
    return np.asarray(values.reshape(PEOPLE, FILMS, UNITS, UNIT_S).mean(-1))


def scored(y: np.ndarray, score: np.ndarray, rng: np.random.Generator) -> Estimate:
    """The score, with its interval."""
    person, film, moment = (part.ravel() for part in np.indices(y.shape))
    name, none, start = np.char.mod("p%02d", person), np.zeros(y.size), moment * float(UNIT_S)
    seeds = {}
    for seed in range(SEEDS):
        of = (rng.permutation(PEOPLE) % FOLDS)[person]
        units = Units("value", y.ravel(), score.ravel(), none, name, film.astype(str), start, of, name, float(UNIT_S),
                      moment_s=start, step=0.3)  # fmt: skip
        seeds[seed] = {fold: units.take(of == fold) for fold in range(FOLDS)}
    joined = Joined(seeds)
    found, _ = estimate(SCORE, joined, FELT, leave_one_out(joined.tested_subjects(), {}))
    assert isinstance(found, Estimate)
    return with_add_one_interval(found)


def trial(rng: np.random.Generator, width_s: float, shared: float, own: float, spread_s: int) -> Estimate:
    """Labels have the share `shared` of their variance from a curve of all people, predictions all but the share `own`;
    the rest of both is the person's own. Units begin up to `spread_s` apart."""
    offset = rng.integers(0, spread_s + 1, (PEOPLE, FILMS))
    common, private = curves(rng, width_s), curves(rng, width_s, PEOPLE)
    y = in_units(np.sqrt(shared) * common + np.sqrt(1 - shared) * private, offset)
    return scored(y, in_units(np.sqrt(1 - own) * common + np.sqrt(own) * private, offset), rng)


def main(draws: int) -> None:
    """Prints the table."""
    conditioned.MAX_MOMENT_SPREAD = (
        1.0  # or the score is undefined where units begin at different times, for what is seen here
    )
    rows = []
    for spread_s in (0, UNIT_S - 1):
        for width_s in (10, 20, 40):
            for shared, own in ((0.3, 0.0), (0.6, 0.0), (0.3, 0.1), (0.6, 0.1)):
                rng = np.random.default_rng([spread_s, width_s, int(10 * shared), int(10 * own)])
                found = [trial(rng, width_s, shared, own, spread_s) for _ in range(draws)]
                mean, above = np.mean([f.mean for f in found]), np.mean([(f.low or 0) > 0.5 for f in found])
                rows.append([spread_s, width_s, shared, own, mean, 100 * above])
    head = ["begin apart by up to (s)", "smooth over (s)", "shared", "own part of the score", SCORE, "above .5 (%)"]
    print(tabulate(rows, head, "github", floatfmt=["", "", ".1f", ".1f", ".3f", ".0f"]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
