"""Confound-only models submitted as methods, in made studies of each design: which questions they are said to answer.
`python -m tests.truth.confound_models 2` prints the table of counts over two draws of each study; names of designs
after the number choose some.

Labels follow the stimulus, the time since the start and movement, besides a part of the subject's own that nothing
shows. Every model without any physiological signal is fitted in the folds of the protocol; its out-of-fold predictions,
and their negatives, are scored as `embench score` scores a file of predictions.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from unittest.mock import patch
from zlib import crc32

import numpy as np
from scipy import signal
from tabulate import tabulate

from embench.data.cohort import Cohort
from embench.interfaces.dataset import Card
from embench.interfaces.kinds import KindName
from embench.interfaces.metric import Undefined
from embench.interfaces.units import LabelRule, Target, Unit
from embench.protocols import UnitId, load_protocol, whole_recordings
from embench.records.scores import Scores
from embench.statistics import confound_test, evaluation
from embench.statistics.answers import answer_questions
from embench.statistics.confound_only import CONFOUND_ONLY, PREVIOUS_STIMULUS, PROTOCOL_PHASE, STIMULUS_MOMENT
from embench.statistics.evaluation import FoldConfounds, FoldPredictions, empty_predictions
from embench.store import ModalityEntry, RecordingEntry, Span, Store
from embench.store.store import RowWriter

from .cohorts import draw_lengths, subject_names
from .sessions import EDGES

PROTOCOL = load_protocol("subject-independent-v4")
SUBJECTS = (12, 16, 24, 34, 60)
RATE, UNIT_S, FILMS = 16, 20.0, 12
SEEDS = (0,)
MODELS = (*CONFOUND_ONLY, STIMULUS_MOMENT, PREVIOUS_STIMULUS, PROTOCOL_PHASE)
YES, OTHERS = "yes", ("not shown", "reversed", "too few data", "cannot be told")
SHORTER = 2.5
"""Sessions are so many times shorter than those of Stress-Predict."""

QUESTIONS = ("chance", "movement", "protocol_phase")
"""Whether the score is associated with the label: more than by chance; given time and movement within 10 minutes, or
where no movement was recorded, given time; given the phase of the protocol as well."""
MAY_PASS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(MODELS, ()),
    **dict.fromkeys(("elapsed_time", "session_position", "study_drift", "movement"), ("chance",)),
    PROTOCOL_PHASE: ("chance", "movement"),
}
"""Model -> the questions to which *yes* is right: those in which nothing holds constant what the model encodes. That is
nothing at all; the stimulus, which the primary metric holds constant where there are several; the time since the start,
and movement, which the second question does; or the phase of the protocol, which the third one does."""


@dataclass(frozen=True)
class Drawn:
    """The units of a study, in the order of subjects and of time; each array (n,).

    Args:
        subject, recording: numbers from 0 on. `begin`: of the unit since the recording's start, in s.
        length: of the unit, in s. `start`: of the recording since the session's, in s. `order`: of the recording.
        y: the label. `moved`: how much the wrist moves, in SDs. `own`: what a body shows that follows the label beside
            all confounds; no model reads it.
    """

    subject: np.ndarray
    recording: np.ndarray
    stimulus: np.ndarray
    begin: np.ndarray
    length: np.ndarray
    start: np.ndarray
    order: np.ndarray
    y: np.ndarray
    moved: np.ndarray
    own: np.ndarray


@dataclass(frozen=True)
class Design:
    """A kind of study. `cut`: whether units are cut from sessions, and not whole recordings."""

    draw: Callable[[np.random.Generator, int], Drawn]
    kind: KindName = "binary"
    fixed_order: bool = False
    cut: bool = False


def films(
    rng: np.random.Generator, n: int, film: float, time: float, movement: float,
    *, one_order: bool = False, values: bool = False,
) -> Drawn:  # fmt: skip
    """Ratings of films that everybody sees once. `film`, `time` and `movement` are their shares of the rating's
    variance. No two films are equally long."""
    one = rng.permutation(FILMS)
    shown = np.array([one if one_order else rng.permutation(FILMS) for _ in range(n)])  # (n, places)
    subject, place = np.indices(shown.shape)
    length = UNIT_S + 0.5 * shown
    start = np.cumsum(length + 10.0, axis=1) - length + rng.uniform(0, 20, (n, 1))
    level = rng.normal(size=FILMS)
    parts = (
        (level / level.std())[shown],
        place / place.std(),
        rng.normal(size=shown.shape),
        rng.normal(size=shown.shape),
    )
    shares = film, time, movement, 1 - film - time - movement
    rated = sum(np.sqrt(share) * (part - part.mean()) for share, part in zip(shares, parts, strict=True))
    y = np.clip(np.round(5 + 1.8 * rated), 1, 9) if values else rated > 0
    recording = np.arange(shown.size).reshape(shown.shape)
    names = np.char.mod("film%02d", shown)
    of_units = subject, recording, names, np.zeros(shown.shape), length, start, place, y.astype(float), *parts[2:]
    return Drawn(*(each.ravel() for each in of_units))


def sessions(rng: np.random.Generator, lengths: np.ndarray, edges: np.ndarray) -> Drawn:
    """Sessions of these lengths (n,) in s, in one recording each; tasks, in which most people move more, begin and end
    at `edges` (n, 2 tasks)."""
    units = (lengths // UNIT_S).astype(int)
    subject = np.repeat(np.arange(len(lengths)), units)
    begin = UNIT_S * np.concatenate([np.arange(k) for k in units])
    y = (edges[subject] < begin[:, None] + UNIT_S / 2).sum(1) % 2.0
    noise = np.concatenate([signal.lfilter([0.7], [1, -0.7], rng.normal(size=k + 20))[20:] for k in units])
    moved = rng.normal(1.0, 0.5, len(lengths))[subject] * y + noise
    nothing, names = np.zeros(len(y)), np.full(len(y), "session")
    own = y + rng.normal(size=len(y))
    return Drawn(subject, subject, names, begin, nothing + UNIT_S, nothing, nothing, y.astype(float), moved, own)


def two_orders(rng: np.random.Generator, n: int) -> Drawn:
    """Baseline, stress, amusement, rest, or with stress after amusement."""
    ends = np.cumsum(160 + rng.uniform(-15, 15, (n, 4)), axis=1)
    second = np.arange(n) % 2
    stress = np.stack([ends[np.arange(n), second], ends[np.arange(n), second + 1]], axis=1)
    return sessions(rng, ends[:, -1].round(3), stress)


def rest_task_rest(rng: np.random.Generator, n: int) -> Drawn:
    ends = np.cumsum(200 + rng.uniform(-20, 20, (n, 3)), axis=1)
    return sessions(rng, ends[:, -1].round(3), ends[:, :2])


def three_tasks(rng: np.random.Generator, n: int) -> Drawn:
    """Three tasks in one order, earlier in some subjects and later in others, and later in longer sessions."""
    lengths = (draw_lengths(rng, n) / SHORTER).round(3)
    shift = 0.4 * (lengths - lengths.mean()) + 30.0 * rng.normal(size=n)
    return sessions(rng, lengths, EDGES / SHORTER + shift[:, None] + 10.0 * rng.normal(size=(n, len(EDGES))))


def two_recordings(rng: np.random.Generator, n: int) -> Drawn:
    """Everybody rests, and then works: two recordings, of which each is a unit."""
    subject, place = np.indices((n, 2))
    length = 60.0 + rng.uniform(0, 5, (n, 2))
    start = np.cumsum(length + 10.0, axis=1) - length
    moved, own = place + rng.normal(size=(2, n, 2))
    recording, names = 2 * subject + place, np.array(["rest", "work"])[place]
    of_units = subject, recording, names, np.zeros((n, 2)), length, start, place, place.astype(float), moved, own
    return Drawn(*(each.ravel() for each in of_units))


DESIGNS: Mapping[str, Design] = {
    "films in random orders": Design(partial(films, film=0.3, time=0.15, movement=0.15)),
    "films in random orders, strong": Design(partial(films, film=0.6, time=0.0, movement=0.0)),
    "films in random orders, values": Design(partial(films, film=0.4, time=0.1, movement=0.1, values=True), "value"),
    "films in one order": Design(partial(films, film=0.4, time=0.1, movement=0.1, one_order=True), fixed_order=True),
    "blocks in two orders": Design(two_orders, cut=True),
    "rest, task, rest": Design(rest_task_rest, fixed_order=True, cut=True),
    "three tasks in one order": Design(three_tasks, fixed_order=True, cut=True),
    "rest, then work": Design(two_recordings, fixed_order=True),
}


class Study:
    """One draw of a design with so many subjects, and the out-of-fold predictions of every confound-only model."""

    def __init__(self, design: str, subjects: int, draw: int, folder: Path, *, accelerometer: bool = True) -> None:
        """`folder` gets the prepared data: of an accelerometer, or of nothing."""
        self.design = DESIGNS[design]
        rng = np.random.default_rng([crc32(design.encode()), subjects, draw])
        self.drawn = drawn = self.design.draw(rng, subjects)
        self.target = Target("felt", self.design.kind, LabelRule(), "felt", scale=(1, 9))
        name, targets, order = f"made {design} {draw}", (self.target,), self.design.fixed_order
        card = Card(name, "", "", "", "", "", {}, (), targets, 50.0, 2000.0, "yes", fixed_order=order)
        units = _units(drawn)
        store = _stored(rng, drawn, units, folder, accelerometer)
        every, labels = tuple(range(len(units))), {self.target.name: drawn.y}
        length, roster = UNIT_S if self.design.cut else np.nan, tuple(whole_recordings(store.recordings))
        self.cohort = Cohort(store, card, targets, units, labels, labels, every, every, (), length, roster)

    @cached_property
    def folds(self) -> list[FoldPredictions]:
        """The units that each fold predicts, with nothing predicted."""
        return list(empty_predictions(self.cohort, PROTOCOL, SEEDS))

    @cached_property
    def models(self) -> dict[str, list[FoldPredictions]]:
        """Model -> its out-of-fold predictions; without those that the design does not allow."""
        studies = confound_test.make_studies(self.cohort, PROTOCOL, {self.target.name: SEEDS})
        confound_only = FoldConfounds(self.cohort, PROTOCOL, studies)
        found: dict[str, list[FoldPredictions]] = {name: [] for name in MODELS}
        for fold in self.folds:
            for name, made in confound_only.predict(fold, fold.units).items():
                if not isinstance(made, Undefined):
                    found[name].append(replace(fold, score=made[0], decision=made[1]))
        return {name: made for name, made in found.items() if len(made) == len(self.folds)}

    @property
    def of_a_body(self) -> list[FoldPredictions]:
        """The predictions of a method that measures what follows the label beside all confounds."""
        return [replace(fold, score=np.tanh(self.drawn.own[fold.units]) / 2 + 0.5) for fold in self.folds]

    def scores(self, predictions: Sequence[FoldPredictions], *, negated: bool = False) -> Scores:
        """The record's scores of a method with these predictions, or with their negatives. Without the
        search for seeds that give enough comparisons, which decides nothing and takes much of the time."""
        if negated:
            highest = 1.0 if self.target.traits.has_classes else 0.0
            predictions = [replace(p, score=highest - p.score, decision=highest - p.decision) for p in predictions]
        with patch.object(evaluation, "enough_data", return_value={}):
            return evaluation.score_predictions(predictions, self.cohort, PROTOCOL, proved=False).scores

    def answers(self, scores: Scores) -> dict[str, str]:
        """Question -> the answer that a record with these scores shows."""
        run = {
            "cohort": {"design": self.cohort.design, "subjects": len(self.cohort.subjects)},
            "protocol": {"leaks": False},
            "seeds": [*SEEDS],
        }
        found = answer_questions(run, scores)[self.target.name]
        return {each.question: each.answer for each in found.answers if each.question in QUESTIONS}


@dataclass(frozen=True)
class Cell:
    """What is said of a model's predictions: question -> one of the nine answers. `primary`: whether those given time
    and movement rest on the primary metric."""

    model: str
    negated: bool
    answers: Mapping[str, str]
    primary: bool

    @property
    def wrong(self) -> bool:
        """True if it is said to be associated with the label beyond what it encodes, or by a score other than the
        primary metric."""
        said = [question for question, answer in self.answers.items() if answer == YES]
        return not {*said} <= {*MAY_PASS[self.model]} or not (self.primary or {*said} <= {"chance"})

    def __str__(self) -> str:
        return f"{self.model}{', negated' if self.negated else ''}: {dict(self.answers)}"


def cells(study: Study) -> Iterator[Cell]:
    """Every confound-only model that a study allows, and every negative, submitted as a method."""
    name = study.target.name
    for model, predictions in study.models.items():
        for negated in (False, True):
            scores = study.scores(predictions, negated=negated)
            adjusted = scores.get_adjusted(name)
            primary = adjusted is not None and adjusted.metric == scores.primary_metrics[name]
            yield Cell(model, negated, study.answers(scores), primary)


def _units(drawn: Drawn) -> tuple[Unit, ...]:
    names = subject_names(int(drawn.subject.max()) + 1)
    columns = drawn.subject, drawn.recording, drawn.stimulus, drawn.begin, drawn.length, drawn.start, drawn.order
    made = []
    for p, r, stimulus, begin, length, start, order in zip(*(each.tolist() for each in columns), strict=True):
        span = UnitId.from_seconds(f"r{r:04d}", begin, begin + length)
        where = begin, begin + length, start + begin, float(order)
        made.append(Unit(str(span), span.recording, names[p], stimulus, names[p], *where))
    return tuple(made)


def _stored(rng: np.random.Generator, drawn: Drawn, units: Sequence[Unit], folder: Path, accelerometer: bool) -> Store:
    """Prepared data of an accelerometer, or of nothing, in the folder."""
    folder.mkdir(parents=True)
    _, first, count = np.unique(drawn.recording, return_index=True, return_counts=True)
    posture = np.cumsum(rng.normal(0, 0.05, (len(units), 3)), axis=0)
    entries, offset = [], 0
    with RowWriter(folder / "acc.npy", (3,)) as rows:
        for at, number in zip(first.tolist(), count.tolist(), strict=True):
            own, seconds = units[at], units[at + number - 1].stop
            unit = at + np.minimum((np.arange(round(seconds * RATE)) / RATE // UNIT_S).astype(int), number - 1)
            lean = posture[unit] / np.linalg.norm(posture[unit], axis=1, keepdims=True)
            rows.append(lean + 0.03 * np.exp(0.7 * drawn.moved[unit, None]) * rng.normal(size=lean.shape))
            spans = {"acc": Span(offset, len(unit), 0.0)} if accelerometer else {}
            about = own.recording, own.subject, own.stimulus, "main", own.group
            entries.append(RecordingEntry(*about, own.start_s, int(own.order), seconds, spans))
            offset += len(unit)
    modalities = {"acc": ModalityEntry(("x", "y", "z"), float(RATE), "g")} if accelerometer else {}
    return Store(folder, "made", "made", float(RATE), True, None, tuple(entries), modalities, (), {}, {})


def main(draws: int, designs: Sequence[str]) -> int:
    """Prints what is said of each model in so many draws of studies of every size, and each wrong answer: 1 where there
    is any."""
    wrong = total = 0
    for design in designs or DESIGNS:
        found: dict[str, list[Cell]] = {}
        for subjects, draw in product(SUBJECTS, range(draws)):
            with tempfile.TemporaryDirectory() as folder:
                for cell in cells(Study(design, subjects, draw, Path(folder) / "store")):
                    found.setdefault(cell.model, []).append(cell)
                    if cell.wrong:
                        print(f"{design}, {subjects} subjects, draw {draw}: {cell}", flush=True)
                        wrong += 1
        print(tabulate([[design, model, *_counts(made)] for model, made in found.items()], HEAD, "github"), flush=True)
        total += sum(map(len, found.values()))
    print(f"{wrong} of {total} answers are wrong")
    return int(wrong > 0)


HEAD = ("design", "model", "n", *(f"yes: {question}" for question in QUESTIONS), *OTHERS)


def _counts(made: Sequence[Cell]) -> list[int]:
    """How many predictions there are; to how many of them *yes* is the answer to each question; and to how many the
    other answers are given where time and movement are held constant."""
    yes = [sum(cell.answers.get(question) == YES for cell in made) for question in QUESTIONS]
    others = [sum(cell.answers["movement"] == other for cell in made) for other in OTHERS]
    return [len(made), *yes, *others]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
