"""The folder that `embench baselines` ends in, and what `embench leaderboard submit` makes of it."""

import json
import shutil

import pytest

from embench.cli import main
from embench.files import checksum_files, sealed_json
from embench.leaderboard.entries import list_entry_folders
from embench.store.fingerprint import SYNTHETIC

from ..leaderboard.boards import place
from ..tiny.running import Bench
from ..tiny.world import few_folds, make_subjects, write
from .test_running import BAD, common

__all__ = ["place"]
SET = """name: two-v1
summary: Two estimators.
core:
  - {{encoder: handcrafted, fusion: [logreg, lda], modalities: eda}}
extended:
  - {{encoder: "{bad}", modalities: eda}}
  - {{encoder: handcrafted, fusion: logreg, modalities: eeg}}
"""


def write_set(folder, name="two-v1"):
    (folder / "bad.py").write_text(BAD)
    path = folder / f"{name}.yaml"
    path.write_text(SET.format(bad=f"{folder}/bad.py:Bad").replace("two-v1", name))
    return path


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(six, tmp_path_factory):
    """A set whose core has been run, and its runs."""
    folder = tmp_path_factory.mktemp("finished")
    bench = Bench(six, folder / "runs", protocol=few_folds(six))
    path = write_set(folder)
    assert main([str(part) for part in ("baselines", "--baseline-set", path, *common(bench))]) == 0
    return path, bench.runs


@pytest.fixture
def line(bench, finished):
    """The arguments of `embench baselines` for that set, on an empty runs folder."""
    return ["baselines", "--baseline-set", finished[0], *common(bench)]


@pytest.fixture
def folder(bench, finished):
    """The folder that it ended in, beside the runs, in a runs folder of the test's own."""
    shutil.copytree(finished[1], bench.runs)
    return folder_in(bench.runs)


def folder_in(runs):
    (found,) = (runs / "baselines").iterdir()
    return found


def test_a_folder_on_generated_data_has_the_table_and_says_so_everywhere(embench, tmp_path):
    data = write(tmp_path / "data", make_subjects(6))
    (data / "Tiny" / SYNTHETIC).write_text("{}")
    bench = Bench(data, tmp_path / "runs", protocol=few_folds(tmp_path))
    done = embench("baselines", "--baseline-set", write_set(tmp_path), *common(bench), "--level", "extended")
    assert done.code == 6
    folder = folder_in(bench.runs)
    assert f"folder: {folder}" in done.out
    assert "leaderboard submit" not in done.out
    readme = (folder / "README.md").read_text()
    assert "SYNTHETIC DATA" in readme
    assert "**2 of 3 rows** of the set are finished" in readme
    assert "- its data are synthetic: all" in readme
    assert "- failed: encoder" in readme
    assert "tiny has no modality \\`eeg\\`: handcrafted + logreg on eeg" in readme
    for text in ("majority class", "Best confound-only model: **"):
        assert text in readme
    texts = content(folder)
    assert sorted(texts) == [
        "README.md", "baselines.json", "data.json", "paper/methods.tex", "paper/references.bib", "paper/tables.tex",
        "table.csv",
    ]  # fmt: skip
    for name in ("tables.tex", "methods.tex", "references.bib"):
        assert b"2 of 3 rows" in texts[f"paper/{name}"]
        assert b"SYNTHETIC" in texts[f"paper/{name}"]
    assert not [name for name, text in texts.items() if str(tmp_path).encode() in text]


def test_a_dry_run_writes_none(embench, bench, line):
    assert embench(*line, "--dry-run").code == 0
    assert not (bench.runs / "baselines").exists()


def test_the_same_rows_give_the_same_bytes(embench, folder, line):
    first = content(folder)
    (folder / "README.md").write_text("cut sho")
    assert embench(*line, "--hours", "0").code == 0
    assert content(folder) == first


def test_a_record_that_was_edited_is_named_and_the_others_are_shown(embench, bench, folder, line):
    (scores,) = bench.runs.glob("*/handcrafted-lda-*/scores.json")
    scores.write_text(scores.read_text().replace("1.0", "0.9"))
    assert embench(*line).code == 6
    readme = (folder / "README.md").read_text()
    assert "changed after the record was written: handcrafted + lda on eda" in readme
    assert "handcrafted features; logistic regression" in readme
    assert "| handcrafted features; LDA" not in readme


def test_other_options_of_the_rows_have_a_folder_of_their_own(embench, folder, line):
    assert embench(*line, "--modalities", "eda").code == 0
    names = sorted(path.name for path in folder.parent.iterdir())
    assert [name.partition("-two-v1-core-")[2].partition("target")[0] for name in names] == ["modalities-eda-", ""]


