"""Plugins that keep labels beside what embench hands them: found at any run, by conformance or by running again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from embench import registry
from embench.audits import audit_run
from embench.cli import main
from embench.engine.executors import Resources, run_graph
from embench.errors import CheckFailed, PluginError
from embench.records.ledger import read_ledger
from embench.registry import catalogue
from embench.runs.guards import find_known_labels
from embench.testing import check_estimator

from ..leaderboard.boards import FEW, Place, place, publish_run
from ..packages.installing import write
from ..sample import sample
from ..tiny.fixtures import bench, cache, six
from ..tiny.remembering import FOLDER
from ..tiny.running import Bench

__all__ = ["bench", "cache", "place", "six"]
PLUGINS = Path(__file__).parents[1] / "tiny" / "remembering.py"
MEMORIES = ["Recalls", "Writes", "WritesFirst"]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where plugins write, which no cache or folder of runs is."""
    folder = tmp_path / "kept"
    folder.mkdir()
    monkeypatch.setenv(FOLDER, str(folder))
    return folder


def plugin(name: str) -> str:
    return f"{PLUGINS}:{name}"


def method(bench: Bench, runs: Path, name: str) -> Any:
    return Bench(bench.data, runs, protocol=bench.protocol).run(
        "Moments", fusion=plugin(name), modalities="ecg", seeds="0"
    )


@pytest.mark.parametrize("checks", sample((3, 10), 3))
@pytest.mark.parametrize("name", MEMORIES)
def test_a_memory_does_not_conform_at_its_first_second_and_last_check(name: str, checks: int) -> None:
    for _ in range(checks):
        with pytest.raises(CheckFailed, match="remembers labels"):
            check_estimator(registry.load_plugin("fusion", plugin(name)))


def test_a_failure_names_the_nonce_that_repeats_it(kept: Path) -> None:
    cls = registry.load_plugin("fusion", plugin("Writes"))
    with pytest.raises(CheckFailed, match="remembers labels") as first:
        check_estimator(cls)
    assert first.value.where
    nonce = first.value.where.rpartition("nonce ")[2]
    (kept / "Writes").unlink()
    with pytest.raises(CheckFailed, match="remembers labels") as again:
        check_estimator(cls, nonce=nonce)
    assert str(again.value) == str(first.value)


def test_a_cache_of_its_own_fits_conforms(kept: Path) -> None:
    for _ in range(2):
        check_estimator(registry.load_plugin("fusion", plugin("KeepsFits")))
    assert any(kept.iterdir())


@pytest.mark.slow
def test_a_refusal_is_a_look_and_the_second_run_does_not_conform(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(PluginError, match="depends on the units that were predicted before it"):
        method(bench, tmp_path / "one", "Writes")
    again = method(bench, tmp_path / "two", "Writes")
    assert again.manifest["conformance"]["fusion"]["id"] == "failed_check"
    assert again.manifest["test_evaluations"] == {"arousal": 2}
    assert again.manifest["methods_evaluated"] == {"arousal": 1}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Recalls", "differ by up to"),
        pytest.param("Writes", "differ by up to", marks=pytest.mark.slow),
        ("WritesFirst", "follow the true ones"),
        ("KeepsFits", ""),
    ],
)
def test_other_labels_elsewhere_and_reversed_ones_show_a_memory_of_earlier_runs(
    bench: Bench, tmp_path: Path, name: str, found: str
) -> None:
    planned = bench.plan("Moments", fusion=plugin(name), modalities="ecg")
    stages = list(planned.graph.stages.values())
    for runs in ("one", "two"):
        run_graph(stages, tmp_path / runs / "stages", resources=Resources(1), on_event=print).check(
            planned.graph.stages
        )
    told = find_known_labels(planned, [(0, 0), (0, 2)], tmp_path / "two" / "stages", print)
    assert [found in what for what in told] == [True] * len(told)
    assert bool(told) == bool(found)
    assert [line["run"] for line in read_ledger(tmp_path / "two")] == [f"refusal of {planned.id}"] * bool(found)


@pytest.mark.slow
def test_a_retraining_finds_what_conformance_did_not_see(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(PluginError):
        method(bench, tmp_path / "one", "WritesInRuns")
    run = method(bench, tmp_path / "two", "WritesInRuns")
    assert run.manifest["conformance"]["fusion"] == {"id": "passed"}
    found = audit_run(run.folder, retrained=1, out=tmp_path, trust_code=True).checks["permuted_labels"].findings
    assert "remembers labels" in " ".join(finding.what for finding in found if finding.severity == "severe")


@pytest.fixture
def package(site: Path, tmp_path: Path) -> str:
    """The estimators as a package that others can install."""
    folder = tmp_path / "embench_mine"
    folder.mkdir()
    (folder / "__init__.py").touch()
    shutil.copy(PLUGINS, folder / "estimators.py")
    names = ("WritesInRuns", "KeepsFits")
    about = {"revision": 1, "summary": "Remembers.", "licence": "MIT"}
    plugins = {name: {"target": f"embench_mine.estimators:{name}", **about} for name in names}
    (folder / "registry.yaml").write_text(json.dumps({"fusion": plugins}))
    write(site, "embench-mine", "1.0", {"plugins": "embench_mine"}, folder)
    catalogue.refresh()
    return "embench_mine"


@pytest.mark.slow
def test_a_spot_check_finds_what_conformance_did_not_see(
    place: Place, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the author's own machine, where the file is; an entry of an honest cache is reproduced."""
    monkeypatch.chdir(tmp_path)
    data, entries = ["--data-root", str(place.data)], {}
    for name, codes in {"WritesInRuns": [4, 0], "KeepsFits": [0]}.items():
        for k, code in enumerate(codes):
            assert main(["run", *FEW, "--fusion", f"{package}/{name}", *data, "--runs", f"{name}{k}"]) == code
        entries[name] = publish_run(Path(f"{name}{len(codes) - 1}"), Path("leaderboards"), place.data)
    check = ["leaderboard", "reproduce", "--spot-check", "2", "--attester", "A. Reader", *data]
    assert main([*check, str(entries["WritesInRuns"])]) == 1
    assert "remembers labels" in capsys.readouterr().out
    assert main([*check, str(entries["KeepsFits"])]) == 0
