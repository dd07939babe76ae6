"""Every option of the table reaches the request, whoever is asked: `run`, `grid`, a claim, `embench.run`."""

from pathlib import Path

import pytest

from embench.claims.examine import claim_pairs
from embench.claims.files import Claim, ClaimDataset, Configuration
from embench.planning.request import AXES, OPTIONS
from embench.python import running
from embench.runs import run as runner

NEEDED = {"dataset": "amigos", "encoder": "cnn_tf"}
POINTS = {
    "confounds": (False,), "encoder": ("cnn_tf", "tcn"), "fusion": ("late", "concat"),
    "protocol": ("subject-independent-v4", "personalise-v1"),
    "data-root": ("p",), "dev": (True,), "device": ("cpu",), "recipe": ("small", "quick"), "runs": ("p",),
    "seeds": ("0,4",), "set": ("a.b=1", "a.b=2"), "workers": ("2",),
}  # fmt: skip
"""What an option is given, one or two values; any other takes any words."""

MANY = {"encoder", "pretrainer", "set", "observer"}
HELD = {"data-root": Path, "runs": Path, "tuned": Path, "workers": int}

every_option = pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)


def points(option):
    arguments = POINTS.get(option.name, ("deap", "wesad"))
    return arguments if option.name in AXES else arguments[:1]


def held(option, text):
    """What the request holds where the command line said `text`."""
    return (text,) if option.name in MANY else HELD.get(option.name, lambda same: same)(text)


def line(option, *texts):
    arguments = [f"--{name}={value}" for name, value in NEEDED.items() if name != option.name]
    flags = {True: f"--{option.name}", False: f"--no-{option.name}"}
    return [*arguments, *(flags[text] if isinstance(text, bool) else f"--{option.name}={text}" for text in texts)]


@every_option
def test_run_hands_it_on(option, embench, runner):
    text = points(option)[0]
    done = embench("run", *line(option, text))
    assert done.code == 0, done.err
    assert getattr(runner[0], option.field) == held(option, text)


@every_option
def test_grid_makes_points_of_an_axis_and_gives_the_rest_to_all(option, embench, runner):
    done = embench("grid", *line(option, *points(option)))
    assert done.code == 0, done.err
    assert [getattr(request, option.field) for request in runner] == [held(option, text) for text in points(option)]


@every_option
def test_python_takes_it_by_its_name_on_the_command_line(option, monkeypatch):
    monkeypatch.setattr(runner, "run", lambda request, *_, **__: request)
    monkeypatch.setattr(running, "remember_own", lambda request: request)
    text = points(option)[0]
    arguments = int(text) if HELD.get(option.name) is int else text
    request = running.run(**{**NEEDED, option.name.replace("-", "_"): arguments})
    assert getattr(request, option.field) == held(option, text)


@pytest.mark.parametrize("name", Configuration.model_fields)
def test_a_side_of_a_claim_may_set_it(name):
    (option,) = [option for option in OPTIONS if option.name.replace("-", "_") == name]
    text = points(option)[0]
    side = Configuration(**{"encoder": "cnn_tf", name: text})
    about = {"id": "A1", "paper": "p", "claim": "c", "direction": "higher", "protocol": "wu2023", "metric": "accuracy"}
    claim = Claim(**about, a=side, b=Configuration(encoder="tcn"), datasets={"wesad": ClaimDataset()})
    (pair,) = claim_pairs([claim], [], ["fixed"], {"seeds": "0"})
    assert getattr(pair.a, option.field) == held(option, text)
    assert (pair.b.encoders, pair.b.seeds) == (("tcn",), "0")
