"""A signal that tells which film was on, and nothing of what it did to subjects: a method learns the films' ratings by
heart, and is found out where the tested films were never trained on."""

import json

import numpy as np
import pytest

from ..tiny.running import Bench
from ..tiny.world import make_subject, sharing_stimuli

SWAY = (3.0, 9.0, 1.0, 7.0, 5.0, 11.0, 2.0, 8.0)
"""How strongly the signal sways at each film; films rated high and low take turns by no order of it."""
HIGH = (True, True, False, False, False, True, True, False)


def films(root, n_subjects=12, seed=4):
    """Subjects who rate every film alike, and whose ECG sways by the film."""
    (root / "Tiny").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for n in range(n_subjects):
        rows = sharing_stimuli({"": make_subject(n, stimuli=len(SWAY), modalities=("ecg",))})[""]
        content = {}
        for row, sway, high in zip(rows, SWAY, HIGH, strict=True):
            row["ratings"] = {"arousal": 7.0 if high else 3.0, "valence": 3.0}
            x = rng.normal(0, sway, (1, round(64 * row["seconds"])))
            content[f"{row['id']} ecg"] = x.astype(np.float32)
        about = json.dumps([{**row, "modalities": list(row["modalities"])} for row in rows])
        np.savez(root / "Tiny" / f"p{n:02d}.npz", about=about, **content)
    return root


@pytest.mark.slow
def test_films_learned_by_heart_do_not_help_at_films_never_seen(tmp_path):
    bench = Bench(films(tmp_path), tmp_path / "runs")

    def within(protocol):
        settings = ("fusion.build.least=2",)  # few subjects: a leaf must hold one film alone
        result = bench.run("Moments", fusion="forest", modalities="ecg", protocol=protocol, settings=settings)
        return result.scores["scores"]["arousal"]["auroc_within"]["mean"], result.scores["confound_only"][
            "stimulus_mean"
        ]

    known, by_heart = within("subject-independent-v4")
    assert known > 0.95
    assert by_heart["arousal"]["auroc_within"]["mean"] == 1.0
    unseen, nothing = within("subject-stimulus-independent-v4")
    assert unseen < 0.75  # of few pairs: a fold tests one or two of the eight films
    assert nothing["arousal"]["undefined"]["id"] == "untrained_stimuli"
