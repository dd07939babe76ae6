"""Several methods side by side: sorted, with answers, and paired differences from a reference that are corrected."""

import json
import warnings
from types import SimpleNamespace

import pytest

from embench.cli.show import print_board
from embench.sets.table import board_cells, board_notes, board_panels, model_cells, sensor_cells, write_figures
from embench.statistics import comparison
from embench.statistics.intervals import holm

ABOUT = {"dataset": "embench_plugins/mine", "protocol": "p", "target": "calm", "metric": "auroc_crossed"}
NONE = {"from_reference": None, "from_reference_low": None, "from_reference_high": None, "p": None, "comparisons": 0}


def method(name, mean, gap=None, **more):
    ends = {} if gap is None else {"from_reference_low": gap - 0.1, "from_reference_high": gap + 0.1}
    found = {} if gap is None else {"from_reference": gap, **ends}
    counted = {} if gap is None else {"p": 0.2, "comparisons": 3, "over": "subjects"}
    return {
        **ABOUT, "role": "baseline", "best": False, "method": name, "label": name, "sensors": "EDA", "run": f"m-{name}",
        "is_substitute": False, "mean": mean, "low": mean and mean - 0.05, "high": mean and mean + 0.05,
        "above_chance": "yes", "movement": "not shown", "movement_evidence": "partial r 0.10", "not_compared": "",
        "varied": {}, "reference": False, **NONE, **found, **counted, **more,
    }  # fmt: skip


def model(name, mean, *, constant=False):
    interval = {"low": mean, "high": mean} if constant else {"low": mean - 0.05, "high": mean + 0.05}
    return {
        **ABOUT,
        "role": "confound_only",
        "best": False,
        "method": name,
        "mean": mean,
        "constant": constant,
        **interval,
    }


ROWS = [
    method("svm", 0.6, -0.05),
    method("mine", 0.65, role="user", movement="yes", reference=True),
    method("lda", None, movement="too few data"),
    method("knn", 0.56, -0.09),
    model("movement", 0.7),
    model("majority", 0.5, constant=True),
    model("prior", 0.5, constant=True),
]


def test_rows_are_sorted_and_their_differences_are_from_the_best():
    cells = board_cells(ROWS)
    assert [row["method"] for row in cells] == ["mine", "svm", "knn", "lda"]
    scores = [row["Stimulus-matched AUROC"] for row in cells]
    assert scores == ["0.65 (0.60 to 0.70)", "0.60 (0.55 to 0.65)", "0.56 (0.51 to 0.61)", "not estimable"]
    gaps = [row["difference"] for row in cells]
    assert gaps == ["reference", "-0.05 (-0.15 to 0.05)", "-0.09 (-0.19 to 0.01)", ""]
    assert [row["given time and movement"] for row in cells] == ["yes", "not shown", "not shown", "too few data"]
    assert not {"dataset", "protocol", "target"} & set(cells[0])


def test_models_stand_apart_from_best_to_worst_and_constants_on_one_line():
    assert [list(row.values()) for row in model_cells(ROWS)] == [
        ["movement during the scored segment", "0.70 (0.65 to 0.75)"],
        ["majority class, class proportions", "0.50 always"],
    ]


def test_notes_name_the_family_and_what_two_answers_do_not_show():
    differences, answers = board_notes(ROWS)
    assert differences == (
        "Differences are from the best row, the reference, and paired over subjects, with 95 % intervals; p is "
        "corrected for the 3 comparisons between two rows of this table (Holm)."
    )
    assert answers == "That one answer is yes and another not shown does not show that two rows differ."
    assert board_notes([method("a", 0.6, not_compared="other folds")]) == ["No differences: other folds."]
    assert board_notes([method("a", 0.6)]) == []


