"""`embench predict`: new recordings without labels, predicted by what a run has trained."""

import numpy as np
import pandas as pd
import pytest

import embench
from embench.errors import DataError, UsageError

from ..tiny.world import few_folds, make_subjects, plugin, write


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Six subjects to train on, and three others, of whom nobody knows a label."""
    root = write(tmp_path_factory.mktemp("two"), make_subjects(6))
    unlabelled = make_subjects(3, ratings={"arousal": None, "valence": None})
    return write(root, unlabelled, dataset="Other", seed=5)


def run_on(two, runs, **method):
    return embench.run(
        dataset=plugin("Tiny"), data_root=two, runs=runs, protocol=few_folds(two), target="arousal", seeds="0,1",
        recipe="quick", device="cpu", workers=1, confounds=False, progress=False, modalities="eda", **method,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [{"encoder": plugin("Moments"), "fusion": "logreg"}, {"encoder": plugin("Pool")}], ids=["logreg", "net"]
)
def test_new_subjects_are_predicted_by_all_that_was_trained(two, tmp_path, method):
    result = run_on(two, tmp_path / "runs", **method)
    frame = result.predict(plugin("Other"))
    assert sorted(set(frame["subject"])) == ["p00", "p01", "p02"]
    assert len(frame) == 12
    assert frame["score"].between(0, 1).all()
    assert (frame["sd"] > 0).any()
    assert frame.attrs["answers"]
    assert "6 subjects" in frame.attrs["limits"][0]
    with pytest.raises(UsageError, match=r"was trained on recordings of .*: p00, p01, p02, p03, p04 \.\."):
        embench.predict(result, plugin("Tiny"))
    assert "given time and movement" in " ".join(frame.attrs["answers"])


@pytest.mark.slow
def test_the_command_writes_a_file_with_answers_and_limits(two, tmp_path, embench_line):
    result = run_on(two, tmp_path / "runs", encoder=plugin("Moments"), fusion="logreg")
    out = tmp_path / "new.csv"
    line = ["predict", result.folder, "--dataset", plugin("Other"), "--out", out, "--trust-code"]
    done = embench_line(*line)
    assert done.code == 0, done.err
    assert "Nothing was tested on other" in done.out
    assert len(pd.read_csv(out)) == 12
    assert embench_line(*line).code == 2
    for folder in (tmp_path / "runs" / "stages").glob("*/rows.npz"):
        (folder.parent / "result.json").unlink()
    with pytest.raises(DataError, match="is missing"):
        embench.predict(result, plugin("Other"), trust_code=True)
    assert np.isfinite(pd.read_csv(out)["score"]).all()
