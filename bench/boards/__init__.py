"""The boards of real recordings: which rows they have (`rows`), how they are made (`make board`), and the tables that
`docs/` shows of them (`tables`)."""

from bench import ROOT

RUNS, BOARDS = ROOT / ".embench" / "board", ROOT / "leaderboards"
