"""Twenty ways in which labs name files, and write the same people and films in a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILMS = ("calm", "joy", "fear", "disgust")


@dataclass(frozen=True)
class Layout:
    """Forms of names: `{n}` is the participant's number, `{who}` a name, `{film}` and `{k}` a film's name and number.

    Args:
        files: the path of a recording.
        person, film: the cells of the table.
    """

    files: str
    person: str
    film: str

    def facts(self, n: int, k: int) -> dict[str, object]:
        """What stands for the names, of a participant and a film, both from 1."""
        return {"n": n, "k": k, "film": FILMS[k - 1], "who": WHO[n - 1], "name": NAMES[n - 1]}

    def ratings(self) -> list[float]:
        """All ratings, by participant and film."""
        return [rating(n, k) for n in range(1, 7) for k in range(1, 5)]


WHO = ("Anna", "Björn", "Çelik", "Dörte", "Müller", "Šimon")
NAMES = ("田中", "鈴木", "佐藤", "高橋", "伊藤", "渡辺")

LAYOUTS = (
    Layout("P{n:02d}/clip{k}.csv", "{n}", "clip{k}"),
    Layout("P{n:02d}/clip{k}.csv", "p{n}", "{k}"),
    Layout("P{n:02d}_{film}.csv", "P{n:02d}", "{film}"),
    Layout("p{n:03d}_{film}.csv", "{n}", "{film}"),
    Layout("sub-{n:02d}/ses-1/sub-{n:02d}_ses-1_task-{film}_eda.csv", "sub-{n:02d}", "{film}"),
    Layout("data/VP{n:02d}/20240{n}01/{film}.csv", "{n}", "{film}"),
    Layout("data/{film}/S{n}.csv", "S{n:02d}", "{film}"),
    Layout("{who}/{film}.csv", "{who}", "{film}"),
    Layout("{who}_{k}.csv", "{who}", "{k}"),
    Layout("{name}/{film}.csv", "{name}", "{film}"),
    Layout("被験者{n:02d}/映像{k}.csv", "被験者{n}", "映像{k}"),
    Layout("Proband_{n:02d}/Film_{k:02d}.csv", "{n}", "{k}"),
    Layout("Proband {n}/Film {k}.csv", "Proband {n}", "Film {k}"),
    Layout("SUBJECT{n}/VIDEO{k}.CSV", "subject{n}", "video{k}"),
    Layout("raw/{n:04d}-{film}-2024-03-0{n}.csv", "{n}", "{film}"),
    Layout("raw/2024030{n}_{n:02d}_{film}.csv", "{n}", "{film}"),
    Layout("{n}/{k}.csv", "VP{n:02d}", "{k}"),
    Layout("lab_{n:02d}_{film}_eda.txt", "Lab{n:02d}", "{film}.mp4"),
    Layout("{film}/{n:02d}_eda.tsv", "ID{n}", "{film}"),
    Layout("wave2/ID-{n:02d}/part-{film}.csv", "id {n}", "{film}"),
)  # fmt: skip


def rating(n: int, k: int) -> float:
    """The rating of a participant's film, each another one."""
    return n + k / 10


def lay_out(root: Path, layout: Layout) -> None:
    """Writes recordings of skin conductance, 15 s at 4 Hz, and a table of ratings."""
    rows = ["person,film,arousal"]
    for n in range(1, 7):
        for k in range(1, 5):
            facts = layout.facts(n, k)
            path = root / layout.files.format(**facts)
            path.parent.mkdir(parents=True, exist_ok=True)
            values = 3 + np.cumsum(np.random.default_rng([n, k]).normal(0, 0.02, 60))
            gap = "\t" if path.suffix == ".tsv" else ","
            path.write_text(f"time{gap}EDA\n" + "".join(f"{i / 4}{gap}{v:.4f}\n" for i, v in enumerate(values)))
            rows.append(f"{layout.person.format(**facts)},{layout.film.format(**facts)},{rating(n, k)}")
    (root / "ratings.csv").write_text("\n".join(rows) + "\n", "utf-8")
