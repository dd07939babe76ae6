"""Objects that users give from Python: one digest for one behaviour, in every process, and names that nobody else can
use."""

import importlib
import json
import multiprocessing
import os
import subprocess
import sys
from textwrap import dedent

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from embench import registry
from embench.cli import main
from embench.errors import MachineError, UsageError
from embench.interfaces.recipe import Recipe
from embench.python.records import store_plugin
from embench.registry import catalogue
from embench.registry.contents import inspect_object, recall_objects
from embench.registry.fragments import installed_only

from ..sample import sample

CELL = """
import math
import dataclasses, enum, re, typing
from collections import namedtuple
import numpy as np

WIDTH = 8
TABLE = {"a": [1, 2], "b": {3.0, 4.0}}

def scaled(by):
    def scale(x):
        return x * by
    return scale

@dataclasses.dataclass(frozen=True)
class Conf:
    sizes: list = dataclasses.field(default_factory=lambda: [1, 2])
    rate: int | None = 5

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

Pair = namedtuple("Pair", "x y")
T = typing.TypeVar("T")

class Base(typing.Generic[T]):
    depth = 2
    conf, colour, pair, pattern = Conf(), Colour.BLUE, Pair(1, 2), re.compile("a+")

class Net(Base):
    size = 4

    def __init__(self, channels, samples, kernel=9, *, stride=4):
        self.scale = scaled(0.5)
        self.inner = [lambda x: x + 1 for _ in range(3)]
        self.layers = np.zeros((channels, WIDTH, kernel, stride)), TABLE["a"], math.pi

    @property
    def doubled(self):
        return 2 * self.size

    @staticmethod
    def helper(x):
        return np.abs(x) if x in {1, 2, 3} else super

half = scaled(0.5)
"""


def run_cell(text, name="<cell 1>"):
    """What a notebook's cell leaves, as its `__main__`."""
    cell = {"__name__": "__main__"}
    exec(compile(dedent(text), name, "exec"), cell)
    return cell


def ident(text, name="Net"):
    return inspect_object(run_cell(text)[name]).digest


def test_the_same_cell_gives_the_same_digest_wherever_it_stands():
    assert ident(CELL) == ident(CELL)
    cell = run_cell(CELL)
    assert inspect_object(cell["Net"]).digest == inspect_object(cell["Net"]).digest == ident(CELL)
    assert ident(CELL) == inspect_object(run_cell("\n\n" + CELL, "/x/9.py")["Net"]).digest


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("kernel=9", "kernel=11"),
        ("stride=4", "stride=2"),
        ("WIDTH = 8", "WIDTH = 16"),
        ('"b": {3.0, 4.0}', '"b": {3.0, 5.0}'),
        ('"a": [1, 2]', '"a": [1, 2.0]'),
        ("scaled(0.5)\n        self", "scaled(0.25)\n        self"),
        ("x * by", "x / by"),
        ("x + 1", "x - 1"),
        ("depth = 2", "depth = 3"),
        ("rate: int | None = 5", "rate: int | None = 6"),
        ("lambda: [1, 2]", "lambda: [1, 3]"),
        ("Colour.BLUE", "Colour.RED"),
        ("BLUE = 2", "BLUE = 3"),
        ("Pair(1, 2)", "Pair(1, 3)"),
        ('compile("a+")', 'compile("a*")'),
        ("size = 4", "size = 5"),
        ("2 * self.size", "3 * self.size"),
        ("np.abs", "np.sign"),
        ("{1, 2, 3}", "{1, 2, 4}"),
        ("math.pi", "math.e"),
        ("class Net(Base)", "class Net(Base, dict)"),
        ("import math", "import cmath as math"),
    ],
)
def test_a_change_anywhere_gives_another_digest(before, after):
    assert before in CELL
    assert ident(CELL) != ident(CELL.replace(before, after))


def test_a_closure_and_its_value_count():
    half = ident(CELL, "half")
    assert half == ident(CELL + "\nother = scaled(0.25)", "half")
    assert half != ident(CELL.replace("half = scaled(0.5)", "half = scaled(0.25)"), "half")


def test_what_is_set_afterwards_counts():
    cell = run_cell(CELL)
    digests = [inspect_object(cell["Net"]).digest]
    for change in ("Net.size = 7", "TABLE['a'].append(3)", "Base.depth = 9", "Net.helper = len", "WIDTH = 3"):
        exec(change, cell)
        digests.append(inspect_object(cell["Net"]).digest)
    assert len(set(digests)) == 6
    exec("TABLE['a'].append(3); TABLE['a'].pop()", cell)
    assert inspect_object(cell["Net"]).digest == digests[-1]


