"""Whole runs of videos: alone, beside signals, after a pretext task; what does not fit is refused, and a broken film
harms nobody."""

import csv
import gzip
import json

import numpy as np
import pytest
import yaml

from embench.errors import UsageError
from embench.planning.plan import make
from embench.planning.request import Request
from embench.runs.pretrain import pretrain
from embench.runs.run import run
from embench.runs.videos import decode_videos
from embench.store import prepare

from ..tiny.filmed import make_subjects, plugin, write
from ..tiny.watching import Filmed

WATCH = plugin("Watch")


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Six subjects, one of whom has no film that can be read; a second dataset of the same kind."""
    root = tmp_path_factory.mktemp("filmed")
    write(root, make_subjects(6))
    for film in (root / "Filmed" / "films").glob("p05-*"):
        film.write_bytes(film.read_bytes()[:100])
    (root / "Filmed" / "films" / "p02-v1.mkv").write_bytes(b"")
    return write(root, make_subjects(4), "Other")


def request(root, runs, encoders=(WATCH,), **options):
    arguments = {"modalities": "video", "recipe": "quick", "seeds": "0", "device": "cpu", "workers": 1, **options}
    return Request(plugin("Filmed"), encoders=encoders, data_root=root, runs=runs, **arguments)


def predicted(folder):
    with gzip.open(folder / "predictions.csv.gz", "rt") as file:
        return {row["recording"] for row in csv.DictReader(file) if row["method"] == "model" and row["score"]}


@pytest.mark.slow
def test_a_run_of_video_alone_scores_all_who_can_be_seen(filmed, tmp_path):
    result = run(request(filmed, tmp_path))
    record = yaml.safe_load((result.folder / "run.yaml").read_text())
    assert record["cohort"]["subjects"] == ["p00", "p01", "p02", "p03", "p04"]
    assert [dict(row) for row in record["cohort"]["left_out"]] == [
        {"subject": "p05", "reason": {"id": "no_modality", "modalities": ["video"]}}
    ]
    assert predicted(result.folder) == {f"p{n:02d}-v{r}" for n in range(5) for r in range(4)} - {"p02-v1"}


@pytest.mark.slow
def test_broken_films_are_named_and_their_owners_other_signals_are_used(filmed, tmp_path):
    result = run(request(filmed, tmp_path, (f"video={WATCH}", "eda=cnn_tf"), modalities="eda,video", fusion="concat"))
    assert predicted(result.folder) == {f"p{n:02d}-v{r}" for n in range(6) for r in range(4)}
    store = prepare(Filmed(filmed / "Filmed"), "f", "c", rate_hz=128.0, cache=tmp_path / "cache")
    reasons = {row["recording"]: row["reason"] for row in store.excluded}
    assert set(reasons) == {"p02-v1", *(f"p05-v{r}" for r in range(4))}
    assert all(f"films/{name}.mkv" in reason for name, reason in reasons.items())


@pytest.mark.slow
def test_the_record_says_in_how_much_of_the_films_no_face_was_found(filmed, tmp_path):
    """In none of the three stretches of 4 s of 19 films of one grey. (A film that cannot be read is told by the data's
    preparation, and is not among those that are looked at.)"""
    result = run(request(filmed, tmp_path, settings=("encoder.prepare.crop=large",)))
    record = yaml.safe_load((result.folder / "run.yaml").read_text())
    assert record["videos"] == [
        {"dataset": "filmed", "recordings": 19, "left_out": [], "stretches": 57, "without_face": 57}
    ]
    whole = run(request(filmed, tmp_path))  # pictures as they are, so no face is looked for
    assert whole.manifest["videos"][0] == {**record["videos"][0], "stretches": 0, "without_face": 0}
    assert run(request(filmed, tmp_path, ("cnn_tf",), modalities="eda")).manifest["videos"] == []


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["late", "logreg"])
def test_video_joins_signals_over_the_hidden_layers_of_their_nets(filmed, tmp_path, fusion):
    encoders = (f"video={WATCH}", "eda=cnn_tf")
    result = run(request(filmed, tmp_path, encoders, modalities="eda,video", fusion=fusion))
    assert predicted(result.folder) == {f"p{n:02d}-v{r}" for n in range(6) for r in range(4)}


@pytest.mark.slow
def test_an_encoder_of_clips_is_pretrained_on_clips_here_and_elsewhere(filmed, tmp_path):
    task = plugin("Brightness")
    result = run(request(filmed, tmp_path, pretrainers=(f"video={task}:{plugin('Other')}", f"video={task}")))
    stages = [json.loads(path.read_text()) for path in (tmp_path / "stages").glob("*/result.json")]
    manifests = [stage["manifest"] for stage in stages if "manifest" in stage]
    other = [m for m in manifests if m["dataset"].endswith("Other")]
    assert other
    assert all(m["hours"] == {"video": pytest.approx(16 * 12 / 3600, abs=1e-3)} for m in other)
    assert all(len(m["subjects"]) == 4 for m in other)
    assert len(manifests) > len(other)
    assert predicted(result.folder)


def test_pretraining_alone_decodes_what_it_reads(filmed, tmp_path):
    size = ("encoder.prepare.size=12",)  # as no other test, so that nothing is decoded yet
    made = pretrain(request(filmed, tmp_path, pretrainers=(plugin("Brightness"),), settings=size))
    (seen,) = made.manifest["seen"]
    assert seen["hours"]["video"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoders": ("cnn_tf",)}, "does not read video"),
        ({"modalities": "eda"}, "does not read eda"),
        ({"pretrainers": ("masked_value",)}, "masked_value requires"),
        ({"modalities": "eda+video", "encoders": (plugin("WatchAll"),)}, "no channels to join"),
        ({"encoders": ("cnn_tf",), "modalities": "eda", "pretrainers": (plugin("Brightness"),)}, "reads videos"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(filmed, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        make(request(filmed, tmp_path, **options))
    assert not (tmp_path / "stages").exists()


def test_a_plan_decodes_nothing_and_a_run_says_what_was_not_found(filmed, tmp_path, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))  # what others decode lies elsewhere
    output, requested = [], ("encoder.prepare.crop=large", "encoder.prepare.size=10")
    plan = make(request(filmed, tmp_path, settings=requested))
    derived = plan.test.store.path.parent.parent / "derived"
    before = {path.name for path in derived.glob("*")}
    assert plan.describe()["flops"] > 0
    assert {path.name for path in derived.glob("*")} == before
    decode_videos(plan.cohorts, plan.method, 1, lambda event: output.append(event["text"]))
    assert len({path.name for path in derived.glob("*")} - before) == 1
    assert any("decoding videos of filmed" in reasons for reasons in output)
    (faceless,) = [reasons for reasons in output if "no face found" in reasons]
    assert faceless.startswith("no face found in 57 of 57 segments")  # 19 films of 12 s


def test_a_video_beside_them_does_not_change_what_signals_give(filmed, tmp_path):
    without = tmp_path / "without"
    all_subjects = make_subjects(6)
    for recordings in all_subjects.values():
        for row in recordings:
            row["film"] = None
    write(without, all_subjects)
    for task in ((), ("masked_value",)):
        scores = []
        for root in (filmed, without):
            plan = make(request(root, tmp_path, ("cnn_tf",), modalities="eda", pretrainers=task))
            arrays = [dict(stage.task) for stage in plan.graph.stages.values() if stage.kind != "predict"]
            scores.append(arrays)
        for one, other in zip(*scores, strict=True):
            assert one.keys() == other.keys()
            for name in one:
                np.testing.assert_array_equal(one[name], other[name])
