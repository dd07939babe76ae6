"""Leaderboards: entries as data below `leaderboards/`, and the tables made from them."""

from embench.leaderboard.board import build_leaderboards
from embench.leaderboard.export import finished_runs, publish_runs
from embench.leaderboard.sections import leaderboard_sections

__all__ = ["build_leaderboards", "finished_runs", "leaderboard_sections", "publish_runs"]