def test_a_grid_has_its_first_value_as_reference_and_a_column_for_each_varied_setting():
    def context(seconds, mean, gap=None, **more):
        varied = {"encoder.view.length_s": seconds, "encoder.lr": None}
        return method(f"context {seconds}", mean, gap, role="method", label="net", varied=varied, **more)

    rows = [context("10", 0.6, reference=True), context("60", 0.7, 0.1, comparisons=2), context("30", 0.5, -0.1)]
    cells = board_cells(rows)
    assert [row["length_s"] for row in cells] == ["60", "10", "30"]
    assert [row["lr"] for row in cells] == ["default"] * 3
    assert [row["difference"][:9] for row in cells] == ["0.10 (0.0", "reference", "-0.10 (-0"]
    assert [row["p (Holm)"] for row in cells] == ["0.200", "", "0.200"]
    assert "from the first run, the reference" in board_notes(rows)[0]
    assert "2 comparisons with the reference" in board_notes(rows)[0]


def test_which_sensor_is_answered_by_its_own_table_with_the_evidence():
    rows = [
        method("ridge", 0.7, sensors="PPG, EDA", movement="yes"),
        method("svm", 0.6, sensors="PPG"),
        method("ridge", 0.5),
    ]
    assert [tuple(row.values()) for row in sensor_cells(rows)] == [
        ("EDA", "ridge", "not shown", "partial r 0.10"),
        ("PPG", "svm", "not shown", "partial r 0.10"),
        ("PPG, EDA", "ridge", "yes", "partial r 0.10"),
    ]
    assert "method" not in sensor_cells([method("ridge", 0.7, sensors="PPG"), method("ridge", 0.5)])[0]
    assert sensor_cells(ROWS) == []


def test_each_dataset_and_target_is_a_table_of_its_own(capsys):
    other = [method("svm", 0.7, target="joy", run="m-other")]
    assert len(board_panels([*ROWS, *other])) == 2
    print_board([*ROWS, *other], varied={"m-other": {"recipe": "quick"}})
    out = capsys.readouterr().out
    assert "mine, p, calm" in out
    assert "mine, p, joy" in out
    assert out.count("model without any physiological signal") == 1
    assert "quick" in out


def test_the_best_is_compared_with_each_other_and_corrected_for_every_two(monkeypatch):
    """Whichever is best was chosen after looking, so that every two of them count."""
    p = {"b": 0.01, "c": 0.02}
    made = [SimpleNamespace(name=name) for name in "abc"]
    monkeypatch.setattr(comparison, "check_same", lambda *_, **__: None)
    monkeypatch.setattr(comparison, "methods_on_common", lambda *_: made)

    def pair(one, other):
        empty = dict.fromkeys(("target", "metric", "scores", "difference", "over", "smallest_detectable"))
        return comparison.Comparison(
            **empty, one=one.name, other=other.name, p=p[other.name], p_holm=1.0, n_comparisons=1, tests={}, subjects=9,
            units=9, unequal_tuning=False,
        )  # fmt: skip

    monkeypatch.setattr(comparison, "_compare_pair", pair)
    found = comparison.compare_with_best([None] * 3, "calm")
    assert [(each.one, each.other, each.n_comparisons) for each in found] == [("a", "b", 3), ("a", "c", 3)]
    assert [each.p_holm for each in found] == holm([0.01, 0.02, 1.0])[:2] == [pytest.approx(0.03), pytest.approx(0.04)]


@pytest.mark.slow
def test_a_grid_prints_the_difference_of_its_rows_and_has_it_as_json(embench, bench):
    options = ("--fusion", "logreg", "--fusion", "lda", "--target", "arousal", "--modalities", "eda")
    line = ("grid", *bench.line(*options, encoder="handcrafted")[1:])
    done = embench(*line)
    assert done.code == 0, done.err
    assert "difference" in done.out
    assert "model without any physiological signal" in done.out
    runs = json.loads(embench(*line, "--json").out)
    assert sorted(len(run["rows"]) for run in runs) == [1, 1]


def test_a_figure_of_one_method_with_a_long_name_has_room_for_its_axes(tmp_path):
    name = "CNN-Transformer; cross-attention fusion, " + ", ".join(f"encoder.prepare.rate_hz={k}" for k in range(4))
    rows = [{**method(name, 0.6, role="user"), "synthetic": True}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [figure] = write_figures(rows, tmp_path, "one")
    assert figure.stat().st_size > 0
