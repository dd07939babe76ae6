"""The leaderboards of real recordings: which rows they have (`rows`), and the tables that `docs/` shows of them
(`tables`)."""

from bench import ROOT

RUNS, BOARDS = ROOT / ".embench" / "board", ROOT / "leaderboards"
