"""Values by a protocol's own rules, from the file to the record: ratings as they are, and less the subject's mean."""

import numpy as np
import pytest
import yaml

from embench.records.predictions import Labels

from ..tiny.running import Bench
from ..tiny.world import RULES, TIMELESS, make_subject, write

RATING = {"kind": "value", "aggregate": "value", "label": "arousal"}
OWN = {"rating": RATING, "rating_centred": {**RATING, "centred": True}}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    root = tmp_path_factory.mktemp("values")
    path = root / "own.yaml"
    path.write_text(yaml.safe_dump({**RULES, "primary_metric": "by_design", "labels": {"tiny": OWN}}))
    subjects = {f"p{number:02d}": make_subject(number, **TIMELESS) for number in range(9)}
    return Bench(write(root, subjects), root / "runs", protocol=str(path))


def test_a_centred_rating_is_recorded_with_its_rule_and_needs_no_guess_of_the_subjects_level(bench):
    result = bench.run("Moments", fusion="boosting", modalities="ecg,eda", targets=None)
    labels = Labels.read(result.folder / "labels.csv.gz")
    subject, label = labels["subject"], labels["label"]
    plain, centred = (labels["target"] == name for name in OWN)
    assert labels["unit"][plain].tolist() == labels["unit"][centred].tolist()
    for own in (subject == name for name in np.unique(subject)):
        np.testing.assert_allclose(label[own & centred], label[own & plain] - label[own & plain].mean(), atol=1e-9)
    run = yaml.safe_load((result.folder / "run.yaml").read_text("utf-8"))
    rules = {row["name"]: row["rule"] for row in run["card"]["label_rules"]}
    assert rules["rating_centred"]["centred"]
    assert "centred" not in rules["rating"]
    prior = result.scores["confound_only"]["prior"]
    assert prior["rating_centred"]["rmse"]["mean"] < prior["rating"]["rmse"]["mean"]
