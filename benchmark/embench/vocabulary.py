"""The words of embench: label, definition and search synonyms of each id, and the forms that each word replaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("vocabulary.yaml")
_BUNDLED = "embench_plugins/"


@dataclass(frozen=True)
class BannedForm:
    """A form that a term replaces: a regular expression that ignores case.

    Args:
        hit: a sentence that it finds. `non_hit`: a similar sentence that it does not.
        only_in: beginnings of the places where it is banned; empty where it is banned everywhere.
    """

    form: str
    hit: str
    non_hit: str
    only_in: tuple[str, ...] = ()


@dataclass(frozen=True)
class Term:
    """A word of embench.

    Args:
        section: its part of the vocabulary, such as `metrics`.
        label: what readers see. `short`: the same for the head of a column.
        definition: one line.
        synonyms: what a reader may search for instead.
        aliases: other names of it in records.
    """

    id: str
    section: str
    label: str
    definition: str
    short: str
    synonyms: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    banned: tuple[BannedForm, ...] = ()


@cache
def sections() -> Mapping[str, Mapping[str, Term]]:
    """Section -> id -> term, in the file's order."""
    import yaml  # not for `--help`

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    read = yaml.load(_FILE.read_text(encoding="utf-8"), loader)  # noqa: S506 - a safe loader
    return {
        section: {name: _term(name, section, fields) for name, fields in known.items()}
        for section, known in read.items()
    }


def _term(name: str, section: str, fields: Mapping[str, Any]) -> Term:
    found = {key: fields.get(key) or () for key in ("synonyms", "aliases", "banned")}
    label = str(fields["label"])
    return Term(
        id=name,
        section=section,
        label=label,
        definition=str(fields["definition"]),
        short=str(fields.get("short") or label),
        synonyms=tuple(found["synonyms"]),
        aliases=tuple(found["aliases"]),
        banned=tuple(BannedForm(**form) for form in found["banned"]),
    )


@cache
def terms(section: str = "") -> Mapping[str, Term]:
    """Id or alias -> term, of all sections or of one; of two terms with one id the one of the earlier section."""
    chosen = [known for name, known in sections().items() if section in ("", name)]
    found: dict[str, Term] = {}
    for term in (term for known in chosen for term in known.values()):
        for name in (term.id, *term.aliases):
            found.setdefault(name, term)
    return found


def label(id: str, section: str = "") -> str:  # noqa: A002 - what the vocabulary calls it
    """What readers see for an id; the id with spaces for underscores where the vocabulary lacks it.

    >>> label("registered_clock"), label("rating_high"), label("mae", "pretrainers")
    ('phase of the protocol, inferred from movement', 'rating high', 'masked autoencoder')
    """
    term = _find(id, section)
    return id.replace("_", " ") if term is None else term.label


def definition(id: str, section: str = "") -> str:  # noqa: A002 - as above
    """The definition of an id in one line; empty where the vocabulary lacks it."""
    term = _find(id, section)
    return "" if term is None else term.definition


def in_sentence(id: str, section: str = "") -> str:  # noqa: A002 - as above
    """The label of an id inside a sentence.

    >>> in_sentence("auroc_within"), in_sentence("brier")
    ('within-subject AUROC', 'Brier score')
    """
    text = label(id, section)
    return text[0].lower() + text[1:] if "-" in text.partition(" ")[0] and text[1:2].islower() else text


def _find(name: str, section: str) -> Term | None:
    return terms(section).get(name.removeprefix(_BUNDLED))
