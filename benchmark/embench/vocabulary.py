"""The vocabulary of embench, templates of its sentences, and near names for messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

# Texts of others: their control characters, and names of files among the values of a record.

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that control a terminal, or turn the direction of a line; not a tab or the end of a line."""

_FILE_CODE = re.compile(r"\.py:\s*[^\W\d]")
_OBJECT = re.compile(r"\bobject:[0-9a-f]{20}:")
_PLACE = re.compile(r"(?:^|[\s=:,;'\"(\[])(?:/[^\s/]|~[\w.-]*[/\\]|\.{1,2}[/\\]|[A-Za-z]:[\\/][^/]|\\\\)")


def visible(text: str) -> str:
    """The text with its control characters written out, so that a terminal shows them and does nothing else.

    >>> print(visible("score" + chr(27) + "[2J"))
    score\\x1b[2J
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "\\\\", "`": "\\`", "*": "\\*", "[": "\\[", "]": "\\]"}


def markdown(text: str) -> str:
    """The text for a line or a cell of a Markdown file, in which it is nothing but text.

    >>> print(markdown("lda<img src=x>" + chr(10) + "# [a](b)"))
    lda&lt;img src=x&gt; # \\[a\\](b)
    """
    line = " ".join(visible(text).split())
    return "".join(_MARKUP.get(letter, letter) for letter in line).replace("://", ":&#47;&#47;")


def table_in_markdown(lines: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """A table of a Markdown file. Cells are not padded: a changed cell changes its own line only."""
    safe = [[cell.replace("|", "\\|") for cell in line] for line in (heads, *lines)]
    head, *body = [f"| {' | '.join(line)} |" for line in safe]
    return "\n".join([head, "|" + " --- |" * len(heads), *body])


def has_control(text: str) -> bool:
    """True if a text holds a control character other than a tab or the end of a line."""
    return _CONTROL.search(text) is not None


FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
"""Beginnings of cells that a spreadsheet runs; the last four are the wide forms of the first."""


def harmless(text: str) -> str:
    """The text for a cell of a CSV file: one that a spreadsheet would run as a formula gets an apostrophe before it.

    >>> harmless("=1+1"), harmless("cnn_tf")
    ("'=1+1", 'cnn_tf')
    """
    return f"'{text}" if text.startswith(FORMULA) else text


def names_code(text: str) -> bool:
    """True if a text names a class in a file, or one that was given from Python.

    >>> names_code("eeg=./mine.py:Net"), names_code("embench_plugins/cnn_tf")
    (True, False)
    """
    return names_file_code(text) or _OBJECT.search(text) is not None


def names_file_code(text: str) -> bool:
    """True if a text names a class in a file.

    >>> names_file_code("eeg=./mine.py:Net"), names_file_code("object:0123456789abcdef0123:Net")
    (True, False)
    """
    return _FILE_CODE.search(text) is not None


def names_place(text: str) -> bool:
    """True if a text names a place on somebody's machine: by a full path, from a home folder, or from where it stood.

    >>> names_place("encoder.build.weights=/home/alice/w.pt"), names_place("https://embench.org/w"), names_place("a/b")
    (True, False, False)
    """
    return _PLACE.search(text) is not None


def texts_in(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """(field, text) of all texts in plain values, keys too; fields are called as `config.request.encoders.0`."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            inside = f"{field}.{key}" if field else str(key)
            yield inside, str(key)
            yield from texts_in(item, inside)
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from texts_in(item, f"{field}.{position}")


# The words of embench: label, definition and search synonyms of each id, and the forms that each word replaces.

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

    >>> label("protocol_phase"), label("rating_high"), label("mae", "pretrainers")
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


# Near names, for messages about wrong ones.

SYNONYMS: dict[str, str | tuple[str, ...]] = {
    **dict.fromkeys(("bvp", "pulse", "blood_volume_pulse"), "ppg"),
    **dict.fromkeys(("gsr", "gsc", "scl", "scr", "skin_conductance"), "eda"),
    **dict.fromkeys(("skt", "skin_temperature"), "temp"),
    **dict.fromkeys(("rsp", "respiration", "breathing"), "resp"),
    "heart_rate": "hr",
    **dict.fromkeys(("hrv", "ibi"), ("hr", "ppg", "ecg")),  # which features of the two give
    **dict.fromkeys(("accelerometer", "accelerometry", "movement"), "acc"),
    "loso": "leave_one_subject_out",
    "logisticregression": "logreg",
    "svc": "svm",
    "linearsvc": "linear_svm",
    **dict.fromkeys(("linearregression", "linear_regression", "ols", "ridgecv"), "ridge"),
    **dict.fromkeys(("linearsvr", "svr_linear"), "linear_svr"),
    **dict.fromkeys(("rf", "randomforest", "randomforestclassifier", "randomforestregressor"), "forest"),
    **dict.fromkeys(("kneighborsclassifier", "kneighborsregressor", "nearest_neighbours"), "knn"),
    "lineardiscriminantanalysis": "lda",
    **dict.fromkeys(("mlpclassifier", "mlpregressor"), "mlp"),
    "gaussiannb": "naive_bayes",
    **dict.fromkeys(("xgboost", "lightgbm", "gradient_boosting", "histgradientboostingclassifier"), "boosting"),
    "histgradientboostingregressor": "boosting",
}
"""Terms of other projects -> the beginning of our names for them, or several, the likeliest first."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """At most three known names that `name` is a synonym of or resembles, the nearest first."""
    by_shape = {_shape(k): k for k in known}
    for begins in our_words(name):
        if meant := [k for shape, k in by_shape.items() if shape == begins or shape.startswith(f"{begins}_")]:
            return meant[:3]
    return [by_shape[shape] for shape in get_close_matches(_shape(name), by_shape, n=3, cutoff=0.55)]


def our_words(name: str) -> tuple[str, ...]:
    """The beginnings here of what researchers call `name`, the likeliest first; empty where no other word is known.

    >>> our_words("LogisticRegression"), our_words("tcn")
    (('logreg',), ())
    """
    meant = SYNONYMS.get(_shape(name), ())
    return (meant,) if isinstance(meant, str) else meant


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A sentence that offers the nearest names, or None where nothing comes near."""
    near = nearest(name, known)
    return f"did you mean {' or '.join(near)}?" if near else None


def _shape(name: str) -> str:
    return name.lower().replace("-", "_")
