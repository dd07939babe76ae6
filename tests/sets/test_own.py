"""Methods of one's own beside the rows of a set: in the same table, and an answer in a sentence."""

import json

import pytest

from ..tiny.world import plugin
from .test_running import common

SET = "name: mine-v1\nsummary: One estimator.\ncore:\n  - {encoder: handcrafted, fusion: logreg, modalities: eda}\n"
MINE = """
from embench_plugins.fusions.classical import LogReg


class Mine(LogReg):
    pass


class Breaking(LogReg):
    def fit(self, X, y, subjects, weight, val=None):
        if self.modalities == ("eda",):
            raise ZeroDivisionError("not on the skin")
        super().fit(X, y, subjects, weight, val)


class TwoColumns(LogReg):
    def score(self, X):
        return super().score(X)[:1]
"""


@pytest.fixture
def line(bench, tmp_path):
    """The arguments of `embench baselines` for a set of one row, with files of methods beside it."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "mine-v1.yaml").write_text(SET)
    return ["--baseline-set", tmp_path / "mine-v1.yaml", *common(bench), "--modalities", "eda"]


def board(embench, line, *more):
    done = embench("baselines", *line, *more, "--json")
    return done, json.loads(done.out)["rows"]


def predictions_of(runs, path):
    """A CSV file of what a run predicted."""
    import embench as module

    (folder,) = {found.parent for found in runs.glob("*/*/run.yaml")}
    frame = module.open_result(folder).to_pandas("predictions")
    frame[["subject", "recording", "unit", "target", "seed", "score"]].to_csv(path, index=False)
    return path


def test_an_own_estimator_stands_first_with_its_differences_and_an_answer(embench, bench, line, tmp_path):
    done, rows = board(embench, line, "--method", f"{tmp_path}/mine.py:Mine")
    assert done.code == 0, done.err
    own, baseline, *models = rows
    assert (own["role"], own["best"]) == ("user", True)
    assert (baseline["role"], baseline["best"], baseline["method"]) == ("baseline", True, "handcrafted + logreg on eda")
    assert models
    assert {row["role"] for row in models} == {"confound_only"}
    assert [row["best"] for row in models] == [True] + [False] * (len(models) - 1)
    assert own["mean"] == baseline["mean"]  # the same method by another name
    assert own["over_baseline"] == 0
    assert "is not demonstrably better than the best baseline, handcrafted + logreg on eda" in own["answer"]
    done = embench("baselines", *line, "--method", f"{tmp_path}/mine.py:Mine")
    assert " ".join(done.out.split()).endswith(own["answer"])  # the last lines of the screen
    (figure,) = bench.runs.glob("*/mine-v1-*-arousal.png")
    assert str(figure) in "".join(done.out.split())


@pytest.mark.slow
def test_predictions_and_finished_runs_stand_beside_the_rows(embench, bench, line, tmp_path):
    assert embench("baselines", *line).code == 0
    file = predictions_of(bench.runs, tmp_path / "others.csv")
    done, rows = board(embench, line, "--method", file)
    assert done.code == 0, done.err
    own = rows[0]
    assert (own["role"], own["method"]) == ("user", "others")
    assert own["over_baseline"] == pytest.approx(-0.5 / 6)  # a file does not say that one of six has no EDA
    assert own["folder"].startswith(str(bench.runs))
    done, again = board(embench, line, "--method", own["folder"])
    assert again == rows


def test_an_encoder_reads_each_modality_and_all_of_them(embench, line):
    done = embench(
        "baselines", *line[:-2], "--method", plugin("Pool"), "--method", plugin("Moments"), "--dry-run", "--json"
    )
    assert done.code == 0, done.err
    rows = [row for row in json.loads(done.out)["rows"] if row["level"] == "user"]
    told = {row["row"].replace(plugin(""), "").removesuffix(", few") for row in rows}
    assert told == {
        *(f"Pool + single on {m}" for m in ("ecg", "eda")),
        "Pool + late on ecg,eda",
        *(f"Moments + logreg on {m}" for m in ("ecg", "eda", "ecg,eda")),
    }


def test_a_method_that_does_not_conform_stops_before_anything_is_trained(embench, bench, line, tmp_path):
    done = embench("baselines", *line, "--method", f"{tmp_path}/mine.py:TwoColumns")
    assert done.code == 1
    assert "mine.py:TwoColumns on eda, few: its fusion" in done.err
    assert not bench.stages()


def test_a_method_that_fails_later_is_a_line_and_a_file_and_the_baselines_go_on(embench, bench, line, tmp_path):
    done, rows = board(embench, line, "--method", f"{tmp_path}/mine.py:Breaking")
    assert done.code == 6
    (failed,) = [text for text in done.err.splitlines() if text.startswith("1 of 2: ")]
    (file,) = (bench.runs / "failures").iterdir()
    assert str(file) in failed
    assert "not on the skin" in file.read_text()
    assert {row["role"] for row in rows} == {"baseline", "confound_only"}


def test_predictions_of_test_subjects_do_not_go_with_dev(embench, bench, line, tmp_path):
    (tmp_path / "mine.csv").write_text("subject,recording,unit,target,score\n")
    done = embench("baselines", *line, "--dev", "--method", tmp_path / "mine.csv")
    assert done.code == 2
    assert "no --dev" in done.err
    assert not bench.stages()


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("handcraftet", "did you mean handcrafted"),
        ("nowhere.py:Mine", "the file nowhere.py does not exist"),
        ("differential_entropy", "differential_entropy fits no part of"),
        ("mine.csv", "mine.csv"),
    ],
)
def test_what_is_no_method_is_refused_with_the_way_to_name_one(embench, bench, line, method, message):
    done = embench("baselines", *line, "--method", method)
    assert done.code in (2, 3)
    assert message in done.err
    assert not bench.stages()


@pytest.mark.slow
def test_a_table_has_the_targets_that_were_asked_for(embench, bench, line):
    both = bench.run("Moments", fusion="logreg", targets="arousal,valence", modalities="eda")
    done, rows = board(embench, line, "--method", both.folder)
    assert done.code == 0, done.err
    assert rows[0]["role"] == "user"
    assert {row["target"] for row in rows} == {"arousal"}
