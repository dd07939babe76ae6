"""Settings are searched on validation subjects: test labels stay closed, each trial is a look, nothing runs twice."""

import json

import pytest

from embench.errors import DataError, UsageError
from embench.records.ledger import read_ledger
from embench.runs.tuning import Range, space_of, tune

OPTIONS = {"modalities": "ecg", "fusion": "logreg", "seeds": "0", "targets": "arousal"}
SPACE = space_of(["fusion.build.C=log:1e-4..10"])


@pytest.mark.parametrize(
    ("text", "space"),
    [
        ("encoder.lr=log:1e-4..1e-2", Range(1e-4, 1e-2, log=True, whole=False)),
        ("encoder.build.layers=1..4", Range(1, 4, log=False, whole=True)),
        ("encoder.dropout=0..0.5", Range(0.0, 0.5, log=False, whole=False)),
        ("encoder.build.shift=-2..-1", Range(-2, -1, log=False, whole=True)),
        ("fusion.batch=16, 32,64", ("16", "32", "64")),
        ("encoder[ecg[left]].build.norm=batch,layer", ("batch", "layer")),
    ],
)
def test_a_space_is_read(text, space):
    assert list(space_of([text]).values()) == [space]


@pytest.mark.parametrize(
    "texts",
    [[], ["encoder.lr"], ["encoder.lr=1"], ["=1,2"], ["a.b=2..1"], ["a.b=1..1"], ["a.b=log:0..1"], ["a.b=x..y"],
     ["a.b=1,2", "a.b=3,4"], ["a.b=1,,2"]],
)  # fmt: skip
def test_what_is_no_space_is_refused(texts):
    with pytest.raises(UsageError, match="--search") as refused:
        space_of(texts)
    assert "tried" not in refused.value.what


def test_trials_score_validation_subjects_and_a_second_call_runs_and_counts_nothing(bench):
    request = bench.request("Moments", **OPTIONS)
    found = tune(request, SPACE, 3)
    assert [trial.value for trial in found.ranked()] == sorted((t.value for t in found.trials), reverse=True)
    folders = [trial.result.folder for trial in found.trials]
    assert all(folder.name.startswith("dev-") for folder in folders)
    looks = read_ledger(bench.runs)
    assert len(looks) == len(set(folders))
    assert all(line["dev"] for line in looks)
    stages = bench.stages()
    longer = tune(request, SPACE, 4)
    assert [trial.settings for trial in longer.trials[:3]] == [trial.settings for trial in found.trials]
    assert len(read_ledger(bench.runs)) <= len(looks) + 1
    assert [trial.value for trial in longer.trials[:3]] == [trial.value for trial in found.trials]
    assert bench.stages() > stages


def test_a_setting_that_fails_ends_no_search(bench, embench):
    line = [
        "tune",
        *bench.line("--modalities", "ecg", "--fusion", "logreg", "--target", "arousal", encoder="Moments")[1:],
    ]
    done = embench(*line, "--search", "fusion.build.C=-1,1", "--trials", "6")
    assert done.code == 0, done.err
    assert "fusion.build.C=-1 failed: fusion embench_plugins/logreg failed" in done.err
    assert "opens the test labels" in done.out
    assert "--set fusion.build.C=1" in " ".join(done.out.replace("\\\n", "").split())
    assert "--dev" not in done.out.split()
    document = json.loads(embench(*line, "--search", "fusion.build.C=-1,1", "--trials", "6", "--json").out)
    assert document["best"]["settings"] == ["fusion.build.C=1"]
    assert {"error"} <= document["trials"][[t["value"] for t in document["trials"]].index(None)].keys()


def test_what_cannot_be_searched_is_said_before_or_after_the_first_trial(bench):
    request = bench.request("Moments", **OPTIONS)
    with pytest.raises(UsageError, match="has no `D`"):
        tune(request, space_of(["fusion.build.D=1,2"]))
    events: list[object] = []
    with pytest.raises(UsageError, match=r"where: --search fusion\.C\n(.*\n)*.*did you mean fusion\.build\.C\?"):
        tune(request, space_of(["fusion.C=log:1e-3..10"]), progress=events.append)
    assert not events
    with pytest.raises(UsageError, match="no score nope"):
        tune(request, SPACE, metric="nope")
    with pytest.raises(UsageError, match="decided by one target"):
        tune(bench.request("Moments", **{**OPTIONS, "targets": "arousal,valence"}), SPACE)
    with pytest.raises(DataError, match="undefined on the validation subjects") as undefined:
        tune(request, SPACE, metric="auroc_within_stimulus")
    assert "auroc_within" in undefined.value.hint
