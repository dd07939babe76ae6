"""`embench baselines`: data are checked first, a dry run lists all rows, and a row that fails holds up no other."""

import io
import json
import shlex
import shutil
from contextlib import redirect_stderr, redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from embench import registry
from embench.cli import main
from embench.records.record import read_run
from embench.sets.files import find_set
from embench.sets.rows import baseline_rows
from embench.sets.running import forecast_rows, has_finished
from embench.sets.table import board_rows
from embench.statistics.result import Result

from ..tiny.running import Bench, Done
from ..tiny.world import few_folds, make_subjects, plugin, write

BOARD = Path(__file__).parents[2] / "leaderboards" / "eegmat" / "subject-independent-v4"
SET = """name: mine-v1
summary: Two estimators and a network.
core:
  - {{encoder: "{pool}", fusion: [none, single], modalities: eda}}
  - {{encoder: handcrafted, fusion: [logreg, lda], modalities: [eda, eeg]}}
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


def write_set(folder, bench):
    """The arguments of `embench baselines` for a set of a few rows, of which two are one run."""
    path = folder / "mine-v1.yaml"
    path.write_text(SET.format(pool=plugin("Pool")))
    return ["--baseline-set", path, *common(bench)]


@pytest.fixture
def line(bench, tmp_path):
    return write_set(tmp_path, bench)


class Ran(NamedTuple):
    """A bench on which the set's core was run, the arguments, the plan before, and what was printed for people."""

    bench: Bench
    line: list
    before: dict
    planned: str
    done: Done


