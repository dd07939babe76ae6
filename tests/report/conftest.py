"""A made-up record, and a small run of two modalities with every kind of target beside the runs of each alone, with
their reports."""

from __future__ import annotations

import shutil
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from embench import report
from embench.audits import audit_record
from embench.records.predictions import Embeddings, Labels, Predictions, write_embeddings
from embench.records.record import read_record, write_record
from embench.records.scores import Scores

from ..leaderboard.test_verify import made_record
from ..tiny import scored
from ..tiny.damage import unseal
from ..tiny.fixtures import cache, embench
from ..tiny.running import Bench
from ..tiny.world import RULES, of_all_kinds, write

__all__ = ["cache", "embench"]

TARGETS = "arousal,arousal_value,state"


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A record of one target with all that a network's run leaves, for which nothing was trained: its `folder`, its
    report as `html`, the sections that it `lacks`, and how many `pictures` there are at least."""
    record = made_record(scored._run(units=12), scored.BINARY, "free")
    stages = [{"stage": f"s{k}", "kind": "unimodal", "modality": "ppg", "target": "stress"} for k in range(2)]
    history = [{**stage, "epoch": str(e), "loss": str(0.7 - e / 9)} for stage in stages for e in range(2)]
    run = {**record.run, "recipe": {**record.run["recipe"], "preset": "quick", "on_leaderboard": False}}
    encoders = dict.fromkeys(("ppg", "eda"), "embench_plugins/cnn_tf")
    method = {"encoders": encoders, "fusion": "embench_plugins/concat", "pretrainers": [], "modalities": [*encoders]}
    run |= {"method": method, "dataset": {**run["dataset"], "name": "embench_plugins/stress_predict"}}
    folder = tmp_path_factory.mktemp("made") / record.run["id"]
    folder.mkdir()
    rows = record.predictions.take(record.predictions["method"] == "model")
    hidden = np.random.default_rng(0).normal(size=(len(rows), 4)).astype(np.float32)
    write_embeddings(folder, Embeddings(rows["target"], rows["fold"], rows["seed"], rows["unit"], hidden))
    write_record(folder, replace(record, run=run, history=history))
    path = report.write_report(folder, folder.parent / "made.html", data_root=folder.parent, audit=audit_record)
    return SimpleNamespace(folder=folder, html=path, lacks=("fusion", "quality", "groups"), pictures=9)


@pytest.fixture(scope="session")
def pair(made, tmp_path_factory):
    """The report of the same with a second target, `calm`, which the same network predicts equally well."""
    record, folder = read_record(made.folder), tmp_path_factory.mktemp("pair") / made.folder.name
    [rule] = record.run["card"]["label_rules"]
    card = {**record.run["card"], "label_rules": [rule, {**rule, "name": "calm"}]}
    folder.mkdir()
    with np.load(made.folder / "embeddings.npz") as kept:
        columns = {name: np.concatenate([kept[name], kept[name]]) for name in kept}
    columns["target"] = np.repeat(["stress", "calm"], len(columns["unit"]) // 2)
    write_embeddings(folder, Embeddings(**columns))
    write_record(
        folder,
        replace(
            record,
            run={**record.run, "targets": ["stress", "calm"], "card": card},
            predictions=_with_calm(record.predictions),
            labels=_with_calm(record.labels),
            scores=Scores(_with_calm_scores(record.scores.content)),
        ),
    )
    return report.write_report(folder, folder.parent / "pair.html", data_root=folder.parent)


def _with_calm(table: Predictions | Labels) -> Predictions | Labels:
    """A table with its rows once more, as those of the target `calm`."""
    columns = {name: np.concatenate([table[name], table[name]]) for name in table.columns}
    columns["target"] = np.repeat(["stress", "calm"], len(columns["target"]) // 2)
    return type(table)(columns)


def _with_calm_scores(content):
    """Scores with what they hold of `stress` under `calm`, too."""
    if not isinstance(content, dict):
        return content
    made = {name: _with_calm_scores(value) for name, value in content.items()}
    return {**made, "calm": made["stress"]} if "stress" in made else made


@pytest.fixture(scope="session")
def kinds(tmp_path_factory):
    """`data`, `rules`, `singles`, and of the fused run the same as in `made`."""
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
    path = tmp_path_factory.mktemp("report") / "fused.html"
    report.write_report(fused, path, data_root=data, trust_code=True, audit=audit_record)
    # 3 targets: primary metric, difference, subjects, curves (2, 1 and 2), matrices (2); a map and probes; training,
    # examples
    about = {"html": path, "lacks": ("groups",), "pictures": 3 * 2 + 3 + 5 + 2 + 2 + 1}
    return SimpleNamespace(data=data, rules=rules, folder=fused, singles=singles, **about)


@pytest.fixture
def copied(made, tmp_path):
    """The folder of the made-up record, to be changed."""
    return alone(made.folder, tmp_path)


def alone(run, root):
    """A run's folder without embeddings, which take long to map, once more, alone in a folder of runs."""
    leave = shutil.ignore_patterns("embeddings.npz")
    return unseal(shutil.copytree(run, root / "alone" / run.name, ignore=leave))


class Page(HTMLParser):
    """What a test asks of a page: its elements, the text of each section, and the line on what is missing."""

    VOID = frozenset({"meta", "link", "br", "input", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.sections: dict[str, str] = {}
        self.missing = ""
        self._section = ""
        self._is_missing = False
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._is_missing |= tag == "p" and dict(attrs).get("class") == "missing"
        if tag == "section":
            self._section = dict(attrs)["id"]
            self.sections[self._section] = ""
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self._is_missing &= tag != "p"

    def handle_data(self, data):
        if self._section and "section" in self.open:
            self.sections[self._section] += data
        if self._is_missing:
            self.missing += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


@pytest.fixture(scope="session")
def page():
    return Page
