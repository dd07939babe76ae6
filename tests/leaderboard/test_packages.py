"""What a board takes of a stranger's packages: rows that others can run, and scores that others can compute."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embench.errors import CheckFailed
from embench.interfaces.units import Target
from embench.leaderboard.pull_request import describe_other_subjects, list_packages, list_uninstallable_packages
from embench.leaderboard.verify_data import find_same_entry
from embench.records.manifest import Manifest
from embench.records.record import Record, read_manifest, read_record
from embench.records.scores import Scores
from embench.registry import catalogue
from embench.runs.reproduce import _check_installed

from ..packages.installing import write
from ..records.test_record import RUN
from .test_entries import published, run_of


def of_plugin(name: str) -> Manifest:
    run = copy.deepcopy(RUN)
    run["method"] |= {"fusion": name}
    run["versions"] |= {"embench_mine": "1.0"}
    return Manifest.model_validate(run)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs a package `embench_mine` with this metadata."""

    def make(version: str, *lines: str) -> None:
        package = tmp_path / "embench_mine"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "registry.yaml").write_text("api: 1\n")
        write(tmp_path / "site", "embench-mine", version, {"plugins": "embench_mine"}, package)
        [metadata] = (tmp_path / "site").glob("*/METADATA")
        metadata.write_text(metadata.read_text() + "".join(f"{line}\n" for line in lines))
        metadata.with_name("direct_url.json").write_text('{"url": "file:///home/ada/embench-mine"}')
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        catalogue.refresh()

    yield make
    monkeypatch.undo()
    catalogue.refresh()


def test_a_package_of_a_folder_without_an_author_or_an_address_is_for_nobody_else(install: Any) -> None:
    install("1.0", "Author: TODO: your name")
    [reason] = list_uninstallable_packages(of_plugin("embench_mine/net"))
    assert "the package embench_mine 1.0" in reason
    assert "an author (it says `TODO: your name`), a public address" in reason


def test_a_package_with_author_and_address_is_for_others(install: Any) -> None:
    install("1.0", "Author: Ada Lovelace", "Project-URL: Source, https://example.org/embench-mine")
    assert not list(list_uninstallable_packages(of_plugin("embench_mine/net")))
    assert not list(list_uninstallable_packages(of_plugin("embench_plugins/logreg")))


def test_an_entry_names_the_package_that_would_bring_its_plugin(tmp_path: Path) -> None:
    run = of_plugin("embench_mine/net")
    assert list_packages(run) == {"embench_mine": "1.0"}
    with pytest.raises(CheckFailed, match=r"not installed: embench_mine 1\.0"):
        _check_installed(tmp_path, run)


@pytest.fixture
def record(make_run: Callable[..., Any], binary: Target) -> Record:
    return run_of(make_run(), binary)


def test_an_entry_holds_no_scores_of_a_metric_that_its_author_happens_to_have(tmp_path: Path, record: Record) -> None:
    bare, score = published(tmp_path / "bare", record), {"mean": 0.5}
    metrics = {"auroc": "embench_plugins source 1", "mine": "embench_mine source 2"}
    record.run["scoring"] = {"metrics": dict(metrics)}
    content = copy.deepcopy(dict(record.scores.content))
    content["scores"]["stress"]["mine"] = score
    for targets in content["confound_only"].values():
        targets["stress"]["mine"] = score
    with_mine = Record(record.run, record.predictions, record.labels, record.folds, Scores(content))
    entry = published(tmp_path / "own", with_mine)
    assert "mine" not in (entry / "scores.json").read_text() + (entry / "run.yaml").read_text()
    assert (entry / "scores.json").read_bytes() == (bare / "scores.json").read_bytes()
    assert read_record(entry).scores.content == read_record(bare).scores.content


def test_a_row_that_is_there_under_another_id_is_found(tmp_path: Path, make_run: Any, binary: Target) -> None:
    there = published(tmp_path, run_of(make_run(), binary))
    same = published(tmp_path / "trial", run_of(make_run(), binary, name="aaaaaa"))
    other = published(tmp_path / "other", run_of(make_run(strength=0.5), binary, name="bbbbbb"))
    assert find_same_entry(same, [there]) == there.name
    assert find_same_entry(other, [there]) is None


def test_another_number_of_subjects_than_that_of_all_rows_is_said(tmp_path: Path, record: Record) -> None:
    published(tmp_path, record)
    run = read_manifest(published(tmp_path / "trial", run_again(record)))
    assert describe_other_subjects(run, tmp_path / "boards") is None
    more = run.model_copy(update={"cohort": run.cohort.model_copy(update={"subjects": 99})})
    assert "of 99 people, and 1 of 1 entries" in str(describe_other_subjects(more, tmp_path / "boards"))


def run_again(record: Record) -> Record:
    return Record(record.run | {"id": "cccccc"}, record.predictions, record.labels, record.folds, record.scores)
