"""Batches of clips: the right frames under the right mask, streamed as resident, beside signals on one clock."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from embench.engine.assemble import assemble
from embench.engine.feed import ROWS_PER_PASS, Data, ResidentClips, StreamedClips, split
from embench.engine.rows import Rows, StoreSource, build_grid
from embench.engine.stage import Folder
from embench.engine.work import run_stage
from embench.planning.plan import make
from embench.planning.request import Request
from embench.runs.videos import decode_videos
from embench.store import clips

from ..sample import sample
from ..tiny import film
from ..tiny.filmed import grey, lossless, make_subjects, plugin, recording, write
from ..tiny.watching import Filmed, Watch


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Six subjects; a film that begins late, one that stops early, one that is missing, and one that cannot be read."""
    all_subjects = make_subjects(6)
    root = tmp_path_factory.mktemp("filmed")
    films = root / "Filmed" / "films"
    lossless(films / "late.mkv", film.steady(250), 50)
    all_subjects["p00"][1]["film"] = {"file": "films/late.mkv", "span": [-3.0, 9.0], "boxes": None}
    all_subjects["p01"][2]["film"] = {"file": "films/late.mkv", "span": [4.0, 16.0], "boxes": None}
    all_subjects["p02"][0]["film"] = None
    all_subjects["p03"][3]["eda"] = None
    write(root, all_subjects)
    (films / "p04-v1.mkv").write_bytes(b"broken")
    return root


def decoded(request):
    """Its plan, with the frames that stages read."""
    plan = make(request)
    decode_videos(plan.cohorts, plan.method, 1)
    return plan


def plan_of(root, runs, *settings):
    """Of films and EDA, both in windows of 4 s."""
    fields = {
        "encoders": (f"video={plugin('Watch')}", "eda=cnn_tf"),
        "fusion": "concat",
        "settings": ("encoder[eda].view.length_s=4.0", "encoder[eda].view.step_s=4.0", *settings),
    }
    return decoded(
        Request(
            plugin("Filmed"), data_root=root, runs=runs, recipe="quick", seeds="0", device="cpu", workers=1, **fields
        )
    )


@pytest.fixture(scope="module")
def plan(filmed, tmp_path_factory):
    return plan_of(filmed, tmp_path_factory.mktemp("runs"))


def assembled(plan, **options):
    stage = next(s for s in plan.graph.stages.values() if s.kind == "fusion")
    chosen = stage.params.modalities
    source = StoreSource.from_spec(stage.params.common.source, stage.places, stage.task)
    grid = build_grid(chosen, None, *(stage.task[f"all_{k}"] for k in ("recording", "start", "stop")))
    return *assemble(source, chosen, grid, "cpu", **options), grid, source.store


def test_streamed_clips_equal_resident_ones(plan):
    here, specs, grid, _ = assembled(plan)
    there, _, _, _ = assembled(plan, memory_bytes=0)
    assert isinstance(here.feeds["video"], ResidentClips)
    assert isinstance(there.feeds["video"], StreamedClips)
    assert (here.streamed, there.streamed) == (False, True)
    assert (specs["video"].shape, specs["video"].dtype, specs["video"].rate) == ((20, 3, 8, 8), torch.uint8, 5.0)
    assert specs["video"].channels == ("red", "green", "blue")
    np.testing.assert_array_equal(here.present, there.present)
    order = split(np.random.default_rng(0).permutation(len(grid)), here.present, 16)
    for one, other in zip(here.batches(order), there.batches(order), strict=True):
        assert one.x["video"].dtype == torch.uint8
        assert one.x["video"].shape[1:] == specs["video"].shape
        assert torch.equal(one.x["video"], other.x["video"])
        assert torch.equal(one.mask["video"], other.mask["video"])
        assert torch.equal(one.rows["video"], other.rows["video"])
        assert not one.x["video"][~one.mask["video"]].any()


