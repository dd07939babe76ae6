"""Leaderboards: entries as data below `leaderboards/`, and the tables made from them."""

from embench.leaderboard.entries import find_finished_runs, publish_runs
from embench.leaderboard.tables import build_leaderboards, load_sections

__all__ = ["build_leaderboards", "find_finished_runs", "load_sections", "publish_runs"]