@pytest.fixture(scope="module")
def ran(six, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ran")
    bench = Bench(six, folder / "runs", protocol=few_folds(six))
    line = write_set(folder, bench)

    def of(*more):
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = main([str(part) for part in ("baselines", *line, *more)])
        return Done(code, out.getvalue(), err.getvalue())

    before, shown = (of("--dry-run", *more) for more in (["--json"], []))
    assert not bench.stages()
    return Ran(bench, line, json.loads(before.out), shown.out, of())


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


def test_a_dry_run_lists_rows_in_their_order_with_what_they_cost_and_what_is_done(embench, ran):
    plan = ran.before
    methods = ["handcrafted" if row["row"].startswith("handcrafted") else "network" for row in plan["rows"]]
    assert methods == ["handcrafted", "handcrafted", "network"]
    assert [row["done"] for row in plan["rows"]] == [False] * 3
    assert all(row["expected_s"] > 0 and row["memory_mb"] > 0 and row["disk_mb"] >= 0 for row in plan["rows"])
    assert all(row["measured"] for row in plan["rows"])  # on a CPU as soon as steps were tried
    assert plan["expected_s"] == pytest.approx(sum(row["expected_s"] for row in plan["rows"]), abs=0.5)
    assert {row["reason"] for row in plan["does_not_fit"]} == {"tiny has no modality `eeg`"}
    after = planned(embench, ran.line)
    assert [row["done"] for row in after["rows"]] == [True] * 3
    assert after["expected_s"] == after["disk_mb"] == 0


def test_the_plan_for_people_names_the_set_what_is_left_and_what_does_not_fit(ran):
    for text in ("mine-v1, core, on", "does not fit", "tiny has no modality `eeg`", "0 of 3 rows done", "GB are free"):
        assert text in ran.planned


def test_each_row_is_a_line_with_its_headline_beside_the_best_control(ran):
    assert ran.done.code == 0, ran.done.err
    lines = [text for text in ran.done.err.splitlines() if " of 3: " in text]
    assert [text.partition(":")[0] for text in lines] == ["1 of 3", "2 of 3", "3 of 3"]
    assert all(": arousal: Within-subject AUROC " in text for text in lines)
    assert all("; best model without a signal " in text for text in lines)
    assert "mine-v1, core: 3 of 3 rows; 2 more need what" in " ".join(ran.done.out.split())


def test_a_device_is_measured_when_a_run_on_it_has_ended(ran, tmp_path):
    assert not has_finished(tmp_path, "cpu")
    assert has_finished(ran.bench.runs, "cpu")
    assert not has_finished(ran.bench.runs, "mps")


def test_a_row_that_fails_is_a_line_and_a_file_and_the_rest_goes_on(embench, bench, tmp_path):
    (tmp_path / "bad.py").write_text(BAD)
    rules = f"  - {{encoder: '{tmp_path}/bad.py:Bad'}}\n  - {{encoder: handcrafted, fusion: logreg}}\n"
    (tmp_path / "two-v1.yaml").write_text(f"name: two-v1\nsummary: The first fails.\ncore:\n{rules}")
    done = embench("baselines", "--baseline-set", tmp_path / "two-v1.yaml", *common(bench), "--modalities", "eda")
    assert done.code == 6, done.out
    (failed,) = [text for text in done.err.splitlines() if " of 2: " in text and "failed: " in text]
    (file,) = (bench.runs / "failures").iterdir()
    assert str(file) in failed
    assert "nothing is built here" in file.read_text()
    assert "embench run --dataset" in file.read_text()
    assert len(list(bench.runs.glob("*/*/run.yaml"))) == 1
    assert "1 of 2 rows" in done.out


@pytest.mark.slow
def test_hours_start_no_row_that_does_not_fit_and_the_rest_has_the_same_bytes(embench, bench, line, ran):
    done = embench("baselines", *line, "--hours", "0")
    assert done.code == 0, done.err
    assert done.err.count("not started: the row takes about") == 3
    assert not bench.stages()
    assert embench("baselines", *line, "--hours", "1").code == 0
    found = bytes_of(bench.runs)
    assert len(found) >= 6
    assert bytes_of(ran.bench.runs) == found


def test_data_that_cannot_be_used_stop_it_before_anything_is_trained(embench, tmp_path):
    root = write(tmp_path / "data", make_subjects(6))
    shutil.copy(root / "Tiny" / "p00.npz", root / "Tiny" / "p06.npz")
    bench = Bench(root, tmp_path / "runs", protocol=few_folds(tmp_path))
    for _ in range(2):  # what was found is not forgotten
        done = embench("baselines", *common(bench))
        assert done.code == 3
        assert "another recording has the same name" in done.err
        assert "nothing was trained" in done.err
        assert "embench data verify" in done.err
    assert not bench.stages()


BREAKS = {
    "constant": (lambda x: 0 * x + 5, "eda: eda is missing or constant in every recording"),
    "empty": (lambda x: np.nan * x, "eda: eda is missing or constant in every recording"),
    "in other units": (lambda x: 1000 * x, "eda: eda is given in uS with a usual median of 5"),
}


@pytest.mark.parametrize(("change", "reason"), BREAKS.values(), ids=BREAKS)
def test_a_column_that_is_broken_in_all_files_stops_it_before_anything_is_trained(embench, tmp_path, change, reason):
    root = write(tmp_path / "data", make_subjects(6))
    for path in (root / "Tiny").glob("*.npz"):
        with np.load(path) as content:
            arrays = {name: change(x) if name.endswith("eda") else x for name, x in content.items()}
        np.savez(path, **arrays)
    bench = Bench(root, tmp_path / "runs", protocol=few_folds(tmp_path))
    done = embench("baselines", *common(bench), "--modalities", "ecg")
    assert done.code == 3
    assert reason.partition(": ")[2] in done.err
    assert "nothing was trained" in done.err
    assert not bench.stages()


def test_what_is_odd_in_some_files_is_counted_and_not_stopped(embench, tmp_path):
    root = write(tmp_path / "data", make_subjects(6))
    path = root / "Tiny" / "p00.npz"
    with np.load(path) as content:
        arrays = {name: 0 * x + 5 if name.endswith("eda") else x for name, x in content.items()}
    np.savez(path, **arrays)
    bench = Bench(root, tmp_path / "runs", protocol=few_folds(tmp_path))
    for _ in range(2):
        done = embench("baselines", *common(bench), "--modalities", "ecg", "--dry-run")
        assert done.code == 0, done.err
        assert "warnings on the files; all files are used. To list them:\n  embench data verify" in done.err
    lines = done.err.splitlines()
    command = next(after for before, after in pairwise(lines) if before.endswith("To list them:"))
    assert embench(*shlex.split(command)[1:]).code == 0


def test_the_set_and_the_encoder_of_a_package_are_run_and_recorded(embench, bench, site, installing):
    package = installing.install("embench_acme", site)
    code = (package / "encoders.py").read_text().replace("Recipe(epochs=1)", 'Recipe(view=View("unit"), epochs=1)')
    (package / "encoders.py").write_text(
        code.replace("from .sizes", "from embench.interfaces.units import View\n\nfrom .sizes")
    )
    (package / "baselines").mkdir()
    rule = "{encoder: [plain, handcrafted], fusion: logreg, modalities: [each, all]}"
    (package / "baselines" / "acme-v1.yaml").write_text(f"name: acme-v1\nsummary: Acme's.\ncore:\n  - {rule}\n")
    registry.refresh()
    done = embench("baselines", *common(bench), "--baseline-set", "acme-v1", "--modalities", "eda")
    assert done.code == 0, done.err
    assert "of 2: plain + logreg on eda" in done.err
    assert "acme-v1, core: 2 of 2 rows" in done.out
    records = [read_run(path.parent) for path in bench.runs.glob("*/*/run.yaml")]
    assert {run["method"]["encoders"]["eda"] for run in records} == {
        "embench_acme/plain",
        "embench_plugins/handcrafted",
    }


def test_without_a_set_it_is_simple_estimators_on_features(embench, bench):
    plan = planned(embench, common(bench), "--modalities", "eda")
    assert (plan["set"], plan["level"]) == ("features-v1", "core")
    assert {row["row"].partition(" on ")[0] for row in plan["rows"]} == {
        f"handcrafted + {name}" for name in ("logreg", "svm", "boosting")
    }


def test_methods_that_differ_in_settings_alone_are_told_apart():
    found = [Result.read(path) for path in sorted(BOARD.glob("unet_se-modality_aware-*"))]
    names = {row["method"] for row in board_rows(found) if row["role"] == "baseline"}
    plain = "unet_se + modality_aware on ecg, eeg"
    assert names == {plain, f"{plain}, fusion.build.attention=false"}


def test_a_set_of_which_nothing_fits_says_why(embench, bench, tmp_path):
    path = tmp_path / "eeg-v1.yaml"
    path.write_text("name: eeg-v1\nsummary: EEG.\ncore:\n  - {encoder: differential_entropy, fusion: svm}\n")
    done = embench("baselines", *common(bench), "--baseline-set", path)
    assert done.code == 2
    assert "no row of the set fits" in done.err
    assert "reads none of ecg, eda" in done.err


def test_a_plan_for_a_cluster_says_that_times_are_of_this_machine(embench, line):
    done = embench("baselines", *line, "--dry-run", "--executor", "slurm")
    assert "those of slurm were never measured" in " ".join(done.out.split())
    done = embench("baselines", *line, "--dry-run", "--executor", "nobody")
    assert "no executor `nobody`" in done.err


TUNED = """name: tuned-v1
summary: An estimator with something to tune, and one without.
core:
  - {encoder: handcrafted, fusion: [logreg, lda], modalities: eda}
search:
  logreg: [fusion.build.C=log:1e-3..1e2]
"""


@pytest.mark.slow
def test_each_row_stands_as_default_and_tuned_and_is_not_tuned_again(embench, bench, tmp_path):
    (tmp_path / "tuned-v1.yaml").write_text(TUNED)
    line = ["--baseline-set", tmp_path / "tuned-v1.yaml", *common(bench), "--tune", "2"]
    before = planned(embench, line)
    rows = {row["row"]: row for row in before["rows"]}
    default, tuned = "handcrafted + logreg on eda, few", "handcrafted + logreg on eda, few, tuned (2 trials)"
    assert list(rows).index(tuned) == list(rows).index(default) + 1
    assert rows[tuned]["expected_s"] > rows[default]["expected_s"] > 0
    assert rows[tuned]["command"].startswith("embench tune --dataset")
    assert rows[tuned]["command"].endswith("--search fusion.build.C=log:1e-3..1e2 --trials 2")
    (unfit,) = before["does_not_fit"]
    assert (unfit["row"], unfit["reason"]) == ("handcrafted + lda on eda, few, tuned (2 trials)", "nothing to tune")
    done = embench("baselines", *line)
    assert done.code == 0, done.err
    assert f"{tuned}: arousal: Within-subject AUROC" in done.err
    assert done.out.count("tuned (2 trials)") == 1
    (readme,) = bench.runs.glob("baselines/*-tune-2/README.md")
    assert "**3 of 3 rows**" in (text := readme.read_text("utf-8"))
    assert text.count("tuned, 2 trials") == 1
    after = planned(embench, line)
    assert [row["done"] for row in after["rows"]] == [True] * 3
    assert after["expected_s"] == 0
    (command,) = (row["command"] for row in after["rows"] if row["row"] == tuned)
    assert " --tuned " in command


@pytest.mark.slow
def test_tuned_rows_within_hours_have_the_same_bytes(embench, bench, tmp_path):
    (tmp_path / "tuned-v1.yaml").write_text(TUNED)
    line = ["--baseline-set", tmp_path / "tuned-v1.yaml", *common(bench), "--tune", "2"]
    assert embench("baselines", *line).code == 0
    found = bytes_of(bench.runs)
    assert found
    shutil.rmtree(bench.runs)
    assert embench("baselines", *line, "--hours", "1").code == 0
    assert bytes_of(bench.runs) == found


def test_tuned_rows_that_fail_hold_up_no_other(embench, bench, tmp_path):
    text = TUNED.replace("[logreg, lda]", "logreg, set: fusion.build.C=-1")
    text = text.replace("fusion.build.C=log:1e-3..1e2", "'fusion.build.C=-2,-1'")
    (tmp_path / "tuned-v1.yaml").write_text(text)
    line = ["--baseline-set", tmp_path / "tuned-v1.yaml", *common(bench), "--tune", "2"]
    done = embench("baselines", *line)
    assert done.code == 6, done.err
    assert "tuned (2 trials): failed: the method fails with its default settings" in done.err
    assert {path.name.endswith("-tuned.txt") for path in (bench.runs / "failures").iterdir()} == {True, False}
    assert embench("baselines", *line, "--dev").code == 2


def test_the_forecast_of_disk_is_of_the_tables_that_estimators_are_fitted_to(embench, bench, tmp_path):
    path = tmp_path / "tables-v1.yaml"
    rule = "{encoder: handcrafted, fusion: [logreg, lda], modalities: all}"
    path.write_text(f"name: tables-v1\nsummary: Tables.\ncore:\n  - {rule}\n")
    options = {"data_root": bench.data, "runs": bench.runs, "protocol": str(bench.protocol), "seeds": "0"}
    options |= {"targets": "arousal", "recipe": "quick", "device": "cpu", "workers": 1}
    rows = baseline_rows(find_set(str(path)), "core", plugin(bench.dataset), options)
    found, _ = forecast_rows(rows)
    assert embench("baselines", *common(bench), "--baseline-set", path).code == 0
    taken = sum(file.stat().st_size for file in bench.runs.glob("stages/*/rows.npz"))
    assert sum(row.disk_mb for row in found) == pytest.approx(taken / 1e6, rel=0.5)
