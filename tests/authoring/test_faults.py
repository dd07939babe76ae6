"""`embench plugin check` finds what is wrong with a plugin and says what to do; nothing else suffers from it."""

import json

import pytest

from embench import registry
from embench.authoring import check_plugins
from embench.cli import main
from embench.errors import UsageError
from embench.planning import plan

FAULTS = {
    "cnn_tf": ("registry.yaml", "embench_plugins/cnn_tf has the same name", "choose another name"),
    "misspelt": ("registry.yaml", "did you mean summary", "correct the file"),
    "no_summary": ("registry.yaml", "`summary` is missing", "correct the file"),
    "not_an_encoder": (
        "import",
        "does not inherit from the base class of its kind",
        "a subclass of embench.interfaces.encoder",
    ),
    "no_class": ("import", "has no class Missing", ""),
    "no_module": (
        "import",
        "No module named 'embench_faulty.nowhere'",
        "names a module that does not exist in embench_faulty",
    ),
    "raises_on_import": ("import", "RuntimeError: no licence key", ""),
    "exits_on_import": ("import", "SystemExit: no licence key", ""),
    "dies_on_import": ("import", "ended by itself, with code 3", "does not end the process"),
    "slow": ("import", "the import takes 1.", "load files in `build`"),
    "prints": ("import", "the import prints: version 3 of my metric", "prints nothing"),
    "seeds": ("import", "the import sets the seed of numpy, random", "embench seeds every stage"),
    "wrong_shape": ("conformance", "the tokens have shape", "(1, L, D)"),
    "writes": ("conformance", "the network changes its input", "`x = x * 2`, not"),
    "across_the_batch": (
        "conformance",
        "output of a row depends on the other rows of its batch",
        "rows that are independent",
    ),
    "between_calls": ("conformance", "two calls differ", "independent of earlier calls"),
    "no_gradient": ("conformance", "the output has no gradient", "differentiable"),
    "sets_the_seed": ("conformance", "`build` sets the global seed of torch", "no global seed"),
    "seed_in_forward": ("conformance", "in eval mode sets the global seed of numpy", "no global seed"),
    "draws_from_numpy": ("conformance", "differs between two builds of one seed", "torch's generator only"),
    "ignores_the_mask": ("conformance", "the network reads masked samples", "`x = embench.nn.hide(x, mask)`"),
    "prints_in_use": ("conformance", "the plugin prints: a network of", "`warnings` or `logging`"),
    "fixed_device": ("conformance", "fails on another device than the CPU", "device=x.device"),
    "not_a_number": ("conformance", "is not finite", "finite values"),
    "exits_in_use": ("conformance", "SystemExit: no GPU", "no error"),
    "reads_absent": ("conformance", "masked tokens or absent modalities", "mask the softmax by `present`"),
    "remembers": ("conformance", "scores depend on an earlier fit to other rows", "independent of earlier fits"),
    "out_of_range": ("conformance", "a score of ", "from 0.0 to 1.0"),
    "nan": ("conformance", "a score of nan", "Undefined(reason)"),
    "raises": ("conformance", "ZeroDivisionError: no units", "no error"),
    "raising": ("conformance", "it raised in stage_ended", "do not raise"),
    "forgets": (
        "conformance",
        "`subjects` lists the subject, but the subject has no recordings",
        "subjects with recordings",
    ),
    "another": ("conformance", "another recording has this id", "unique ids"),
    "copies": ("conformance", "its eda equals that of recording p0-0, of another subject", "read under two names"),
    "label_in_a_channel": ("conformance", "channel temp of temp contains the label `stress`", "belongs in `labels`"),
    "stays": ("conformance", "cannot send the reader to a worker process", "open a file when it is read"),
}
GOOD = ("good", "good_data")


@pytest.fixture
def faulty(site, installing):
    installing.install("embench_faulty", site)
    registry.refresh()
    return site / "embench_faulty"


@pytest.mark.usefixtures("faulty")
def test_every_plugin_of_the_package_is_expected_here():
    assert {e.name for e in registry.entries() if e.package == "embench_faulty"} == {*FAULTS, *GOOD}


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_with_its_remedy(name):
    check, fault, remedy = FAULTS[name]
    (found,) = [one for one in check_plugins(f"embench_faulty/{name}") if one.fault]
    assert found.check == check, found
    assert fault in found.fault
    assert remedy in found.remedy
    assert found.plugin.endswith(f" {name}")


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("name", GOOD)
def test_a_good_plugin_beside_them_passes(name):
    assert not [one for one in check_plugins(f"embench_faulty/{name}") if one.fault or one.skipped]


@pytest.mark.usefixtures("faulty")
def test_other_commands_go_on(capsys):
    assert main(["list"]) == 0
    assert main(["info", "cnn_tf"]) == 0
    assert registry.load_plugin("encoder", "embench_faulty/good").__name__ == "Good"
    assert registry.load_plugin("encoder", "tcn").__name__ == "Tcn"
    assert "unknown field `sumary`" in capsys.readouterr().out


