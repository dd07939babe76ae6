"""What notebooks show: results as lines, tables and plots, old ones too; datasets without their arrays."""

import inspect
import os
import pydoc
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import embench
from embench import vocabulary
from embench.errors import DataError, UsageError
from embench.planning.request import OPTIONS, Request
from embench.python.records import predictions_file

from ..published import PUBLISHED, link_entries
from ..tiny.world import plugin

ROOT = Path(__file__).parents[2]
ENTRY = next((PUBLISHED / "stress_predict" / "subject-independent-v4").glob("unet_se-single-*"))


@pytest.fixture(scope="module")
def entry():
    return embench.open_result(ENTRY)


def test_the_signature_is_that_of_the_options():
    found = inspect.signature(embench.run).parameters
    assert list(found) == [*(option.name.replace("-", "_") for option in OPTIONS), "dry_run", "progress"]
    for option in OPTIONS:
        parameter = found[option.name.replace("-", "_")]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert (parameter.default is inspect.Parameter.empty) == option.required
        if not option.required:
            assert parameter.default == getattr(Request, option.field), option.name
        assert f"{parameter.name}: " in inspect.getdoc(embench.run)
    assert embench.run.__name__ == "run"


def test_help_reads_the_signature_through_the_lazy_module():
    assert "run(*, dataset: 'str', encoder:" in pydoc.render_doc("embench.run", renderer=pydoc.plaintext)


def test_a_wrong_argument_is_answered_with_the_nearest_name():
    with pytest.raises(UsageError) as caught:
        embench.run(dataset="amigos", encoder="cnn_tf", modality="eda")
    assert "did you mean modalities?" in caught.value.hint
    assert not {"encoders", "settings", "observers"} & set(caught.value.expected.split(", "))
    with pytest.raises(UsageError, match=r"embench\.score has no argument"):
        embench.score("x.csv", "amigos", names="x")


def test_an_old_result_is_read_again(entry):
    assert entry.id == ENTRY.name
    text = repr(entry)
    assert len(text.splitlines()) == 1
    assert len(text) < 300
    assert entry.id in text
    assert "Time-matched AUROC" in text
    assert str(ENTRY) in str(entry)
    assert entry.summaries["stress"].question in str(entry)
    with pytest.raises(DataError, match="missing"):
        embench.open_result(ROOT)


def test_scores_are_a_tidy_table(entry):
    frame = entry.to_pandas()
    row = frame[(frame["method"] == "model") & frame["primary_metric"]]
    assert len(row) == 1
    stated = entry.scores["scores"]["stress"]["auroc_crossed_matched"]
    assert row.iloc[0][["mean", "low", "high"]].tolist() == [stated[k] for k in ("mean", "low", "high")]
    assert set(frame["method"]) == {"model", *entry.scores["confound_only"]}
    assert not frame.duplicated(["method", "target", "metric"]).any()
    with pytest.raises(UsageError, match="no table"):
        entry.to_pandas("score")


def test_predictions_are_those_of_the_model_unless_asked(entry):
    own = entry.to_pandas("predictions")
    assert set(own["method"]) == {"model"}
    assert not own.duplicated(["target", "seed", "unit"]).any()
    assert set(own["label"].dropna()) == {0.0, 1.0}  # and units without a label, which are predicted
    every = entry.to_pandas("predictions", method="all")
    assert len(every) > len(own)
    assert entry.to_pandas("predictions", method="prior")["method"].eq("prior").all()
    with pytest.raises(UsageError, match="no method"):
        entry.to_pandas("predictions", method="modle")


