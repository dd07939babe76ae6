"""`embench baselines`: data are checked first, a dry run lists all rows, and a row that fails holds up no other."""

import json
import shutil

import pytest

from ..tiny.running import Bench
from ..tiny.world import few_folds, make_subjects, plugin, write

SET = """name: mine-v1
summary: Two estimators and a network.
core:
  - {{encoder: "{pool}", fusion: [none, single], modalities: eda}}
  - {{encoder: handcrafted, fusion: [logreg, lda], modalities: [eda, eeg]}}
extended:
  - {{encoder: "{bad}", modalities: eda}}
"""
BAD = """
from embench.interfaces.encoder import Encoder
from embench.interfaces.recipe import PRESETS, Recipe
from embench.interfaces.units import View


class Bad(Encoder):
    accepts, recipes = frozenset({"eda"}), dict.fromkeys(PRESETS, Recipe(view=View("unit"), epochs=1))

    def build(self, spec):
        raise ZeroDivisionError("nothing is built here")
"""


@pytest.fixture
def line(bench, tmp_path):
    """The arguments of `embench baselines` for a set of a few rows: two are one run, and one fails."""
    (tmp_path / "bad.py").write_text(BAD)
    path = tmp_path / "mine-v1.yaml"
    path.write_text(SET.format(pool=plugin("Pool"), bad=f"{tmp_path}/bad.py:Bad"))
    return ["--set", path, *common(bench)]


def common(bench):
    places = ["--data-root", bench.data, "--runs", bench.runs, "--protocol", bench.protocol]
    few = ["--target", "arousal", "--seeds", "0", "--recipe", "quick", "--device", "cpu", "--workers", "1"]
    return ["--dataset", plugin(bench.dataset), *places, *few]


