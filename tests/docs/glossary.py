"""The words on the page `docs/glossary.md` that `vocabulary.yaml` defines."""

import textwrap

from embench import vocabulary

from .pages import ROOT

PAGE = ROOT / "docs" / "glossary.md"
TITLES = {
    "concepts": "Concepts",
    "answers": "The nine answers",
    "metrics": "Metrics",
    "models": "Confound-only models",
    "levels": "Confound levels",
    "modalities": "Modalities",
}
"""Section of the vocabulary -> its heading; names of methods stand in `embench list`."""


def terms() -> str:
    """Each section with its terms: label, id, definition and what else one may search for."""
    parts = []
    for section, title in TITLES.items():
        parts += ["", f"### {title}", ""]
        for term in vocabulary.sections()[section].values():
            named = "" if section in ("concepts", "answers") else f" (`{'`, `'.join((term.id, *term.aliases))}`)"
            also = f" *See also:* {', '.join(term.synonyms)}." if term.synonyms else ""
            line = f"- **{term.label}**{named}: {term.definition}{also}"
            parts += textwrap.wrap(line, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(parts).strip()
