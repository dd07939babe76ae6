"""Notes about a board, written in Markdown by people, as a part of its page."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from embench.errors import DataError
from embench.files import read_text
from embench.site.number_style import in_one_style
from embench.site.pages import link


def read(folder: Path | None, dataset: str, datasets: AbstractSet[str]) -> Markup:
    """The page `<dataset>.md` of a folder as HTML, without its title; empty where there is none.

    Headings stand one level below those of the page. Links to notes of other `datasets` lead to their pages; of other
    links inside the folder, and of pictures, only the words stay. HTML in a note is shown as text.

    Raises:
        DataError: the file cannot be read.
    """
    path = folder and Path(folder) / f"{dataset}.md"
    if not path or not path.is_file():
        return Markup()
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"a note cannot be read: {error}", where=str(path)) from error
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    # Marks of generated tables are comments, which readers of Markdown don't see.
    tokens = markdown.parse("\n".join(line for line in text.splitlines() if not line.startswith("<!--")))
    if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        tokens = tokens[3:]
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        if token.children:
            token.children = _kept(token.children, datasets)
    html = markdown.renderer.render(tokens, markdown.options, {})
    html = html.replace("<table>", '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>')
    return Markup(html.replace("</table>", "</table></div>"))  # noqa: S704  the renderer escapes the text


def _kept(tokens: list[Token], datasets: AbstractSet[str]) -> list[Token]:
    """The parts of a line without links that lead nowhere, and without pictures."""
    kept: list[Token] = []
    dropped = []
    for token in tokens:
        if token.type == "link_open":
            href = _target(str(token.attrs["href"]), datasets)
            dropped.append(href is None)
            if href is not None:
                token.attrs["href"] = href
                kept.append(token)
        elif token.type == "link_close":
            if not dropped.pop():
                kept.append(token)
        elif token.type in ("image", "text"):
            kept.append(Token("text", "", 0, content=in_one_style(token.content)))
        else:
            kept.append(token)
    return kept


def _target(href: str, datasets: AbstractSet[str]) -> str | None:
    """Target of a link from a dataset's page; None where that is not in the site."""
    place = urlsplit(href)
    if place.scheme in ("http", "https"):
        return href
    stem = Path(place.path).stem
    if not place.scheme and not place.netloc and place.path.endswith(".md"):
        name = Path(place.path).parent.name if stem == "README" else stem
        if name in datasets:
            return f"../{link(name, 'index.html')}"
    return None
