"""Leaderboards: entries as data below `leaderboards/`, and the tables made from them."""

from embench.leaderboard.board import build_leaderboards, leaderboard_sections
from embench.leaderboard.publish import finished_runs, publish_runs

__all__ = ["build_leaderboards", "finished_runs", "leaderboard_sections", "publish_runs"]
