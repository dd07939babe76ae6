"""Finds the forms that `vocabulary.yaml` bans in what the program and its plugins print and in pages; measures pages.

`python -m tests.docs.prose [FOLDER ..]` prints the number of texts with such a form in each folder, and the texts of
the folders that are named. Of a page, such as `docs/glossary.md`, or of a folder of pages, it also prints the number of
words, the mean length of the sentences, and those that are too long.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import typer
import yaml

from embench import cli, vocabulary
from embench.leaderboard.columns import columns

from .pages import ROOT

CORE, PLUGINS = ROOT / "benchmark" / "embench", ROOT / "plugins" / "embench_plugins"

OWN_WORDS = {"film's class", "1e6/GSR"}
"""Words of a dataset for its own stimuli and channels."""

MIN_WORDS = 2
LONG = 30
"""Words of a sentence; few may have more."""
GENERATED = {"combinations", "commands", "errors", "features", "included", "names", "records"}
"""Pages of `docs/reference` that are made from code."""
_CODE = re.compile(
    r"`[^`]*`|(?<!\w)--?[a-z][\w-]*|\$\w+|\b\w+_\w+\b|\S*/\S+\.\w+|https?://\S+"
    r"|\b[\w-]+\.(?:html|js|json|csv|yaml|md|py)\b|\b[a-z]+\d{4}[\w-]*"
    r"|\bscope=\"row\"|\$\{[^}]*\}?|\b(?:confound_only|card)(?=[.:] ?\w)|\bdocs/boards\b"
    r"|\bshared/\w+|\bethics board\b|#[\w-]+"
)
"""What a text names rather than says: code, options, identifiers, commands, keys of records, files."""
_REGEX = re.compile(r"\(\?[:P!=<]|\\[bsdwW](?![a-z])|\[\^")
_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
_SAID = re.compile(r"\b(?:title|alt|aria-label|placeholder|content)=\"([^\"]*)\"")
_TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)
_INLINE = re.compile(r"</?(?:a|b|i|em|code|strong|span|small|abbr)\b[^>]*>")
_LITERALS = re.compile(r"\"((?:[^\"\\\n]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)'|`((?:[^`\\]|\\.)*)`")


class Text(NamedTuple):
    """A text that the program shows, with its place."""

    path: str
    line: int
    text: str
    own_words: bool = False
    """Whether a dataset's own word for its stimuli may stand here."""

    @property
    def folder(self) -> str:
        """The part of the repository that it belongs to."""
        parts = Path(self.path).parts
        return "/".join(parts[: min(len(parts) - 1, 3)]) if len(parts) > 1 else self.path

    @property
    def banned(self) -> list[tuple[str, str]]:
        """(what it says, the label of what it should say)."""
        bare = _CODE.sub("`", " ".join(self.text.split()))
        if self.text in OWN_WORDS or not _any_form().search(bare):
            return []
        found = [(banned.search(bare), label) for banned, label, only_in in _forms() if self._is_under(label, only_in)]
        return [(match[0], label) for match, label in found if match]

    def _is_under(self, label: str, only_in: tuple[str, ...]) -> bool:
        """True if a form of the term with this label is banned here."""
        return not (self.own_words and label == "stimulus") and (not only_in or self.path.startswith(tuple(only_in)))


@cache
def _forms() -> list[tuple[re.Pattern[str], str, tuple[str, ...]]]:
    known = [term for terms in vocabulary.sections().values() for term in terms.values()]
    return [
        (re.compile(banned.form, re.IGNORECASE), term.label, banned.only_in) for term in known for banned in term.banned
    ]


@cache
def _any_form() -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{form.pattern})" for form, *_ in _forms()), re.IGNORECASE)


def banned_in_name(name: str) -> list[str]:
    """What the words of an option or an identifier say that is banned everywhere."""
    words = re.sub(r"[_-]+", " ", name).strip()
    return [match[0] for form, _, only_in in _forms() if not only_in and (match := form.search(words))]


@cache
def texts() -> tuple[Text, ...]:
    """All texts that the program shows, and README's sentences."""
    return tuple(_texts())


