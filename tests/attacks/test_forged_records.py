"""A record is data: whatever stands in a field of somebody's entry, nothing of it runs, steers or opens anything."""

from __future__ import annotations

import copy
import gzip
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from embench.cli import main
from embench.records import record
from embench.records.manifest import SCHEMA
from embench.records.predictions import Labels, Predictions

from ..sample import WHOLE

CODE = "import pathlib\npathlib.Path(__file__).with_name('RAN').touch()\nclass X: pass\n"
REAL = Path(__file__).parents[2] / "leaderboards/stress_predict/subject-independent-v4/handcrafted-forest-0117c509e8"
MORE = """
pretraining: [{dataset: embench_plugins/wesad, licence: free}]
initial_weights: {manifest: {seen: [{dataset: embench_plugins/wesad}]}}
recipe: {preset: small, on_leaderboard: true, assumed: [batch], settings: [fusion.build.trees=100]}
"""
SCORES = ("scores", "confound_only", "differences", "folds")
MARKUP = (
    "lda<img src=x onerror=alert(1)>|b`c`", "lda\n\n# Injected\n\n[a](http://b)", "lda\x1b]0;owned\x07\x1b[2J",
)  # fmt: skip
LISTS = {"pretrainers": ["masked_value:wesad"], "settings": ["fusion.build.trees=100"], "observers": ["none"]}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real entry of four subjects with files of its own, and with something in every field that names something."""
    folder, real = tmp_path_factory.mktemp("small"), record.read_record(REAL)
    shutil.copy(REAL / "audit.json", folder)
    (folder / "scores.json").write_text(json.dumps(dict(real.scores)))
    (folder / "folds.csv").write_text(record.format_csv(real.folds, record.FOLD_FIELDS))
    run = {name: value for name, value in real.run.items() if name != "entry"} | yaml.safe_load(MORE)
    run["method"]["pretrainers"] = ["masked_value:wesad"]
    run["config"]["request"] |= LISTS
    (folder / "run.yaml").write_text(yaml.safe_dump({"schema": SCHEMA, **run}))
    for kind, whole, name in (
        (Predictions, real.predictions, "predictions.csv.gz"),
        (Labels, real.labels, "labels.csv.gz"),
    ):
        assert whole is not None
        kept = np.isin(whole["subject"], ["S02", "S03", "S04", "S05"]) & (whole["seed"] < 1)
        kind({column: values[kept] for column, values in whole.columns.items()}).write(folder / name)
    return folder


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all texts, and of what may be one; of a list the first, of many scores the first two."""
    if isinstance(value, dict | list):
        inside = list(value.items() if isinstance(value, dict) else enumerate(value))
        for key, item in inside[: 1 if isinstance(value, list) else 2 if len(at) > 1 and at[0] in SCORES else None]:
            yield from leaves(item, (*at, key))
    elif isinstance(value, str) or value is None:
        yield at


def changed(content: Any, at: tuple[Any, ...], text: str) -> Any:
    made = inside = copy.deepcopy(content)
    for key in at[:-1]:
        inside = inside[key]
    inside[at[-1]] = text
    return made


def forged(folder: Path, name: str, *texts: str) -> Iterator[tuple[Any, ...]]:
    """Each place of a file in turn, with one of the texts in it, which take turns; with all in the whole proof."""
    path = folder / name
    before = path.read_text()
    content = (json.loads if name.endswith("json") else yaml.safe_load)(before)
    for k, at in enumerate(leaves(content)):
        for text in texts if WHOLE else [texts[k % len(texts)]]:
            path.write_text((json.dumps if name.endswith("json") else yaml.safe_dump)(changed(content, at, text)))
            yield at
    path.write_text(before)


