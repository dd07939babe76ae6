"""Entries whose labels are not public, audited by a holder of the data; and public ones that lost their labels."""

import json
import re
from dataclasses import replace

import pytest

from embench import registry
from embench.data.find import find_source
from embench.leaderboard.entries import export_entry
from embench.records.audit import list_shown_findings
from embench.records.record import read_record, write_entry, write_record

from ..tiny.fixtures import cache, embench
from ..tiny.world import plugin
from .planting import method, world

__all__ = ["cache", "embench"]

DATASET = plugin("Tiny")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def private():
    """The dataset's labels are not public."""
    reader = registry.load_plugin("dataset", DATASET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "card", replace(reader.card, labels_public="no"))
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(data, run): folds of four subjects with 12 units each."""
    root = world(tmp_path_factory.mktemp("sealed"), n_subjects=16)
    return root, method(root, plugin("Moments"), fusion="logreg", recipe="small")


def published(made, folder, key=None):
    """The entry of a run. It is published as one of plugins of a package, since no board takes files, and names its
    file again, which the audit has to read."""
    root, run = made
    known, package = read_record(run.folder), "acme/"
    text = json.dumps(known.run)
    file = re.search(r"[^\"]*plugins\.py:", text)[0]
    about = json.loads(re.sub(r"[^\"=]*plugins\.py:", package, text)) | {"conformance": {}}
    write_record(folder / "packaged", replace(known, run=about))
    entry = export_entry(
        folder / "packaged", folder / "boards", key=key or (lambda _: find_source(DATASET, root).raw_digest())
    )
    path = entry / "run.yaml"
    path.write_text(path.read_text().replace(package, file))
    return entry


def audited(made, entry, embench, *more):
    done = embench("audit", entry, "--trust-code", "--data-root", made[0], "--json", *more)
    document = json.loads(done.out)
    return done.code, {f.what for f in list_shown_findings(document) if f.severity == "severe"}, document


def test_the_seal_is_compared_with_the_data_and_nothing_measured_stays_in_the_entry(made, tmp_path, embench):
    entry = published(made, tmp_path)
    code, severe, document = audited(made, entry, embench)
    assert (code, severe) == (0, set())
    assert document["measured"]["labels"]["withheld_digest"] == "same"
    assert document["measured"]["partition"] == {"seeds": 1}
    assert document["skipped"]["scores"] == [{"id": "no_predictions"}]
    assert json.loads((entry / "audit.json").read_text())["measured"] == {}
    assert audited(made, entry, embench, "--out", tmp_path)[0] == 0
    assert json.loads((tmp_path / "audit.json").read_text())["measured"]["labels"]["withheld_digest"] == "same"


def test_other_labels_another_fold_and_no_seal_are_severe(made, tmp_path, embench):
    _, run = made
    known = read_record(run.folder)
    wrong = replace(known.labels, columns={**known.labels.columns, "raw": known.labels["raw"][::-1]})
    write_record(tmp_path / "runs" / "Tiny" / run.id, replace(known, labels=wrong))
    entry = published((made[0], replace(run, folder=tmp_path / "runs" / "Tiny" / run.id)), tmp_path)
    assert audited(made, entry, embench)[:2] == (
        1, {"the labels that the run was scored against are not those of the data"}
    )  # fmt: skip
    (entry / "labels.hmac").unlink()
    assert audited(made, entry, embench)[:2] == (1, {"the digest of the withheld labels is missing"})


def test_a_seal_of_other_files_can_not_be_compared(made, tmp_path, embench):
    entry = published(made, tmp_path, key=lambda _: b"of other files")
    code, _, document = audited(made, entry, embench)
    assert code == 0
    assert document["skipped"]["labels"] == [{"id": "other_raw_files"}]


def test_an_entry_that_calls_labels_public_which_are_not_is_severe(made, tmp_path, embench):
    root, run = made
    known = read_record(run.folder)
    card = {**known.run["card"], "labels_public": "yes"}
    write_record(tmp_path / "run", replace(known, run={**known.run, "card": card}))
    entry = published((root, replace(run, folder=tmp_path / "run")), tmp_path)
    code, severe, _ = audited(made, entry, embench)
    assert code == 1
    assert severe == {
        "the labels of this dataset are not public, and the record has labels, or predictions that reveal them",
        "the record contradicts itself, or what was published: run.yaml: card.labels_public: yes, but it follows no",
    }


def test_a_public_entry_without_its_labels_is_severe(made, tmp_path, embench, monkeypatch):
    reader = registry.load_plugin("dataset", DATASET)
    monkeypatch.setattr(reader, "card", replace(reader.card, labels_public="yes"))
    entry = published(made, tmp_path)  # sealed, as the record says that its labels are not public
    code, severe, _ = audited(made, entry, embench)
    assert code == 1
    assert "the labels of this dataset are public, but the record does not contain them" in severe
    write_entry(tmp_path / "x" / "y" / "z", read_record(made[1].folder), tmp_path / "x" / "shared")
    assert "the labels" not in str(audited(made, tmp_path / "x" / "y" / "z", embench)[1])


def test_an_entry_without_labels_is_reported_exported_and_not_compared(made, tmp_path, embench):
    entry = published(made, tmp_path)
    out = tmp_path / "report.html"
    assert embench("report", entry, "--trust-code", "--out", out, "--data-root", made[0]).code == 0
    assert "no labels" in out.read_text()
    for what in ("--latex", "--methods", "--bibtex"):
        done = embench("export", entry, what, "--trust-code")
        assert done.code == 0, done.err
        assert "0 whole recordings" not in done.out
    done = embench("compare", entry, made[1].folder)
    assert done.code == 3
    assert "compare the run's own folder" in done.err
