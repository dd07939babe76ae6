"""`embench compare`: the table, the document and the refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from embench.cli import main
from embench.records import record
from embench.statistics.significance import SHARED_TRAINING

from ..statistics.test_comparison import runs


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Three runs, of which the first two are alike."""
    made = []
    for of in runs(2.0, 2.0, 0.8):
        record.write_record(tmp_path / of.run["id"], of)
        made.append(str(tmp_path / of.run["id"]))
    return made


def test_a_table_and_sentences_to_quote(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *folders]) == 0
    out = capsys.readouterr().out
    assert "target stress, AUROC within subject (auroc_within)" in out
    assert out.count("Holm-corrected, 20 subjects") == 3
    assert "is better than c by" in out
    assert "can't be told apart" in out


def test_one_document_says_the_same(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *folders, "--json", "--metric", "auroc", "--target", "stress"]) == 0
    out = capsys.readouterr().out
    [table] = json.loads(out)["targets"]
    assert (table["target"], table["metric"]) == ("stress", "auroc")
    assert [m["group"] for m in table["methods"]] == ["a", "a", "b"]
    first = table["comparisons"][0]
    assert first["difference"]["low"] < first["difference"]["mean"] < first["difference"]["high"]
    assert set(first["tests"]) == {"permutation", SHARED_TRAINING, "wilcoxon", "corrected resampled t", "equivalence"}
    assert first["better"] is None


@pytest.mark.parametrize(
    ("rest", "code", "text"),
    [
        (["--target", "valence"], 2, "no target `valence`"),
        (["--metric", "nonsense"], 2, "nonsense"),
        (["--metric", "ccc"], 2, "scores no targets of kind binary"),
        (["nowhere"], 3, "the file is missing"),
    ],
)
def test_what_does_not_fit_is_said(
    folders: list[str], rest: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *folders, *rest]) == code
    printed = capsys.readouterr()
    assert text in printed.err
    assert not printed.out


def test_one_run_alone_is_nothing_to_compare(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", folders[0]]) == 2
    assert "nothing to compare" in capsys.readouterr().err
