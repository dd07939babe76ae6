"""The boards of real recordings: which rows they have (`rows`), how they are made (`make board`), and the tables that
`docs/` shows of them (`tables`)."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNS, BOARDS = ROOT / ".embench" / "board", ROOT / "leaderboards"
