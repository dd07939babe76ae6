"""How the stages of a large grid would be scheduled on 1 to 512 workers, and what limits it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".embench" / "scaling"
