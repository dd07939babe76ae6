"""Methods that look at faces, on generated subjects of AMIGOS and DEAP who smile and raise their brows as they feel:
frames by themselves, VideoMAE after its pretext task, and the system of Strizhkova et al. 2024, whole recordings of
heart and skin that ask the action units of the face, one network for both targets. Each finds what is planted, and
nothing where nothing is."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from embench import registry
from embench.runs.run import Result
from embench_plugins.datasets.synthetic import films

from ..sample import WHOLE, proof
from ..tiny.world import few_folds

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*starts from random weights")]


class Sets(NamedTuple):
    """A set in which the effect is looked for, how long its trials are, the modality beside the skin, the targets that
    frames and VideoMAE are asked for, and the SD of a subject's AUROC by chance."""

    n_subjects: int
    length_s: float
    heart: str
    targets: tuple[str, str]
    chance: float


SETS = {
    "amigos": Sets(20, 20.0, "ecg", ("valence", "arousal"), 0.15),  # 16 trials a subject
    "deap": Sets(22, 13.0, "ppg", ("arousal", "valence"), 0.095),  # 40
}
FEW, NONE_IN = 8, range(4)
"""How many people are in sets in which nothing is planted, and their seeds."""

METHODS = ("timm_frames", "videomae", "system")
SAMPLE = "system"


def options(dataset: str, method: str) -> dict[str, Any]:
    """Options of `run`."""
    chosen = SETS[dataset]
    return {
        "timm_frames": {"encoder": "timm_frames", "modalities": "video", "target": chosen.targets[0]},
        "videomae": {
            "encoder": "videomae", "pretrainer": "mae", "modalities": "video", "target": chosen.targets[1],
        },
        "system": {"encoder": "cnn_mlp", "fusion": "cross_attn", "modalities": f"{chosen.heart}+eda,face_au"},
    }[method]  # fmt: skip


def synthesize(root: Path, dataset: str, seed: int, effect: float, n_subjects: int) -> Path:
    registry.synthesizer(dataset)(
        root / dataset, subjects=n_subjects, seed=seed, effect=effect, length_s=SETS[dataset].length_s, videos=True
    )
    return root


BY_SET = ["amigos", pytest.param("deap", marks=proof)]


@pytest.fixture(scope="module", params=BY_SET)
def filmed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A set with the effect, which all methods share: frames are decoded once."""
    root = tmp_path_factory.mktemp("filmed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBENCH_CACHE", str(root / "cache"))
        if not WHOLE:  # the method of the sample reads tables, and no picture
            patch.setattr(films, "write_film", lambda *_: None)
        n_subjects = SETS[request.param].n_subjects if WHOLE else 14
        yield request.param, synthesize(root, request.param, 1, 1.0, n_subjects)
    shutil.rmtree(root)


def within_subjects(result: Result) -> dict[str, dict[str, Any]]:
    """Target -> the score within subjects."""
    return {target: scores["auroc_within"] for target, scores in result.scores["scores"].items()}


@pytest.mark.parametrize("method", [m if m == SAMPLE else pytest.param(m, marks=proof) for m in METHODS])
def test_what_a_face_shows_is_found(filmed: tuple[str, Path], run: Callable[..., Result], method: str) -> None:
    dataset, root = filmed
    folds = {} if WHOLE else {"protocol": few_folds(root, 2)}  # which are quicker to train
    result = run(root, dataset=dataset, **options(dataset, method), **folds)
    found = within_subjects(result)
    print(dataset, method, {target: (s["mean"], s["low"], s["high"]) for target, s in found.items()})
    assert len(found) == (2 if method == "system" else 1)
    for target, score in found.items():
        assert score["mean"] > 0.7
        assert score["low"] > 0.5
        assert result.scores["scores"][target][result.scores["primary_metrics"][target]]["low"] > 0.5


@proof
@pytest.mark.parametrize("dataset", BY_SET)
def test_nothing_is_found_where_nothing_is_shown(
    dataset: str, run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean over four sets of eight subjects has, by chance, the spread of a subject's AUROC
    over the root of their number, and about half as much again, since subjects of different folds learn from each
    other. Three times that is passed in one of 370 choices of seeds."""
    means: dict[str, list[float]] = {}
    for seed in NONE_IN:
        root = synthesize(tmp_path / "set", dataset, seed, 0.0, FEW)
        monkeypatch.setenv("EMBENCH_CACHE", str(root / "cache"))
        for method in METHODS:
            found = within_subjects(run(root, dataset=dataset, **options(dataset, method)))
            means.setdefault(method, []).extend(score["mean"] for score in found.values())
        shutil.rmtree(root)
    print(dataset, means)
    for found_by in means.values():
        spread = 1.5 * SETS[dataset].chance / math.sqrt(FEW * len(found_by))
        assert abs(np.mean(found_by) - 0.5) < 3 * spread