def planned(embench, line, *more):
    done = embench("baselines", *line, *more, "--dry-run", "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def bytes_of(runs):
    """What the predictions and scores of all runs hold."""
    return {
        path.relative_to(runs): path.read_bytes()
        for name in ("scores.json", "predictions.csv.gz", "predictions.npz")
        for path in runs.glob(f"*/*/{name}")
    }


def test_a_dry_run_lists_rows_in_their_order_with_what_they_cost_and_what_is_done(embench, bench, line):
    plan = planned(embench, line)
    methods = ["handcrafted" if row["row"].startswith("handcrafted") else "network" for row in plan["rows"]]
    assert methods == ["handcrafted", "handcrafted", "network"]
    assert [row["done"] for row in plan["rows"]] == [False] * 3
    assert all(row["expected_s"] > 0 and row["memory_mb"] > 0 and row["disk_mb"] >= 0 for row in plan["rows"])
    assert plan["expected_s"] == pytest.approx(sum(row["expected_s"] for row in plan["rows"]), abs=0.5)
    assert {row["reason"] for row in plan["does_not_fit"]} == {"tiny has no modality `eeg`"}
    assert not bench.stages()
    assert embench("baselines", *line).code == 0
    after = planned(embench, line)
    assert [row["done"] for row in after["rows"]] == [True] * 3
    assert after["expected_s"] == after["disk_mb"] == 0


def test_the_plan_for_people_names_the_set_what_is_left_and_what_does_not_fit(embench, line):
    done = embench("baselines", *line, "--dry-run")
    assert done.code == 0, done.err
    for text in ("mine-v1, core, on", "does not fit", "tiny has no modality `eeg`", "0 of 3 rows done", "GB are free"):
        assert text in done.out


def test_each_row_is_a_line_with_its_headline_beside_the_best_control(embench, line):
    done = embench("baselines", *line)
    assert done.code == 0, done.err
    lines = [text for text in done.err.splitlines() if " of 3: " in text]
    assert [text.partition(":")[0] for text in lines] == ["1 of 3", "2 of 3", "3 of 3"]
    assert all("arousal auroc" in text and ", best control " in text for text in lines)
    assert "mine-v1, core: 3 of 3 rows; 2 more do not fit" in " ".join(done.out.split())


def test_a_row_that_fails_is_a_line_and_a_file_and_the_rest_goes_on(embench, bench, line):
    done = embench("baselines", *line, "--level", "extended")
    assert done.code == 6, done.out
    (failed,) = [text for text in done.err.splitlines() if " of 4: " in text and "failed: " in text]
    (file,) = (bench.runs / "failures").iterdir()
    assert str(file) in failed
    assert "nothing is built here" in file.read_text()
    assert "embench run --dataset" in file.read_text()
    assert len(list(bench.runs.glob("*/*/run.yaml"))) == 3
    assert "3 of 4 rows" in done.out


def test_hours_start_no_row_that_does_not_fit_and_the_rest_has_the_same_bytes(embench, bench, line):
    done = embench("baselines", *line, "--hours", "0")
    assert done.code == 0, done.err
    assert done.err.count("not started: it takes about") == 3
    assert not bench.stages()
    assert embench("baselines", *line, "--hours", "1").code == 0
    found = bytes_of(bench.runs)
    assert len(found) >= 6
    shutil.rmtree(bench.runs)
    assert embench("baselines", *line).code == 0
    assert bytes_of(bench.runs) == found


def test_data_that_cannot_be_used_stop_it_before_anything_is_trained(embench, tmp_path):
    root = write(tmp_path / "data", make_subjects(6))
    shutil.copy(root / "Tiny" / "p00.npz", root / "Tiny" / "p06.npz")
    bench = Bench(root, tmp_path / "runs", protocol=few_folds(tmp_path))
    for _ in range(2):  # what was found is not forgotten
        done = embench("baselines", *common(bench))
        assert done.code == 3
        assert "another recording has the same name" in done.err
        assert "nothing is trained" in done.err
        assert "embench data verify" in done.err
    assert not bench.stages()


def test_without_a_set_it_is_simple_estimators_on_features(embench, bench):
    plan = planned(embench, common(bench), "--modalities", "eda")
    assert (plan["set"], plan["level"]) == ("features-v1", "core")
    assert {row["row"].partition(" on ")[0] for row in plan["rows"]} == {
        f"handcrafted + {name}" for name in ("logreg", "svm", "boosting")
    }


def test_a_set_of_which_nothing_fits_says_why(embench, bench, tmp_path):
    path = tmp_path / "eeg-v1.yaml"
    path.write_text("name: eeg-v1\nsummary: EEG.\ncore:\n  - {encoder: differential_entropy, fusion: svm}\n")
    done = embench("baselines", *common(bench), "--set", path)
    assert done.code == 2
    assert "no row of eeg-v1 fits" in done.err
    assert "reads none of ecg, eda" in done.err


TUNED = """name: tuned-v1
summary: An estimator with something to tune, and one without.
core:
  - {encoder: handcrafted, fusion: [logreg, lda], modalities: eda}
search:
  logreg: [fusion.build.C=log:1e-3..1e2]
"""


def test_each_row_stands_as_default_and_tuned_and_is_not_tuned_again(embench, bench, tmp_path):
    (tmp_path / "tuned-v1.yaml").write_text(TUNED)
    line = ["--set", tmp_path / "tuned-v1.yaml", *common(bench), "--tune", "3"]
    before = planned(embench, line)
    rows = {row["row"]: row for row in before["rows"]}
    default, tuned = "handcrafted + logreg on eda, few", "handcrafted + logreg on eda, few, tuned (3 trials)"
    assert list(rows).index(tuned) == list(rows).index(default) + 1
    assert rows[tuned]["expected_s"] > rows[default]["expected_s"] > 0
    assert rows[tuned]["command"].startswith("embench tune --dataset")
    assert rows[tuned]["command"].endswith("--search fusion.build.C=log:1e-3..1e2 --trials 3")
    (unfit,) = before["does_not_fit"]
    assert (unfit["row"], unfit["reason"]) == ("handcrafted + lda on eda, few, tuned (3 trials)", "nothing to tune")
    done = embench("baselines", *line)
    assert done.code == 0, done.err
    assert f"{tuned}: arousal auroc" in done.err
    assert done.out.count("3 trials") == 1
    after = planned(embench, line)
    assert [row["done"] for row in after["rows"]] == [True] * 3
    assert after["expected_s"] == 0
    (command,) = (row["command"] for row in after["rows"] if row["row"] == tuned)
    assert " --tuned " in command
    found = bytes_of(bench.runs)
    shutil.rmtree(bench.runs)
    assert embench("baselines", *line, "--hours", "1").code == 0
    assert bytes_of(bench.runs) == found


def test_tuned_rows_that_fail_hold_up_no_other(embench, bench, tmp_path):
    text = TUNED.replace("[logreg, lda]", "logreg, set: fusion.build.C=-1")
    text = text.replace("fusion.build.C=log:1e-3..1e2", "'fusion.build.C=-2,-1'")
    (tmp_path / "tuned-v1.yaml").write_text(text)
    line = ["--set", tmp_path / "tuned-v1.yaml", *common(bench), "--tune", "2"]
    done = embench("baselines", *line)
    assert done.code == 6, done.err
    assert "tuned (2 trials): failed: the method fails as it is" in done.err
    assert {path.name.endswith("-tuned.txt") for path in (bench.runs / "failures").iterdir()} == {True, False}
    assert embench("baselines", *line, "--dev").code == 2
