"""Citations of a run with their BibTeX, and text as LaTeX needs it."""

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
from embench.vocabulary import label, visible

# LaTeX from `templates/`, and text as LaTeX wants it.

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


# Citations of a run, and their BibTeX: from packages' `papers.bib`, datasets' cards and CITATION.cff.

EMBENCH_KEY = "embench"

_HEAD = re.compile(r"^@\w+\{\s*([^,\s]+)\s*,", re.MULTILINE)
_DOI = re.compile(r"10\.\d{4,}/\S+")


@dataclass(frozen=True)
class Paper:
    """An entry of a bibliography: its key, its text as BibTeX, and its DOI where it has one."""

    key: str
    text: str
    doi: str | None


@cache
def papers() -> dict[str, Paper]:
    """key -> entry, of all packages; of two with one key the first package's, the bundled one before others."""
    found: dict[str, Paper] = {}
    for path in registry.shipped("papers.bib"):
        for paper in parse_bibtex(path.read_text(encoding="utf-8")):
            found.setdefault(paper.key, paper)
    return found


def parse_bibtex(text: str) -> Iterator[Paper]:
    """The entries of a BibTeX text; whatever stands between them is a comment."""
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


def key_of(text: str | None) -> str | None:
    """The key of the paper that a registry entry's `paper` names, by key or by DOI; None where nobody has it."""
    if not text:
        return None
    if text in papers():
        return text
    doi = _DOI.search(text)
    return _of_doi(doi[0]) if doi else None


def _of_doi(doi: str) -> str | None:
    return next((p.key for p in papers().values() if p.doi and doi and p.doi.lower() == doi.lower()), None)


def dataset_paper(name: str) -> Paper | None:
    """The citation of a dataset: the entry with its card's DOI, else one made of what the card says; None where its
    package is not installed here."""
    card = dataset_card(name)
    if card is None:
        return None
    key = _of_doi(card.doi)
    if key:
        return papers()[key]
    own = re.sub(r"[^a-z0-9]+", "_", card.name.lower())
    fields = {"title": f"{{{escape(card.title)}}}", "howpublished": escape(card.citation), "doi": card.doi}
    lines = [f"  {field} = {{{value}}}" for field, value in fields.items() if value]
    return Paper(own, "@misc{" + ",\n".join([own, *lines]) + "\n}", card.doi or None)


def citation_file() -> Mapping[str, Any]:
    """The content of embench's own CITATION.cff."""
    cff: Mapping[str, Any] = parse_yaml((resources.files("embench") / "CITATION.cff").read_text(encoding="utf-8"))
    return cff


def embench_paper() -> Paper:
    """The entry of embench itself, from its CITATION.cff."""
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


def paper_of(kind: str, name: str) -> str | None:
    """The key of a plugin's paper; None where it has none, or is not installed here."""
    try:
        return key_of(registry.find(kind, name).paper)
    except EmbenchError:
        return None


def paper_of_protocol(name: str) -> str | None:
    """The paper whose rules a protocol has, by its name: `wu2023`, `wu2023-last`."""
    return key_of(name) or key_of(name.partition("-")[0])


def intervals_paper(run: RunFacts) -> str:
    """The paper of a run's intervals: the jackknife's, of earlier records the bootstrap's."""
    return "hesterberg2015" if run.bootstrapped else "efron1981"


def cited_papers(records: Sequence[Record]) -> list[Paper]:
    """The papers of the datasets, methods, protocols, primary metrics and intervals of runs, and embench; each once."""
    found: dict[str, Paper] = {}
    for run in map(RunFacts, records):
        for paper in filter(None, map(dataset_paper, run.datasets)):
            found.setdefault(paper.key, paper)
        keys = [paper_of(kind, name) for kind, name in run.plugins]
        keys += [paper_of_protocol(run.manifest.protocol.name)]
        keys += [paper_of("metric", head.metric) for head in run.answers.values()]
        for key in [*keys, intervals_paper(run)]:
            if key in papers():
                found.setdefault(str(key), papers()[str(key)])
    return [*found.values(), embench_paper()]


def bibtex(records: Sequence[Record]) -> str:
    """A BibTeX file of `cited`."""
    return "\n\n".join(paper.text for paper in cited_papers(records)) + "\n"
