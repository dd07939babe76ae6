"""Combinations of datasets, sources and parts drawn at random: each is planned, or refused in one place that says who
wants what."""

import random
import re
import traceback
from pathlib import Path

import pytest

from embench import registry
from embench.errors import UsageError
from embench.planning.plan import make
from embench.planning.request import Request

from ..extras import FOUNDATION

pytestmark = pytest.mark.slow

SIZES = {
    "amigos": (4, 12.0), "deap": (4, 12.0), "k_emocon": (4, 80.0), "case": (4, 400.0), "wesad": (4, 90.0),
    "stress_predict": (4, 400.0), "corpus": (4, 44.0),
}  # fmt: skip
TESTED = ["amigos", "deap", "k_emocon", "case", "wesad", "wesad/chest", "stress_predict"]
MODALITIES = ["eeg", "ecg", "ppg", "eda", "resp", "temp", "emg", "acc"]

PLACES = {
    r"\S+ would read different channels of \S+ in .* and .*: ": "check_fit",
    r"\S+ has no \S+, which \S+ would (learn from|be trained on)": "check_available",
    r"\S+ has no modality `\w+`": "choose_modalities",
    r"encoder \S+ does not read \S+": "check_parts",
    r"fusion \S+ takes .*, but the run has \d": "check_parts",
    r"2 modalities \(.*\) require a fusion": "resolve_method",
    r"pretrainer \S+ requires .*, but encoder \S+ does not offer it": "_check_pretraining",
    r"pretrainer \S+ trains the complete model and requires ": "_check_pretraining",
    r"\S+ is fitted on features, and pretraining does not change them": "_check_pretraining",
    r"\S+ learns from the labels of another dataset, and no dataset is named": "_plan_steps",
    r"\S+ learns from labels, but \S+ has none": "load_source",
    r"\S+ contains subjects of \S+, so the method would learn from test labels": "sources",
    r"\S+ contains subjects of the test dataset \S+, ": "trained_on",
    r"\S+ is .* in \S+ but .* in \S+": "trained_on",
    r"\S+ and \S+ share no (modality|target) .* among the defaults of \S+": "share_defaults",
    r"\S+ has no target `\w+`": "choose_targets",
    r"\S+ cannot predict .*, and \S+ requires this": "check_target_kinds",
}
"""How the first line of a refusal begins, and the one function that refuses so."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    for name, (subjects, length_s) in SIZES.items():
        registry.synthesizer(name)(root / name, subjects=subjects, seed=0, effect=1.0, length_s=length_s)
    return root


def drawn(rng, data):
    """A request for 1 or 2 modalities, in one of six as it comes and else of those that the tested dataset has."""
    dataset, other = rng.choice(TESTED), rng.choice([*TESTED, "corpus"])
    own = [m for m in registry.load_plugin("dataset", dataset).card.modalities if m in MODALITIES]
    modalities = rng.sample(MODALITIES if rng.random() < 1 / 6 else own, rng.choice([1, 1, 2]))
    encoders = [name for name in registry.list_plugins("encoder") if name not in FOUNDATION]
    readers = [n for n in encoders if set(modalities) & registry.load_plugin("encoder", n).accepts]
    encoder = rng.choice(encoders if rng.random() < 1 / 6 else readers)
    pretrainer = rng.choice(registry.list_plugins("pretrainer"))
    ways = [
        {}, {"pretrainers": (pretrainer,)}, *[{"pretrainers": (f"{pretrainer}:{other}",)}] * 2,
        *[{"train_dataset": other}] * 2,
    ]  # fmt: skip
    return Request(
        dataset, (encoder,), modalities=",".join(modalities),
        fusion=rng.choice([None, *registry.list_plugins("fusion")]),
        recipe="quick", seeds="0", device="cpu", workers=1, data_root=data, runs=data / "runs", **rng.choice(ways),
    )  # fmt: skip


def names_in(request):
    """What a refusal can be about: each part and dataset of a request."""
    sources = [name for text in request.pretrainers for name in text.split(":")]
    return {
        request.dataset,
        *request.encoders,
        *request.modalities.split(","),
        *sources,
        request.fusion,
        request.train_dataset,
    }


def refusal(request):
    """The first line of a request's refusal and the function that raised it; None where it is planned."""
    try:
        make(request)
    except UsageError as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = [frame.name for frame in frames if "embench" in Path(frame.filename).parts][-1]
        return str(error).splitlines()[0], place
    return None


@pytest.mark.filterwarnings("ignore:.*starts from random weights")
def test_each_of_sixty_is_planned_or_refused_in_one_place_that_names_the_part(data):
    rng = random.Random(0)
    requests = [drawn(rng, data) for _ in range(60)]
    refusals = [(request, *found) for request in requests if (found := refusal(request))]
    assert 10 < len(refusals) < 50
    for request, line, place in refusals:
        assert [one for begin, one in PLACES.items() if re.match(begin, line)] == [place], line
        assert any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", line) for name in names_in(request) if name), line
