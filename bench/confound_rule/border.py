"""From which size on the chosen rule and the published one agree: D3 with longer blocks."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from math import ceil
from pathlib import Path

import numpy as np

from bench.confound_rule.cells import Asked, raw_scores
from bench.confound_rule.decision import CHOSEN
from bench.confound_rule.designs import blocks
from bench.confound_rule.scores import balanced, random_partition
from bench.confound_rule.worlds import draw_world, kind_of, worlds_of
from bench.markdown import table

SEED, DESIGN_NUMBER, SUBJECTS, TRAINING = 1, 6, 24, 0.8
"""Seed, the design in the key of random numbers, subjects, and the proportion of units that train a model."""
PUBLISHED = "v3/balanced"
BORDER_HEADER = ("units", "world", "draws", "both", "published only", "chosen only", "neither")
AGREED = 0.95
EFFECTS = ("effect_62", "effect_72")


def border_draws(units: int, draws: int) -> Iterator[list[object]]:
    """Rows of counts by world, of studies with at least so many training units."""
    minutes = ceil(units / (4 * SUBJECTS * TRAINING))
    worlds = {name: of for name, of in worlds_of("D3").items() if of.kind == "null" or name in EFFECTS}
    counts = {name: np.zeros(4, int) for name in worlds}
    for draw in range(draws):
        key = [SEED, DESIGN_NUMBER, units, draw]
        rng = np.random.default_rng([*key, 0])
        study = blocks(SUBJECTS, rng, minutes)
        partitions = (random_partition(SUBJECTS, rng), balanced(SUBJECTS, rng))
        asked = Asked(study, partitions, rng, (CHOSEN.split("/")[0], "v3"), most_units=np.inf)
        for k, (name, world) in enumerate(worlds.items()):
            drawn = draw_world(world, study, np.random.default_rng([*key, 1 + k]))
            labels = drawn.labels["binary"][None]
            answered = asked(labels, raw_scores([drawn], labels, partitions))
            published, chosen = bool(answered.yes[PUBLISHED][0]), bool(answered.yes[CHOSEN][0])
            counts[name][(0 if chosen else 1) if published else (2 if chosen else 3)] += 1
        print(f"{units} training units", draw + 1, flush=True)
    for name, of in counts.items():
        yield [units, name, draws, *of.tolist()]


def border_table(path: Path) -> str:
    """Agreement by world and number of training units; bold: below 95 %."""
    found: dict[tuple[int, str], np.ndarray] = defaultdict(lambda: np.zeros(5))
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found[int(row["units"]), row["world"]] += [float(row[name]) for name in BORDER_HEADER[2:]]
    rows = []
    for (units, world), (draws, both, published, chosen, neither) in found.items():
        agreed = (both + neither) / draws
        shown = f"{100 * agreed:.0f}"
        counts = [f"{value:.0f}" for value in (draws, both, published, chosen, neither)]
        rows.append([f"{units}", world, kind_of(world), *counts, shown if agreed >= AGREED else f"**{shown}**"])
    return table(["training units", "world", "kind", *BORDER_HEADER[2:], "agreed, %"], rows)
