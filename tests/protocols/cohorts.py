"""Small cohorts: subjects with recordings of uneven length, some of them recorded together."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from embench.interfaces.dataset import Baseline, Card
from embench.interfaces.recording import Recording
from embench.interfaces.units import Unit
from embench.protocols import Protocol, load_protocol, make_units, select_recordings, whole_recordings


def recording(
    subject: str,
    stimulus: str = "session",
    duration_s: float = 60.0,
    *,
    group: str | None = None,
    start_s: float | None = 0.0,
    order: int | None = None,
) -> Recording:
    return Recording(
        id=f"{subject}/{stimulus}",
        subject=subject,
        stimulus=stimulus,
        session="1",
        duration_s=duration_s,
        group=group or subject,
        start_s=start_s,
        order=order,
    )


def card(baseline: Baseline | None = None, name: str = "toy") -> Card:
    return Card(
        name=name,
        title="Toy",
        citation="",
        doi="",
        licence="MIT",
        obtain="",
        modalities={},
        default_modalities=(),
        targets=(),
        mains_hz=50.0,
        longest_s=3600.0,
        labels_public="no",
        fixed_order=True,
        baseline=baseline,
    )


def cohort(n_subjects: int = 10, stimuli: int = 2, groups: Mapping[str, str] | None = None) -> list[Unit]:
    """Units of 10 s of all subjects' recordings; `groups` names subjects with the group they are recorded in."""
    group_of = groups or {f"p{i}": f"p{i}" for i in range(n_subjects)}
    recordings = [
        recording(name, f"v{s}", 20.0 + 10 * ((i + s) % 3), group=group, start_s=100.0 * s)
        for i, (name, group) in enumerate(group_of.items())
        for s in range(stimuli)
    ]
    return make_units(recordings, card(), "continuous", load_protocol("subject-independent-v4"))


def clips(protocol: Protocol, subjects: int = 12, without: Collection[str] = (), seconds: float = 40.0) -> list[Unit]:
    """What is split of FACED under a protocol: subjects who saw 28 clips, `without` some recordings, `sub-003/clip05`
    being one. Units, where single ones are split; else whole recordings."""
    shown = [
        recording(f"sub-{p:03d}", f"clip{1 + (c + 5 * p) % 28:02d}", seconds + c % 4, start_s=100.0 * c, order=c)
        for p in range(subjects)
        for c in range(28)
    ]
    kept = select_recordings(protocol, card(name="faced"), [r for r in shown if r.id not in without])
    return (
        make_units(kept, card(name="faced"), "rating", protocol)
        if protocol.split.by == "segment"
        else whole_recordings(kept)
    )