@pytest.fixture
def board(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "x.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBENCH_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "boards" / REAL.parent.parent.name / REAL.parent.name / REAL.name
    shutil.copytree(small, folder)
    return folder


def exits(*arguments: Any) -> int:
    return main([str(argument) for argument in arguments])


def test_an_entry_runs_no_file(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = yaml.safe_load((board / "run.yaml").read_text())
    for at in (("dataset", "name"), ("config", "request", "encoders", 0)):
        (board / "run.yaml").write_text(yaml.safe_dump(changed(run, at, "./x.py:X")))
        for command in (["audit"], ["report"], ["export", "--methods", "--bibtex"]):
            assert exits(command[0], board, *command[1:]) == 1
            assert f"run.yaml, {'.'.join(map(str, at))}" in capsys.readouterr().err
    assert not Path("RAN").exists()


@pytest.mark.slow
def test_code_in_any_field_is_refused_and_named(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exits("export", board, "--latex", "--methods", "--bibtex") == 0
    for at in forged(board, "run.yaml", "./x.py:X"):
        field = ".".join(map(str, at))
        capsys.readouterr()
        assert exits("export", board, "--methods", "--bibtex") in (1, 3), field
        said = capsys.readouterr().err
        assert "run.yaml" in said, field
        assert field.partition(".")[0] in said, field
        assert exits("leaderboard", "build", "--leaderboards", board.parents[2]) in (1, 3), field
        assert not Path("RAN").exists(), field


@pytest.mark.slow
def test_code_in_scores_is_no_name(board: Path) -> None:
    for at in forged(board, "scores.json", "./x.py:X"):
        for command in (["report"], ["export", "--methods"], ["compare", board]):
            assert exits(command[0], board, *command[1:]) in (0, 1, 2, 3), at
        assert not Path("RAN").exists(), at


def test_trusted_code_is_imported(board: Path) -> None:
    run = yaml.safe_load((board / "run.yaml").read_text())
    (board / "run.yaml").write_text(yaml.safe_dump(changed(run, ("dataset", "name"), "./x.py:X")))
    exits("export", board, "--bibtex", "--trust-code")
    assert Path("RAN").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run.yaml", "scores.json"])
def test_markup_and_control_characters_reach_no_page(
    board: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    boards = board.parents[2]
    for at in forged(board, name, *MARKUP):
        built = exits("leaderboard", "build", "--leaderboards", boards)
        assert built in (0, 1, 3), at
        written = list(boards.rglob("README.md")) if built == 0 else []
        if built == 0:
            assert exits("leaderboard", "show", "--leaderboards", boards) == 0
        for page in written:
            text = page.read_text()
            assert not any(bad in text for bad in ("<img", "\n# Injected", "\x1b", "](http://b")), at
        streams = capsys.readouterr()
        assert "\x1b" not in streams.out + streams.err, at


@pytest.mark.slow
def test_markup_in_the_fields_that_a_report_shows_stays_text(board: Path) -> None:
    payload = "lda<img src=x onerror=alert(1)>"
    shown = {
        ("recipe", "settings", 0),
        ("device",),
        ("cohort", "left_out"),
        ("recipe", "assumed", 0),
        ("versions", "torch"),
    }
    for at in forged(board, "run.yaml", payload):
        if at in shown and exits("report", board, "--out", "r.html") == 0:
            assert "<img src=x" not in Path("r.html").read_text(), at


@pytest.mark.slow
def test_no_place_of_its_author_is_published(board: Path) -> None:
    for at in forged(board, "run.yaml", "/home/alice/w.pt", "encoder.build.weights=~/w.pt", "../p.yaml", "C:\\w.pt"):
        code = exits("leaderboard", "build", "--leaderboards", board.parents[2])
        assert code in (1, 3) or at == ("config", "request", "protocol"), at


def bombs(folder: Path) -> dict[str, tuple[str, Any]]:
    """Name -> (file, what puts the bomb there)."""
    aliases = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    whole = (folder / "scores.json").read_text()
    zeros = gzip.compress(bytes(1 << 20)) * 300

    def text(content: str) -> Any:
        return lambda path: path.write_text(content)

    return {
        "aliases": ("run.yaml", text(aliases)),
        "itself": ("run.yaml", text("&a [*a]")),
        "depth": ("run.yaml", text("[" * 20_000)),
        "long": ("run.yaml", text("#" * (5 << 20))),
        "json depth": ("scores.json", text("[" * 200_000)),
        "nan": ("scores.json", text(re.sub(r'"mean": [\d.]+', '"mean": NaN', whole, count=1))),
        "mean as text": ("scores.json", text(re.sub(r'"mean": [\d.]+', '"mean": "0.6"', whole, count=1))),
        "gzip": ("predictions.csv.gz", lambda path: path.write_bytes(zeros)),
        "pipe": ("predictions.csv.gz", os.mkfifo),
        "pipe of yaml": ("run.yaml", os.mkfifo),
        "pipe of scores": ("scores.json", os.mkfifo),
        "device": ("folds.csv", lambda path: path.symlink_to("/dev/zero")),
    }


@pytest.mark.parametrize(
    "kind",
    ["aliases", "itself", "depth", "long", "json depth", "nan", "mean as text", "gzip", "pipe", "pipe of yaml",
     "pipe of scores", "device"],
)  # fmt: skip
def test_bombs_pipes_and_devices_are_refused_at_once(
    board: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, plant = bombs(board)[kind]
    (board / name).unlink()
    plant(board / name)
    for command in ("audit", "report"):
        assert exits(command, board) == 3
        assert name in capsys.readouterr().err