@pytest.mark.parametrize("memory_bytes", [None, 0])
def test_a_row_shows_the_frames_of_its_window_and_nothing_of_another_recording(plan, memory_bytes):
    data, _, grid, store = assembled(plan, memory_bytes=memory_bytes)
    feed = data.feeds["video"]
    names = np.array([store.recordings[r].id for r in grid.recording])

    def rows(name):
        x, mask = feed.batch_rows(np.flatnonzero(names == name))
        return x.float().mean((2, 3, 4)).numpy(), mask.numpy()

    moments = np.arange(60)
    x, mask = rows("p00-v0")
    assert mask.all()
    np.testing.assert_array_equal(x.ravel(), 5 * moments % 256)
    x, mask = rows("p00-v1")  # its film begins at 3 s
    np.testing.assert_array_equal(mask.ravel(), moments >= 15)
    np.testing.assert_array_equal(x.ravel(), np.where(moments >= 15, (50 + 5 * (moments - 15)) % 256, 0))
    x, mask = rows("p01-v2")  # its film is over after 6 s
    np.testing.assert_array_equal(mask.ravel(), moments < 30)
    np.testing.assert_array_equal(x.ravel(), np.where(moments < 30, (150 + 5 * moments) % 256, 0))
    present = {
        name: feed.present[names == name].tolist() for name in ("p00-v0", "p00-v1", "p01-v2", "p02-v0", "p04-v1")
    }
    assert present == {
        "p00-v0": [True] * 3, "p00-v1": [False, True, True], "p01-v2": [True, True, False], "p02-v0": [False] * 3,
        "p04-v1": [False] * 3,
    }  # fmt: skip


@pytest.mark.parametrize("kind", sample(["fusion", "predict"], "predict"))
def test_a_stage_gives_the_same_when_its_clips_are_streamed(filmed, tmp_path, kind):
    plan = plan_of(filmed, tmp_path)
    stages = [*plan.graph.stages.values()][:2]
    assert [stage.kind for stage in stages] == ["fusion", "predict"]
    for name, limit in (("resident", {}), ("streamed", {"memory_bytes": 0})):
        for stage in stages:
            run_stage(replace(stage, places={**stage.places, **limit}), tmp_path / name)
    stage, file = (stages[0], "weights.safetensors") if kind == "fusion" else (stages[1], "predictions.npz")
    one, other = (Folder(tmp_path / name, stage.id).file(file) for name in ("resident", "streamed"))
    if kind == "fusion":
        assert one.read_bytes() == other.read_bytes()
    else:
        with np.load(one) as here, np.load(other) as there:
            np.testing.assert_array_equal(here["score"], there["score"])
            assert np.isfinite(here["score"]).any()


def test_videomae_and_what_it_learned_before_are_the_same_when_clips_are_streamed(filmed, tmp_path):
    """From the pretext task to the answers: every byte of the weights, every probability."""
    encoders, settings = ("videomae",), ("encoder.epochs=1", "pretrainer.epochs=1", "encoder.view.step_s=4")
    plan = decoded(
        Request(
            plugin("Filmed"), encoders, pretrainers=("mae",), modalities="video", settings=settings, seeds="0",
            data_root=filmed, runs=tmp_path, recipe="quick", device="cpu", workers=1,
        )
    )  # fmt: skip
    stages = [*plan.graph.stages.values()][:3]
    assert [stage.kind for stage in stages] == ["pretrain", "unimodal", "predict"]
    for name, limit in (("resident", {}), ("streamed", {"memory_bytes": 0})):
        for stage in stages:
            run_stage(replace(stage, places={**stage.places, **limit}), tmp_path / name)
    here, there = ([Folder(tmp_path / name, stage.id) for stage in stages] for name in ("resident", "streamed"))
    for one, other in zip(here[:2], there[:2], strict=True):
        file = "weights.safetensors"
        assert one.file(file).read_bytes() == other.file(file).read_bytes()
    with np.load(here[2].file("predictions.npz")) as one, np.load(there[2].file("predictions.npz")) as other:
        np.testing.assert_array_equal(one["score"], other["score"])
        assert np.isfinite(one["score"]).any()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["frozen", "ridge"])
