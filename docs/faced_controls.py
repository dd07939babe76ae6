"""What the labels of FACED tell without any EEG: python docs/faced_controls.py DATA_ROOT [PROTOCOLS [TARGETS]]

DATA_ROOT has the folder `faced`, of which the events are enough. `docs/datasets/faced_controls.md` shows the tables.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from embench.data.cohort import Cohort, build_cohort, choose_targets
from embench.data.find import card_of, prepared
from embench.data.label_report import describe_labels
from embench.interfaces.dataset import Card
from embench.interfaces.units import Target
from embench.protocols import Protocol, load_protocol
from embench.records.scores import Score, Scores
from embench.records.wording import format_control, format_figure
from embench.runs.controls import describe_controls, unpredicted
from embench.statistics.evaluation import score_predictions
from embench.statistics.fold_predictions import FoldPredictions, decide
from embench.store import Store
from embench_plugins.datasets.faced.layout import BLOCKS, CLIPS, FELT, RATINGS

PROTOCOLS = ("subject-independent-v2", "subject-stimulus-independent-v2", "faced-films-v1")
TARGETS = ("emotion", "positive", "own_emotion", "valence", "arousal", "agreement")
SEEDS = (0, 1, 2)
COLUMNS = {
    "majority": "nothing", "elapsed_time": "clock", "session_position": "place in session",
    "recording_length": "length of clip", "block": "block", "stimulus_mean": "film", "person": "person",
}  # fmt: skip
"""Control -> what it knows. `block` and `person` are made here, the others are embench's."""
ByControl = Mapping[str, Mapping[str, Score]]
"""Control -> metric -> number; a control that does not apply has none."""
SIGNS = np.array([{None: "neutral", True: "positive", False: "negative"}[clip.positive] for clip in CLIPS.values()])
BLOCK = np.array([next(k for k, block in enumerate(BLOCKS) if number in block) for number in CLIPS])
"""(28,) each clip's sign, and its block."""


def clip_of(stimulus: str) -> int:
    """The position of a clip, from 0, by its name as a stimulus."""
    return int(stimulus.removeprefix("clip")) - 1


def values_of(store: Store) -> dict[str, np.ndarray]:
    """Label -> its values (people, clips), NaN where there is none."""
    labels = store.labels()
    person = {name: p for p, name in enumerate(sorted({entry.subject for entry in store.recordings}))}
    tables = {name: np.full((len(person), len(CLIPS)), np.nan) for name in labels}
    for entry in store.recordings:
        for name, table in tables.items():
            if entry.id in labels[name]:
                table[person[entry.subject], clip_of(entry.stimulus)] = labels[name][entry.id].values[0]
    return tables


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, and an empty line."""
    return "".join(f"| {' | '.join(line)} |\n" for line in [heads, ["---"] * len(heads), *rows]) + "\n"


def percent(share: float) -> str:
    return format_figure(100 * share, ".1f")


def ratings_table(values: Mapping[str, np.ndarray]) -> str:
    """Valence and arousal of negative, neutral and positive clips, and how many ratings are high."""
    rows = []
    for name, which in [*((sign, sign == SIGNS) for sign in ("negative", "neutral", "positive")), ("all", SIGNS != "")]:
        cells = [name, str(which.sum())]
        for rating in ("valence", "arousal"):
            x = values[rating][:, which]
            cells += [f"{x.mean():.2f} ({x.std(ddof=1):.2f})", percent((x > 3.5).mean())]
        rows.append(cells)
    return markdown(["clips", "number", "valence (SD)", "above 3.5, %", "arousal (SD)", "above 3.5, %"], rows)


def labels_table(store: Store, card: Card) -> str:
    """Of each target: how many units have a label, its classes with their shares, and how many stimuli these have."""
    rows = []
    for found in describe_labels(store, card, choose_targets(card, ",".join(TARGETS)), load_protocol(PROTOCOLS[0])):
        classes = ", ".join(f"{c['name']} {percent(c['share'])}" for c in found["classes"])
        stimuli = sorted({str(c["stimuli"]) for c in found["classes"] if "stimuli" in c})
        rows.append([f"`{found['target']}`", f"{found['labelled']:,}", classes, " or ".join(stimuli)])
    return markdown(["target", "units with a label", "classes, %", "stimuli of a class"], rows)


def agreement_table(values: Mapping[str, np.ndarray]) -> str:
    """How often the emotion that a clip is meant for is the strongest one felt: in all trials, where of two that tie
    the first in the order of the files counts, and in those without a tie; and which other emotion is it most often."""
    names = [rating.lower() for rating in RATINGS if rating.lower() in FELT]
    felt = np.stack([values[name] for name in names], axis=-1)  # (people, clips, emotions)
    first, tied = felt.argmax(-1), (felt == felt.max(-1, keepdims=True)).sum(-1) > 1
    rows = []
    for name in (*FELT, "all"):
        clips = [k for k, clip in enumerate(CLIPS.values()) if clip.emotion in (FELT if name == "all" else (name,))]
        own, alone = first[:, clips], ~tied[:, clips]
        agrees = own == np.array([names.index(CLIPS[k + 1].emotion) for k in clips])
        others = np.bincount(own[alone & ~agrees], minlength=len(names)) / alone.sum()
        rows.append([
            name, f"{own.size:,}", percent(agrees.mean()), str((~alone).sum()), percent(agrees[alone].mean()),
            "" if name == "all" else f"{names[others.argmax()]} {percent(others.max())}",
        ])  # fmt: skip
    heads = ["assigned", "trials", "strongest own too, %", "ties", "without ties, %", "most frequent other, %"]
    return markdown(heads, rows)


def variance_table(values: Mapping[str, np.ndarray]) -> str:
    """Shares of the sum of squares of each rating (people, clips): of the films, and in it of the blocks; of people; of
    what people add in a block; the rest."""
    rows = []
    for rating in RATINGS:
        x = values[rating.lower()]
        x = x - x.mean()
        film, person = x.mean(0), x.mean(1)
        block = np.array([x[:, k == BLOCK].mean() for k in range(len(BLOCKS))])[BLOCK]
        both = np.stack([x[:, k == BLOCK].mean(1) for k in range(len(BLOCKS))], 1)[:, BLOCK] - block - person[:, None]
        parts = [(film**2).sum() * len(x), (block**2).sum() * len(x), (person**2).sum() * len(film), (both**2).sum()]
        shares = np.array(parts) / (x**2).sum()
        rest = 1 - shares[0] - shares[2:].sum()
        rows.append([rating.lower(), *map(percent, (*shares, rest))])
    return markdown(["rating", "film, %", "of which block, %", "person, %", "person by block, %", "rest, %"], rows)


def counts_at(label: np.ndarray, at: np.ndarray, classes: int) -> np.ndarray:
    """(places, K) how many labels (n,) of each class there are at each place (n,)."""
    counts = np.zeros((at.max() + 1, classes))
    known = np.isfinite(label)
    np.add.at(counts, (at[known], label[known].astype(int)), 1)
    return counts


def by_block(cohort: Cohort, y: np.ndarray, fold: FoldPredictions) -> np.ndarray:
    """(m, K) labels of each class among the training people's clips of the same block."""
    block = BLOCK[[clip_of(unit.stimulus) for unit in cohort.units]]
    trained = np.isin(np.arange(len(y)), fold.train or ())
    return counts_at(np.where(trained, y, np.nan), block, fold.target.n)[block[fold.units]]


