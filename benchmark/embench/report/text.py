"""LaTeX from `templates/`, and text as LaTeX wants it."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from embench.records.wording import counted, in_words, join_with_and, number_in_words
from embench.texts import visible
from embench.vocabulary import label

_GOES_ON = re.compile(r"(?:[ \t]*\n[ \t]+)+")
_MINUS = re.compile(r"(?<![^\s(\[])-(?=\d)")
_ENDS = re.compile(r"^ +| +$", re.MULTILINE)

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def escape(text: object) -> str:
    """The text on one line, with every character that LaTeX would act on made harmless, and minus signs.

    >>> escape("r = -0.03 [-0.1, 0.04], subject-independent-v3")
    'r = $-$0.03 [$-$0.1, 0.04], subject-independent-v3'
    """
    return _MINUS.sub("$-$", _escaped(text))


def _escaped(text: object) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in visible(str(text)).replace("\n", " "))


def in_apa(text: str) -> str:
    """Intervals of a sentence in the form of the APA.

    >>> in_apa("partial r = -0.02, 95 % CI -0.13 to 0.08")
    'partial r = -0.02, 95 % CI [-0.13, 0.08]'
    """
    return re.sub(r"(\d\d % CI) (-?[\d.]+) to (-?[\d.]+\d)", r"\1 [\2, \3]", text)


def code(text: object) -> str:
    """`text` escaped and in a fixed-width font."""
    return rf"\texttt{{{_escaped(text)}}}"


def cite(*keys: str | None) -> str:
    """` \\cite{a,b}`, with the space that keeps it on the line before; nothing where there is no key."""
    known = list(dict.fromkeys(key for key in keys if key))
    return rf"~\cite{{{','.join(known)}}}" if known else ""


def templates_of(package: str, *, html: bool) -> Environment:
    """The templates of a package, in which a name that is not given is an error and a block leaves no empty line."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=html,  # noqa: S701  LaTeX and Markdown have no HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


_TEMPLATES = templates_of("embench.report", html=False)
_TEMPLATES.filters |= {
    "apa": in_apa,
    "code": code,
    "counted": counted,
    "label": label,
    "emph": lambda text: rf"\emph{{{escape(text)}}}",
    "listed": lambda parts: join_with_and(list(parts)),
    "number": number_in_words,
    "tex": escape,
    "words": in_words,
}
_TEMPLATES.globals["cite"] = cite


def render_text(template: str, **values: Any) -> str:
    """The text of a template, of which indented lines go on with the line before."""
    text = _TEMPLATES.get_template(template).render(values)
    return _ENDS.sub("", _GOES_ON.sub(" ", text))
