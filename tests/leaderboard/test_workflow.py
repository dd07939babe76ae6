"""The workflow of the leaderboards: its YAML, and its embench commands, run as far as possible."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from embench.cli import app, main

from .test_verify import honest, published

__all__ = ["honest", "published"]
FOLDER = Path(__file__).parents[2] / ".github"
WORKFLOW = yaml.safe_load((FOLDER / "workflows" / "leaderboard.yml").read_text())


def steps() -> list[dict[str, Any]]:
    return [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def embench_commands() -> list[list[str]]:
    """Those of the steps, and of what `make pages` does."""
    lines = [line for step in steps() for line in step.get("run", "").splitlines()]
    assert "make pages" in lines
    recipe = (FOLDER.parent / "Makefile").read_text().partition("\npages:")[2].partition("\n\n")[0]
    lines += [line.strip().replace("$(DOCS)", ".embench/docs") for line in recipe.splitlines()[1:]]
    return [shlex.split(line)[1:] for line in lines if re.match(r"\S*/embench ", line)]


def test_actions_are_pinned_and_what_a_pull_request_brings_is_not_run() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", action) for action in used)
    triggers = WORKFLOW[True]  # YAML reads `on` so
    assert set(triggers) == {"pull_request", "push"}
    assert triggers["pull_request"]["paths"] == ["leaderboards/**"]
    assert WORKFLOW["permissions"] == {"contents": "read"}
    verify = WORKFLOW["jobs"]["verify"]
    assert "permissions" not in verify
    for step in verify["steps"]:
        if run := step.get("run"):
            assert step.get("working-directory") == "base" or run.startswith("base/")


def test_attestations_have_owners() -> None:
    lines = (FOLDER / "CODEOWNERS").read_text().splitlines()
    assert any(line.startswith("/leaderboards/*/attestations/") and "@" in line for line in lines)


def test_its_commands_run(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("base", "proposed"):
        shutil.copytree(published.parents[2], tmp_path / name / "leaderboards")
    shutil.copytree(published.parents[2], tmp_path / "leaderboards")
    (tmp_path / "docs" / "boards").mkdir(parents=True)
    group = typer.main.get_command(app).commands["leaderboard"]  # type: ignore[attr-defined]
    commands = embench_commands()
    assert [words[:2] for words in commands] == [["leaderboard", name] for name in ("verify", "build", "site")]
    for words in commands:
        if words[1] in group.commands:
            assert main(words) == 0, words
    assert (tmp_path / "leaderboards" / "README.md").is_file()


def test_its_verification_refuses_a_changed_entry(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("base", "proposed"):
        shutil.copytree(published.parents[2], tmp_path / name / "leaderboards")
    changed = Path("proposed", "leaderboards", *published.parts[-3:])
    (changed / "scores.json").write_text((published / "scores.json").read_text().replace("0.5", "0.6"))
    [verify] = [words for words in embench_commands() if words[1] == "verify"]
    assert main(verify) == 1
