"""Protocols for `embench list` and `embench info`: which there are, and their rules in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from embench import protocols
from embench.cli.tables import fields, show_table
from embench.interfaces.kinds import KindName
from embench.protocols import Design, PersonalRules, Protocol

KIND = "protocol"
_KEPT_APART = {
    "group": "subjects; subjects of one group share a fold",
    "recording": "recordings",
    "segment": "segments",
    "stimulus": "stimuli",
    "group+stimulus": "subjects and stimuli; the subject and the stimulus of a test unit are both new",
}
_ACCESS = {
    "none": "only the unit to predict",
    "baseline": "the unit to predict and the rest before the tasks, if the dataset card declares such a rest",
    "unlabelled": "all signals, without labels",
}

_NORMALISED = {
    "none": "signals keep their unit",
    "baseline": "z-scored by the subject's rest before the tasks",
    "subject_unlabelled": "z-scored by all signals of the subject, without labels",
    "recording_unlabelled": "z-scored by the recording, but for signals whose level tells something",
    "given": "z-scored by the calibration data of the test subject",
}

DISPLAY_NAMES = {
    "headline": "primary metric",
    "a method reads of test subjects": "a method may read from test subjects",
    "test subjects give first": "calibration data",
    "shown beside the confound-only models": "shown next to the confound-only models",
}
"""Keys of `described` that have another name on the screen."""


def listed() -> list[dict[str, Any]]:
    """Name, summary and whether it leaks of each protocol that a new run may use."""
    loaded = map(protocols.load_protocol, protocols.protocol_names())
    return [
        {
            "kind": KIND,
            "name": protocol.name,
            "summary": re.split(r"(?<=\.) (?=[A-Z])", protocols.about_protocol(protocol.name))[0],
            "leaks": "yes" if protocol.leaks else "no",
        }
        for protocol in loaded
    ]


def print_listed() -> None:
    """Prints the protocols as a table."""
    show_table(listed(), fields("name", "summary", "leaks"), title=KIND)


def protocol_yaml(name: str) -> str:
    """The rules of a protocol as a YAML file, with those of the protocol that it extends."""
    return protocols.load_protocol(name).yaml()


def described(name: str) -> dict[str, Any]:
    """The rules of a protocol, published or in a file, in words."""
    protocol, published = protocols.load_protocol(name), name in protocols.protocol_names()
    split, unit = protocol.split, protocol.unit
    count = "one fold for each of the" if split.folds == "each" else f"{split.folds} folds of"
    within = ", within each subject" if split.within else ""
    rated = "a rated recording" if unit.rating == "recording" else f"{unit.rating:g} s of a rated recording"
    held_out = protocol.validation.fraction
    return {
        "kind": KIND,
        "name": protocol.name,
        "summary": protocols.about_protocol(name) if published else f"rules of the file {name}",
        "datasets": sorted({*(protocol.labels or {}), *(protocol.stimuli or {}), *(protocol.people or {})}),
        "folds": f"one, of the last of {split.folds} segments of each recording, trained on the earlier segments"
        if split.tests
        else f"{count} {_KEPT_APART[split.by]}{within}",
        "validation": f"{held_out:.0%} of the training subjects" if held_out else "none",
        "unit": f"{rated}; {unit.continuous_s:g} s for continuous ratings; {unit.condition_s:g} s of a condition",
        "headline": _headline(protocol),
        "a method reads of test subjects": _access(protocol),
        **({"test subjects give first": _given(protocol.personal)} if protocol.personal else {}),
        **({"shown beside the confound-only models": ", ".join(protocol.references)} if protocol.references else {}),
        "preprocessing": protocol.preprocess,
        "rate": f"{protocol.rate_hz:g} Hz, to which all signals are resampled; an encoder may read another",
        "normalisation": f"{protocol.normalise}: {_NORMALISED[protocol.normalise]}",
        "leaks": "; ".join(protocol.deviations.values()) if protocol.leaks else "no",
        "hash": protocol.hash[:16],
    }


def _access(protocol: Protocol) -> str:
    known, _, trained_on = protocol.target_access.partition(", ")
    if trained_on:
        return f"{_ACCESS[known]}; and labelled {trained_on.removeprefix('labelled ')}"
    return _ACCESS[known] + (", and the calibration data" if protocol.personal else "")


def _given(rules: PersonalRules) -> str:
    """Words for what test subjects give before they are scored, and how far from that."""
    later = f"units at least one block and {rules.guard_s:g} s later are scored"
    if rules.gives == "session":
        return "their first session, with labels, for training; later sessions are scored"
    if rules.gives == "blocks":
        return f"the first half of their blocks, with labels, for training; {later}"
    return (
        f"N units of each class (--given N, at most {rules.most}) or units without labels (unlabelled:N), also for "
        f"normalisation; {later}, and the scored units do not depend on N"
    )


def _headline(protocol: Protocol) -> str:
    headlines = {
        "class targets": _of_kind(protocol, "binary"),
        "continuous targets": _of_kind(protocol, "value"),
    }
    if len(set(headlines.values())) == 1:
        return headlines["class targets"]
    return "; ".join(f"for {words}: {scores}" for words, scores in headlines.items())


def _of_kind(protocol: Protocol, kind: KindName) -> str:
    designs: Mapping[str, tuple[Design, bool]] = {
        "for tasks in one fixed order": ("fixed_order", False),
        "for stimuli that subjects share": ("shared_stimuli", False),
        "for labels that vary within a shared stimulus": ("shared_stimuli", True),
        "otherwise": ("free", False),
    }
    scores = {text: protocol.headline_for(kind, design, moments) for text, (design, moments) in designs.items()}
    if len(set(scores.values())) == 1:
        return next(iter(scores.values()))
    return ", ".join(f"{score} {text}" for text, score in scores.items())
