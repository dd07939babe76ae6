"""Boards on which it is asked what rows add: published rows, with answers of which it is known what they mean."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from embench.leaderboard.board import build_leaderboards, markdown_table
from embench.leaderboard.entries import LeaderboardEntry, load_leaderboard_entry
from embench.leaderboard.rows import highest_of, shown_entry
from embench.leaderboard.sections import BY_LUCK, BoardSection, sections_of
from embench.records.schema_1 import written_scores
from embench.records.scores import Scores
from embench.statistics.many_rows import count_adding

ROOT = Path(__file__).parents[2] / "leaderboards"
TOLD = "The scores of {} of 8 methods are associated with the label, given time and movement; by chance, at most "
GROUPS = [f"s{k:02d}" for k in range(24)]


@cache
def published() -> tuple[LeaderboardEntry, ...]:
    """Eight ranked rows of Stress-Predict, of features."""
    folders = sorted((ROOT / "stress_predict" / "subject-independent-v2").glob("handcrafted-*"))
    entries = (load_leaderboard_entry(folder) for folder in folders)
    own = (e for e in entries if not e.superseded and not e.run.config.get("train_dataset"))
    ranked = (e for e in own if e.score("stress", e.scores.headlines["stress"]))
    return tuple(next(ranked) for _ in range(8))


def answered(entry: LeaderboardEntry, parts: np.ndarray, context: str = "unit") -> LeaderboardEntry:
    """The entry, with these `parts` (24,) of the partial correlation; it adds where all are above 0 on the whole."""
    mean, half = float(parts.sum()), 2.07 * float(parts.std(ddof=1)) * len(parts) ** 0.5
    effect = {"mean": mean, "low": mean - half, "high": mean + half}
    at: dict[str, Any] = {"effect": effect, "score": effect, "share_left": 0.8, "adds": mean > half}
    at["of_groups"] = dict(zip(GROUPS, parts.tolist(), strict=True))
    adds = {"score": "auroc_crossed_matched", "difference": True, "movement": True, "judged": "local"}
    content = {**entry.scores.content, "adds": {"stress": {**adds, "levels": {"local": at, "full": at}}}}
    run = entry.run.model_copy(update={"time_context": context})
    return replace(entry, scores=Scores(content), run=run)


def section(*entries: LeaderboardEntry) -> BoardSection:
    [found] = sections_of([shown_entry(entry) for entry in entries])
    return found


def parts(rng: np.random.Generator, mean: float) -> np.ndarray:
    return np.asarray((mean + 0.1 * rng.normal(size=len(GROUPS))) / len(GROUPS))


def test_rows_that_add_come_first_by_how_much_and_others_by_their_headline() -> None:
    rng = np.random.default_rng(1)
    means = [0.0, 0.3, 0.0, 0.6, 0.0, 0.9, 0.0, 0.0]
    found = section(*(answered(e, parts(rng, mean)) for e, mean in zip(published(), means, strict=True)))
    assert [row.does_add for row in found.methods] == [True] * 3 + [False] * 5
    effects = [row.effect.mean for row in found.methods if row.effect]
    assert effects[:3] == sorted(effects[:3], reverse=True)
    rest = [row.score.mean for row in found.methods[3:] if row.score and not row.marks]
    assert rest == sorted(rest, reverse=True)
    assert found.adding
    assert found.adding.beyond_luck
    assert found.adding.sentence.startswith(TOLD.format(3))
    assert not any(row.borderline for row in found.methods)


def test_as_many_rows_as_luck_explains_are_borderline() -> None:
    rng = np.random.default_rng(2)
    lucky, *others = published()
    one = parts(rng, 0.0)
    one += (2.3 * one.std(ddof=1) * len(GROUPS) ** 0.5 - one.sum()) / len(GROUPS)
    found = section(answered(lucky, one), *(answered(e, parts(rng, -0.01)) for e in others))
    assert found.adding
    assert found.adding.adding == found.adding.by_luck == 1
    assert found.adding.sentence.startswith(TOLD.format(1))
    assert [BY_LUCK in row.borderline for row in found.methods] == [True] + [False] * 7


def test_rows_that_other_units_of_a_session_reach_are_ranked_apart() -> None:
    rng = np.random.default_rng(3)
    entries = [answered(e, parts(rng, 0.0), "offline" if k < 4 else "unit") for k, e in enumerate(published())]
    found = section(*entries)
    assert [row.time_context for row in found.methods] == ["offline"] * 4 + ["unit"] * 4
    assert len(found.rankings) == 2
    assert max(row.rank[1] for row in found.methods if row.rank) <= 4


def test_a_row_whose_interval_holds_chance_is_never_called_the_highest() -> None:
    rng = np.random.default_rng(5)
    entries = [answered(e, parts(rng, 0.0)) for e in published()]
    before = highest_of(section(*entries).methods)
    assert before
    k = next(k for k, entry in enumerate(entries) if entry.run.id == before.id)
    content = copy.deepcopy(dict(entries[k].scores.content))
    content["scores"]["stress"][before.headline]["low"] = 0.49
    entries[k] = replace(entries[k], scores=Scores(content))
    after = highest_of(section(*entries).methods)
    assert after
    assert after.id != before.id


def test_the_tables_tell_what_rows_add_and_nothing_of_controls_that_they_clear(tmp_path: Path) -> None:
    entry = answered(published()[0], parts(np.random.default_rng(1), 0.9))
    folder = tmp_path / entry.folder.relative_to(ROOT)
    shutil.copytree(entry.folder, folder)
    assert entry.run.entry
    [shared] = (ROOT / "stress_predict" / "shared").glob(f"*{entry.run.entry.control_scores}*")
    (tmp_path / "stress_predict" / "shared").mkdir()
    shutil.copy(shared, tmp_path / "stress_predict" / "shared")
    (folder / "scores.json").write_text(json.dumps(written_scores(entry.scores, None)))
    with (folder / "run.yaml").open("a") as run:
        run.write("time_context: unit\n")
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    assert "The scores of 1 of 1 methods are associated with the label, given time and movement" in page
    assert "Other units that reach a prediction: none." in page
    assert "| adds 0.9" in page
    head, _, first = markdown_table(section(entry).rows, "subject-independent-v2").splitlines()[:3]
    assert "| adds |" in head
    assert "controls" not in head
    assert "adds 0." in first
    assert "(local)" in first
    assert "not above" not in first


def test_boards_of_rows_without_an_effect_seldom_seem_to_have_one() -> None:
    rng = np.random.default_rng(4)
    false = 0
    for _ in range(40):
        common = rng.normal(size=len(GROUPS))
        rows = 0.7 * common + 0.7 * rng.normal(size=(30, len(GROUPS)))
        adding = int((rows.mean(1) > 2.07 * rows.std(1, ddof=1) / len(GROUPS) ** 0.5).sum())
        found = count_adding([dict(zip(GROUPS, row.tolist(), strict=True)) for row in rows], adding)
        assert found
        false += found.beyond_luck
    assert false <= 5