def test_a_recipe_keeps_its_digest_when_it_is_used():
    recipe = Recipe(build={"width": 8})
    first = inspect_object(recipe).digest
    recipe.to_mapping()
    assert inspect_object(recipe).digest == first != inspect_object(recipe.replace(build={"width": 9})).digest


def test_parameters_of_estimators_and_arrays_count():
    values = [
        LogisticRegression(), LogisticRegression(C=2), LogisticRegression(C=2.0), StandardScaler(),
        make_pipeline(StandardScaler(), LogisticRegression()), make_pipeline(LogisticRegression()),
        FunctionTransformer(np.abs), FunctionTransformer(np.sign), FunctionTransformer(lambda x: x + 1),
        FunctionTransformer(lambda x: x + 2), np.arange(3), np.arange(3.0), np.arange(3)[None], torch.arange(3),
        torch.arange(3.0), np.array([1, "a"], object), np.array([2, "a"], object), {1: 2}, {1: 2.0}, {True: 2},
        np.float64(2), 2, "2", b"2", (2,), [2], frozenset({2}), np.random.default_rng(0), np.random.default_rng(1),
    ]  # fmt: skip
    assert len({inspect_object(value).digest for value in values}) == len(values)


def test_things_that_are_inside_each_other_have_a_digest():
    loop = [1]
    loop.append(loop)
    assert inspect_object(loop).digest == inspect_object(loop).digest != inspect_object([1, [1]]).digest
    one, other = [0], [0]
    assert inspect_object([one, one]).digest != inspect_object([one, other]).digest


SCRIPT = f"""
import sys
sys.path.insert(0, FOLDER)
{CELL}
import helper
from helper import twice
PIPE

def all_of_it(channels, samples):
    return Net(channels, samples), twice(channels), helper.WORDS, {{"x", "y", "zz"}}

if __name__ == "__main__":
    from embench.registry.contents import inspect_object
    for letter in "de":
        helper.WORDS = {{"a", "b", "c", letter}}
        print(inspect_object(all_of_it).digest, inspect_object(pipe).digest, inspect_object(Net).digest)
"""


PLAIN = "import functools\npipe = functools.partial(twice, np.arange(3))"
ESTIMATOR = """
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
pipe = make_pipeline(FunctionTransformer(twice), RandomForestClassifier(max_depth=3))
"""


@pytest.mark.parametrize("pipe", sample([PLAIN, ESTIMATOR], PLAIN), ids=["plain", "estimator"])
def test_processes_agree_whatever_their_hashes(tmp_path, pipe):
    text = SCRIPT.replace("FOLDER", repr(str(tmp_path))).replace("PIPE", pipe)
    (tmp_path / "helper.py").write_text("WORDS = set()\ndef twice(x):\n    return 2 * x\n")
    printed = set()
    for seed in ("0", "1"):
        script = tmp_path / f"script{seed}.py"  # under another name, as another cell
        script.write_text(f"{seed}\n" * int(seed) + text)
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, check=True)
        printed.add(done.stdout)
    assert len(printed) == 1
    before, after = (line.split() for line in printed.pop().splitlines())
    assert after[0] != before[0]
    assert after[1:] == before[1:]  # which do not read the words


@pytest.fixture
def loose(site):
    """A module of one's own that is imported, as a file beside a notebook."""
    path = site / "embench_mine_models.py"
    path.write_text("RATE = 4\n\ndef double(x):\n    return 2 * x\n\ndef outer(x):\n    return double(x) * RATE\n")
    return path, importlib.import_module("embench_mine_models")


@pytest.mark.parametrize(
    "cell",
    ["import embench_mine_models as m\nrun = lambda x: m.outer(x)", "from embench_mine_models import outer as run"],
)
@pytest.mark.parametrize("change", [("RATE = 4", "RATE = 5"), ("2 * x", "3 * x")])
def test_a_module_of_ones_own_counts_as_it_is_in_memory(loose, cell, change):
    path, module = loose
    before = inspect_object(run_cell(cell)["run"])
    assert before.loose == ("embench_mine_models",)
    path.write_text(path.read_text().replace(*change) + "# longer\n")
    assert inspect_object(run_cell(cell)["run"]).digest == before.digest  # what runs is what is in memory
    importlib.reload(module)
    assert inspect_object(run_cell(cell)["run"]).digest != before.digest


