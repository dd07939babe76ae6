"""Linear probes of hidden layers find what is there, and chance where nothing is."""

import numpy as np
import pytest

from embench.interfaces.metric import Undefined
from embench.records import predictions
from embench.records.predictions import Embeddings
from embench.statistics.probes import linear_probe

from ..sample import sample


def hidden(run, shift_of, size=6, seed=3):
    """Hidden vectors of noise for each predicted unit, to which `shift_of(subject, stimulus, label)` (a number or None)
    adds a direction of its own."""
    rows = run.predictions.take(run.predictions["method"] == "model")
    label = dict(zip(run.labels["unit"].tolist(), run.labels["label"].tolist(), strict=True))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(len(rows), size))
    directions = rng.normal(size=(1000, size)) * 4
    for i in range(len(rows)):
        which = shift_of(rows["subject"][i], rows["stimulus"][i], label[rows["unit"][i]])
        if which is not None:
            x[i] += directions[int(which)]
    return Embeddings(*(rows[c] for c in ("target", "fold", "seed", "unit")), x.astype(np.float32))


def test_noise_reads_as_chance(make_run):
    run = make_run(n_subjects=20, units=40, seeds=1)
    kept = hidden(run, lambda *_: None)
    for what, chance in (("subject", 0.2), ("stimulus", 1 / 40), ("label", 0.5)):
        found = linear_probe(kept, run.predictions, what, target="stress", labels=run.labels)
        assert found.chance == pytest.approx(chance)
        assert found.score == pytest.approx(chance, abs=0.05)


@pytest.mark.parametrize("what", sample(["subject", "stimulus", "label"], "subject", "label"))
def test_each_probe_finds_its_own_and_not_the_others(make_run, what):
    run = make_run(n_subjects=20, units=20, seeds=1)
    expected = {
        "subject": lambda *about: about[0][1:],
        "stimulus": lambda *about: about[1][1:],
        "label": lambda *about: about[2],
    }
    kept = hidden(run, expected[what], size=30)
    scores = {w: linear_probe(kept, run.predictions, w, target="stress", labels=run.labels) for w in expected}
    assert scores[what].score > 0.95
    assert all(abs(scores[w].score - scores[w].chance) < 0.1 for w in expected if w != what)


def test_one_recording_is_not_asked_for_its_stimulus(make_run):
    run = make_run(n_subjects=4, folds=4, units=10)  # one subject a fold: nobody to tell from, nobody else to ask
    kept = hidden(run, lambda *_: None)
    assert isinstance(linear_probe(kept, run.predictions, "stimulus", target="stress"), Undefined)
    assert isinstance(linear_probe(kept, run.predictions, "subject", target="stress"), Undefined)


def test_embeddings_come_back_from_their_file_padded_to_the_widest(tmp_path):
    one = Embeddings(np.array(["a"]), np.array([0]), np.array([1]), np.array(["r:0-10"]), np.ones((1, 2), np.float32))
    other = Embeddings(np.array(["b"]), np.array([2]), np.array([1]), np.array(["q:0-10"]), np.ones((1, 3), np.float32))
    predictions.write_embeddings(tmp_path, Embeddings.concatenate([one, other]))
    kept = predictions.read_embeddings(tmp_path)
    assert kept.x.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert (kept.target.tolist(), kept.fold.tolist(), kept.unit.tolist()) == (["a", "b"], [0, 2], ["r:0-10", "q:0-10"])
    assert predictions.read_embeddings(tmp_path / "elsewhere") is None
