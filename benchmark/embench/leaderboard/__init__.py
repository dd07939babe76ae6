"""Boards: entries as data below `leaderboards/`, and the tables made from them."""

from embench.leaderboard.board import build, show
from embench.leaderboard.publish import finished, publish

__all__ = ["build", "finished", "publish", "show"]
