"""Leaderboards with answers given time and movement: published entries, with answers whose truth is known."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from embench.leaderboard.entries import Attestation, FoundAttestation, LeaderboardEntry, load_leaderboard_entry
from embench.leaderboard.rows import summarise_entry
from embench.leaderboard.tables import (
    AS_MANY,
    BoardSection,
    build_leaderboards,
    build_sections,
    render_markdown_table,
    summarise,
)
from embench.records.scores import Score, Scores
from embench.statistics.intervals import count_positive, holds_corrected

ROOT = Path(__file__).parents[2] / "leaderboards"
GROUPS = [f"s{k:02d}" for k in range(24)]


@cache
def published() -> tuple[LeaderboardEntry, ...]:
    """Eight entries of Stress-Predict, of features, with all labels and all sensors."""
    folders = sorted((ROOT / "stress_predict" / "subject-independent-v4").glob("handcrafted-*"))
    entries = (load_leaderboard_entry(folder) for folder in folders)
    other = ("train_dataset", "drop", "label_fraction", "label_subjects", "calibration_data", "tuned")
    own = (e for e in entries if not any(e.run.config.get(name) for name in other))
    ranked = (e for e in own if e.score("stress", e.scores.primary_metrics["stress"]))
    return tuple(next(ranked) for _ in range(8))


def answered(entry: LeaderboardEntry, parts: np.ndarray, context: str = "unit") -> LeaderboardEntry:
    """The entry, with these `parts` (24,) of partial r; the answer is *yes* where they lie above 0 on the whole."""
    mean, half = float(parts.sum()), 2.07 * float(parts.std(ddof=1)) * len(parts) ** 0.5
    effect = {"mean": mean, "low": mean - half, "high": mean + half}
    at: dict[str, Any] = {
        "partial_r": effect,
        "residual_score": effect,
        "residual_proportion": 0.8,
        "associated": mean > half,
    }
    at["by_group"] = dict(zip(GROUPS, parts.tolist(), strict=True))
    adjusted = {
        "metric": "auroc_crossed_matched",
        "mean_difference": True,
        "has_movement": True,
        "decisive_level": "movement",
    }
    content = {
        **entry.scores.content,
        "adjusted": {"stress": {**adjusted, "levels": {"movement": at, "protocol_phase": at}}},
    }
    run = entry.run.model_copy(update={"time_context": context})
    return replace(entry, scores=Scores(content), run=run)


def reproduced(entry: LeaderboardEntry) -> FoundAttestation:
    """What somebody attests who ran the entry again."""
    about: dict[str, Any] = {"protocol": entry.run.protocol.name, "entry": entry.run.id, "digest": "0" * 64}
    made = Attestation(level="reproduced", by="A. Reader", on=dt.date(2026, 11, 22), versions={}, **about)
    return FoundAttestation(Path(), made, "")


def section(*entries: LeaderboardEntry) -> BoardSection:
    [found] = build_sections([summarise_entry(entry) for entry in entries])
    return found


def parts(rng: np.random.Generator, mean: float) -> np.ndarray:
    return np.asarray((mean + 0.1 * rng.normal(size=len(GROUPS))) / len(GROUPS))


def test_entries_are_sorted_by_the_primary_metric_whatever_their_answers() -> None:
    rng = np.random.default_rng(1)
    means = [0.0, 0.3, 0.0, 0.6, 0.0, 0.9, 0.0, 0.0]
    found = section(*(answered(e, parts(rng, mean)) for e, mean in zip(published(), means, strict=True)))
    scores = [row.score.mean for row in found.methods if row.score]
    assert scores == sorted(scores, reverse=True)
    assert sum(row.format_answer("movement") == "yes" for row in found.methods) == 3
    assert found.associated
    assert found.associated.beyond_luck
    assert not any(row.near_null for row in found.methods)
    sentence = summarise(found).sentence
    assert sentence.startswith("Stress tasks or rest, from a wristband? 34 subjects, 8 methods: ")
    assert (
        f"3 given time and movement (by chance: at most {found.associated.by_luck}), 3 given the protocol" in sentence
    )
    above = found.counts["chance"]
    assert f"{above.adding} above chance (by chance: at most {above.by_luck})" in sentence
    assert above.adding == sum(row.format_answer("chance") == "yes" for row in found.methods)
    assert above.by_luck is not None
    assert 1 <= above.by_luck <= 8  # contributions of a constant score are taken away, in which methods are alike


def test_as_many_answers_as_chance_explains_are_borderline() -> None:
    rng = np.random.default_rng(2)
    lucky, *others = published()
    one = parts(rng, 0.0)
    one += (2.3 * one.std(ddof=1) * len(GROUPS) ** 0.5 - one.sum()) / len(GROUPS)
    found = section(answered(lucky, one), *(answered(e, parts(rng, -0.01)) for e in others))
    assert found.associated
    assert found.associated.adding == found.associated.by_luck == 1
    assert [AS_MANY in row.near_null for row in found.methods if row.id == lucky.run.id] == [True]
    assert [row.corrected for row in found.methods if row.id == lucky.run.id] == [False]


def test_an_answer_that_holds_after_correction_for_all_methods_is_marked() -> None:
    rng = np.random.default_rng(6)
    strong, *others = published()
    found = section(answered(strong, parts(rng, 0.9)), *(answered(e, parts(rng, -0.02)) for e in others))
    assert [row.id for row in found.methods if row.corrected] == [strong.run.id]
    assert "| yes\\*, partial r 0.9" in render_markdown_table(found.methods, "x")


def test_rows_that_other_units_of_a_session_reach_are_ranked_apart() -> None:
    rng = np.random.default_rng(3)
    entries = [answered(e, parts(rng, 0.0), "offline" if k < 4 else "unit") for k, e in enumerate(published())]
    found = section(*(replace(e, attestations=[reproduced(e)]) for e in entries))
    assert len(found.rankings) == 2
    assert max(row.rank[1] for row in found.methods if row.rank) <= 4


def test_a_page_has_the_answers_and_models_without_a_signal_in_a_table_of_their_own(tmp_path: Path) -> None:
    entry = answered(published()[0], parts(np.random.default_rng(1), 0.9))
    folder = tmp_path / entry.folder.relative_to(ROOT)
    shutil.copytree(entry.folder, folder)
    assert entry.run.entry
    [shared] = (ROOT / "stress_predict" / "shared").glob(f"*{entry.run.entry.confound_only_scores}*")
    (tmp_path / "stress_predict" / "shared").mkdir()
    shutil.copy(shared, tmp_path / "stress_predict" / "shared")
    (folder / "scores.json").write_text(json.dumps(dict(entry.scores)))
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    assert "34 subjects, 1 method: " in page
    assert "1 given time and movement (by chance: at most " in page
    assert ", partial r 0.9" in page
    assert "Models without any physiological signal" not in page  # nobody confirms those of a single entry
    head, _, *rows = render_markdown_table(section(entry).methods, "subject-independent-v4").splitlines()
    assert "| given time and movement | given the protocol phase |" in head
    assert len(rows) == 1


def test_leaderboards_without_an_effect_seldom_seem_to_have_one() -> None:
    rng = np.random.default_rng(4)
    false = 0
    for _ in range(40):
        common = rng.normal(size=len(GROUPS))
        rows = 0.7 * common + 0.7 * rng.normal(size=(30, len(GROUPS)))
        adding = int((rows.mean(1) > 2.07 * rows.std(1, ddof=1) / len(GROUPS) ** 0.5).sum())
        found = count_positive([dict(zip(GROUPS, row.tolist(), strict=True)) for row in rows], adding)
        assert found
        false += found.beyond_luck
    assert false <= 5


def test_correction_for_all_methods_keeps_its_level_and_finds_a_strong_one() -> None:
    rng = np.random.default_rng(7)

    def holds(mean: float) -> list[bool]:
        rows = 0.7 * rng.normal(size=len(GROUPS)) + 0.7 * rng.normal(size=(30, len(GROUPS)))
        rows[0] += mean
        half = 2.07 * rows.std(1, ddof=1) * len(GROUPS) ** 0.5
        effects = [Score(mean=r.sum(), low=r.sum() - h, high=r.sum() + h) for r, h in zip(rows, half, strict=True)]
        return holds_corrected([dict(zip(GROUPS, row.tolist(), strict=True)) for row in rows], effects)

    assert sum(any(holds(0.0)) for _ in range(40)) <= 5
    assert sum(holds(1.0)[0] for _ in range(10)) >= 9
