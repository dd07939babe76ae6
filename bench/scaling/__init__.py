"""Simulated schedules of the stages of a large grid on 1 to 512 workers, and their limits."""

from bench import ROOT

WORK = ROOT / ".embench" / "scaling"