@pytest.mark.usefixtures("loose")
def test_a_module_that_is_imported_when_called_is_refused():
    with pytest.raises(UsageError, match="imports embench_mine_models when called"):
        inspect_object(run_cell("def f(x):\n    import embench_mine_models\n    return x")["f"])
    assert inspect_object(run_cell("def f(x):\n    import numpy\n    return x")["f"])


def test_a_network_that_exists_is_refused_wherever_it_hides():
    net = torch.nn.Linear(2, 2)
    for hidden in (lambda: net, [{"x": net}], FunctionTransformer(net.forward), net.weight):
        with pytest.raises(UsageError, match="exists already") as caught:
            inspect_object(hidden)
    with pytest.raises(UsageError, match="exists already") as caught:
        inspect_object(run_cell("from torch import nn\nnet = nn.Linear(2, 2)\nmake = lambda c, s: net")["make"])
    assert "global net" in caught.value.where


def test_what_cannot_be_stored_is_named():
    with pytest.raises(UsageError, match="cannot store") as caught:
        inspect_object(run_cell("import threading\nlock = threading.Lock()\ndef f():\n    return lock")["f"])
    assert "global lock" in caught.value.where
    with pytest.raises(UsageError, match="by its name only"):
        inspect_object(run_cell("import functools\n@functools.cache\ndef f(x):\n    return x\ng = lambda: f(1)")["g"])


@pytest.fixture
def given(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    base = registry.load_plugin("fusion", "logreg")
    cls = type("Mine", (base,), {"answer": 42, "__module__": "__main__"})
    yield store_plugin("fusion", cls, text="my own"), cls
    catalogue._GIVEN.clear()


@pytest.mark.slow
def test_a_given_class_is_itself_here_and_a_copy_elsewhere(given):
    name, cls = given
    assert registry.load_plugin("fusion", name) is cls
    assert registry.find("fusion", name).package == ""
    assert registry.code_identity("fusion", name) == f"object {name.split(':')[1]}"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(format_answer, (name,)) == 42


def format_answer(name):
    return registry.load_plugin("fusion", name).answer


def test_nobody_else_can_name_an_object(given, capsys, tmp_path):
    name, _ = given
    catalogue._GIVEN.clear()  # as in another process
    with pytest.raises(UsageError, match="its name cannot be used here"):
        registry.find("fusion", name)
    line = ["run", "--dataset", "amigos", "--encoder", "handcrafted", "--fusion", name, "--modalities", "eda"]
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"dataset": "amigos", "encoder": "handcrafted", "fusion": name, "modalities": "eda"}))
    for command in (line, ["run", "--config", str(config)], ["info", name]):
        assert main(command) == 2
        assert "object" in capsys.readouterr().err


def test_a_later_process_has_the_objects_of_a_run_where_its_libraries_are_the_same(given):
    name, _ = given
    catalogue._GIVEN.clear()  # as in another process
    recall_objects([name])
    with installed_only("run.yaml"):  # nobody else can write to this cache
        assert registry.load_plugin("fusion", name).answer == 42
    with pytest.raises(UsageError, match="Net was given from Python and is not in this cache") as caught:
        recall_objects(["object:00000000000000000000:Net"])
    assert "repeat the same call of embench.run" in caught.value.hint
    catalogue._GIVEN.clear()
    facts = catalogue.get_object_file(name.split(":")[1], ".json")
    installed = json.loads(facts.read_text())["installed"]
    own = next(home for module, home in installed.items() if module.startswith("embench_plugins."))
    facts.write_text(facts.read_text().replace(json.dumps(own), '"another version"'))
    with pytest.raises(UsageError, match="code that has changed since: embench_plugins"):
        recall_objects([name])


def test_a_stored_object_that_others_could_write_is_not_loaded(given):
    name, _ = given
    entry = registry.find("fusion", name)
    catalogue._GIVEN.clear()
    entry.source.parent.chmod(0o777)
    with pytest.raises(MachineError, match="other users can write"):
        catalogue.load_object_class(entry)
    entry.source.parent.chmod(0o700)
    entry.source.write_bytes(entry.source.read_bytes() + b" ")
    with pytest.raises(MachineError, match="damaged"):
        catalogue.load_object_class(entry)
