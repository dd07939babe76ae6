"""`embench compare`: the table, the document and the refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embench.cli import main
from embench.records import record
from embench.records.record import Record
from embench.statistics.comparison import compare
from embench.statistics.intervals import SHARED_TRAINING

from ..truth.cohorts import draw_labels, draw_lengths, partitions, recorded


def made(*strengths: float, design: str | None = None) -> list[Record]:
    """Methods of known strength about the same 14 subjects, named a, b, c, with the seeds 0, 1 and 2."""
    rng = np.random.default_rng(8)
    y, lengths = draw_labels(rng, 14), draw_lengths(rng, 14)
    folds, noise = partitions(rng, lengths, 3), rng.normal(size=(len(strengths), *y.shape))
    records = []
    for name, strength, own in zip("abc", strengths, noise, strict=False):
        logit = strength * (y - 0.5) + own + 0.2 * rng.normal(size=(3, *y.shape))
        of = recorded(name, 1 / (1 + np.exp(-logit)), y, folds, "auroc_within", lengths)
        records.append(replace(of, run={**of.run, "cohort": {**of.run["cohort"], "design": design}}))
    return records


def with_seeds(of: Record, *seeds: int) -> Record:
    """What a run with these seeds alone would have left."""
    kept = of.predictions.take(np.isin(of.predictions["seed"], seeds))
    folds = [row for row in of.folds if row["seed"] in seeds]
    return replace(of, run={**of.run, "seeds": list(seeds)}, predictions=kept, folds=folds)


def written(folder: Path, *records: Record) -> list[str]:
    """The folders of the records, below `folder`."""
    for of in records:
        record.write_record(folder / of.run["id"], of)
    return [str(folder / of.run["id"]) for of in records]


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Three runs, of which the first two are alike."""
    return written(tmp_path, *made(2.0, 2.0, 0.8))


def test_a_table_and_sentences_to_quote(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *folders]) == 0
    out = capsys.readouterr().out
    assert "target stress, Within-subject AUROC (auroc_within)" in out
    assert "differ in seeds" not in out
    out = " ".join(out.split())
    assert out.count("Holm-corrected, 14 subjects") == 3
    assert "is better than c by" in out
    assert "can't be told apart" in out
    assert "(Holm), which the intervals are not: p may be high where an interval excludes 0" in out


def test_it_says_on_how_many_of_the_subjects_differences_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "14 of 15 subjects have units that this metric compares"
    runs = made(2.0, 0.8)
    more = [replace(of, run={**of.run, "cohort": {**of.run["cohort"], "subjects": 15}}) for of in runs]
    for some, is_said in ((runs, False), (more, True)):
        assert main(["compare", *written(tmp_path / str(is_said), *some)]) == 0
        assert (text in " ".join(capsys.readouterr().out.split())) is is_said


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_a_terminal_and_has_all_tests_with_all(
    folders: list[str], width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["compare", *folders]) == 0
    short = capsys.readouterr().out
    assert max(map(len, short.splitlines())) <= width
    assert "different" in short
    assert "wilcoxon" not in short
    assert main(["compare", *folders, "--all"]) == 0
    full = capsys.readouterr().out
    assert max(map(len, full.splitlines())) <= width
    assert {"wilcoxon", "permutation", "detectable"} <= set(full.split())


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
    assert "a comparison needs several runs" in capsys.readouterr().err


def test_runs_of_other_seeds_are_compared_on_those_that_all_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = made(2.0, 0.8)
    assert main(["compare", *written(tmp_path, one, with_seeds(other, 1, 2)), "--json"]) == 0
    [table] = json.loads(capsys.readouterr().out)["targets"]
    [pair] = table["comparisons"]
    assert pair["seeds"] == [1, 2]
    assert pair["sentence"].endswith("; on the seeds that all have, 1 and 2.")
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "The runs differ in seeds: compared on those that all have (1 and 2)."
    same = compare(with_seeds(one, 1, 2), with_seeds(other, 1, 2))
    assert pair["difference"]["mean"] == pytest.approx(same.difference.mean)
    assert pair["p"] == same.p
    assert "seeds" not in same.sentence


def test_runs_without_a_common_seed_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = made(2.0, 0.8)
    assert main(["compare", *written(tmp_path, with_seeds(one, 0), with_seeds(other, 1, 2))]) == 2
    printed = capsys.readouterr()
    assert "no seed in common" in printed.err
    assert "0 / 1, 2" in printed.err
    assert not printed.out


def test_where_all_subjects_saw_the_same_the_sentence_is_about_that() -> None:
    for strengths in ((2.0, 0.8), (1.0, 1.0)):
        records = made(*strengths, design="shared_stimuli")
        assert " on these stimuli, " in compare(*records, metric="auroc").sentence
        assert "stimuli" not in compare(*records).sentence  # the interval within subjects covers other stimuli
    assert "stimuli" not in compare(*made(2.0, 0.8, design="free")).sentence
    assert "stimuli" not in compare(*made(2.0, 0.8)).sentence