def _texts() -> Iterator[Text]:
    for path in sorted([*CORE.rglob("*.py"), *PLUGINS.rglob("*.py")]):
        yield from _of_python(path)
    for path in sorted([*CORE.rglob("*.html"), *CORE.rglob("templates/*.md")]):
        yield from _of_template(path)
    for path in sorted(CORE.glob("site/assets/*.js")):
        yield from _of_script(path)
    for path in sorted([*CORE.glob("protocols/*.yaml"), *PLUGINS.rglob("*.yaml"), ROOT / "registry.yaml"]):
        if path.parent.name != "printed":  # rows of papers' tables, in the papers' words
            yield from _of_yaml(path)
    yield from (Text("columns", 0, column.title) for column in columns().values())
    yield from _of_commands(typer.main.get_command(cli.app), "embench")
    yield from _of_page(ROOT / "README.md")


def counts() -> Counter[str]:
    """Folder -> number of texts with a banned form; folders without one stand there with 0."""
    found: Counter[str] = Counter()
    for text in texts():
        found[text.folder] += bool(text.banned)
    return found


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _is_prose(text: str) -> bool:
    return len(re.findall(r"[A-Za-z][A-Za-z'-]*", text)) >= MIN_WORDS and not _REGEX.search(text)


def _of_python(path: Path) -> Iterator[Text]:
    """String literals, with `X` for what an f-string fills in; no docstring and no regular expression."""
    waiting: list[ast.AST] = [ast.parse(path.read_bytes())]
    own_words = PLUGINS / "datasets" in path.parents and path.parent.name not in ("own", "formats")
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name | ast.expr_context | ast.arg | ast.operator | ast.alias):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of = node.func.value
            if isinstance(of, ast.Name) and of.id == "re":
                continue
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "X" for part in node.values]
            text = "".join(map(str, parts))
            waiting += [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            waiting += ast.iter_child_nodes(node)
            continue
        if _is_prose(text):
            yield Text(_place(path), node.lineno, text, own_words)


def _of_template(path: Path) -> Iterator[Text]:
    """The sentences of a template between its tags, and of the attributes that are shown."""
    source = path.read_text(encoding="utf-8")
    keep_lines = lambda match: "X" + "\n" * match[0].count("\n")  # noqa: E731
    source = _JINJA.sub(keep_lines, source)
    said = "\n".join(_SAID.findall(source))
    plain = _TAGS.sub(lambda match: "\0" + "\n" * match[0].count("\n"), _INLINE.sub("", source))
    line = 1
    for part in plain.split("\0"):
        if _is_prose(part):
            yield Text(_place(path), line, part, own_words=part.startswith("|"))  # questions of datasets
        line += part.count("\n")
    yield from (Text(_place(path), 0, text) for text in said.splitlines() if _is_prose(text))


def _of_script(path: Path) -> Iterator[Text]:
    """The string literals of a script."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        code = re.sub(r"(^|\s)//.*", "", line)
        for found in _LITERALS.finditer(code):
            text = re.sub(r"\$\{[^}]*\}", "X", next(filter(None, found.groups()), ""))
            if _is_prose(text):
                yield Text(_place(path), number, text)


def _of_yaml(path: Path) -> Iterator[Text]:
    """The texts among the values of a file."""
    waiting: list[Any] = [yaml.compose(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.ScalarNode) and _is_prose(node.value):
            yield Text(_place(path), node.start_mark.line + 1, node.value, own_words=True)


def _of_commands(command: Any, name: str) -> Iterator[Text]:
    """The help of a command, of its options and of the commands below it."""
    helps = [command.help or "", *(getattr(option, "help", "") or "" for option in command.params)]
    yield from (Text(f"help/{name}", 0, text) for text in helps if _is_prose(text))
    for below, found in getattr(command, "commands", {}).items():
        yield from _of_commands(found, f"{name} {below}")


_FENCE = re.compile(r"^ *```.*?^ *```$|(?<=\n\n)(?: {4}(?! *[-*\d])[^\n]*\n)+", re.MULTILINE | re.DOTALL)
_MADE = re.compile(r"<!-- (made by|table) .*?<!-- (?:\1 .*?: end|table: end) -->", re.DOTALL)
"""What a command made on a page that is written by hand."""
_BLOCK = re.compile(r"\n\s*\n|\n(?= *(?:[-*>|#]|\d+\.) )|\n(?=<)")
_SENTENCE = re.compile(r"(?<=[.!?])[*_)\"]*\s+(?=[*_(\"\[]+\w|[A-Z0-9])")


def _of_page(path: Path) -> Iterator[Text]:
    """The paragraphs of a page, without its blocks of code and what is made on it."""
    source = path.read_text(encoding="utf-8")
    for blank in (_MADE, _FENCE):
        source = blank.sub(lambda match: "\n" * match[0].count("\n"), source)
    source = re.sub(r"\]\([^)]*\)", "]", source)
    line, dataset = 1, path.parent.name in ("datasets", "boards")
    for part in source.split("\n\n"):
        if _is_prose(part):
            yield Text(_place(path), line, part, own_words=dataset or part.startswith("|"))  # questions of datasets
        line += part.count("\n") + 2


def documentation() -> list[Path]:
    """The pages of `docs` that are written by hand."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    return [page for page in pages if page.parent.name != "reference" or page.stem not in GENERATED]


def count_words(page: Path) -> int:
    """Number of words of a page, code included, without what is made from code."""
    return len(_MADE.sub("", page.read_text(encoding="utf-8")).split())


def sentences(text: str) -> list[str]:
    """The sentences of paragraphs and of items of lists, without headings, tables, code, and fragments of two words."""
    text = re.sub(r"<!--.*?-->", "", _FENCE.sub("", _MADE.sub("", text)), flags=re.DOTALL)
    text = re.sub(r"`[^`]*`", "X", re.sub(r"\]\([^)]*\)", "]", text))
    blocks = (" ".join(block.split()) for block in _BLOCK.split(text))
    bare = [re.sub(r"^(?:[-*>]|\d+\.) ", "", block) for block in blocks if block[:1] not in ("#", "|", "<")]
    return [found for block in bare for found in _SENTENCE.split(block) if len(found.split()) > MIN_WORDS]


class Measures(NamedTuple):
    """What is limited of a page."""

    words: int
    mean: float
    """Words of a sentence."""
    long: float
    """Proportion of sentences with more than `LONG` words."""
    banned: tuple[str, ...]
    """Banned forms that it says, once for each paragraph."""


@cache
def measure(page: Path) -> Measures:
    """The measures of a page."""
    lengths = [len(sentence.split()) for sentence in sentences(page.read_text(encoding="utf-8"))] or [0]
    long = sum(length > LONG for length in lengths) / len(lengths)
    banned = tuple(said for text in _of_page(page) for said, _ in text.banned)
    return Measures(count_words(page), sum(lengths) / len(lengths), long, banned)


def _print_pages(place: str) -> None:
    """Prints the measures of the pages below a place, their long sentences and banned forms."""
    for page in documentation():
        if _place(page).startswith(place):
            found = measure(page)
            figures = (
                f"{found.words:5} words, mean {found.mean:4.1f}, {found.long:5.1%} long, {len(found.banned):2} banned"
            )
            print(f"{figures}  {_place(page)}")
            long = [each for each in sentences(page.read_text(encoding="utf-8")) if len(each.split()) > LONG]
            print("".join(f"    {len(each.split())} words: {each}\n" for each in long), end="")
            for text in _of_page(page):
                print("".join(f"    line {text.line}: {said!r} -> {label}\n" for said, label in text.banned), end="")


def main(wanted: list[str]) -> None:
    """Prints the counts, and the texts of some folders."""
    if wanted and all(place.startswith("docs") for place in wanted):
        for place in wanted:
            _print_pages(place)
        return
    found, total = counts(), Counter(text.folder for text in texts())
    for folder in sorted(total):
        print(f"{found[folder]:5} of {total[folder]:5}  {folder}")
    for text in texts():
        if text.banned and any(text.path.startswith(place) for place in wanted):
            forms = ", ".join(f"{said!r} -> {label}" for said, label in text.banned)
            print(f"{text.path}:{text.line}: {forms}\n    {' '.join(text.text.split())}")


if __name__ == "__main__":
    main(sys.argv[1:])
