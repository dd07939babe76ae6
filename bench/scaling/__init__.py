"""How the stages of a large grid would be scheduled on 1 to 512 workers, and what limits it."""

from bench import ROOT

WORK = ROOT / ".embench" / "scaling"
