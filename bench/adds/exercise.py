"""The verdict `adds` where the heart was strained and nobody was stressed: `python -m bench.adds.exercise`.

The sessions in the folder `AEROBIC` of `wearable_stress`, on a stationary bicycle, which no board knows: what a few
methods that tell exercise from what comes before and after add to clock and movement.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import embench
from bench.adds import KEPT, with_data_root
from bench.adds.study import SEEDS
from embench.errors import DataError
from embench.interfaces.dataset import Card, Dataset
from embench.interfaces.recording import Label, Recording
from embench.interfaces.units import LabelRule, Target
from embench.records.scores import Adds, Score
from embench.statistics.adding import ADDS_LEVELS
from embench_plugins.datasets.formats import e4

PROTOCOL = "subject-independent-v3"
"""The folds of `subject-independent-v2`, and the scores that ask what a method adds."""
TARGETS = ("exercise", "work")
"""`exercise` lasts from the first press of the button to the last. `work` is surer, and of fewer units: without the end
of that, see `COOL_DOWN`, and against rest without a warm-up."""
UNIT_S = 10.0
"""The length of a unit under the protocol."""
TOGETHER = (("f01", "f03", "f12"), ("f02", "f11", "f13"), ("f04", "f09", "f10"), ("f05", "f06"))
"""Subjects whose sessions overlap: most pressed the button within seconds of each other, so that the one's labels tell
the other's."""
COOL_DOWN = {"S": 10, "f": 5}
"""The press, counted from 0, at which the cool-down begins, by the first letter of a subject's id. The release does not
say what lies between presses; the cadence that the wrist shows rises at each press up to this one."""
WARM_UP_S = {"S": 0.0, "f": 180.0}
"""How long before the first press some already pedal, by the accelerometer."""
METHODS = tuple(
    (modalities, fusion)
    for modalities in ("ppg", "eda", "temp", "ppg,eda,temp", "acc")
    for fusion in ("logreg", "boosting")
)
OBTAIN = "the release has it: physionet.org/content/wearable-device-dataset"


class AEROBIC(Dataset):  # a reader from a file is given the folder that is called like its class
    """The reader of the folder: one recording a subject, labelled by `labels_of`."""

    card = Card(
        name="aerobic",
        title="Wearable Device Dataset, aerobic sessions",
        citation="Hongn et al., Wearable Physiological Signals under Acute Stress and Exercise Conditions, "
        "Scientific Data 12, 2025",
        doi="10.1038/s41597-025-04845-9",
        licence="ODC-By 1.0",
        obtain=OBTAIN,
        modalities=e4.CARDS,
        default_modalities=("ppg", "eda", "temp"),
        targets=tuple(
            Target(name, "binary", LabelRule("majority", positive=(1,), negative=(0,)), label=name) for name in TARGETS
        ),
        mains_hz=50.0,
        longest_s=5400.0,
        labels_public="yes",
        fixed_order=True,
    )

    def subjects(self) -> list[str]:
        """The folders in which there are button presses; two of one session (S11) are of no subject."""
        found = sorted(path.parent.name for path in self.root.glob("[Sf][0-9][0-9]/tags.csv"))
        if not found:
            raise DataError("no aerobic session is here", where=str(self.root), expected="S04/tags.csv", hint=OBTAIN)
        return found

    def files(self, subject: str) -> list[Path]:
        """One subject's signals and button presses."""
        return [self.root / subject / name for name in (*e4.FILES.values(), "tags.csv")]

    def recordings(self, subject: str) -> Iterator[Recording]:
        """The subject's session."""
        folder = self.root / subject
        session = e4.session({m: folder / name for m, name in e4.FILES.items()}, hint=OBTAIN)
        presses = e4.presses(folder / "tags.csv") - session.start
        yield Recording(
            id=subject,
            subject=subject,
            stimulus="session",
            session="aerobic",
            duration_s=session.duration_s,
            group=next(("+".join(group) for group in TOGETHER if subject in group), subject),
            start_s=0.0,
            order=0,
            signals=session.signals,
            labels=labels_of(presses, session.duration_s, subject[0]),
        )


def labels_of(presses: np.ndarray, duration_s: float, stage: str) -> dict[str, Label]:
    """The labels of each whole second of a session: 1 exercise or work, 0 rest, 2 neither. No unit holds two of them.

    Args:
        presses: (n,) in s from the session's start.
        stage: `S` or `f`, the first letter of the subject's id.
    """
    first, last = float(presses.min()), float(presses.max())
    cool_down = float(np.sort(presses)[min(COOL_DOWN[stage], len(presses) - 1)])
    borders = {"exercise": (first, first, last, last), "work": (first - WARM_UP_S[stage], first, cool_down, last)}
    times = np.arange(int(duration_s), dtype=np.float64)
    labels = {}
    for name, (rest_ends, begins, ends, rest_begins) in borders.items():
        starts = times // UNIT_S * UNIT_S
        stops = starts + UNIT_S
        values = np.full(len(times), 2.0)
        values[(stops <= rest_ends) | (starts >= rest_begins)] = 0.0
        values[(starts >= begins) & (stops <= ends)] = 1.0
        labels[name] = Label("condition", values, times, ("rest", name, "neither"))
    return labels


def main() -> None:
    """Prints a line for each method: its headline, and of each level the effect, the share left and the verdict."""
    chosen = with_data_root(__doc__).parse_args()
    print("| target | method | score | " + " | ".join(ADDS_LEVELS) + " |\n|" + "---|" * (len(ADDS_LEVELS) + 3))
    adding = []
    for modalities, fusion in METHODS:
        run = embench.run(
            dataset=f"{Path(__file__)}:{AEROBIC.__name__}",
            encoder="handcrafted",
            fusion=fusion,
            modalities=modalities,
            protocol=PROTOCOL,
            seeds=SEEDS,
            data_root=chosen.data_root / "wearable_stress" / "Wearable_Dataset",
            runs=KEPT / "exercise",
            workers=1,
        )
        for target in TARGETS:
            found = run.scores.adds(target) or Adds(undefined="the protocol does not ask")
            score = found.score or run.scores.headlines[target]
            own = f"{score} {_with_low(run.scores.score(target, score))}"
            print(f"| {target} | {modalities} {fusion} | {own} | " + " | ".join(_told(found)) + " |", flush=True)
            adding += [f"{modalities} {fusion} ({target}, {level})" for level, at in found.levels.items() if at.adds]
    print(f"Physical demand adds, too: {', '.join(adding)}." if adding else "No method adds.")


def _told(found: Adds) -> list[str]:
    if found.undefined:
        return [found.undefined] * len(ADDS_LEVELS)
    return [
        f"{_with_low(at.effect, '+')}, {at.share_left:.2f}, {'adds' if at.adds else '-'}"
        for at in (found.levels[level] for level in ADDS_LEVELS)
    ]


def _with_low(score: Score | None, sign: str = "") -> str:
    if score is None or score.low is None:
        return score.undefined or "-" if score else "-"
    return f"{score.mean:{sign}.3f} [{score.low:{sign}.3f}]"


if __name__ == "__main__":
    main()
