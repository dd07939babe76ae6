"""Leaderboards: entries as data below `leaderboards/`, and the tables made from them."""

from embench.leaderboard.entries import finished_runs, publish_runs
from embench.leaderboard.tables import build_leaderboards, leaderboard_sections

__all__ = ["build_leaderboards", "finished_runs", "leaderboard_sections", "publish_runs"]
