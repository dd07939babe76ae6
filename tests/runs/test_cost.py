"""What a run's record says of its cost."""

import re

from embench.records.record import read_manifest


def cost(result):
    return read_manifest(result.folder).cost


def test_an_estimator_is_counted_with_what_prepares_its_rows(shared):
    found = cost(shared.run("Moments", fusion="logreg", modalities="ecg,eda"))
    features = 2 * (1 + 2)  # mean and SD of one channel and of two
    kept = features + 3 * features + features + 1  # medians; mean, variance and scale; weights and offset
    assert (found.parameters, found.flops) == (kept, 2 * kept)
    assert found.wall_seconds > 0
    assert found.peak_memory_mb > 0
    assert found.energy_j is None  # there is no GPU
    assert (found.gpu, found.gpu_seconds) == (None, None)
    assert 0 < found.cpu_seconds < 60
    assert found.processor


def test_an_estimator_on_hidden_layers_is_counted_with_the_networks_under_it(shared):
    nets = [cost(shared.run("Pool", modalities=m)) for m in ("ecg", "eda")]
    found = cost(shared.run("Pool", fusion="logreg", modalities="ecg,eda"))
    assert found.parameters > sum(net.parameters for net in nets) > 0
    assert found.flops > sum(net.flops for net in nets) > 0


def test_what_was_measured_is_printed_and_json_has_every_cost(shared, embench):
    line = shared.line("--fusion", "logreg", "--modalities", "ecg,eda", "--target", "arousal", encoder="Moments")
    done = embench(*line)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    [cost] = [line for line in lines if line.startswith("cost: ")]
    assert re.search(r"time \d.* memory [\d.]+ [MG]B, CPU time [\d.]+ s, processor \S", cost)
    assert "energy" not in cost  # which nothing measured
