"""How time and memory grow: with subjects, with stages, with entries of a leaderboard. (Rows to score: `scoring`.)

`python -m bench.speed.growth SUBJECTS FOLDER` prepares made-up subjects, for its memory to be looked at.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.speed import data
from bench.speed.measure import Row, Setting, command, embench, part, share, turns
from embench.interfaces.dataset import Card, Dataset, ModalityCard
from embench.interfaces.recording import Label, Recording, Signal
from embench.interfaces.units import LabelRule, Target
from embench.store import prepare

ROOT = Path(__file__).resolve().parents[2]
CHANNELS, RATE, SECONDS = 14, 128, 300
SMALLER = "of the smaller"


class Noise(Dataset):
    """`n_subjects` subjects with two recordings of noise each, made when they are read."""

    n_subjects = 0
    card = Card(
        name="noise", title="", citation="", doi="", licence="", obtain="",
        modalities={"eeg": ModalityCard(tuple(f"c{i}" for i in range(CHANNELS)), float(RATE), "uV")},
        default_modalities=("eeg",), targets=(Target("arousal", "binary", LabelRule(cut=5.0), "rating"),),
        mains_hz=50.0, longest_s=float(SECONDS), labels_public="yes", fixed_order=False,
    )  # fmt: skip

    def subjects(self) -> list[str]:
        return [f"p{i:02d}" for i in range(self.n_subjects)]

    def files(self, subject: str) -> list[Path]:
        return []

    def recordings(self, subject: str) -> Iterator[Recording]:
        rng = np.random.default_rng(int(subject[1:]))
        for r in range(2):
            array = rng.standard_normal((CHANNELS, RATE * SECONDS), dtype=np.float32)
            signals = {"eeg": Signal(array, float(RATE), self.card.modalities["eeg"].channels, "uV")}
            labels = {"rating": Label("rating", np.array([5.0]))}
            yield Recording(
                f"{subject}-{r}", subject, f"v{r}", "s", float(SECONDS), subject, 0.0, r, signals=signals, labels=labels
            )


def rows(setting: Setting) -> list[Row]:
    return [*_prepared(setting), *_runs(setting), *_stages(setting), *_entries(setting)]


def _prepared(setting: Setting) -> list[Row]:
    few, many = setting.size((4, 16), (2, 4))
    ways = {n: command("-m", "bench.speed.growth", str(n), setting.work / f"noise-{n}", cwd=ROOT) for n in (few, many)}
    peak = {n: way().memory for n, way in ways.items()}
    return [part(f"peak memory of preparing {many} subjects", peak[many], peak[few], "MB", f"{few} subjects", SMALLER)]


def _runs(setting: Setting) -> list[Row]:
    """Once each, for nothing is kept before: `handcrafted` and logistic regression on synthetic AMIGOS."""
    found = {}
    counts = setting.size((10, 40), (6, 8))
    for n in counts:
        line = ["--encoder", "handcrafted", "--fusion", "logreg", "--modalities", "ecg,eda", "--target", "arousal"]
        root = data.amigos(setting, n, setting.size(40.0, 20.0)).parent
        runs = setting.work / f"runs-{n}"
        way = embench("run", "--dataset", "amigos", *line, "--seeds", "0", "--data-root", root, "--runs", runs)
        found[n] = way()
    few, many = (found[n] for n in counts)
    return [
        share(f"run of {counts[1]} subjects, nothing kept", [many], [few], f"{counts[0]} subjects"),
        part("the same, peak memory", many.memory, few.memory, "MB", f"{counts[0]} subjects", SMALLER),
    ]


def _stages(setting: Setting) -> list[Row]:
    """Planning alone: every seed has its folds, and every fold its stages."""
    root = data.amigos(setting, *setting.size((10, 40.0), (6, 20.0))).parent
    seeds = {1: "0", setting.size(24, 3): ",".join(map(str, range(setting.size(24, 3))))}
    line = ["grid", "--dataset", "amigos", "--encoder", "handcrafted", "--fusion", "logreg", "--modalities", "ecg,eda"]
    ways = {
        n: embench(
            *line, "--target", "arousal", "--seeds", text, "--data-root", root, "--runs", setting.work, "--dry-run"
        )
        for n, text in seeds.items()
    }
    few, many = seeds
    ways[few]()
    times = turns(ways, setting.size(3, 1))
    return [share(f"planning {many} seeds (`--dry-run`)", times[many], times[few], "one seed")]


def _entries(setting: Setting) -> list[Row]:
    """Copies of the published entries under other names."""
    published, large = ROOT / "leaderboards", setting.work / "boards"
    shutil.copytree(published, large)
    n = 0
    for record in published.rglob("run.yaml"):
        n += 1
        where = record.parent.relative_to(published)
        for k in range(1, setting.size(10, 2)):
            name = f"{where.name[:-10]}{n:05d}{k:05d}"  # in place of the ten digits of its id
            copy = large / where.with_name(name)
            shutil.copytree(record.parent, copy)
            text = (copy / "run.yaml").read_text().replace(where.name, name)
            (copy / "run.yaml").write_text(text)
    many = len(list(large.rglob("run.yaml")))
    ways = {
        "few": embench("leaderboard", "show", "--boards", published),
        "many": embench("leaderboard", "show", "--boards", large),
    }
    times = turns(ways, setting.size(5, 1))
    return [share(f"`embench leaderboard show`, {many} entries", times["many"], times["few"], f"{n} entries")]


def main() -> None:
    dataset = Noise(Path(sys.argv[2]).parent)
    dataset.n_subjects = int(sys.argv[1])
    prepare(dataset, "bench/noise", "1", rate_hz=float(RATE), cache=Path(sys.argv[2]))


if __name__ == "__main__":
    main()
