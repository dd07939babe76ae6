"""What a verdict says in words."""

from __future__ import annotations

from typing import Any

import pytest

from embench.records.scores import Adds, Score, Scores
from embench.statistics.verdict import adds_in_words, unranked, verdicts


def found(low: float, **gaps: float) -> Scores:
    """Scores of a method with this low end, and those of its differences to controls."""
    gap = {
        c: {"difference": {"mean": end + 0.1, "low": end, "high": end + 0.2}, "clears": end > 0}
        for c, end in gaps.items()
    }
    return Scores(
        {
            "headlines": {"stress": "auroc_within"},
            "scores": {"stress": {"auroc_within": {"mean": low + 0.1, "low": low, "high": low + 0.2}}},
            "controls": {c: {"stress": {"auroc_within": {"mean": 0.5, "low": 0.5, "high": 0.5}}} for c in gaps},
            "differences": {c: {"stress": of} for c, of in gap.items()},
            "not_cleared": [f"stress: {c}" for c, end in gaps.items() if end <= 0],
            "cleared_all": all(end > 0 for end in gaps.values()),
        }
    )


def run(**rules: Any) -> dict[str, Any]:
    return {"cohort": {"design": "free"}, "card": {"fixed_order": False}, "protocol": {"rules": rules}}


def added(local: bool, full: bool, judged: str = "local", low: float = 0.1) -> dict[str, Any]:
    """What a method adds, with this low end of the partial correlation and of what is left."""
    score = {"mean": low + 0.1, "low": low, "high": low + 0.2}
    levels = {
        name: {"effect": score, "score": score, "share_left": 0.5, "adds": adds}
        for name, adds in (("local", local), ("full", full))
    }
    about = {"score": "auroc_crossed_matched", "difference": True, "movement": True}
    return {**about, "judged": judged, "levels": levels}


@pytest.mark.parametrize(
    ("low", "adds", "words", "fails"),
    [
        (0.508, added(True, False), "adds to clock and movement; borderline: chance", False),
        (
            0.6,
            added(True, True, low=0.004),
            "adds to clock and movement; borderline: partial correlation, what is",
            False,
        ),
        (0.494, added(False, False), "is not shown to add to clock and movement; borderline: chance", True),
        (0.6, added(True, False, "full"), "is not shown to add to clock and movement", True),
        (0.6, {"undefined": "no times"}, "what it adds is undefined", True),
        (0.6, None, "what it adds is not asked", False),
    ],
)
def test_a_run_of_version_3_is_judged_by_what_it_adds(low: float, adds: Any, words: str, fails: bool) -> None:
    scores = Scores({**found(low, prior=-0.1), "differences": {}, "adds": {"stress": adds} if adds else {}})
    now = verdicts(run(scoring=3), scores)["stress"]
    assert now.finding.startswith(words)
    assert now.sentences[0] == f"{now.headline}; {now.finding}"
    assert now.fails is fails


def test_a_run_of_version_2_is_judged_by_the_controls() -> None:
    before = verdicts(run(), found(0.508, prior=-0.004, movement=0.2))["stress"]
    assert before.finding == "not above prior"
    assert before.fails


@pytest.mark.parametrize(
    ("judged", "local", "full", "words"),
    [
        ("local", True, False, "adds to fixed features of this accelerometer within ten minutes and to the time"),
        ("local", True, False, "it is not shown to add to a clock that movement sets"),
        ("local", True, True, "it also adds to a clock that movement sets"),
        ("local", False, False, "is not shown to add to fixed features of this accelerometer within ten minutes"),
        ("full", True, True, "adds to fixed features of this accelerometer, the time since the start and a clock that"),
        ("full", True, False, "is not shown to add to fixed features"),
        ("full", True, False, "it adds to the first two (partial correlation"),
        ("full", True, False, "but may have seen the whole session"),
        ("full", False, False, "does not mean that it is not physiological"),
    ],
)
def test_what_may_have_seen_the_whole_session_is_judged_by_clocks_that_a_session_sets(
    judged: str, local: bool, full: bool, words: str
) -> None:
    adds = Adds.model_validate(added(local, full, judged))
    told = adds_in_words(adds)
    assert words in told
    assert told.startswith("adds") == {"local": local, "full": full}[judged]
    assert adds_in_words(adds, whole_session=True) == f"{told}; needs the whole session of the new wearer"


@pytest.mark.parametrize(
    ("held", "words", "end"),
    [
        ([], "adds to the time since the start (", "; movement was not recorded"),
        (
            ["emg", "resp"],
            "adds to the time since the start and to what is recorded of muscles (emg) and breathing (resp) (",
            "; movement was not recorded by an accelerometer",
        ),
        (["acc"], "adds to fixed features of this accelerometer within ten minutes and to the time since", "excluded"),
        (
            ["acc", "eog"],
            "adds to fixed features of this accelerometer within ten minutes, to what is recorded of eyes (eog) and to",
            "excluded",
        ),
    ],
)
def test_a_sentence_names_what_else_is_held_constant_and_whether_the_method_reads_it(
    held: list[str], words: str, end: str
) -> None:
    score = {"mean": 0.2, "low": 0.1, "high": 0.3}
    levels = {name: {"effect": score, "score": score, "share_left": 0.5, "adds": True} for name in ("local", "full")}
    about = {"score": "auroc_crossed", "judged": "local", "movement": "acc" in held, "held": held, "levels": levels}
    content = {**found(0.6, prior=0.1), "adds": {"stress": about}}
    pulse, all_four = (
        verdicts({**run(scoring=3), "method": {"modalities": reads}}, Scores(content))["stress"].sentences[1]
        for reads in (["ppg"], ["ppg", "acc", "emg[zygomaticus]+eog"])
    )
    assert pulse.startswith(words)
    assert pulse.endswith(end)
    own = [name for name in ("emg", "eog") if name in held]
    assert all_four.removeprefix(pulse) == "".join(
        f"; the method itself reads {name}, and what is held constant of it can't add" for name in own
    )


def test_figures_beside_a_level_and_variants_are_told_in_plain_words() -> None:
    variants = {"a third of the penalty": True, "the headline of what is left": False}
    adds = {**added(True, True), "variants": variants}
    told = verdicts(run(scoring=3), Scores({**found(0.6), "adds": {"stress": adds}}))["stress"].adds_sentences
    figures = (
        "(partial correlation of scores and labels 0.200 [0.100, 0.300]; with these regressed out, 50 % of the scores' "
        "variance remains, with a mean difference of 0.200 [0.100, 0.300] SD between positive and negative units)"
    )
    assert figures in told[0]
    of_values = Scores({**found(0.6), "adds": {"stress": {**adds, "score": "concordance_crossed"}}})
    told_of_values = verdicts(run(scoring=3), of_values)["stress"].adds_sentences
    assert told_of_values[0] == told[0].replace("positive and negative units", "units of higher and lower label")
    assert told[1] == "by 1 of 2 variants of the rule it adds"


def test_rows_of_values_that_nothing_ranks_are_in_an_order_of_values() -> None:
    score = Score(mean=0.6, low=0.5, high=0.7)
    for headline, inside in (("concordance_crossed", "concordance_within"), ("auroc_crossed", "auroc_within")):
        told = unranked(headline, "shared_stimuli", ("elapsed_time", score), [score])
        assert f"Rows are in the order of {inside}, which is exploratory" in told
