"""The site of these pages: what is staged for it, and what is built of that by the tools that `make docs` installs."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from bench import docs_site
from embench.site.pages import render, write_page

from .pages import ROOT

SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
ADDRESS = "https://example.org/embench"


def listed(nav):
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry.values():
                yield from listed(below if isinstance(below, list) else [below])


def test_every_page_is_in_the_navigation_once():
    pages = [path.relative_to(ROOT).as_posix() for path in docs_site.sources() if path.suffix == ".md"]
    assert sorted(listed(SITE["nav"])) == sorted(pages)


def test_the_navigation_has_seven_tabs():
    tabs = [name for entry in SITE["nav"] for name in entry]
    assert tabs == ["Home", "Tutorials", "How-to", "Concepts", "Leaderboards", "Datasets", "Reference"]


@pytest.mark.parametrize(
    ("text", "staged", "count"),
    [
        ("[run](guide/run.md#resuming)", "[run](guide/run.md#resuming)", 0),
        ("[boards](boards)", "[boards](boards/README.md)", 0),
        ("[here](#top) [there](https://a.org)", "[here](#top) [there](https://a.org)", 0),
        ("[the `run`](../Makefile)", f"[the `run`]({ADDRESS}/blob/main/Makefile)", 1),
        ("[rows](../leaderboards/)", f"[rows]({ADDRESS}/tree/main/leaderboards)", 1),
        ("```text\n  [no](../Makefile)\n```\n", "```text\n  [no](../Makefile)\n```\n", 0),
        ("- one\n  more\n  - two\n    more\n", "- one\n    more\n    - two\n        more\n", 0),
    ],
)
def test_pages_stay_as_they_are_but_for_links_that_leave_them_and_lists_in_lists(text, staged, count):
    page = ROOT / "docs" / "README.md"
    assert docs_site.staged(page, text, set(docs_site.sources()), ADDRESS) == (staged, count)


def test_without_an_address_the_text_of_a_link_stays():
    page = ROOT / "docs" / "README.md"
    assert docs_site.staged(page, "see [it](../Makefile).", set(docs_site.sources()), None) == ("see it.", 1)


def test_faults_of_built_pages_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(docs_site, "sources", list)
    (tmp_path / "a.html").write_text(
        '<h1 id="one"><a href="b.html#two">x</a><a href="b.html#three">x</a><a href="gone.html">x</a>'
        '<a href="https://a.org">x</a><img src="gone.png"><script src="https://b.org/x.js"></script>'
        '<link rel="stylesheet" href="//c.org/x.css"><link rel="canonical" href="https://a.org">'
    )
    (tmp_path / "b.html").write_text('<p id="two">')
    (tmp_path / "x.css").write_text("@import 'https://d.org/x.css'")
    assert sorted(docs_site.faults(tmp_path)) == [
        "a.html: asks another host: //c.org/x.css",
        "a.html: asks another host: https://b.org/x.js",
        "a.html: leads nowhere: gone.html",
        "a.html: leads nowhere: gone.png",
        "a.html: no such heading: b.html#three",
        "x.css: asks another host: https://d.org/x.css",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["zensical", "mkdocs"])
def test_the_site_is_built_without_a_warning_and_its_links_lead_somewhere(tool, tmp_path):
    program = shutil.which(tool, path=ROOT / ".venv-docs" / "bin") or shutil.which(tool)
    if not program:
        pytest.skip(f"{tool} is not installed: make docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    assert docs_site.stage(tmp_path / SITE["docs_dir"], ADDRESS)
    done = subprocess.run(
        [program, "build", "--strict", "--clean"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    built = tmp_path / SITE["site_dir"]
    assert list(docs_site.faults(built)) == []
    start = Path(built, "docs", "start", "first-run.html").read_text()
    assert "$ </span>" in start or ">$" in start  # a prompt, which no button may copy
    assert "content.code.copy" not in start


def test_documentation_and_leaderboards_lead_to_each_other(tmp_path):
    (tmp_path / "docs").mkdir()
    for name in ("index.html", "docs/page.html"):
        (tmp_path / name).write_text(f"{docs_site.TABS}</ul>{docs_site.DRAWER}</ul>")
    write_page(tmp_path / "boards" / "index.html", render("published.html", 0, papers=[]))
    write_page(tmp_path / "boards" / "methods" / "index.html", render("methods.html", 1, pages=[]))
    docs_site.join(tmp_path)
    for name, leads in (("boards/index.html", "../index.html"), ("boards/methods/index.html", "../../index.html")):
        assert f'<li><a href="{leads}">Documentation</a></li>' in (tmp_path / name).read_text()
    for name, leads in (("index.html", "boards/index.html"), ("docs/page.html", "../boards/index.html")):
        assert (tmp_path / name).read_text().count(f'<a href="{leads}"') == 2  # in the tabs, and on a narrow screen
    (tmp_path / "index.html").write_text("another theme")
    with pytest.raises(ValueError, match=r"index\.html has no <ul"):
        docs_site.join(tmp_path)
