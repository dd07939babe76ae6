"""Files of a run hold ids and values, and no sentences, so that a sentence can be improved without a change of them."""

import csv
import gzip
import json

import numpy as np
import pytest
import yaml

from embench.audits import audit_run
from embench.records.audit import write_audit
from embench.records.manifest import check_manifest
from embench.records.record import read_manifest
from embench.runs.external import score
from embench.vocabulary import iterate_texts

from ..tiny.giving import giving
from ..tiny.running import Bench
from ..tiny.world import TIMELESS, few_folds, make_subjects, plugin, write

__all__ = ["giving"]
"""A fixture of this module."""

NAMES = {"processor", "device", "by", "fingerprint", "licence", "title", "source", "name", "file", "repr", "best_other"}
"""Keys of names, versions and of texts that authors wrote about their own data or code."""
CODE = ("code", "metrics", "conformance")
"""Keys below which each value is the package, the class and the digest of code, or what a plugin raised."""
READERS = {
    ".yaml": yaml.safe_load,
    ".json": json.loads,
    ".jsonl": lambda text: [json.loads(line) for line in text.splitlines()],
    ".csv": lambda text: list(csv.DictReader(text.splitlines())),
}


def sentences(folder):
    """Yield each text with a space in the files of a folder, with its place, unless it is a name."""
    for path in folder.rglob("*"):
        plain = path.with_suffix("") if path.suffix == ".gz" else path
        if path.is_file() and plain.suffix in READERS:
            content = path.read_bytes()
            text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
            for field, value in iterate_texts(READERS[plain.suffix](text)):
                *above, key = field.split(".")
                if " " in value and key not in NAMES and not {*above, key} & {*CODE}:
                    yield f"{path.name}: {field}: {value}"


@pytest.fixture(scope="module")
def left_out(tmp_path_factory):
    """Subjects without labels, without EDA, without a recording that is long enough, and with a flat signal."""
    subjects = make_subjects(7, **TIMELESS)
    for row in subjects["p00"]:
        row["ratings"] = {}
    for row in subjects["p01"]:
        row["modalities"] = ("ecg",)
    subjects["p02"][0]["lost"] = {"eda": 9.0}
    return write(tmp_path_factory.mktemp("left_out"), subjects)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for runs, and the prepared data of this module alone."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def runs(left_out, giving, folder):
    """The folder of an estimator with an audit, of a network, of calibration data and of a file of predictions."""
    few = few_folds(left_out)
    bench = Bench(left_out, folder, protocol=few)
    made = bench.run("Moments", fusion="logreg", modalities="eda")
    bench.run("Pool", modalities="ecg,eda", fusion="concat")
    write_audit(made.folder, audit_run(made.folder, data_root=left_out, trust_code=True).to_dict())
    own = made.predictions.take(made.predictions.rows_with(method="model"))
    own = own.take(own["subject"] != "p06")
    names = ("subject", "recording", "unit", "target", "seed", "score")
    columns = [np.asarray(own[name]).tolist() for name in names]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    other = rows[0]["subject"]
    rows.append({name: str(rows[0][name]).replace(other, "p00") for name in names})
    with (folder / "mine.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    score(folder / "mine.csv", plugin("Tiny"), protocol=few, data_root=left_out, runs=folder)
    data, protocol = giving
    Bench(data, folder, protocol=protocol).run("Moments", fusion="logreg", modalities="ecg", calibration_data="2")
    return folder


@pytest.mark.slow
def test_no_file_of_a_run_or_of_prepared_data_holds_a_sentence(runs):
    assert len([*runs.rglob("run.yaml")]) == 4
    assert len([*runs.rglob("index.json")]) >= 2
    folders = [path.parent for name in ("run.yaml", "index.json") for path in runs.rglob(name)]
    assert not [found for folder in folders for found in sentences(folder)]


@pytest.mark.slow
def test_what_is_stored_is_read_as_sentences_and_written_as_ids(runs):
    for path in runs.rglob("run.yaml"):
        run = read_manifest(path.parent)
        again = check_manifest(run.content(), "run.yaml")
        assert again.cohort.left_out == run.cohort.left_out
        if run.calibration_data:
            assert run.calibration_split.startswith("given the first units of each class")
    rows = {row["subject"]: row["reason"] for row in run.cohort.left_out}
    assert rows.get("p00", "no label of any target") == "no label of any target"
