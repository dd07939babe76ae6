"""What a study hears before training: that its design cannot answer, or that it has too few comparisons."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from embench.data.cohort import build_cohort
from embench.data.find import make_header_store
from embench.interfaces.dataset import Card, ModalityCard
from embench.interfaces.recording import Label, Recording
from embench.interfaces.units import LabelRule, Target
from embench.protocols import load_protocol
from embench.statistics.answerable import enough_data, unique_as_json, why_unanswerable

RULES = load_protocol("subject-independent-v4")
CARD = Card(
    name="mine",
    title="A study",
    citation="",
    doi="",
    licence="",
    obtain="",
    modalities={"eda": ModalityCard(("eda",), 4.0, "uS")},
    default_modalities=("eda",),
    targets=(Target("arousal", "binary", LabelRule(cut=5.0), "arousal", scale=(1.0, 9.0)),),
    mains_hz=50.0,
    longest_s=1000.0,
    labels_public="yes",
    fixed_order=False,
)
TASK = Target("task", "binary", LabelRule(aggregate="majority", positive=(1,), negative=(0,)), "task")


def cohort_of(recordings, target, *, fixed_order=False, rules=RULES):
    card = replace(CARD, targets=(target,), fixed_order=fixed_order)
    store = make_header_store(SimpleNamespace(card=card, root=Path()), "own/mine", recordings)
    return build_cohort(store, card, (target,), None, rules)


def why(recordings, target, seeds=(0,), *, rules=RULES, **about):
    return why_unanswerable(cohort_of(recordings, target, rules=rules, **about), rules, target, seeds)


def films(subjects, stimuli, film_share, seed=0):
    """Subjects who rate the same films, each in an order of their own; the films explain a share of the ratings."""
    rng = np.random.default_rng(seed)
    of_film = rng.normal(size=stimuli)
    for s in range(subjects):
        for place, film in enumerate(rng.permutation(stimuli).tolist()):
            own = film_share**0.5 * of_film[film] + (1 - film_share) ** 0.5 * rng.normal()
            rating = Label("rating", np.array([np.clip(5 + 2 * own, 1, 9)]))
            name = f"P{s:02d}"
            yield Recording(
                f"{name}-{film}", name, f"film {film}", "day", 60.0, name, 100.0 * place, place,
                labels={"arousal": rating},
            )  # fmt: skip


def tasks(subjects, order=lambda _: (0, 1), *, known=True, parts=2):
    """Subjects who rest and calculate, one after the other, in `order`."""
    for s in range(subjects):
        for place, condition in enumerate(order(s) * (parts // 2)):
            label = Label("condition", np.array([condition]), classes=("rest", "arithmetic"))
            name, start_s = f"P{s:02d}", 120.0 * place if known else None
            yield Recording(
                f"{name}-{place}", name, "session", "day", 120.0, name, start_s, place, labels={"task": label}
            )


@pytest.mark.parametrize("known", [True, False])
def test_rest_first_and_a_task_afterwards_cannot_be_told_from_time(known):
    found = why(tasks(12, known=known), TASK, fixed_order=True)
    assert found.answer == "cannot be told"
    assert found.reason == (
        "This design cannot separate task from the time since the start: everybody had rest first and arithmetic "
        "afterwards."
    )


def test_tasks_in_two_orders_can_be_told_from_time():
    assert why(tasks(24, lambda s: (0, 1) if s % 2 else (1, 0), parts=4), TASK, fixed_order=True) is None


def test_the_same_tasks_in_one_alternating_order_name_what_time_alone_reaches():
    found = why(tasks(12, parts=4), TASK, fixed_order=True)
    assert found.answer == "cannot be told"
    assert found.reason.startswith("This design cannot separate task from the time since the start (AUROC of ")
    assert found.reason.endswith(" alone 1.00).")


@pytest.mark.parametrize(("kind", "subjects", "share"), [("binary", 16, 0.6), ("value", 14, 0.6)])
def test_three_films_are_too_few_and_what_would_be_enough_is_named(kind, subjects, share):
    target = Target("arousal", kind, LabelRule(cut=5.0) if kind == "binary" else LabelRule(), "arousal", scale=(1, 9))
    every = (0, 1, 2, 3, 4)
    found = why(list(films(subjects, 3, share)), target, every)
    assert found.answer == "too few data"
    assert found.reason == "Too few comparisons: 20 matched comparisons of 10 subjects; 25 are needed."
    about = re.fullmatch(r"About (\d+) subjects or (\d+) stimuli with such labels would give enough\.", found.remedy)
    assert int(about[1]) == found.subjects > subjects
    assert why(list(films(subjects, int(about[2]), share)), target, every) is None
    assert why(list(films(found.subjects, 3, share)), target, (*every, 5)) is None


def test_all_balanced_partitions_are_named_where_they_give_enough_comparisons():
    recordings = list(films(20, 4, 0.3))
    found = why(recordings, CARD.targets[0])
    assert found.reason == "Too few comparisons: 22 matched comparisons of 19 subjects; 25 are needed."
    assert (found.seeds, found.remedy) == (tuple(range(6)), "6 partitions give enough:  embench run ... --seeds 0-5")
    named = {"seeds": list(range(6))}
    assert enough_data(cohort_of(recordings, CARD.targets[0]), RULES, CARD.targets[0], [0]) == named
    assert why(recordings, CARD.targets[0], found.seeds) is None


def test_forty_people_with_ratings_of_their_own_can_be_answered():
    assert why(films(40, 12, 0.2), CARD.targets[0]) is None


def test_labels_that_the_stimulus_decides_cannot_be_told_from_it():
    found = why(films(20, 8, 1.0), CARD.targets[0])
    assert found.answer == "cannot be told"
    assert found.reason.startswith("This design cannot separate arousal from the stimulus (AUROC of ")


def test_subjects_who_are_tested_alone_are_compared_with_nobody():
    rules = load_protocol("leave-one-subject-out-v4")
    found = why(films(30, 12, 0.2), CARD.targets[0], rules=rules)
    assert (found.answer, "tested alone" in found.reason) == ("cannot be told", True)


def test_what_several_rows_cannot_answer_stands_once():
    found = why(films(12, 12, 0.7), CARD.targets[0])
    [one] = unique_as_json([found, found])
    assert (one["target"], one["answer"], one["seeds"]) == ("arousal", "too few data", list(found.seeds))