class Cells(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_data(self, data):
        self.found.append(data)


def test_a_notebook_shows_the_answers_in_a_table(entry):
    shown = Cells(entry._repr_html_()).found
    assert entry.summaries["stress"].question in shown
    assert "movement during the scored segment" in shown
    for answer in entry.answers["stress"].answers:
        assert {answer.text, answer.answer, answer.evidence} <= set(shown)


def drawn(ax):
    """What the plot shows: the methods from the top, whether each point is filled, and what the legend says."""
    points = [container[0] for container in ax.containers]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    filled = [point.get_markerfacecolor() != "none" for point in points]
    return labels, dict(zip(labels, filled, strict=True)), [t.get_text() for t in ax.get_legend().get_texts()]


def test_the_plot_orders_what_was_measured_and_draws_the_rest_as_a_line(entry):
    mpl.use("agg")
    ax = entry.plot()
    labels, filled, legend = drawn(ax)
    names = ("protocol_phase", "movement", "this method", "study_drift", "session_position")
    assert labels == [vocabulary.label(name) for name in names]
    assert [container[0].get_xdata()[0] for container in ax.containers] == pytest.approx(
        sorted((c[0].get_xdata()[0] for c in ax.containers), reverse=True)
    )
    assert set(filled.values()) == {True}
    assert {"this method", "confound-only model"} < set(legend)
    (line,) = (text for text in (" ".join(each.split()) for each in legend) if "majority class" in text)
    fixed = ("elapsed_time", "majority", "prior", "recording_length")
    assert line.startswith(f"{', '.join(map(vocabulary.label, fixed))}: 0.500 by construction")
    assert ax.get_xlabel() == "Time-matched AUROC, 95 % interval"


def test_the_plot_shows_other_metrics_on_axes_that_are_given(entry):
    mpl.use("agg")
    ax = entry.plot()
    ax.clear()
    assert entry.plot(metric="accuracy", ax=ax) is ax
    assert {"this method", "confound-only model"} <= set(drawn(ax)[2])
    with pytest.raises(UsageError, match="no metric"):
        entry.plot(metric="acuracy")


def test_a_board_is_a_table(entry, tmp_path):
    boards = link_entries(tmp_path, {"stress_predict/subject-independent-v4": [ENTRY.name, "handcrafted-knn-bf*"]})
    frame = embench.read_leaderboards("stress_predict", protocol="subject-independent-v4", leaderboards=boards)
    assert entry.id in set(frame["id"])
    assert set(frame["dataset"]) == {"stress_predict"}
    with pytest.raises(UsageError, match="no leaderboard has the dataset") as caught:
        embench.read_leaderboards("stres_predict", leaderboards=boards)
    assert caught.value.where == "dataset="


@pytest.mark.slow
def test_records_are_compared_and_reported_by_folder(entry, tmp_path):
    other = next(ENTRY.parent.glob("handcrafted-logreg-*"))
    assert embench.compare(entry, other).target == "stress"
    assert embench.write_report(entry, tmp_path / "r.html").read_text().startswith("<!")


def test_a_report_of_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="the folder does not exist"):
        embench.write_report(tmp_path / "nothing")


def test_datasets_print_no_arrays(six):
    dataset = embench.open_dataset(plugin("Tiny"), data_root=six)
    recording = next(dataset.recordings(dataset.subjects()[0]))
    assert "arousal" in repr(dataset)
    assert "at 64 Hz" in repr(recording)
    assert "array" not in repr(recording)
    assert len(repr(recording)) < 600


def test_importing_the_package_imports_nothing_heavy():
    names = ", ".join(f"'{name}'" for name in dir(embench))
    program = f"import embench, sys; dir(embench); assert {{{names}}} == set(dir(embench)); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert not {"torch", "numpy", "pandas", "pydantic", "sklearn", "cloudpickle"} & set(done.stdout.split())


def test_every_name_is_there():
    for name in embench.__all__:
        assert getattr(embench, name) is not None
    assert not any(np.isscalar(getattr(embench, name)) for name in embench.__all__ if name != "__version__")


def test_calibration_has_rows_for_tables(entry):
    found = entry.assess_calibration()
    bins, benefits = pd.DataFrame(found.bins), pd.DataFrame(found.benefits)
    assert bins["units"].sum() == pytest.approx(found.units)
    assert (benefits["model"] <= found.positive).all()
    with pytest.raises(UsageError, match="no target"):
        entry.assess_calibration("arousal")
    sealed = embench.open_result(next((PUBLISHED / "hku956" / "subject-independent-v4").glob("handcrafted-forest-d7*")))
    with pytest.raises(DataError, match="not public"):
        sealed.assess_calibration()


def test_a_fault_in_a_table_of_predictions_names_no_temporary_file():
    with pytest.raises(DataError) as caught, predictions_file(pd.DataFrame({"score": [5.0]})) as path:
        raise DataError("scores are not probabilities", where=f"{path}, line 2")
    assert caught.value.where == "the table of predictions, whose first row is line 2, line 2"
