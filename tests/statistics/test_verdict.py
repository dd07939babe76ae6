"""What a verdict says in words."""

from __future__ import annotations

from typing import Any

import pytest

from embench.records.scores import Adds, Scores
from embench.statistics.verdict import adds_in_words, verdicts


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


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (found(0.508, prior=0.004, movement=0.2), "above all 2 controls; borderline: chance, prior"),
        (found(0.494, prior=-0.009, movement=0.2), "not above prior; borderline: chance, prior"),
        (found(0.52, prior=0.02, movement=0.2), "above all 2 controls"),
    ],
)
def test_a_low_end_near_what_decides_is_called_borderline_from_version_3_on(scores: Scores, words: str) -> None:
    now, before = verdicts(run(scoring=3), scores)["stress"], verdicts(run(), scores)["stress"]
    assert now.controls == words
    assert now.sentences[0].endswith(words)
    assert before.controls == words.partition("; borderline")[0]
    assert now.failed == before.failed


@pytest.mark.parametrize(
    ("judged", "local", "full", "words"),
    [
        ("local", True, False, "adds to a finer look at this accelerometer within ten minutes and to the time"),
        ("local", True, False, "and not to a clock that movement sets"),
        ("local", True, True, "and also to a clock that movement sets"),
        ("local", False, False, "is not shown to add to what the accelerometer shows within ten minutes"),
        ("full", True, True, "adds to a finer look at this accelerometer, the time since the start and a clock that"),
        ("full", True, False, "is not shown to add to a finer look"),
        ("full", True, False, "it adds to the first two (partial correlation"),
        ("full", True, False, "but may have seen the whole session"),
        ("full", False, False, "does not mean that it is not physiological"),
    ],
)
def test_what_may_have_seen_the_whole_session_is_judged_by_clocks_that_a_session_sets(
    judged: str, local: bool, full: bool, words: str
) -> None:
    score = {"mean": 0.2, "low": 0.1, "high": 0.3}
    levels = {
        name: {"effect": score, "score": score, "share_left": 0.5, "adds": adds}
        for name, adds in (("local", local), ("full", full))
    }
    adds = Adds.model_validate({"score": "auroc_crossed_matched", "movement": True, "judged": judged, "levels": levels})
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
        (["acc"], "adds to a finer look at this accelerometer within ten minutes and to the time since", "excluded"),
        (
            ["acc", "eog"],
            "adds to a finer look at this accelerometer within ten minutes, to what is recorded of eyes (eog) and to",
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