@pytest.mark.usefixtures("faulty")
def test_the_command_says_what_failed_and_ends_with_1(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["plugin", "check", "embench_faulty/slow"]) == 1
    out, err = capsys.readouterr()
    assert "FAILED: the import takes 1." in out
    assert "1 of 2 checks failed: metric slow" in err
    assert max(map(len, out.splitlines())) <= 100
    assert main(["plugin", "check", "embench_faulty/wrong_shape", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["passed"]
    assert [bool(check["fault"]) for check in document["checks"]] == [False, False, True]


WANTS_TWO = """
from torch import nn
from embench.interfaces.encoder import ANY_SIGNAL, Encoder
from embench.interfaces.recipe import Recipe
from embench.interfaces.tokens import Tokens
from embench.interfaces.units import View

class Net(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.linear = nn.Linear(channels, 4)

    def forward(self, x, mask=None):
        if x.shape[1] < 2:
            raise RuntimeError("no covariance of one channel")
        x = x if mask is None else x * mask[:, None]
        return Tokens(self.linear(x.mean(-1))[:, None])

class Spatial(Encoder):
    accepts = ANY_SIGNAL
    recipes = dict.fromkeys(("paper", "small", "quick"), Recipe(view=View("window", 4.0, 4.0)))

    def build(self, spec):
        return Net(spec.shape[0])
"""


@pytest.mark.slow
def test_what_a_network_raises_is_named_with_its_line_the_modality_and_the_shape(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(WANTS_TWO)
    assert main(["--debug", "plugin", "check", str(path)]) == 1
    out, err = capsys.readouterr()
    said = "".join(out.split())
    assert f"nocovarianceofonechannel({path}:15)" in said
    assert "presetquick,ppg,rowsofshape(4,1,512),batchxchannelsxsamples" in said
    assert "`min_channels=2`" in said
    assert f'File "{path}", line 15, in forward' in err


@pytest.mark.slow
def test_a_network_that_needs_several_channels_says_so_and_meets_no_fewer(tmp_path, bench):
    path = tmp_path / "mine.py"
    path.write_text(WANTS_TWO.replace("    accepts =", "    min_channels = 3\n    accepts ="))
    assert not [one for one in check_plugins(str(path)) if one.fault]
    encoder = f"{path}:Spatial"
    with pytest.raises(UsageError, match=r"requires 3 channels, but eda of .* has [12]"):
        plan.make(bench.request(encoder, modalities="eda"))


def test_a_plugin_is_checked_by_its_name(capsys):
    assert main(["plugin", "check", "auroc"]) == 0
    assert "metric auroc" in capsys.readouterr().out
    assert main(["plugin", "check", "auroq"]) == 2
    assert "did you mean auroc" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"registry.yaml": "encoder:\n  a: {target: m:C\n  b: 1"}, "is not YAML"),
        ({"registry.yaml": "api: 7\nmetric: {}"}, "`api` is 7, and embench"),
        ({"registry.yaml": "encoders: {}"}, "did you mean encoder"),
        ({}, "does not exist"),
        (None, "the package embench_other does not exist"),
    ],
)
def test_a_package_that_cannot_be_read(files, said, site, installing, capsys):
    installing.write(site, "embench-other", "1", {"plugins": "embench_other"})
    if files is not None:
        (site / "embench_other").mkdir()
        for name, text in files.items():
            (site / "embench_other" / name).write_text(text)
    registry.refresh()
    (found,) = check_plugins("embench_other")
    assert said in found.fault
    assert found.remedy
    for arguments in (["list"], ["list", "encoder"]):
        assert main(arguments) == 0
        assert said in " ".join(capsys.readouterr().out.split())


def test_a_file_and_what_is_none(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "from embench.interfaces.metric import Metric\n\nclass Mine(Metric):\n    range = (0.0, 1.0)\n"
    text += (
        "    def __call__(self, units):\n        return 7.0\n    def compute_chance(self, units):\n        return 0.5\n"
    )
    (tmp_path / "mine.py").write_text(text + "\nclass Other:\n    pass\n")
    (tmp_path / "raises.py").write_text("1 / 0\n")
    assert main(["plugin", "check", "mine.py"]) == 1
    assert "a score of 7.0" in capsys.readouterr().out
    assert main(["plugin", "check", "./mine.py:Other"]) == 2
    assert "class Other in mine.py is not a plugin" in capsys.readouterr().err
    assert main(["plugin", "check", "raises.py"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert main(["plugin", "check", "nowhere.py"]) == 2
    assert main(["plugin", "check", "embench_nothing"]) == 2


def test_two_packages_with_one_name(site, installing, capsys):
    for name in ("embench_other", "embench_mine"):
        (site / name).mkdir()
        fragment = f"encoder: {{plain: {{target: '{name}.m:M', revision: 1, summary: s}}}}"
        (site / name / "registry.yaml").write_text(fragment)
        installing.write(site, name.replace("_", "-"), "1", {"plugins": name})
    registry.refresh()
    assert main(["list", "encoder"]) == 0
    listed = capsys.readouterr().out
    assert "embench_other/plain" in listed
    assert "embench_mine/plain" in listed
