"""From a name to its class: the base class is checked, and whatever fails names plugin, package and place."""

import pytest

from embench import registry
from embench.errors import PluginError, UsageError


def test_class_of_an_outside_package(acme):
    assert registry.load_plugin("encoder", "plain").__module__ == "embench_acme.encoders"
    assert registry.origin(registry.find("encoder", "plain")) == f"embench_acme 1.2.0, {acme / 'encoders.py'}:14"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("needs_missing", "ModuleNotFoundError: No module named 'a_library_that_is_not_there'"),
        ("no_class", "has no class Fin"),
        ("wrong_base", "does not inherit from the base class of its kind"),
        ("raises", "KeyError: 'missing'"),
        ("abstract", "lacks methods that its interface requires"),
    ],
)
def test_failures_name_plugin_package_and_place(broken, name, what):
    with pytest.raises(PluginError) as caught:
        registry.load_plugin("encoder", name)
    text = str(caught.value)
    assert what in text
    assert f"encoder `{name}` of embench_broken 0.0.1" in text
    assert str(broken) in text


@pytest.mark.usefixtures("broken")
def test_place_of_an_error_at_import_is_its_own_line():
    with pytest.raises(PluginError, match=r"raises\.py:3"):
        registry.load_plugin("encoder", "raises")


@pytest.mark.usefixtures("broken")
def test_what_to_do_is_said():
    with pytest.raises(PluginError, match="missing module a_library_that_is_not_there"):
        registry.load_plugin("encoder", "needs_missing")
    with pytest.raises(PluginError, match="did you mean Fine"):
        registry.load_plugin("encoder", "no_class")
    with pytest.raises(PluginError, match="methods build"):
        registry.load_plugin("encoder", "abstract")


def test_module_that_is_not_there_is_the_packages_fault(site, installing):

    (site / "embench_other").mkdir()
    fragment = "encoder: {a: {target: 'embench_other.nowhere:A', revision: 1, summary: s}}"
    (site / "embench_other" / "registry.yaml").write_text(fragment)
    (site / "embench_other" / "__init__.py").touch()
    installing.write(site, "embench-other", "1", {"plugins": "embench_other"})
    registry.refresh()
    with pytest.raises(PluginError, match="names a module that does not exist in embench_other"):
        registry.load_plugin("encoder", "a")


FILE = """
import dataclasses
from embench.interfaces.metric import Metric

@dataclasses.dataclass
class Mine(Metric):
    range = (0.0, 1.0)
    def __call__(self, units): return 0.5
    def compute_chance(self, units): return 0.5

class Other: ...
"""


def test_a_file_that_was_edited_is_read_again(tmp_path):
    """As in a notebook, where one process lives long: a new identity must not run old code."""
    path = tmp_path / "mine.py"
    text = "from embench_plugins.fusions.classical import LogReg\n\nclass Mine(LogReg):\n    answer = 1\n"
    path.write_text(text)
    name = f"{path}:Mine"
    before = registry.code_identity("fusion", name), registry.load_plugin("fusion", name).answer
    path.write_text(text.replace("answer = 1", "answer = 2"))
    after = registry.code_identity("fusion", name), registry.load_plugin("fusion", name).answer
    assert before[0] != after[0]
    assert (before[1], after[1]) == (1, 2)


def test_class_from_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    cls = registry.load_plugin("metric", f"{path}:Mine")
    assert cls()(None) == 0.5
    assert registry.load_plugin("metric", f"{path}:Mine") is cls
    with pytest.raises(PluginError, match="base class"):
        registry.load_plugin("metric", f"{path}:Other")
    with pytest.raises(PluginError, match="did you mean Mine"):
        registry.load_plugin("metric", f"{path}:Mien")


def test_file_that_is_no_python_says_where(tmp_path):
    path = tmp_path / "half.py"
    path.write_text("x = 1\ndef broken(:\n")
    with pytest.raises(PluginError, match=r"SyntaxError.*line 2"):
        registry.load_plugin("metric", f"{path}:Mine")


READERS = """
from embench.interfaces.dataset import Dataset

class Silent(Dataset):
    def subjects(self): return []
    def files(self, subject): return []
    def recordings(self, subject): yield from ()

class Own(Silent):
    @classmethod
    def synthesize(cls, out, *, subjects, seed, effect): (out / "by").write_text("the class")
"""
GENERATOR = """
def synthesize(out, *, subjects, seed, effect): (out / "by").write_text("the function")
"""
FRAGMENT = """
dataset:
  silent: {target: 'embench_other.readers:Silent', revision: 1, summary: s}
  mine: {target: 'embench_other.readers:Own', revision: 1, summary: s}
  both: {target: 'embench_other.readers:Own', revision: 1, summary: s, synthesizer: 'embench_other.made:synthesize'}
  misspelt: {target: 'embench_other.readers:Own', revision: 1, summary: s, synthesizer: 'embench_other.made:synthesise'}
  nowhere: {target: 'embench_other.readers:Own', revision: 1, summary: s, synthesizer: 'embench_other.gone:synthesize'}
"""


@pytest.fixture
def datasets(site, installing):
    package = site / "embench_other"
    package.mkdir()
    for name, text in {
        "__init__.py": "",
        "readers.py": READERS,
        "made.py": GENERATOR,
        "registry.yaml": FRAGMENT,
    }.items():
        (package / name).write_text(text)
    installing.write(site, "embench-other", "1", {"plugins": "embench_other"})
    registry.refresh()
    return package


@pytest.mark.usefixtures("datasets")
@pytest.mark.parametrize(("name", "by"), [("mine", "the class"), ("both", "the function")])
def test_generator_of_the_fragment_comes_before_the_class_own(name, by, tmp_path):
    registry.synthesizer(name)(tmp_path, subjects=1, seed=0, effect=1.0)
    assert (tmp_path / "by").read_text() == by


@pytest.mark.usefixtures("datasets")
def test_dataset_without_a_generator_says_so():
    assert [name for name in ("silent", "mine", "both") if registry.has_synthesizer(name)] == ["mine", "both"]
    with pytest.raises(UsageError, match="silent has no synthesizer"):
        registry.synthesizer("silent")


def test_wrong_generator_is_the_packages_fault(datasets):
    with pytest.raises(PluginError, match=r"no function synthesise(.|\n)*did you mean synthesize") as caught:
        registry.synthesizer("misspelt")
    assert str(datasets / "made.py") in str(caught.value)
    with pytest.raises(PluginError, match="names a module that does not exist in embench_other"):
        registry.synthesizer("nowhere")
    assert registry.load_plugin("dataset", "misspelt").__name__ == "Own"


@pytest.mark.usefixtures("datasets")
def test_whether_there_is_a_generator_is_known_without_importing_it():
    import sys

    assert registry.has_synthesizer("both")
    assert "embench_other.made" not in sys.modules
