"""A face's expression that lasts as long as a trial is found under the protocol that z-scores trials, as under the
fixed one: facial values keep their level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from embench.runs.run import Result
from embench_plugins.datasets.synthetic import films


@pytest.mark.slow
def test_handcrafted_faces_tell_valence_under_both_protocols(
    data: Callable[..., Path], run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 20 subjects with trials of 30 s: when faces were z-scored, too, their 84 features were constant or followed
    the length of a trial, and this was .54 against .87; it is .83. Twelve with 20 s show the same."""
    monkeypatch.setattr(films, "write_film", lambda *_: None)  # tables are read, and no picture
    root = data(subjects=12, seed=0, effect=1.0, length_s=20.0, videos=True)
    found = {}
    for protocol in ("strizhkova2024", "subject-independent-v4"):
        result = run(
            root, protocol=protocol, encoder="handcrafted", fusion="svm", modalities="face_au", target="valence"
        )
        found[protocol] = result.scores["scores"]["valence"]["auroc"]["mean"]
        assert result.manifest["dropped"] == {}
    print(found)
    assert len(set(result.predictions["unit"])) >= 180
    assert found["strizhkova2024"] >= 0.75
    assert found["strizhkova2024"] >= found["subject-independent-v4"] - 0.05
