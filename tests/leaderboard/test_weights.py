"""Rows of encoders that bring weights or keep the unit of their signals: their marks, and whom they are ranked with."""

from __future__ import annotations

from pathlib import Path

from embench.leaderboard import build_leaderboards, load_sections
from embench.leaderboard.columns import columns

from .made_up import put
from .test_board import ranks


def test_weights_that_saw_the_test_subjects_have_no_rank_even_without_labels(tmp_path: Path) -> None:
    about = {"name": "lab/net", "licence": "MIT", "source": "https://example.org", "declared": True}
    put(tmp_path, "honest", 0.9, overlap="unlabelled_target", weights={"ppg": {**about, "saw": "unlabelled"}})
    put(tmp_path, "hidden", 0.8, weights={"ppg": {**about, "saw": "labelled"}})  # the record states `none`
    put(tmp_path, "a", 0.6, weights={"ppg": {**about, "saw": "none"}})
    assert ranks(tmp_path) == {"a": (1, 1), "hidden": None, "honest": None}
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    assert page.count("(its weights saw these subjects)") == 2
    [section] = load_sections(tmp_path)
    details = {row.id: columns()["details"].text(row) for row in section.methods}
    assert "ppg from lab/net, which saw none of these subjects (declared)" in details["a"]


def test_signals_in_their_unit_have_a_ranking_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, "physical", 0.9, measurement_units={"ppg": "µV"})
    put(tmp_path, "a", 0.7)
    put(tmp_path, "b", 0.66)
    assert ranks(tmp_path) == {"physical": (1, 1), "a": (1, 2), "b": (1, 2)}
    build_leaderboards(tmp_path)
    page = (tmp_path / "stress_predict" / "README.md").read_text()
    assert "Ranks compare entries with the same access to data of the test subjects" in page
    assert "ppg in µV, not standardised by subject" in page