def test_videomae_is_adapted_in_every_way(filmed, tmp_path, way):
    settings = (f"encoder.adapt={way}", "encoder.epochs=1", "encoder.view.step_s=4")
    plan = decoded(
        Request(
            plugin("Filmed"), ("videomae",), modalities="video", settings=settings, seeds="0",
            data_root=filmed, runs=tmp_path, recipe="quick", device="cpu", workers=1,
        )
    )  # fmt: skip
    fitted, predicting = [*plan.graph.stages.values()][:2]
    result = run_stage(fitted, tmp_path)
    assert 0 < result["trained"] < result["parameters"] / 2
    assert run_stage(predicting, tmp_path)["units"] > 0


def test_films_are_put_through_a_network_in_small_batches():
    rows = Rows(*np.zeros((4, 8), np.int64), 16)
    small, large = np.zeros((1, 3, 8, 8), np.uint8), np.broadcast_to(np.uint8(0), (1, 3, 224, 224))
    assert Data({"video": StreamedClips(rows, "cpu", small)}, 8, "cpu").at_once == ROWS_PER_PASS
    assert 8 <= Data({"video": StreamedClips(rows, "cpu", large)}, 8, "cpu").at_once <= 32
    assert Data({}, 8, "cpu").at_once == ROWS_PER_PASS


SPANS = {"with it": 0.0, "later": -2.6, "earlier": 3.32}
"""Where, on the clock of a film, the recording begins."""


@pytest.mark.parametrize("begins", sample(SPANS, "later"))
@pytest.mark.parametrize("fps", sample([25.0, 12.5], 12.5))
def test_a_flash_and_a_pulse_of_one_moment_land_at_one_place(tmp_path, begins, fps):
    """Something happens at 6.4 s of a recording: the skin answers, and a light flashes in a film with a clock of its
    own. In the rows that an encoder reads both stand at the same moment, to within one frame."""
    happens, zero = 6.4, SPANS[begins]
    root = tmp_path / "data"
    times = film.steady(round(14 * fps), fps, start_s=0.8)
    flash = round((happens + zero) * fps)
    film.write(
        root / "Filmed" / "films" / "flash.mkv", times, codec="ffv1", b_frames=0, pixels="bgr0",
        picture=lambda k: grey(250 if k >= flash else 10),
    )  # fmt: skip
    all_subjects = make_subjects(4)
    eda = np.where(np.arange(12 * 16) / 16 >= happens, 9.0, 5.0) + 0.01 * np.random.default_rng(0).standard_normal(192)
    about = {"file": "films/flash.mkv", "span": [zero, zero + 12.0], "boxes": None}
    all_subjects["p00"][0] = recording(0, 0, eda=eda.tolist(), film=about)
    plan = plan_of(write(root, all_subjects), tmp_path / "runs", "encoder[video].prepare.frames_hz=25.0")
    data, specs, grid, store = assembled(plan)
    (row,) = np.flatnonzero((grid.recording == 0) & (grid.start <= happens) & (happens < grid.stop))
    assert store.recordings[0].id == "p00-v0"
    batch = data.batch(np.array([row]))
    start = {m: grid.stop[row] - specs[m].shape[0 if m == "video" else 1] / specs[m].rate for m in specs}
    bright = batch.x["video"][0].float().mean((1, 2, 3)) > 128
    seen = start["video"] + float(bright.int().argmax()) / specs["video"].rate
    wave = batch.x["eda"][0, 0]
    felt = start["eda"] + float((wave > (wave.max() + wave.min()) / 2).int().argmax()) / specs["eda"].rate
    assert 0 < int(bright.sum()) < len(bright)
    assert abs(seen - happens) <= 1 / fps + 1e-6
    assert abs(felt - happens) <= 1 / 16 + 1e-6  # a sample of the signal as it was recorded
    assert abs(seen - felt) <= 1 / fps + 1 / 16


def test_frames_of_every_stage_are_stored_once_before_any_of_them_runs(plan, filmed):
    store = plan.fit.store
    encoder = Watch(Watch.recipes["quick"])
    found = clips(replace(store, root=None), "video", encoder)  # they are there: no film is opened
    assert len(found.spans) == 22
    assert Filmed(filmed / "Filmed").subjects() == [f"p{n:02d}" for n in range(6)]
