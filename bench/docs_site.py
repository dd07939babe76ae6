"""The documentation as a site: `python bench/docs_site.py stage FOLDER`, and `check SITE` for the built one.

`stage` copies README, CONTRIBUTING, CHANGELOG and docs/ into one folder, from which `mkdocs.yml` builds the site. Pages
stay what GitHub shows, but for two things: lists in lists are indented as Python's Markdown wants them, and links to
other files are led to the repository. Its address is `--repository`, or that of `pyproject.toml`, `CITATION.cff` or
GitHub's environment; where none says one, only the text of such links stays. `check` reads the built pages: every link
and anchor leads somewhere, and no page asks another host for anything. It ends with 1 otherwise. `join SITE` leads from
the documentation to the leaderboards, which were written into its folder `boards`, and back (`make pages`).

It lies in `bench/` with the other scripts that make pages, and needs nothing but Python: the environment of `make docs`
has no embench.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
INDENT = re.compile(r"^( +)", re.MULTILINE)
HOST = re.compile(r"(?:https?:)?//")
UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n\n"
"""Above the changelog, which holds nearly every word that is searched for."""
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
"""Elements of a page that are fetched with it; of `link`, all but what only says where a page is."""
NAMED = {"canonical", "next", "prev", "alternate"}


def sources() -> list[Path]:
    """Files that belong to the site, in the working tree."""
    return [*(ROOT / name for name in PAGES), *(path for path in sorted((ROOT / "docs").rglob("*")) if path.is_file())]


def repository() -> str | None:
    """The address of the repository, as the project or its service says it."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"].get("urls", {})
    cited = re.search(r'^repository-code: "?([^"\n]+)"?$', (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    named = {name.lower(): url for name, url in urls.items()}.get("repository") or (cited and cited[1])
    if not named and (name := os.environ.get("GITHUB_REPOSITORY")):
        named = f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{name}"
    return named or None


def stage(out: Path, address: str | None) -> int:
    """Copies the pages; returns how many links leave the site for the repository."""
    shutil.rmtree(out, ignore_errors=True)
    kept, left = set(sources()), 0
    for path in sources():
        copy = out / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            text, count = staged(path, path.read_text("utf-8"), kept, address)
            text = UNSEARCHED + text if path.name == "CHANGELOG.md" else text
            copy.write_text(text, "utf-8")
            left += count
        else:
            shutil.copy(path, copy)
    return left


def staged(page: Path, text: str, kept: set[Path], address: str | None) -> tuple[str, int]:
    """A page as it is staged, and how many of its links lead to the repository."""
    count = 0

    def one(match: re.Match[str]) -> str:
        nonlocal count
        mark, words, link = match.groups()
        path, _, part = link.partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        target = Path(os.path.normpath(page.parent / unquote(path)))
        behind = f"#{part}" if part else ""
        if target in kept:
            return match[0]
        if target / "README.md" in kept:
            return f"{mark}[{words}]({path.rstrip('/')}/README.md{behind})"
        count += 1
        if address is None:
            return words
        kind = "tree" if target.is_dir() else "blob"
        return f"{mark}[{words}]({address}/{kind}/main/{target.relative_to(ROOT).as_posix()}{behind})"

    pieces = FENCED.split(text)  # every second one is a block of code, which holds no links
    pieces[::2] = [LINK.sub(one, INDENT.sub(r"\1\1", piece)) for piece in pieces[::2]]
    return "".join(pieces), count


class Page(HTMLParser):
    """The links, anchors and fetched files of a built page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        self.ids |= {of[name] for name in ("id", "name") if of.get(name)}
        if tag == "a" and of.get("href"):
            self.links.append(of["href"])
        elif tag == "link" and of.get("href") and of.get("rel") not in NAMED:
            self.loaded.append(of["href"])
        elif of.get(LOADED.get(tag, "")):
            self.loaded.append(of[LOADED[tag]])


def faults(site: Path) -> Iterator[str]:
    """Yields each fault of a built site as a line."""
    site = site.resolve()
    pages = {path: Page(path) for path in site.rglob("*.html")}
    if len(pages) < len([path for path in sources() if path.suffix == ".md"]):
        yield f"{len(pages)} pages are too few"
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        yield from (f"{name}: asks another host: {link}" for link in page.loaded if HOST.match(link))
        if name == "404.html":  # served from anywhere, so its links begin at the top
            continue
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_relative_to(site) or not target.exists():
                yield f"{name}: leads nowhere: {link}"
            elif "=" in parts.fragment:  # what a board shows, which its script reads
                continue
            elif unquote(parts.fragment) not in {"", "__top", *getattr(pages.get(target), "ids", ())}:
                yield f"{name}: no such heading: {link}"
    for path in site.rglob("*.css"):
        for link in re.findall(r"(?:url\(|@import )['\"]?((?:https?:)?//[^'\")\s]+)", path.read_text("utf-8")):
            yield f"{path.relative_to(site).as_posix()}: asks another host: {link}"


TABS, DRAWER = '<ul class="md-tabs__list">', '<ul class="md-nav__list" data-md-scrollfix>'
HEADER = '<nav aria-label="Site"><ul>'
"""Start of the list of parts on the pages of the documentation, and on those of the leaderboards."""


def join(site: Path) -> None:
    """Adds the leaderboards to the tabs and the drawer of the documentation, and the documentation to their header.
    Raises ValueError where a page has no such place."""
    for path in site.rglob("*.html"):
        name = path.relative_to(site)
        if name.name == "404.html":
            continue
        up, text = "../" * (len(name.parts) - 1), path.read_text("utf-8")
        if name.parts[0] == "boards":
            text = _added(name, text, HEADER, f'<li><a href="{up}index.html">Documentation</a></li>')
        else:
            link = f'<a href="{up}boards/index.html" class="md-{{0}}__link">All entries</a></li>'
            text = _added(name, text, TABS, '<li class="md-tabs__item">' + link.format("tabs"))
            text = _added(name, text, DRAWER, '<li class="md-nav__item">' + link.format("nav"))
        path.write_text(text, "utf-8")


def _added(page: Path, text: str, place: str, item: str) -> str:
    """The page with an item at the beginning of the list that opens at `place`."""
    if place not in text:
        raise ValueError(f"{page} has no {place}, so that nothing can be linked there")
    return text.replace(place, f"{place}\n{item}", 1)


def main() -> int:
    parser = argparse.ArgumentParser(description="Stages the documentation for a site; checks or joins what was built.")
    parser.add_argument("step", choices=("stage", "check", "join"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repository", help="address of the repository, for links to files that are no pages")
    asked = parser.parse_args()
    if asked.step == "stage":
        address = asked.repository or repository()
        count = stage(asked.folder, address)
        print(f"{count} links leave the site, for {address or 'nowhere: no address of the repository is known'}")
        return 0
    if asked.step == "join":
        join(asked.folder)
        return 0
    found = list(faults(asked.folder))
    print("\n".join(found) or "every link leads somewhere, and no page asks another host")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