def test_a_folder_without_entries_and_a_damaged_one_are_not_submitted(embench, folder, tmp_path):
    boards = ("--leaderboards", tmp_path / "boards")
    done = embench("leaderboard", "submit", folder, *boards)
    assert done.code == 1
    assert "contains no entries" in done.err
    (folder / "README.md").write_text("of another set")
    done = embench("leaderboard", "submit", folder, *boards)
    assert done.code == 1
    assert "README.md" in done.err
    assert "embench baselines" in done.err
    assert not (tmp_path / "boards").exists()


# Entries: of generated recordings whose mark was taken away.


@pytest.fixture(scope="module")
def rows(place):
    """The runs of two rows, and their folder with entries."""
    line = ["baselines", "--dataset", "stress_predict", "--baseline-set", str(write_set(place.root)), "--workers", "1"]
    assert main([*line, "--data-root", str(place.data), "--runs", str(place.root / "rows")]) == 0
    return place.root / "rows"


@pytest.fixture
def copied(rows, tmp_path):
    return shutil.copytree(folder_in(rows), tmp_path / "sent")


@pytest.fixture
def submit(place, tmp_path, embench):
    """Submits a folder into boards that lie beside it."""

    def of(folder):
        line = ["leaderboard", "submit", folder, "--leaderboards", tmp_path / "boards", "--data-root", place.data]
        return embench(*line)

    return of


@pytest.mark.slow
def test_its_entries_are_those_of_the_runs_and_are_submitted_with_a_line_each(
    place, rows, copied, submit, embench, tmp_path
):
    entries = list_entry_folders(copied / "entries")
    assert {path.name for path in copied.iterdir()} == {
        "README.md", "baselines.json", "data.json", "entries", "paper", "pull-request.md", "site", "table.csv"
    }  # fmt: skip
    assert len(entries) == 2
    assert all((entry / "audit.json").is_file() for entry in entries)
    done = submit(copied)
    assert done.code == 0, done.out
    assert done.out.count("written: handcrafted-") == 2
    runs = sorted((rows / "stress_predict").iterdir())
    line = ["leaderboard", "submit", *runs, "--leaderboards", tmp_path / "one", "--data-root", place.data]
    assert embench(*line).code == 0
    assert content(tmp_path / "one") == content(tmp_path / "boards")
    again = submit(copied)
    assert again.code == 0
    assert again.out.count("there already: ") == 2
    for text in ("README.md", "pull-request.md", "site/stress_predict/index.html"):
        assert "2 of 2 rows" in (copied / text).read_text()


def forge(folder):
    """Seals the files as they are now."""
    known = json.loads((folder / "baselines.json").read_text())
    known.pop("sealed")
    names = [name for name in content(folder) if name == "README.md" or name.startswith("entries/")]
    (folder / "baselines.json").write_text(sealed_json({**known, "files": checksum_files(folder, names)}))


def edit_scores(entry):
    path = entry / "scores.json"
    scores = json.loads(path.read_text())
    scores["scores"]["stress"]["auroc"]["mean"] = 0.99
    path.write_text(json.dumps(scores))


ATTACKS = {
    "scores": edit_scores,
    "audit": lambda entry: (entry / "audit.json").unlink(),
    "more": lambda entry: (entry / "more.txt").write_text("more"),
    "entry": lambda entry: shutil.copytree(entry, entry.with_name("mine")),
    "gone": shutil.rmtree,
    "readme": lambda entry: (entry.parents[3] / "README.md").write_text("of another set"),
    "mark": lambda entry: (entry.parents[3] / "baselines.json").write_text("{}"),
    "no mark": lambda entry: (entry.parents[3] / "baselines.json").unlink(),
}


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_folder_that_was_edited_is_refused_as_a_whole(copied, submit, attack, tmp_path):
    ATTACKS[attack](list_entry_folders(copied / "entries")[0])
    done = submit(copied)
    assert done.code == 1
    assert "differs from the one that `embench baselines` wrote" in done.err
    assert not (tmp_path / "boards").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "why"), [("scores", "scores: "), ("audit", "not audited"), ("more", "more.txt")])
def test_an_entry_that_was_forged_is_refused_and_the_others_go_on(copied, submit, attack, why, tmp_path):
    first, second = list_entry_folders(copied / "entries")
    ATTACKS[attack](first)
    forge(copied)
    done = submit(copied)
    assert done.code == 1
    (refused,) = [text for text in done.out.splitlines() if text.startswith("refused: ")]
    assert first.name in refused
    assert why in refused
    assert [path.name for path in list_entry_folders(tmp_path / "boards")] == [second.name]
