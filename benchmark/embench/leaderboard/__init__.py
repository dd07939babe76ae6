"""Boards: entries as data below `leaderboards/`, and the tables made from them."""

from embench.leaderboard.board import build, show

__all__ = ["build", "show"]
