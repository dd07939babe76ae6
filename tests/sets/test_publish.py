"""`embench baselines --publish`: rows become entries as soon as they are finished, and are not run again."""

import os
from pathlib import Path

import pytest

from embench.records.record import read_manifest

DATA = os.environ.get("EMBENCH_TEST_DATA")
SET = """
name: mine-v1
summary: Two rows, one of which no leaderboard takes; and rows with a capability.
protocol: subject-independent-v4
recipe: small
core:
  - {encoder: handcrafted, fusion: lda, modalities: ecg, datasets: eegmat}
  - {encoder: handcrafted, fusion: lda, modalities: ecg, recipe: quick}
  - {encoder: handcrafted, fusion: lda, modalities: eda, datasets: stress_predict}
extended:
  - {encoder: handcrafted, fusion: logreg, modalities: ecg, tune: 2}
  - {encoder: handcrafted, fusion: lda, modalities: "ecg,eeg", drop: ecg}
  - {encoder: handcrafted, fusion: lda, modalities: ecg, label_fraction: "0.5"}
search:
  logreg: [fusion.build.C=log:1e-4..1e2]
"""


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="$EMBENCH_TEST_DATA is not set")
def test_a_set_is_published_row_by_row_and_resumed(embench, tmp_path):
    (tmp_path / "mine-v1.yaml").write_text(SET)
    boards = tmp_path / "boards"
    line = ("baselines", "--dataset", "eegmat", "--baseline-set", tmp_path / "mine-v1.yaml", "--data-root", DATA)
    line = (*line, "--runs", tmp_path / "runs", "--publish", boards)
    done = embench(*line)
    assert done.code == 0, done.err
    assert "0 of 2 rows are published" in done.err
    assert "; published\n" in done.err
    assert "; not published: " in done.err
    entries = [path.parent for path in boards.rglob("run.yaml")]
    assert len(entries) == 1
    assert (boards / "eegmat" / "README.md").is_file()
    assert embench("leaderboard", "verify", entries[0], "--data-root", DATA).code == 0
    for folder in Path(tmp_path / "runs" / "eegmat").glob("handcrafted-lda-*"):
        if folder.name == entries[0].name:
            (folder / "run.yaml").unlink()  # it would be trained again, were it not published
    again = embench(*line)
    assert "1 of 2 rows are published" in again.err
    assert not (tmp_path / "runs" / "eegmat" / entries[0].name / "run.yaml").exists()


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="$EMBENCH_TEST_DATA is not set")
def test_rows_with_a_capability_are_published_and_not_run_again(embench, tmp_path):
    (tmp_path / "mine-v1.yaml").write_text(SET.replace("core:", "full:").replace("extended:", "core:"))
    boards = tmp_path / "boards"
    line = ("baselines", "--dataset", "eegmat", "--baseline-set", tmp_path / "mine-v1.yaml", "--data-root", DATA)
    line = (*line, "--runs", tmp_path / "runs", "--publish", boards)
    done = embench(*line)
    assert done.code == 0, done.err
    entries = sorted(path.parent for path in boards.rglob("run.yaml"))
    configs = [read_manifest(entry).config for entry in entries]
    assert sorted(each["tuned"]["trials"] if each.get("tuned") else 0 for each in configs) == [0, 0, 0, 2]
    assert [each["drop"] for each in configs if each.get("drop")] == [["ecg"]]
    assert [each["label_fraction"] for each in configs if each.get("label_fraction")] == [0.5]
    for entry in entries:
        verified = embench("leaderboard", "verify", entry, "--data-root", DATA)
        assert verified.code == 0, verified.out + verified.err
    assert "4 of 4 rows are published" in embench(*line).err
