"""What a run makes of plugins with faults: it stops with their name, or says that no leaderboard takes it."""

import pytest

from embench import registry

from .test_faults import FAULTS

TRAINED = [
    "wrong_shape", "writes", "across_the_batch", "between_calls", "no_gradient", "sets_the_seed", "seed_in_forward",
    "draws_from_numpy", "ignores_the_mask", "prints_in_use", "fixed_device", "not_a_number", "exits_in_use",
    "reads_absent", "remembers",
]  # fmt: skip


@pytest.fixture
def faulty(site, installing):
    installing.install("embench_faulty", site)
    registry.refresh()


@pytest.mark.slow
@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.filterwarnings("ignore:the metric embench_faulty")
def test_a_run_stops_or_warns(name, bench, embench, installing):
    kind = next(entry.kind for entry in registry.entries() if entry.name == name)
    encoder = str(installing.HERE / "embench_faulty" / "embench_faulty" / "encoders.py:Good")
    parts = ["--fusion", name] if kind == "fusion" else []
    done = embench(
        *bench.line("--target", "arousal", *parts, encoder=encoder if parts else None),
        *([] if parts else ["--encoder", name, "--modalities", "ecg"]),
    )
    assert name in done.err
    if done.code == 0:
        assert f"{name} fails its checks, so leaderboards reject this run" in done.err
        assert FAULTS[name][1] in done.err
    else:
        assert done.code == (1 if name == "exits_in_use" else 4)  # its own exit code, after the note of conformance


@pytest.mark.slow
@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("name", ["forgets", "another", "copies", "label_in_a_channel", "stays"])
def test_a_run_on_a_faulty_dataset_stops_or_warns(name, embench, tmp_path):
    registry.load_plugin("dataset", name).synthesize(tmp_path / name, subjects=8, seed=0, effect=0)
    line = f"run --dataset {name} --encoder handcrafted --modalities temp --fusion logreg --recipe quick --seeds 0"
    done = embench(*line.split(), "--data-root", tmp_path, "--runs", tmp_path / "runs", "--workers", "1")
    assert name in done.err
    if done.code == 0:
        assert f"dataset {name} fails its checks, so leaderboards reject this run" in done.err
        assert FAULTS[name][1] in done.err
    else:
        assert done.code == 4


@pytest.mark.slow
@pytest.mark.usefixtures("faulty")
def test_a_run_of_others_goes_on(bench, embench):
    """Metrics of the package are left out, those that fail and those that can't be imported."""
    done = embench(*bench.line("--target", "arousal", "--modalities", "ecg", "--observer", "raising"))
    assert done.code == 0, done.err
    for name in ("out_of_range", "raises", "raises_on_import", "exits_on_import"):
        assert f"the metric embench_faulty/{name} is left out" in done.err
    assert "Raises is disabled, because it raised in stage_ended" in done.err
