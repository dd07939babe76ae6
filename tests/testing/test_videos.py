"""What the checks say of readers whose recordings have videos, and of encoders of clips."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from embench.data.checks import check_dataset_files as verify
from embench.errors import CheckFailed
from embench.interfaces.dataset import ModalityCard
from embench.interfaces.recording import Video
from embench.testing import check, require

from ..tiny import film
from ..tiny.filmed import make_subjects, write
from ..tiny.watching import Brightness, Filmed, Watch, WatchAll, WatchNetwork


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write(tmp_path_factory.mktemp("filmed"), {"p00": make_subjects(1)["p00"][:2]}) / "Filmed"


class Changed(Filmed):
    """Gives another video than there is."""

    def changed(self, video: Video) -> Video:
        return video

    def recordings(self, subject):
        for recording in super().recordings(subject):
            yield replace(recording, video=self.changed(recording.video))


class Quicker(Changed):
    def changed(self, video):
        return replace(video, fps=30.0)


class Longer(Changed):
    def changed(self, video):
        return replace(video, span=(0.0, 90.0))


class Elsewhere(Changed):
    def changed(self, video):
        return replace(video, span=(14.0, 20.0))


class Unnamed(Filmed):
    def files(self, subject):
        return super().files(subject)[:1]


class NoCard(Filmed):
    card: ClassVar = replace(
        Filmed.card, modalities={"eda": Filmed.card.modalities["eda"]}, default_modalities=("eda",)
    )


class Grey(Filmed):
    card: ClassVar = replace(
        Filmed.card, modalities={**Filmed.card.modalities, "video": ModalityCard(("y",), 25.0, "")}
    )


def test_a_reader_of_films_passes(root):
    check("dataset", Filmed, root)


@pytest.mark.parametrize(
    ("cls", "fault"),
    [
        (Quicker, "its `fps` is 30"),
        (Longer, "its `span` is"),
        (Elsewhere, "the file lasts 12"),
        (Unnamed, "`files` does not name"),
        (NoCard, "the dataset card has no video"),
        (Grey, "video channels of the dataset card are"),
    ],
)
def test_faults_of_readers(cls, fault, root):
    with pytest.raises(CheckFailed, match=fault):
        check("dataset", cls, root)


def test_a_film_that_cannot_be_seen_fails_and_verify_names_it(tmp_path):
    root = write(tmp_path, {"p00": make_subjects(1)["p00"][:2]}) / "Filmed"
    film.write(root / "films" / "p00-v1.mkv", [])
    with pytest.raises(CheckFailed, match="cannot be read as a video"):
        check("dataset", Filmed, root)
    found = verify(Filmed(root), "tests/filmed", tmp_path / "cache").findings
    assert [(f.severity, f.where) for f in found] == [("warning", "films/p00-v1.mkv")]


class Peeking(WatchNetwork):
    def forward(self, x, mask=None):
        tokens = super().forward(x, mask)
        return tokens._replace(mask=None)  # reads what was not seen


class Reversed(WatchNetwork):
    def forward(self, x, mask=None):
        return super().forward(x.flip(0), None if mask is None else mask.flip(0))


class WatchPeeking(Watch):
    def build(self, spec):
        return Peeking(4)


class WatchReversed(Watch):
    def build(self, spec):
        return Reversed(4)


def test_sample_clips_show_a_bright_spot_on_a_plain():
    sample = require.rows(Watch(Watch.recipes["quick"]), "video")
    first = sample.x[0, 0].astype(float)  # (3, H, W)
    assert (first.min((1, 2)) < 0.4 * first.max((1, 2))).all()
    assert (np.median(first, (1, 2)) < 0.7 * first.max((1, 2))).all()
    assert sample.x.max() <= 200
    assert (sample.x[~sample.mask] == 0).all()


def test_an_encoder_of_clips_passes():
    check("encoder", Watch)
    check("pretrainer", Brightness)


@pytest.mark.parametrize(
    ("cls", "fault"),
    [
        (WatchPeeking, "reads masked samples"),
        (WatchReversed, "the output of a row depends on the other rows"),
        (WatchAll, "clips of video"),
    ],
)
def test_faults_of_encoders(cls, fault):
    with pytest.raises(CheckFailed, match=fault):
        check("encoder", cls)
