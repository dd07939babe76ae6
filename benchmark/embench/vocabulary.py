"""Vocabulary of embench, escaping of texts from other people, and suggestions for misspelt names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

# Texts from other people's files and records: control characters, markup, formulas, and names of files in them.

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that control a terminal or the direction of text, except the tab and the end of a line."""

_FILE_CODE = re.compile(r"\.py:\s*[^\W\d]")
_OBJECT = re.compile(r"\bobject:[0-9a-f]{20}:")
_PLACE = re.compile(r"(?:^|[\s=:,;'\"(\[])(?:/[^\s/]|~[\w.-]*[/\\]|\.{1,2}[/\\]|[A-Za-z]:[\\/][^/]|\\\\)")


def escape_control(text: str) -> str:
    """Escape control characters, so that a terminal prints them instead of obeying them.

    >>> print(escape_control("score" + chr(27) + "[2J"))
    score\\x1b[2J
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "\\\\", "`": "\\`", "*": "\\*", "[": "\\[", "]": "\\]"}


def markdown(text: str) -> str:
    """Escape a text for a line or a table cell of a Markdown file, so that none of it is markup.

    >>> print(markdown("lda<img src=x>" + chr(10) + "# [a](b)"))
    lda&lt;img src=x&gt; # \\[a\\](b)
    """
    line = " ".join(escape_control(text).split())
    return "".join(_MARKUP.get(letter, letter) for letter in line).replace("://", ":&#47;&#47;")


def table_in_markdown(lines: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """Return a table in Markdown. Cells are not padded, so that a changed cell changes only its own line."""
    safe = [[cell.replace("|", "\\|") for cell in line] for line in (heads, *lines)]
    head, *body = [f"| {' | '.join(line)} |" for line in safe]
    return "\n".join([head, "|" + " --- |" * len(heads), *body])


def has_control(text: str) -> bool:
    """Return True if a text has a control character other than a tab or the end of a line."""
    return _CONTROL.search(text) is not None


FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
"""Characters that make a spreadsheet run a cell; the last four are full-width forms of the first four."""


def escape_formula(text: str) -> str:
    """Escape the text of a CSV cell with an apostrophe, if a spreadsheet would run it as a formula.

    >>> escape_formula("=1+1"), escape_formula("cnn_tf")
    ("'=1+1", 'cnn_tf')
    """
    return f"'{text}" if text.startswith(FORMULA) else text


def names_code(text: str) -> bool:
    """Return True if a text names a class in a Python file, or an object that was passed to a Python function.

    >>> names_code("eeg=./mine.py:Net"), names_code("embench_plugins/cnn_tf")
    (True, False)
    """
    return names_file_code(text) or _OBJECT.search(text) is not None


def names_file_code(text: str) -> bool:
    """Return True if a text names a class in a Python file.

    >>> names_file_code("eeg=./mine.py:Net"), names_file_code("object:0123456789abcdef0123:Net")
    (True, False)
    """
    return _FILE_CODE.search(text) is not None


def names_path(text: str) -> bool:
    """Return True if a text contains a path on somebody's machine: absolute, or from `~`, `.` or `..`.

    >>> names_path("encoder.build.weights=/home/alice/w.pt"), names_path("https://embench.org/w"), names_path("a/b")
    (True, False, False)
    """
    return _PLACE.search(text) is not None


def iterate_texts(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Yield (field, text) of all strings in nested mappings and lists, including keys; `field` is the path, such as
    `config.request.encoders.0`."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            inside = f"{field}.{key}" if field else str(key)
            yield inside, str(key)
            yield from iterate_texts(item, inside)
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from iterate_texts(item, f"{field}.{position}")


def collect_texts(value: Any) -> set[str]:
    """Return the distinct texts of `iterate_texts`, in a tenth of its time, since no paths are made.

    >>> sorted(collect_texts({"a": ["b", {"c": 1.0}]}))
    ['a', 'b', 'c']
    """
    found, waiting = set[str](), list[Iterable[Any]]([[value]])
    while waiting:
        for item in waiting.pop():
            kind = type(item)
            if kind is str:
                found.add(item)
            elif kind in _NUMBERS:
                continue
            elif kind is dict or isinstance(item, Mapping):
                found.update(map(str, item))
                waiting.append(item.values())
            elif isinstance(item, list | tuple):
                waiting.append(item)
            elif isinstance(item, str):
                found.add(item)
    return found


_NUMBERS = frozenset({float, int, bool, type(None)})


# The terms of embench: label, definition and search synonyms of each id, and the forms that each term replaces.

_FILE = Path(__file__).with_name("vocabulary.yaml")
_BUNDLED = "embench_plugins/"


@dataclass(frozen=True)
class BannedForm:
    """A wording that a term replaces, as a regular expression that ignores case.

    Args:
        hit: a sentence that it matches.
        non_hit: a similar sentence that it does not match.
        only_in: beginnings of the paths of files in which it is banned; empty: in all files.
    """

    form: str
    hit: str
    non_hit: str
    only_in: tuple[str, ...] = ()


@dataclass(frozen=True)
class Term:
    """A term of embench, such as a metric, a plugin or a concept.

    Args:
        section: section of vocabulary.yaml, such as `metrics`.
        label: its name in texts; `short`: in the head of a column.
        definition: one line.
        synonyms: words that a reader may search for instead.
        aliases: other ids of it in records.
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
    """Return section -> id -> term, in the order of vocabulary.yaml."""
    import yaml  # not for `--help`

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    read = yaml.load(_FILE.read_text(encoding="utf-8"), loader)  # noqa: S506 - a safe loader
    return {
        section: {name: _make_term(name, section, **fields) for name, fields in known.items()}
        for section, known in read.items()
    }


