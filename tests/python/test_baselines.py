"""`embench.run_baselines`: a pipeline, predictions and a result beside the rows of a set, as a table and drawn."""

from pathlib import Path

import matplotlib as mpl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import embench
from embench import vocabulary
from embench.errors import UsageError

from ..tiny.world import plugin

mpl.use("agg")
ROOT = Path(__file__).parents[2]
SET = (
    "name: mine-v1\nsummary: One estimator.\ncore:\n  - {encoder: handcrafted, fusion: lda, modalities: [each, all]}\n"
)


@pytest.fixture
def given(bench, tmp_path):
    (tmp_path / "mine-v1.yaml").write_text(SET)
    return {
        "dataset": plugin("Tiny"), "baseline_set": str(tmp_path / "mine-v1.yaml"), "data_root": bench.data,
        "runs": bench.runs,
        "protocol": bench.protocol, "target": "arousal", "seeds": [0], "device": "cpu", "workers": 1,
    }  # fmt: skip


def test_a_pipeline_stands_beside_the_rows_and_what_was_run_is_not_run_again(given, bench, capsys):
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    board = embench.run_baselines(methods=pipeline, modalities="eda", **given)
    frame = board.to_pandas()
    assert frame["role"].value_counts()[["user", "baseline"]].tolist() == [1, 1]
    own = frame[frame["role"] == "user"].iloc[0]
    assert own["method"] == "handcrafted + StandardScaler-LogisticRegression on eda"
    assert own["over_baseline_low"] <= own["over_baseline"] <= own["over_baseline_high"]
    assert board.answers == [own["answer"]]
    assert "1 of 2: handcrafted + StandardScaler-LogisticRegression on eda" in capsys.readouterr().err
    assert own["answer"] in repr(board)
    assert "<td>yours</td>" in board._repr_html_()
    axes = board.plot()
    shown = frame.dropna(subset="mean")
    names = shown["method"].where(shown["role"] != "confound_only", shown["method"].map(vocabulary.label))
    assert [" ".join(label.get_text().split()) for label in axes.get_yticklabels()] == names.tolist()
    with pytest.raises(UsageError, match="no target `fear`"):
        board.plot("fear")

    stages = bench.stages()
    result = next(result for result in board.results if result.id == own["run"])
    predictions = result.to_pandas("predictions")[["subject", "recording", "unit", "target", "seed", "score"]]
    again = embench.run_baselines(methods=[result, predictions], modalities="eda", **given).to_pandas()
    mine = again[again["role"] == "user"]
    of_result, of_table = mine["mean"].tolist()
    assert of_result == own["mean"]
    assert of_table == pytest.approx(own["mean"] - 0.5 / 6)  # one of six has no EDA, which a table does not say
    assert set(mine["method"]) == {own["method"], "predictions"}
    assert bench.stages() == stages


def test_what_is_no_method_is_refused(given):
    with pytest.raises(UsageError, match="no method has the name `handcraft`") as caught:
        embench.run_baselines(methods="handcraft", **given)
    assert caught.value.where.startswith("methods=")
    entry = next((ROOT / "leaderboards" / "stress_predict" / "subject-independent-v4").glob("handcrafted-*"))
    with pytest.raises(UsageError, match="is a run on embench_plugins/stress_predict"):
        embench.run_baselines(methods=embench.open_result(entry), **given)
    with pytest.raises(UsageError, match="is not a fusion"):
        embench.run_baselines(methods=7, **given)
