"""Readers find a page by the field's words, see its tables whole, and are not far from it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from bench import docs_site

from . import prose, reading
from .pages import PAGES, ROOT

QUERIES = {
    "confound": ("concepts", "guide/controls", "why/adjusted"),
    "covariate": ("concepts", "guide/controls", "why/adjusted"),
    "overfitting": ("concepts", "why/protocol"),
    "LOSO": ("which-protocol", "why/protocol"),
    "cross-validation": ("concepts", "guide/run", "why/protocol"),
    "few-shot": ("guide/personal",),
    "calibration data": ("guide/personal",),
    "hyperparameter": ("guide/grid",),
    "held-out": ("concepts", "why/protocol"),
    "ground truth": ("guide/labels",),
    "data leakage": ("concepts", "which-protocol"),
    "E4": ("datasets/exports", "datasets/stress_predict", "datasets/wearable_stress", "guide/data"),
    "BVP": ("datasets/corpus", "datasets/stress_predict", "glossary"),
    "GSR": ("datasets/exports",),
    "regression": ("guide/values",),
    "false alarm": ("boards/exercise",),
    "reproduce paper": ("guide/claims",),
    "Slurm": ("guide/cluster",),
    "cite": ("cite",),
    "API": ("guide/python", "reference/python"),
}
"""What people search for, and the pages, below `docs`, of which one is to be among the first three hits."""

JOURNEYS = {
    "score my predictions": "start/own-predictions",
    "a baseline on my own recordings": "start/own-data",
    "add an encoder": "guide/plugins/encoder",
    "reproduce a paper's table": "guide/claims",
    "publish a result": "guide/evidence",
    "understand a leaderboard": "guide/leaderboards",
    "choose a protocol": "which-protocol",
    "a personalised model": "guide/personal",
    "a GPU or a cluster": "guide/cluster",
}
"""What a newcomer wants to do, and the page, below `docs`, that says how."""

NARROW = {
    "docs/boards/README.md": 1,
    "docs/boards/eegmat.md": 2,
    "docs/boards/exercise.md": 1,
    "docs/boards/wearable_stress.md": 1,
    "docs/findings.md": 2,
}
"""Tables that are wider than a screen of 390 px, and scroll: at most 10; lower it, never raise it."""


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_finds_its_page_among_the_first_three(query):
    hits = [section.page for section in reading.search(query)[:3]]
    assert {f"docs/{page}.md" for page in QUERIES[query]} & set(hits), hits


@pytest.mark.parametrize("aim", JOURNEYS)
def test_a_page_is_at_most_three_clicks_and_2500_words_away(aim):
    words, way = reading.journey(f"docs/{JOURNEYS[aim]}.md")
    assert words <= 2500, way


def test_no_table_is_wider_than_its_column():
    wide = {(page.name, head): px for page in PAGES for px, _, head in reading.widths(page) if px > reading.WIDE_PX}
    assert wide == {}


def test_few_tables_are_wider_than_a_narrow_screen():
    found = {
        page.relative_to(ROOT).as_posix(): count
        for page in PAGES
        if (count := sum(px > reading.NARROW_PX for _, px, _ in reading.widths(page)))
    }
    assert found == NARROW
    assert sum(NARROW.values()) <= 10


def test_users_see_figures():
    shown = [page for page in (ROOT / "README.md", *prose.documentation()) if reading.pictures(page)]
    shown = [page for page in shown if {"gallery", "inside"}.isdisjoint(page.parts)]
    assert len(shown) >= 15, shown


SEND = """
const fs = require("fs"), [, , worker, index, ...queries] = process.argv, waiting = [];
global.self = { postMessage(message) { waiting.shift()(message); } };
eval(fs.readFileSync(worker, "utf8"));
const send = (data) => new Promise((done) => { waiting.push(done); self.onmessage({ data }); });
(async () => {
  const data = JSON.parse(fs.readFileSync(index)), found = {};
  await send({ type: 0, data });
  for (const input of queries) {
    const { data: { items } } = await send({ type: 2, data: { input } });
    found[input] = items.slice(0, 3).map((item) => data.items[item.id].location);
  }
  console.log(JSON.stringify(found));
})();
"""
"""Asks the search of a site that Zensical has built, as its pages do: worker, index, queries."""


@pytest.mark.slow
def test_the_search_of_the_built_site_finds_the_same(tmp_path):
    zensical = shutil.which("zensical", path=ROOT / ".venv-docs" / "bin") or shutil.which("zensical")
    node = shutil.which("node")
    if not (zensical and node):
        pytest.skip("zensical and node are needed: make docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    docs_site.stage(tmp_path / config["docs_dir"], "https://example.org/embench")
    subprocess.run([zensical, "build", "--clean"], cwd=tmp_path, capture_output=True, check=True)
    site = Path(tmp_path, config["site_dir"])
    (tmp_path / "send.js").write_text(SEND)
    (worker,) = site.glob("assets/javascripts/workers/search*.js")
    line = [node, tmp_path / "send.js", worker, site / "search.json", *QUERIES]
    found = json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout)
    pages = {query: {hit.partition("#")[0].removesuffix(".html") for hit in hits} for query, hits in found.items()}
    assert [query for query, wanted in QUERIES.items() if not {f"docs/{page}" for page in wanted} & pages[query]] == []
