"""Citations of a run with their BibTeX, and rendering of LaTeX templates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import embench
from embench import registry
from embench.errors import EmbenchError
from embench.files import parse_yaml
from embench.records.record import Record
from embench.records.wording import counted, in_words, join_with_and, number_in_words
from embench.report.facts import RunFacts, dataset_card
from embench.vocabulary import escape_control, label

# LaTeX from `templates/`, and escaping of text.

_CONTINUED = re.compile(r"(?:[ \t]*\n[ \t]+)+")
_MINUS = re.compile(r"(?<![^\s(\[])-(?=\d)")
_ENDS = re.compile(r"^ +| +$", re.MULTILINE)

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def escape(text: object) -> str:
    """Return a text in one line, with LaTeX's special characters escaped and minus signs before numbers.

    >>> escape("r = -0.03 [-0.1, 0.04], subject-independent-v4")
    'r = $-$0.03 [$-$0.1, 0.04], subject-independent-v4'
    """
    return _MINUS.sub("$-$", _escape_special(text))


def _escape_special(text: object) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in escape_control(str(text)).replace("\n", " "))


def in_apa(text: str) -> str:
    """Format the intervals in a sentence in APA style.

    >>> in_apa("partial r = -0.02, 95 % CI -0.13 to 0.08")
    'partial r = -0.02, 95 % CI [-0.13, 0.08]'
    """
    return re.sub(r"(\d\d % CI) (-?[\d.]+) to (-?[\d.]+\d)", r"\1 [\2, \3]", text)


def code(text: object) -> str:
    """Return an escaped text in a fixed-width font."""
    return rf"\texttt{{{_escape_special(text)}}}"


def cite(*keys: str | None) -> str:
    """Return `~\\cite{a,b}` for the keys of papers that are known; empty without any."""
    known = list(dict.fromkeys(key for key in keys if key))
    return rf"~\cite{{{','.join(known)}}}" if known else ""


def load_templates(package: str, *, html: bool) -> Environment:
    """Return the Jinja environment of a package's templates. Undefined names are errors; blocks leave no lines."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=html,  # noqa: S701  LaTeX and Markdown have no HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


_TEMPLATES = load_templates("embench.report", html=False)
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
    """Render a template; indented lines are joined to the line before."""
    text = _TEMPLATES.get_template(template).render(values)
    return _ENDS.sub("", _CONTINUED.sub(" ", text))


# Citations of a run and their BibTeX, from the packages' `papers.bib`, the datasets' cards and CITATION.cff.

EMBENCH_KEY = "embench"

_HEAD = re.compile(r"^@\w+\{\s*([^,\s]+)\s*,", re.MULTILINE)
_DOI = re.compile(r"10\.\d{4,}/\S+")


@dataclass(frozen=True)
class Paper:
    """A bibliography entry: key, BibTeX text, and DOI if it has one."""

    key: str
    text: str
    doi: str | None


@cache
def papers() -> dict[str, Paper]:
    """Return key -> bibliography entry of all installed packages; the bundled package wins where two share a key."""
    found: dict[str, Paper] = {}
    for path in registry.find_shipped_files("papers.bib"):
        for paper in parse_bibtex(path.read_text(encoding="utf-8")):
            found.setdefault(paper.key, paper)
    return found


def parse_bibtex(text: str) -> Iterator[Paper]:
    """Yield the entries of a BibTeX text; text between entries is ignored."""
    for head in _HEAD.finditer(text):
        depth, end = 0, len(text)
        for at in range(head.start(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            if text[at] == "}" and not depth:
                end = at + 1
                break
        entry = text[head.start() : end]
        doi = re.search(r"^\s*doi\s*=\s*\{([^}]*)\}", entry, re.MULTILINE)
        yield Paper(head[1], entry, doi[1] if doi else None)


def find_paper_key(text: str | None) -> str | None:
    """Return the bibliography key of a paper, from a key or a DOI in a registry file; None if it is unknown."""
    if not text:
        return None
    if text in papers():
        return text
    doi = _DOI.search(text)
    return _find_key_by_doi(doi[0]) if doi else None


def _find_key_by_doi(doi: str) -> str | None:
    return next((p.key for p in papers().values() if p.doi and doi and p.doi.lower() == doi.lower()), None)


def dataset_paper(name: str) -> Paper | None:
    """Return the bibliography entry of a dataset: that with its card's DOI, else one made from the card. Return None
    where its package is not installed."""
    card = dataset_card(name)
    if card is None:
        return None
    key = _find_key_by_doi(card.doi)
    if key:
        return papers()[key]
    own = re.sub(r"[^a-z0-9]+", "_", card.name.lower())
    fields = {"title": f"{{{escape(card.title)}}}", "howpublished": escape(card.citation), "doi": card.doi}
    lines = [f"  {field} = {{{value}}}" for field, value in fields.items() if value]
    return Paper(own, "@misc{" + ",\n".join([own, *lines]) + "\n}", card.doi or None)


def citation_file() -> Mapping[str, Any]:
    """Return the content of embench's own CITATION.cff."""
    cff: Mapping[str, Any] = parse_yaml((resources.files("embench") / "CITATION.cff").read_text(encoding="utf-8"))
    return cff


def embench_paper() -> Paper:
    """Return the bibliography entry of embench, from its CITATION.cff."""
    cff = citation_file()
    authors = [
        a["name"] if "name" in a else f"{a['family-names']}, {a.get('given-names', '')}".rstrip(", ")
        for a in cff["authors"]
    ]
    fields = {
        "author": " and ".join(f"{{{name}}}" for name in authors),
        "title": f"{{{cff['title']}}}",
        "version": embench.__version__,
        "year": str(cff.get("date-released", ""))[:4],
        "doi": cff.get("doi", ""),
        "url": cff.get("repository-code") or cff.get("url", ""),
    }
    lines = [f"  {field} = {{{value}}}" for field, value in fields.items() if value]
    return Paper(EMBENCH_KEY, "@misc{" + ",\n".join([EMBENCH_KEY, *lines]) + "\n}", None)


def find_plugin_paper(kind: str, name: str) -> str | None:
    """Return the key of a plugin's paper; None where it has no paper or is not installed."""
    try:
        return find_paper_key(registry.find(kind, name).paper)
    except EmbenchError:
        return None


def find_protocol_paper(name: str) -> str | None:
    """Return the key of the paper whose rules a protocol follows, from a name such as `wu2023` or `wu2023-last`."""
    return find_paper_key(name) or find_paper_key(name.partition("-")[0])


INTERVALS_PAPER = "efron1981"
"""Key of the paper on the jackknife, by which intervals are computed."""


def cited_papers(records: Sequence[Record]) -> list[Paper]:
    """Return the papers on datasets, methods, protocols, metrics and intervals of runs, and on embench, each once."""
    found: dict[str, Paper] = {}
    for run in map(RunFacts, records):
        for paper in filter(None, map(dataset_paper, run.datasets)):
            found.setdefault(paper.key, paper)
        keys = [find_plugin_paper(kind, name) for kind, name in run.plugins]
        keys += [find_protocol_paper(run.manifest.protocol.name)]
        keys += [find_plugin_paper("metric", head.metric) for head in run.answers.values()]
        for key in [*keys, INTERVALS_PAPER]:
            if key in papers():
                found.setdefault(str(key), papers()[str(key)])
    return [*found.values(), embench_paper()]


def bibtex(records: Sequence[Record]) -> str:
    """Return the text of a BibTeX file with `cited_papers`."""
    return "\n\n".join(paper.text for paper in cited_papers(records)) + "\n"
