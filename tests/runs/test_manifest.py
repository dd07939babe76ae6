"""run.yaml has the same fields whichever way a record came about."""

import csv
import gzip

import pytest

from embench.records import record
from embench.records.manifest import Manifest, method_kind
from embench.runs.external import score
from embench.runs.run import grid

from ..tiny.world import few_folds, plugin


@pytest.fixture(scope="module")
def kept(shared, tmp_path_factory):
    """run.yaml of a run, and of a file that holds the run's own predictions."""
    folder = tmp_path_factory.mktemp("mine")
    run = shared.run("Moments", fusion="logreg", modalities="ecg")
    with gzip.open(run.folder / "predictions.csv.gz", "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "model"]
    with (folder / "mine.csv").open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)
    place = {"data_root": shared.data, "out": folder / "out" / "mine"}
    scored = score(folder / "mine.csv", plugin("Tiny"), protocol=few_folds(folder), **place)
    return {"run": record.read_record(run.folder).run, "scored": record.read_record(scored.folder).run}


@pytest.mark.parametrize(
    ("way", "absent"),
    [
        (
            "run",
            "trained_on sites weights measurement_units submission objects entry calibration_data calibration_split",
        ),
        (
            "scored",
            (
                "trained_on weights measurement_units calibration_data calibration_split sites videos initial_weights "
                "conformance dropped normalisation"
            ),
        ),
    ],
)
def test_every_field_is_written_but_those_that_this_kind_of_record_has_not(kept, way, absent):
    content = kept[way]
    elsewhere = {"ethics", "entry"}  # which a published entry has
    made_here = {"objects"} if way == "scored" else set()
    assert set(content) == set(Manifest.model_fields) - set(absent.split()) - elsewhere - made_here
    for name, part in Manifest.model_validate(content):
        if hasattr(part, "content"):
            others = {"run": {"submission"}, "scored": {"joins", "inputs", "query"}}[way]
            if name == "dataset":
                others = {"modalities"}  # none that a package adds
            if name == "card":
                others = {"steps"}  # of version 3
            if name == "cohort":
                others = set() if way == "run" else {"repaired"}  # nobody knows what a submission reads
            if name == "recipe":
                others = set() if way == "run" else {"departs"}
            if name == "cost":
                others = set() if way == "run" else {"cpu_seconds", "gpu_seconds", "processor", "gpu", "energy_j"}
            assert set(content[name]) == set(type(part).model_fields) - others, name


def test_a_run_says_what_its_encoders_give_and_what_joins_it_though_no_catalogue_has_them(kept):
    method = Manifest.model_validate(kept["run"]).method
    assert (method.joins, method.inputs) == ("estimator", "features")
    assert method_kind(method) == "features"


def test_a_run_says_what_standardises_its_signals_and_that_no_plugin_has_a_paper(kept):
    for way, normalisation in (("run", {"ecg": "subject"}), ("scored", None)):
        run = Manifest.model_validate(kept[way])
        assert (run.normalisation, run.recipe.departs, run.method.query) == (normalisation, None, None)
    assert (kept["run"]["recipe"]["departs"], kept["run"]["recipe"]["assumed"]) == (None, [])


@pytest.mark.slow
def test_the_order_in_which_modalities_are_typed_changes_no_run_with_queries(shared):
    more = {"fusion": "cross_attn", "recipe": "quick", "seeds": "0", "targets": "arousal"}
    runs = [shared.run("Pool", modalities=typed, **more) for typed in ("eda,ecg", "ecg,eda")]
    assert runs[0].id == runs[1].id
    run = Manifest.model_validate(record.read_record(runs[0].folder).run)
    assert (run.method.query, run.method.modalities) == ("ecg", ["ecg", "eda"])
    assert {"fusion.build.layers", "fusion.epochs"} <= {each.field for each in run.recipe.departs}
    assert (run.cost.gpu, run.cost.gpu_seconds) == (None, None)


def test_a_run_says_how_many_units_rest_on_lost_samples(kept, shared):
    assert kept["run"]["cohort"]["repaired"] == 0.125  # of 24, two without ECG and one that lost 1.5 s of 11 s of it
    texts = []
    request = shared.request("Moments", fusion="logreg", modalities="ecg")
    grid([request, request], progress=lambda event: texts.append(event.get("text")))
    assert texts.count("12 % of the units rest on bridged or missing samples (ecg)") == 1


def test_a_record_that_is_read_is_written_again_as_it_was(kept):
    for content in kept.values():
        assert record.as_yaml(Manifest.model_validate(content).content()) == record.as_yaml(content)
