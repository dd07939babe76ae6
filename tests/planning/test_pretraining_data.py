"""What an encoder's own weights saw of the tested people, from its card to the plan and the record; and its input."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from embench.audits import audit_run
from embench.engine.assemble import assemble
from embench.engine.rows import StoreSource, build_grid
from embench.errors import DataError, UsageError
from embench.planning import weights
from embench_plugins import pretrained

from ..tiny.running import Bench
from ..tiny.world import make_subjects, write

KNOWING = Path(__file__).with_name("knowing.py")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    path.write_bytes(b"weights")
    return path


def options(file, name="Knowing", **build):
    settings = [f"encoder.build.{key}={value}" for key, value in {"file": file, **build}.items()]
    return {"encoder": f"{KNOWING}:{name}", "modalities": "ecg", "settings": tuple(settings)}


@pytest.mark.parametrize(
    ("build", "overlap"),
    [
        ({"saw": "labelled"}, "labelled_target"),
        ({"saw": "unlabelled"}, "unlabelled_target"),
        ({"saw": "undisclosed"}, "unknown"),
        ({"saw": "none", "others": "labelled"}, "none"),
        ({}, "unknown"),  # nobody says anything
    ],
)
def test_what_weights_saw_of_the_tested_set_is_the_overlap(shared, file, build, overlap):
    assert shared.plan(**options(file, **build)).overlap == overlap


def test_the_record_says_which_weights_and_what_they_saw(shared, file):
    done = shared.run(**options(file, saw="unlabelled"), dev=True)
    assert done.manifest["weights"] == {
        "ecg": {
            "name": "lab/net",
            "licence": "MIT",
            "source": "https://example.org",
            "declared": True,
            "saw": "unlabelled",
        }
    }
    assert done.manifest["pretraining_overlap"] == "unlabelled_target"
    assert "measurement_units" not in done.manifest


def test_a_run_without_weights_of_its_own_says_nothing_of_them(shared):
    assert not {"weights", "measurement_units"} & shared.run("Pool", modalities="ecg", dev=True).manifest.keys()


def test_weights_that_saw_the_test_subjects_are_refused_where_only_their_rest_may_be_seen(file, tmp_path):
    bench = Bench(write(tmp_path, make_subjects(6), dataset="Rested"), tmp_path / "runs", "Rested")
    strict = "subject-independent-strict-v4"
    with pytest.raises(UsageError, match="pretraining used test subjects of rested") as refused:
        bench.plan(**options(file, saw="none", others="unlabelled"), protocol=strict)
    assert refused.value.where == "encoder.build.weights"
    assert not (bench.runs / "stages").exists()
    assert bench.plan(**options(file, saw="unlabelled", others="none"), protocol=strict).overlap == "none"


def test_signals_that_cannot_be_read_are_refused_before_anything_is_computed(bench, file):
    with pytest.raises(UsageError, match="no electrode Cz among left, right of eda at 128 Hz"):
        bench.plan(**{**options(file, "Picky"), "modalities": "eda"})
    with pytest.raises(UsageError, match="no electrode Cz among right of eda"):
        bench.plan(**{**options(file, "Picky"), "modalities": "eda[right]"})
    assert not (bench.runs / "stages").exists()


@pytest.mark.parametrize("name", ["InItsUnit", "Streamed"])
@pytest.mark.parametrize("memory_bytes", [None, 0])
def test_an_encoder_gets_its_signals_in_their_unit(shared, file, name, memory_bytes):
    """Anything else reads them z-scored by their subject."""

    def windows(**asked):
        stage = next(s for s in shared.plan(**asked).graph.stages.values() if s.kind == "unimodal")
        source = StoreSource.from_spec(stage.params.common.source, stage.places, stage.task)
        chosen = stage.params.modalities
        grid = build_grid(chosen, None, *(stage.task[f"all_{k}"] for k in ("recording", "start", "stop")))
        data, _ = assemble(source, chosen, grid, "cpu", memory_bytes=memory_bytes)
        feed = data.feeds["eda"]
        return feed.batch_rows(np.flatnonzero(feed.present))[0].numpy(), source.store

    stored, store = windows(**{**options(file, name), "modalities": "eda"})
    scaled, _ = windows(encoder="Pool", modalities="eda", settings=("encoder.view.length_s=4", "encoder.view.step_s=4"))
    whole = np.asarray(store.array("eda"))
    assert stored.min() >= min(0.0, whole.min())
    assert stored.max() == pytest.approx(whole.max())
    assert abs(scaled.std() - 1) < 0.2
    assert np.abs(stored).max() != pytest.approx(np.abs(scaled).max(), rel=0.01)


def test_the_record_names_unit_and_band_of_what_is_not_standardised(shared, file):
    done = shared.run(**{**options(file, "InItsUnit"), "modalities": "ecg"}, dev=True)
    assert done.manifest["measurement_units"] == {"ecg": {"id": "units_in_bands", "signals": [["mV", 0.5, 32.0]]}}


@pytest.mark.slow
def test_an_audit_finds_a_record_that_hides_what_its_weights_saw(bench, file, monkeypatch):
    def found(**build):
        done = bench.run(**options(file, **build))
        audited = audit_run(done.folder, trust_code=True).checks["pretraining"]
        return [finding.what for finding in audited.findings if finding.severity == "severe"]

    assert found(saw="undisclosed") == []  # it says so itself
    monkeypatch.setattr(weights, "find_bundled_overlap", lambda *_: [])
    assert found(saw="none") == []
    what = "signals of the tested subjects were seen by the weights of ecg, but the record states no overlap"
    assert found(saw="unlabelled") == [what]


def test_a_missing_library_is_told_before_anything_is_computed_and_the_rest_works_without_it(
    bench, embench, monkeypatch
):
    monkeypatch.setitem(sys.modules, "mantis", None)
    done = embench(*bench.line("--modalities", "ecg", encoder="mantis"))
    assert done.code == 5
    assert "pip install '.[foundation]'" in done.err
    assert not (bench.runs / "stages").exists()
    for command in (["list", "encoder"], ["info", "mantis"]):
        assert embench(*command).code == 0


@pytest.mark.slow
def test_a_run_from_a_commit_on_the_hub_says_whose_weights_they_are_and_which_licence_was_accepted(
    bench, embench, tmp_path, monkeypatch
):
    """There is no network, and no code of theirs: a twin lies where a download of before would have left it."""
    from huggingface_hub import constants

    commit, table = "0123456789abcdef0123456789abcdef01234567", tmp_path / "known.yaml"
    folder = tmp_path / "models--lab--twin" / "snapshots" / commit
    folder.mkdir(parents=True)
    save_file({"mix.weight": torch.ones(2, 1), "mix.bias": torch.zeros(2)}, folder / "model.safetensors")
    about = {"licence": "CC-BY-NC-4.0", "asks": True, "source": "https://example.org", "others": "none"}
    table.write_text(yaml.safe_dump({"twin": {"lab/twin": about}}))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))  # of workers
    monkeypatch.setattr(pretrained, "TABLE", table)
    line = bench.line("--modalities", "ecg", "--target", "arousal", encoder=f"{KNOWING}:Doored")
    line += ["--set", f"encoder.build.weights=lab/twin@{commit}"]
    refused = embench(*line)
    assert refused.code == 2
    assert "--set encoder.build.accepts='CC-BY-NC-4.0'" in refused.err
    assert not (bench.runs / "stages").exists()
    done = embench(*line, "--set", "encoder.build.accepts=CC-BY-NC-4.0", "--dev")
    assert done.code == 0, done.err
    (record,) = bench.runs.glob("*/*/run.yaml")
    run = yaml.safe_load(record.read_text())
    assert run["weights"]["ecg"] == {
        "name": "lab/twin", "licence": "CC-BY-NC-4.0", "source": "https://example.org", "declared": True, "saw": "none",
    }  # fmt: skip
    assert "encoder.build.accepts=CC-BY-NC-4.0" in run["recipe"]["settings"]
    assert run["pretraining_overlap"] == "none"
    assert run["config"]["parts"]["encoder[ecg]"]["assets"].keys() == {"model.safetensors"}


def test_recordings_shorter_than_a_window_are_refused_before_anything_is_trained(bench):
    with pytest.raises(DataError, match="no recording is long enough for one window to pretrain on"):
        bench.plan(
            modalities="ecg",
            pretrainers=("masked_value",),
            settings=("encoder.view.kind=context", "encoder.view.length_s=60"),
        )