def _make_term(name: str, section: str, label: str, definition: str, short: str = "", **lists: Any) -> Term:
    synonyms, aliases, banned = (tuple(lists.get(key) or ()) for key in ("synonyms", "aliases", "banned"))
    forms = tuple(BannedForm(**form) for form in banned)
    return Term(name, section, label, definition, short or label, synonyms, aliases, forms)


@cache
def terms(section: str = "") -> Mapping[str, Term]:
    """Return id or alias -> term, of one section, or of all if `section` is empty. Of equal ids, the first one wins."""
    chosen = [known for name, known in sections().items() if section in ("", name)]
    found: dict[str, Term] = {}
    for term in (term for known in chosen for term in known.values()):
        for name in (term.id, *term.aliases):
            found.setdefault(name, term)
    return found


def label(id: str, section: str = "") -> str:  # noqa: A002 - what the vocabulary calls it
    """Return the label of an id; if the vocabulary lacks it, the id with spaces for underscores.

    >>> label("protocol_phase"), label("rating_high"), label("mae", "pretrainers")
    ('phase of the protocol, inferred from movement', 'rating high', 'masked autoencoder')
    """
    term = _find(id, section)
    return id.replace("_", " ") if term is None else term.label


def definition(id: str, section: str = "") -> str:  # noqa: A002 - as above
    """Return the definition of an id in one line; empty if the vocabulary lacks it."""
    term = _find(id, section)
    return "" if term is None else term.definition


def in_sentence(id: str, section: str = "") -> str:  # noqa: A002 - as above
    """Return the label of an id as it is written inside a sentence.

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
"""Name in other projects -> beginning of embench's name for the same thing; a tuple has several, likeliest first."""


def find_nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return at most three of the `known` names that are synonyms of `name` or resemble it, the nearest first."""
    by_shape = {_shape(k): k for k in known}
    for begins in find_synonyms(name):
        if matches := [k for shape, k in by_shape.items() if shape == begins or shape.startswith(f"{begins}_")]:
            return matches[:3]
    return [by_shape[shape] for shape in get_close_matches(_shape(name), by_shape, n=3, cutoff=0.55)]


def find_synonyms(name: str) -> tuple[str, ...]:
    """Return the beginnings of embench's names for what others call `name`, the likeliest first; empty if unknown.

    >>> find_synonyms("LogisticRegression"), find_synonyms("tcn")
    (('logreg',), ())
    """
    meant = SYNONYMS.get(_shape(name), ())
    return (meant,) if isinstance(meant, str) else meant


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a question that offers the nearest of the `known` names; None if none resembles `name`."""
    near = find_nearest(name, known)
    return f"did you mean {' or '.join(near)}?" if near else None


def _shape(name: str) -> str:
    return name.lower().replace("-", "_")
