"""A small run of two modalities with every kind of target, the runs of each alone beside it, and its report."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
import yaml

from embench import report

from ..tiny.damage import unseal
from ..tiny.fixtures import cache, embench
from ..tiny.running import Bench
from ..tiny.world import RULES, of_all_kinds, write

__all__ = ["cache", "embench"]

TARGETS = "arousal,arousal_value,state"


@pytest.fixture(scope="session")
def kinds(tmp_path_factory):
    """`data`, `rules`, `fused`, `singles` and the fused run's report as `html`."""
    data = write(tmp_path_factory.mktemp("kinds"), of_all_kinds(8), dataset="Kinds")
    rules = tmp_path_factory.mktemp("rules") / "mine.yaml"
    rules.write_text(yaml.safe_dump(RULES))
    bench = Bench(data, tmp_path_factory.mktemp("runs"), "Kinds")

    def run(owner, **options):
        settings = (f"{owner}.targets=joint", f"{owner}.epochs=3")
        requested = {"targets": TARGETS, "seeds": "0,1", "protocol": str(rules), "settings": settings}
        return bench.run("Pool", **requested, **options).folder

    singles = [run("encoder", modalities=m, fusion="single") for m in ("ecg", "eda")]
    fused = run("fusion", modalities="ecg,eda", fusion="concat")
    path = report.write_report(fused, tmp_path_factory.mktemp("report") / "fused.html", data_root=data, trust_code=True)
    return SimpleNamespace(data=data, rules=rules, fused=fused, singles=singles, html=path)


@pytest.fixture
def copied(kinds, tmp_path):
    """The fused run's folder without embeddings, which take long to map, alone in a folder of runs, to be changed."""
    leave = shutil.ignore_patterns("embeddings.npz")
    return unseal(shutil.copytree(kinds.fused, tmp_path / "alone" / kinds.fused.name, ignore=leave))


class Page(HTMLParser):
    """What a test asks of a page: its elements, and the text of each section."""

    VOID = frozenset({"meta", "link", "br", "input", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.sections: dict[str, str] = {}
        self._section = ""
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "section":
            self._section = dict(attrs)["id"]
            self.sections[self._section] = ""
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self._section and "section" in self.open:
            self.sections[self._section] += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


@pytest.fixture
def page():
    return Page
