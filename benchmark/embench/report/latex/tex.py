"""Text as LaTeX wants it."""

from __future__ import annotations

from embench.texts import visible

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def escape(text: object) -> str:
    """The text on one line, with every character that LaTeX would act on made harmless."""
    return "".join(_SPECIAL.get(letter, letter) for letter in visible(str(text)).replace("\n", " "))


def code(text: object) -> str:
    """`text` escaped and in a fixed-width font."""
    return rf"\texttt{{{escape(text)}}}"


def cite(*keys: str | None) -> str:
    """` \\cite{a,b}`, with the space that keeps it on the line before; nothing where there is no key."""
    known = list(dict.fromkeys(key for key in keys if key))
    return rf"~\cite{{{','.join(known)}}}" if known else ""
