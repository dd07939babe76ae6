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
    "group": "subjects; those who belong together share a fold",
    "recording": "recordings",
    "segment": "segments",
    "stimulus": "stimuli",
    "group+stimulus": "subjects and of stimuli; a test unit's subject and stimulus are both new",
}
_ACCESS = {
    "none": "nothing but the unit that it predicts",
    "baseline": "their rest before the tasks as well, if the dataset's card declares it",
    "unlabelled": "all their signals, without labels",
}


def listed() -> list[dict[str, Any]]:
    """Name, summary and whether it leaks of each protocol that a new run may use."""
    names = [name for name in protocols.protocol_names() if not protocols.superseded_by(name)]
    loaded = [protocols.load_protocol(name) for name in names]
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


def described(name: str) -> dict[str, Any]:
    """The rules of a published protocol, in words."""
    protocol = protocols.load_protocol(name)
    split, unit = protocol.split, protocol.unit
    count = "one fold for each of the" if split.folds == "each" else f"{split.folds} folds of"
    within = ", within each subject" if split.within else ""
    rated = "a rated recording" if unit.rating == "recording" else f"{unit.rating:g} s of a rated recording"
    held_out = protocol.validation.fraction
    return {
        "kind": KIND,
        "name": protocol.name,
        "summary": protocols.about_protocol(name),
        "superseded by": protocols.superseded_by(name),
        "datasets": sorted({*(protocol.labels or {}), *(protocol.stimuli or {}), *(protocol.people or {})}),
        "folds": f"one, of the last of {split.folds} stretches of each recording, trained on those before it"
        if split.tests
        else f"{count} {_KEPT_APART[split.by]}{within}",
        "validation": f"{held_out:.0%} of the training side" if held_out else "none",
        "unit": f"{rated}; {unit.continuous_s:g} s where ratings are continuous; {unit.condition_s:g} s of a condition",
        "headline": _headline(protocol),
        "a method reads of test subjects": _access(protocol),
        **({"test subjects give first": _given(protocol.personal)} if protocol.personal else {}),
        **({"shown beside the controls": ", ".join(protocol.references)} if protocol.references else {}),
        "preprocessing": protocol.preprocess,
        "leaks": "; ".join(protocol.deviations.values()) if protocol.leaks else "no",
        "hash": protocol.hash[:16],
    }


def _access(protocol: Protocol) -> str:
    known, _, trained_on = protocol.target_access.partition(", ")
    if trained_on:
        return f"{_ACCESS[known]}; and their {trained_on.removeprefix('labelled ')}, with labels"
    return _ACCESS[known] + (", and what they give first" if protocol.personal else "")


def _given(rules: PersonalRules) -> str:
    """Words for what test subjects give before they are scored, and how far from that."""
    later = f"scored is what comes a block and at least {rules.guard_s:g} s later"
    if rules.gives == "session":
        return "their first session, with labels, which is trained on; scored are later ones"
    if rules.gives == "blocks":
        return f"the first half of their blocks, with labels, which is trained on; {later}"
    return (
        f"as many units of each class as a run says, {rules.most} at most (--given N), or without labels "
        f"(unlabelled:N); these normalise them; {later}, the same units whatever they give"
    )


def _headline(protocol: Protocol) -> str:
    headlines = {"classes": _of_kind(protocol, "binary"), "values": _of_kind(protocol, "value")}
    if len(set(headlines.values())) == 1:
        return headlines["classes"]
    return "; ".join(f"of {words}, {scores}" for words, scores in headlines.items())


def _of_kind(protocol: Protocol, kind: KindName) -> str:
    designs: Mapping[str, tuple[Design, bool]] = {
        "where tasks came in one order": ("fixed_order", False),
        "where subjects shared stimuli": ("shared_stimuli", False),
        "where labels vary while a shared stimulus lasts": ("shared_stimuli", True),
        "elsewhere": ("free", False),
    }
    scores = {text: protocol.headline_for(kind, design, moments) for text, (design, moments) in designs.items()}
    if len(set(scores.values())) == 1:
        return next(iter(scores.values()))
    if protocol.scoring != 3:  # which know nothing of moments
        del scores["where labels vary while a shared stimulus lasts"]
    return ", ".join(f"{score} {text}" for text, score in scores.items())
