"""What is made on the pages of `docs/reference`; here the functions of `embench` with their arguments.

`python -m tests.docs.reference` writes all of it again, after a name, a command or a plugin was changed on purpose.
"""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path

import embench
from bench.markdown import insert

from ..attacks import page as attacks
from . import combinations, commands, features, glossary, names, records
from .names import first_sentence
from .pages import ROOT

PAGE = ROOT / "docs" / "reference" / "python.md"
MOST = 12
"""Parameters that the page shows of a function."""


def reference() -> str:
    parts = []
    for name in sorted(embench.__all__, key=str.lower):
        if name == "__version__":
            continue
        found = getattr(embench, name)
        text = textwrap.fill(first_sentence(inspect.getdoc(found) or ""), 118)
        parts.append(f"```text\n{_signature(name, found)}\n```\n\n{text}\n")
    return "\n".join(parts).strip()


def _signature(name: str, found: object) -> str:
    if not inspect.isfunction(found) and not inspect.isclass(found):  # of another library's version
        return f"embench.{name}"
    taken = list(inspect.signature(found).parameters.values())
    text = f"embench.{name}{inspect.Signature([p.replace(annotation=p.empty) for p in taken[:MOST]])}"
    text = f"{text[:-1]}, ...)" if len(taken) > MOST else text  # `help` has them all
    return "\n".join(textwrap.wrap(text, 110, subsequent_indent="    ", break_on_hyphens=False))


MADE = {
    PAGE: reference,
    names.PAGE: names.names,
    combinations.PAGE: combinations.tables,
    features.PAGE: features.lists,
    commands.COMMANDS: commands.commands,
    commands.ERRORS: commands.exit_codes,
    commands.SETTINGS: commands.settings,
    glossary.PAGE: glossary.terms,
    records.PAGE: records.fields,
    attacks.PAGE: attacks.forgeries,
}
"""Page -> what is made on it."""


def written(page: Path) -> str:
    """A page with what is made on it as it is now."""
    return insert(page.read_text("utf-8"), "python -m tests.docs.reference", MADE[page]())


if __name__ == "__main__":
    for path in MADE:
        path.write_text(written(path), "utf-8", newline="\n")
