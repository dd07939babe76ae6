"""Nobody can choose who is hidden, and hidden labels cannot be changed after the commitment."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embench.challenge.commitment import (
    Commitment,
    Opening,
    Secrets,
    Sizes,
    check_opening,
    commit_split,
    draw_secrets,
    hash_parts,
    make_commitment,
    split_subjects,
)
from embench.challenge.form import PublicValue
from embench.errors import CheckFailed, UsageError

from .world import BEFORE, KNOWN

GROUPS = {f"P{k:02d}": f"P{k:02d}" for k in range(30)}
SIZES = Sizes(feedback=4, final=8)
LABELS = [f"P{k:02d},r,u{k},high,,{k % 9},{k % 2}" for k in range(30)]
LATER = PublicValue(source="drand, round 5200000", when=KNOWN)


def committed(drawn: Secrets) -> tuple[Commitment, Opening, str]:
    split = split_subjects(drawn.salt, "8f3a", GROUPS, SIZES)
    commitment = make_commitment(drawn, "c", GROUPS, SIZES, LABELS, LATER, demonstration=False, now=BEFORE)
    opening = Opening(
        salt=drawn.salt, public_value="8f3a", groups=GROUPS, sizes=SIZES, split=split, nonce=drawn.nonce, labels=LABELS
    )
    return commitment, opening, commit_split(drawn.nonce, split, LABELS)


def test_parts_have_the_requested_sizes_and_are_disjoint():
    split = split_subjects("s", "v", GROUPS, SIZES)
    assert Counter(split.values()) == {"final": 8, "feedback": 4, "training": 18}
    assert split.keys() == GROUPS.keys()


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_salt_and_public_value_both_decide(salt, value):
    split = split_subjects(salt, value, GROUPS, SIZES)
    assert split == split_subjects(salt, value, GROUPS, SIZES)
    others = [split_subjects(salt + "x", value, GROUPS, SIZES), split_subjects(salt, value + "x", GROUPS, SIZES)]
    assert split not in others


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_people_recorded_together_stay_together(seed):
    groups = {f"P{k:02d}": f"G{k // 2}" for k in range(30)}
    split = split_subjects(str(seed), "v", groups, Sizes(feedback=3, final=7))
    for k in range(0, 30, 2):
        assert split[f"P{k:02d}"] == split[f"P{k + 1:02d}"]
    counts = Counter(split.values())
    assert counts["final"] == 6  # the largest even number up to 7
    assert counts["feedback"] == 2


def test_each_subject_is_hidden_about_equally_often():
    counts = Counter(
        who
        for seed in range(300)
        for who, part in split_subjects(f"{seed}", "v", GROUPS, SIZES).items()
        if part == "final"
    )
    assert min(counts.values()) > 80 * 0.6  # expected: 300 * 8 / 30 = 80, SD 7.7
    assert max(counts.values()) < 80 * 1.4


def test_a_true_opening_fits():
    commitment, opening, package = committed(draw_secrets())
    checked = check_opening(opening, commitment, package)
    assert any("split" in line for line in checked)
    assert any("labels" in line for line in checked)


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("salt", "0" * 64, "the salt"),
        ("public_value", "8f3b", "the split"),
        ("groups", {**GROUPS, "P99": "P99"}, "the subjects"),
        ("sizes", Sizes(feedback=5, final=8), "the subjects and the sizes"),
        ("labels", [LABELS[0].replace(",0,0", ",8,1"), *LABELS[1:]], "the labels"),
        ("nonce", "0" * 64, "the labels"),
    ],
)
def test_whatever_the_holder_changes_is_found(field, value, what):
    commitment, opening, package = committed(draw_secrets())
    changed = opening.model_copy(update={field: value})
    with pytest.raises(CheckFailed, match=what):
        check_opening(changed, commitment, package)


def test_a_holder_who_tries_salts_until_the_split_suits_has_another_commitment():
    """With the public value at hand, a salt that hides a chosen person is found fast; it is not the committed one."""
    drawn = draw_secrets()
    commitment, opening, package = committed(drawn)
    wanted = next(who for who, part in opening.split.items() if part == "training")
    for attempt in range(10_000):
        salt = hash_parts("attempt", attempt)
        if (split := split_subjects(salt, "8f3a", GROUPS, SIZES))[wanted] == "final":
            break
    changed = opening.model_copy(update={"salt": salt, "split": split})
    with pytest.raises(CheckFailed, match="the salt"):
        check_opening(changed, commitment, package)


def test_a_public_value_that_is_known_already_is_refused_except_for_demonstrations():
    arguments = (draw_secrets(), "c", GROUPS, SIZES, LABELS, LATER)
    with pytest.raises(UsageError, match="was known"):
        make_commitment(*arguments, demonstration=False, now=KNOWN)
    assert make_commitment(*arguments, demonstration=True, now=KNOWN).demonstration


def test_a_split_that_leaves_few_training_subjects_is_refused():
    with pytest.raises(UsageError, match="would be hidden"):
        split_subjects("s", "v", GROUPS, Sizes(feedback=11, final=12))


def test_hashes_of_different_values_differ():
    values = [("a", "bc"), ("ab", "c"), ("a", "b", "c"), (["a", "b"], "c"), ("a,b", "c"), ('a","b', "c")]
    assert len({hash_parts(*each) for each in values}) == len(values)


def test_secrets_have_256_bits_and_differ():
    drawn = [draw_secrets() for _ in range(3)]
    texts = {text for each in drawn for text in (each.salt, each.nonce)}
    assert len(texts) == 6
    assert {len(text) for text in texts} == {64}
