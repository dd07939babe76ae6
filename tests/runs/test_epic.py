"""A run that is judged by its error, on the last part of recordings whose first part it knows, beside references."""

import csv

import numpy as np
import pytest
import yaml

from embench.errors import DataError
from embench.runs.external import score

from ..tiny.running import Bench
from ..tiny.world import RULES, of_all_kinds, plugin, sharing_stimuli, write
from .test_outside import put, rows_of


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    root = tmp_path_factory.mktemp("later")
    later = {
        "split": {"by": "segment", "folds": 3, "deal": "in_order", "tests": "last"},
        "leaks": True,
        "primary_metric": "rmse",
        "references": ["others_curve", "subject_mean", "last_value"],
    }
    (root / "later.yaml").write_text(yaml.safe_dump({**RULES, **later}))
    data = write(root / "data", sharing_stimuli(of_all_kinds(6)), dataset="Kinds")
    return Bench(data, root / "runs", "Kinds", str(root / "later.yaml"))


@pytest.fixture(scope="module")
def done(bench):
    return bench.run("Moments", fusion="boosting", targets="arousal_value", settings=("fusion.build.trees=20",))


def of(done, method):
    rows = done.predictions.take(done.predictions["method"] == method)
    return dict(zip(rows["unit"].tolist(), rows["score"].tolist(), strict=True))


def test_references_stand_beside_the_row_with_their_own_errors(done):
    labels = dict(zip(done.labels["unit"].tolist(), done.labels["label"].tolist(), strict=True))
    assert len(labels) == 6 * 6  # the last of three units of each recording
    for name in ("model", "subject_mean", "last_value"):
        error = np.sqrt(np.mean([(value - labels[unit]) ** 2 for unit, value in of(done, name).items()]))
        found = (
            done.scores.get_scores("arousal_value")
            if name == "model"
            else done.scores.get_model_scores("arousal_value", name)
        )
        assert found["rmse"].mean == pytest.approx(error, abs=1e-5)
    undefined = done.scores["confound_only"]["others_curve"]["arousal_value"]["undefined"]
    assert undefined == {"id": "no_others_at_moments"}


def test_what_the_protocol_gives_up_is_recorded(done):
    leaks = done.manifest["protocol"]["leaks_by"]
    assert leaks["split.by"] == {"subjects": [6, 6], "recordings": [36, 36]}


def test_a_file_predicts_the_tested_units_alone(bench, done, tmp_path, embench):
    rows = [row | {"seed": "0"} for row in rows_of(done.folder / "predictions.csv.gz")]
    about = {"protocol": bench.protocol, "data_root": bench.data}
    again = score(put(tmp_path / "mine.csv", rows), plugin("Kinds"), **about, out=tmp_path / "mine")
    assert again.scores["scores"]["arousal_value"]["rmse"] == done.scores["scores"]["arousal_value"]["rmse"]
    line = ["data", "labels", plugin("Kinds"), "--data-root", bench.data, "--target", "arousal_value"]
    assert embench(*line, "--protocol", bench.protocol, "--units", tmp_path / "units.csv").code == 0
    units = list(csv.DictReader((tmp_path / "units.csv").open()))
    assert {unit["unit"] for unit in units if unit["fold_0"]} == {row["unit"] for row in rows}
    early = next(unit for unit in units if not unit["fold_0"])
    other = rows[0] | {name: early[name] for name in ("subject", "recording", "unit")}
    with pytest.raises(DataError, match="units that mine uses for training and does not test") as caught:
        score(put(tmp_path / "early.csv", [*rows, other]), plugin("Kinds"), **about)
    assert caught.value.where.endswith(f"line {len(rows) + 2}")
    with pytest.raises(DataError, match="differs from the fold of mine"):
        score(put(tmp_path / "own.csv", [row | {"fold": "0"} for row in rows]), plugin("Kinds"), **about)
