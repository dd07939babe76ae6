"""How time and memory grow: with subjects, with stages, with entries of a leaderboard. (Rows to score: `scoring`.)

`python -m bench.speed.growth SUBJECTS FOLDER` prepares made-up subjects, for its memory to be looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench import ROOT
from bench.site import make_entries
from bench.speed import data
from bench.speed.measure import Row, Setting, command, embench, part, share, turns
from embench.interfaces.dataset import Dataset, ModalityCard
from embench.interfaces.recording import Recording, Signal
from embench.leaderboard.entries import list_entry_folders
from embench.store import prepare

CHANNELS, RATE, SECONDS = 14, 128, 300
METHOD = ("--dataset", "amigos", "--encoder", "handcrafted", "--fusion", "logreg", "--modalities", "ecg,eda")
METHOD += ("--target", "arousal")
SMALLER = "of the smaller"


class Noise(Dataset):
    """`n_subjects` subjects with two recordings of noise each, made when they are read."""

    n_subjects = 0
    card = data.card(
        "noise", "eeg", ModalityCard(tuple(f"c{i}" for i in range(CHANNELS)), float(RATE), "uV"), float(SECONDS)
    )

    def subjects(self) -> list[str]:
        return [f"p{i:02d}" for i in range(self.n_subjects)]

    def files(self, subject: str) -> list[Path]:
        return []

    def recordings(self, subject: str) -> Iterator[Recording]:
        rng = np.random.default_rng(int(subject[1:]))
        for r in range(2):
            array = rng.standard_normal((CHANNELS, RATE * SECONDS), dtype=np.float32)
            signals = {"eeg": Signal(array, float(RATE), self.card.modalities["eeg"].channels, "uV")}
            place = (f"{subject}-{r}", subject, f"v{r}", "s", float(SECONDS), subject, 0.0, r)
            yield Recording(*place, signals=signals, labels=data.RATING)


def rows(setting: Setting) -> list[Row]:
    return [*_prepared(setting), *_runs(setting), *_stages(setting), *_entries(setting)]


def _prepared(setting: Setting) -> list[Row]:
    few, many = setting.size((4, 16), (2, 4))
    ways = {n: command("-m", "bench.speed.growth", str(n), setting.work / f"noise-{n}") for n in (few, many)}
    peak = {n: way().memory for n, way in ways.items()}
    return [part(f"peak memory of preparing {many} subjects", peak[many], peak[few], "MB", f"{few} subjects", SMALLER)]


def _runs(setting: Setting) -> list[Row]:
    """Rows of single runs, without caches: `handcrafted` and logistic regression on synthetic AMIGOS."""
    found = {}
    counts = setting.size((10, 40), (6, 8))
    for n in counts:
        root = data.amigos(setting, n, setting.size(40.0, 20.0)).parent
        found[n] = embench("run", *METHOD, "--seeds", "0", "--data-root", root, "--runs", setting.new("runs"))()
    few, many = (found[n] for n in counts)
    return [
        share(f"run of {counts[1]} subjects, nothing kept", [many], [few], f"{counts[0]} subjects"),
        part("the same, peak memory", many.memory, few.memory, "MB", f"{counts[0]} subjects", SMALLER),
    ]


def _stages(setting: Setting) -> list[Row]:
    """Planning alone: every seed has its folds, and every fold its stages."""
    root = data.amigos(setting, *setting.size((10, 40.0), (6, 20.0))).parent
    seeds = {1: "0", setting.size(24, 3): ",".join(map(str, range(setting.size(24, 3))))}
    place = ("--data-root", root, "--runs", setting.work, "--dry-run")
    ways = {n: embench("grid", *METHOD, "--seeds", text, *place) for n, text in seeds.items()}
    few, many = seeds
    ways[few]()
    times = turns(ways, setting.size(3, 1))
    return [share(f"planning {many} seeds (`--dry-run`)", times[many], times[few], "one seed")]


def _entries(setting: Setting) -> list[Row]:
    """Copies of the published entries under other names."""
    published, large = ROOT / "leaderboards", setting.work / "boards"
    n = len(list_entry_folders(published))
    many = n * setting.size(10, 2)
    make_entries(large, many, copies={})
    shown = {
        name: embench("leaderboard", "show", "--leaderboards", at) for name, at in (("few", published), ("many", large))
    }
    times = turns(shown, setting.size(5, 1))
    return [share(f"`embench leaderboard show`, {many} entries", times["many"], times["few"], f"{n} entries")]


def main() -> None:
    dataset = Noise(Path(sys.argv[2]).parent)
    dataset.n_subjects = int(sys.argv[1])
    prepare(dataset, "bench/noise", "1", rate_hz=float(RATE), cache=Path(sys.argv[2]))


if __name__ == "__main__":
    main()