def by_person(cohort: Cohort, y: np.ndarray, fold: FoldPredictions) -> np.ndarray:
    """(m, K) labels of each class among the test person's own other clips, of which a method knows nothing."""
    person = np.unique([unit.subject for unit in cohort.units], return_inverse=True)[1]
    own = y[fold.units][:, None] == np.arange(fold.target.n)
    return counts_at(y, person, fold.target.n)[person[fold.units]] - own


def scores_of(store: Store, card: Card, target: Target, protocol: Protocol) -> tuple[str, ByControl]:
    """The headline and the scores of all controls."""
    found = describe_controls(store, card, [target], protocol, SEEDS)
    known = Scores.none(headlines=found["headlines"], controls=found["controls"])
    scores = {control.name: control.scores for control in known.controls(target.name)}
    cohort = build_cohort(store, card, (target,), None, protocol)
    y = cohort.label[target.name]
    met = np.array([unit.stimulus for unit in cohort.units])
    of_film = all(len(np.unique(y[(met == film) & np.isfinite(y)])) < 2 for film in np.unique(met))
    for name, counts_of in (("block", by_block), ("person", by_person)):
        folds = []
        for fold in unpredicted(cohort, protocol, SEEDS):
            counts = counts_of(cohort, y, fold)
            counts[np.isnan(y[fold.units]) & (counts.sum(1) == 0)] = 1  # nobody has a label there
            with np.errstate(invalid="ignore"):
                share = counts / counts.sum(1, keepdims=True)
            score, decision = decide(target, share if target.traits.several else share[:, 1:], protocol)
            folds.append(replace(fold, score=score, decision=decision))
        applies = all(fold.predicted.all() for fold in folds) and not (name == "person" and of_film)
        scores[name] = score_predictions(folds, cohort, protocol).scores.of(target.name) if applies else {}
    return found["headlines"][target.name], scores


def control_tables(found: Mapping[str, tuple[str, ByControl]], name: str) -> Iterator[str]:
    """What controls score under a protocol, a row for each target: the scores by which methods are ranked, with
    intervals (the headline is marked), and balanced accuracy in %."""
    for metric in ("auroc_crossed", "auroc_within"):
        columns = [column for column in COLUMNS if column != "person"]  # to leave a clip out turns its order round
        rows = []
        for target, (headline, scores) in found.items():
            numbers = [scores[column].get(metric) for column in columns]
            if any(number and number.defined for number in numbers):
                rows.append([f"`{target}`{' *' * (metric == headline)}", *map(format_control, numbers)])
        if rows:
            yield f"`{name}`, `{metric}`:\n\n" + markdown(["target", *(COLUMNS[c] for c in columns)], rows)
    rows = [
        [f"`{target}`", *(percent(scores[c].get("balanced_accuracy", Score()).mean) for c in COLUMNS)]
        for target, (_, scores) in found.items()
    ]
    yield f"`{name}`, balanced accuracy, %:\n\n" + markdown(["target", *COLUMNS.values()], rows)


def tables(data_root: Path, protocols: Sequence[str] = PROTOCOLS, targets: Sequence[str] = TARGETS) -> Iterator[str]:
    """All tables, each with a line about it."""
    card = card_of("faced", data_root)
    store = prepared("faced", data_root, load_protocol(PROTOCOLS[0]))
    values = values_of(store)
    yield "Labels:\n\n" + labels_table(store, card)
    yield "Ratings from 0 to 7:\n\n" + ratings_table(values)
    yield "Agreement:\n\n" + agreement_table(values)
    yield "Sums of squares:\n\n" + variance_table(values)
    for name in protocols:
        rules = load_protocol(name)
        found = {t.name: scores_of(store, card, t, rules) for t in choose_targets(card, ",".join(targets))}
        yield from control_tables(found, name)


if __name__ == "__main__":
    for table in tables(Path(sys.argv[1]), *(text.split(",") for text in sys.argv[2:])):
        print(table, end="", flush=True)
