"""A site of a few real entries: ranked, trained elsewhere, leaking, without a primary metric, and sealed ones. The
ranked ones are said to have been run again by others."""

import json
import shutil
from html.parser import HTMLParser

import pytest
import yaml

from embench.leaderboard import load_sections
from embench.protocols import load_protocol
from embench.records.audit import read_audit, write_audit
from embench.site import build_site

from ..leaderboard.conftest import attest
from ..published import PUBLISHED, link_entries

FULL_BOARD = "stress_predict/subject-independent-v4"
CHOSEN = {
    FULL_BOARD: ["handcrafted-svm-d5*", "handcrafted-svm-8c*", "handcrafted-svm-67*", "unet_se-single-b0*"],
    "wearable_stress/subject-independent-v4": ["handcrafted-svm-8995*"],
    "hku956/subject-independent-v4": ["handcrafted-forest-d7*"],
    "eegmat/subject-independent-v4": ["handcrafted-svm-50*"],
}


class Page(HTMLParser):
    """Elements of a page, and the addresses and ids in it."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.addresses, self.ids, self.texts = [], [], set(), []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.elements.append((tag, found))
        self.addresses += [found[name] for name in ("href", "src") if name in found]
        self.ids |= {found["id"]} if "id" in found else set()

    def handle_data(self, data):
        self.texts.append(data)

    def count(self, tag):
        return sum(name == tag for name, _ in self.elements)


def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


@pytest.fixture(scope="session")
def boards(tmp_path_factory):
    root = link_entries(tmp_path_factory.mktemp("published"), CHOSEN)
    for folder in (root / FULL_BOARD).iterdir():
        attest(folder)
    source = next(PUBLISHED.glob("wearable_stress/subject-independent-v4/handcrafted-knn-*"))
    place = root / "wearable_stress" / "segment-random-legacy" / source.name
    shutil.copytree(source, place)
    (root / "wearable_stress" / "shared").symlink_to(PUBLISHED / "wearable_stress" / "shared")
    rules = load_protocol("segment-random-legacy")
    about = {"name": rules.name, "version": rules.version, "hash": rules.hash, "leaks": True}
    run = yaml.safe_load((place / "run.yaml").read_text())
    run["protocol"] = {**about, "rules": rules.model_dump(mode="json", exclude_none=True)}
    (place / "run.yaml").write_text(yaml.safe_dump(run))
    return root


@pytest.fixture(scope="session")
def few(tmp_path_factory):
    """An entry that can't be paired: its site is written at once."""
    return link_entries(tmp_path_factory.mktemp("few"), {"hku956/subject-independent-v4": ["handcrafted-forest-d7*"]})


@pytest.fixture(scope="session")
def notes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    (folder / "stress_predict.md").write_text(
        "# A title\n\nA [board](hku956.md), [data](../datasets/x.md), [out](https://example.org) and `code`.\n\n"
        "| a | b |\n| --- | --- |\n| 1 | <b>2</b> |\n\n![a picture](no.png)\n\n<script>alert(1)</script>\n\n## Below\n"
    )
    return folder


@pytest.fixture(scope="session")
def site(boards, notes, tmp_path_factory):
    return build_site(boards, tmp_path_factory.mktemp("site") / "out", notes_folder=notes).parent


@pytest.fixture(scope="session")
def sections(boards):
    return load_sections(boards)


@pytest.fixture(scope="session")
def evil_site(tmp_path_factory):
    """The site of an entry that has HTML wherever an entry may have any text."""
    folder = tmp_path_factory.mktemp("evil")
    root = folder / "boards"
    source = next(PUBLISHED.glob(f"{FULL_BOARD}/handcrafted-lda-*"))
    place = root / FULL_BOARD / source.name
    shutil.copytree(source, place)
    shutil.copytree(PUBLISHED / "stress_predict" / "shared", root / "stress_predict" / "shared")
    run = yaml.safe_load((place / "run.yaml").read_text())
    run["recipe"] |= {"settings": [EVIL], "assumed": [EVIL]}
    run["method"]["pretrainers"] = [EVIL]
    run["device"] = EVIL
    run["config"]["request"]["settings"] = [EVIL]
    (place / "run.yaml").write_text(yaml.safe_dump(run))
    scores = json.loads((place / "scores.json").read_text())
    scores["scores"]["stress"] |= {"kappa": {"undefined": EVIL}, "gamma": {"mean": 0.5}}
    (place / "scores.json").write_text(json.dumps(scores))
    audit = read_audit(place)
    audit["findings"] = [{"check": EVIL, "severity": "severe", "id": EVIL, "evidence": {EVIL: EVIL}}]
    write_audit(place, audit)
    return build_site(root, folder / "out").parent
