"""Modalities that packages add: defined in `registry.yaml` alone, and used as the bundled ones are."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from embench import registry
from embench.cli import main
from embench.errors import CheckFailed
from embench.interfaces.recording import MODALITIES, Signal
from embench.signals.preprocess import preprocess
from embench.store.fingerprint import store_key
from embench.testing import check

from ..sample import sample

RUN = ("--dataset", "glances", "--recipe", "quick", "--seeds", "0")


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Runs a command line in a folder with generated data: its exit code, and all that it prints."""
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EMBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main([str(word) for word in words])
        return code, "".join(capsys.readouterr())

    return run


@pytest.fixture
def glances(optics, call):
    """The package, with data of six subjects."""
    code, said = call("data", "synthesize", "glances", "--out", "data/glances", "--subjects", 6)
    assert code == 0, said
    return optics


def edit(package, change):
    """Changes a package's `registry.yaml`."""
    path = package / "registry.yaml"
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))
    registry.refresh()


def run_yaml(tmp_path):
    (path,) = tmp_path.glob("runs/glances/*/run.yaml")
    return yaml.safe_load(path.read_text())


def test_the_bundled_modalities_are_those_of_the_interface():
    assert tuple(modality.name for modality in registry.modalities()) == MODALITIES
    assert {modality.package for modality in registry.modalities()} == {registry.BUNDLED}


@pytest.mark.usefixtures("optics")
def test_modalities_are_listed_with_their_package(call):
    assert "embench_optics 2.0.0" in call("list", "modality")[1]
    described = call("info", "fnirs")[1]
    assert all(fact in described for fact in ("uM", "high 0.01, low 0.5, order 2", "temp", "embench_optics"))
    assert "did you mean pupil" in call("info", "pupl")[1]
    listed = {entry["name"]: entry for entry in json.loads(call("list", "modality", "--json")[1])}
    assert listed["pupil"]["rate_hz"] == 32
    assert len(listed) == len(MODALITIES) + 2


def test_listing_modalities_imports_no_package(site, installing):
    installing.install("embench_optics", site)
    program = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from embench import registry; "
        "print(registry.find_modality('fnirs').read_as); "
        "print([m for m in sys.modules if m.startswith(('embench_', 'torch', 'numpy', 'pandas', 'pydantic'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["temp", "[]"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("modality: [a]", "not a mapping of names"),
        ("modalty: {a: {summary: s}}", "did you mean modality"),
        ("modality: {a: {summary: s}, a: {summary: s}}", "appears twice"),
        ("modality: {a: 1}", "not a mapping of fields"),
        ("modality: {A-b: {summary: s}}", "small letters"),
        ("modality: {keys: {summary: Keystrokes.}}", "choose another name"),
        ("modality: {a: {unit: uM}}", "`summary` is missing"),
        ("modality: {a: {summary: s, units: uM}}", "did you mean unit"),
        ("modality: {a: {summary: s, unit: 5}}", "`unit` is 5, expected text"),
        ("modality: {a: {summary: s, rate_hz: 0}}", "a number above 0"),
        ("modality: {a: {summary: s, rate_hz: .inf}}", "a number above 0"),
        ("modality: {a: {summary: s, rate_hz: true}}", "a number above 0"),
        ("modality: {a: {summary: s, range: [0, 1]}}", "requires `unit`"),
        ("modality: {a: {summary: s, unit: mm, range: [1, 0]}}", "[least, greatest]"),
        ("modality: {a: {summary: s, unit: mm, range: 5}}", "[least, greatest]"),
        ("modality: {a: {summary: s, interpolate: cubic}}", "expected linear"),
        ("modality: {a: {summary: s, interpolate: linear, filter: {low: 1}}}", "exclude each other"),
        ("modality: {a: {summary: s, filter: 5}}", "expected some of high"),
        ("modality: {a: {summary: s, filter: {order: 2}}}", "has no effect"),
        ("modality: {a: {summary: s, filter: {lowpass: 2}}}", "did you mean low"),
        ("modality: {a: {summary: s, filter: {low: -1}}}", "above 0"),
        ("modality: {a: {summary: s, filter: {low: 1, order: 0}}}", "an integer from 1"),
        ("modality: {a: {summary: s, filter: {notch: 50}}}", "expected true or false"),
        ("modality: {a: {summary: s, filter: {high: 5, low: 1}}}", "removes everything"),
        ("modality: {a: {summary: s, read_as: eeda}}", "did you mean eda"),
        ("modality: {a: {summary: s, read_as: video}}", "a bundled modality of signals"),
        ("modality: {eda: {summary: s, unit: uS}}", "no package can redefine it"),
    ],
)
def test_faults_of_a_definition_are_named(site, text, problem, installing, call):
    package = site / "embench_other"
    package.mkdir()
    (package / "registry.yaml").write_text(text)
    installing.write(site, "embench-other", "1", {"plugins": "embench_other"})
    registry.refresh()
    faults = [entry.broken for entry in registry.entries() if entry.package == "embench_other"]
    assert any(problem in fault for fault in faults), faults
    assert problem in call("list")[1]
    assert registry.find_modality("eda").package == registry.BUNDLED
    assert not [modality for modality in registry.modalities() if modality.package == "embench_other"]


def second(site, installing, change):
    """Another package with the modalities of `embench_optics`, changed."""
    package = site / "embench_other"
    package.mkdir()
    content = yaml.safe_load((site / "embench_optics" / "registry.yaml").read_text())
    change(content["modality"])
    (package / "registry.yaml").write_text(yaml.safe_dump({"modality": content["modality"]}))
    installing.write(site, "embench-other", "1", {"plugins": "embench_other"})
    registry.refresh()


@pytest.mark.usefixtures("glances")
def test_packages_may_agree_on_a_modality(site, installing, call):
    second(site, installing, lambda m: m["pupil"].update(summary="In other words.", rate_hz=32.0, filter={"low": 4.0}))
    code, said = call("data", "prepare", "glances")
    assert (code, "128 Hz" in said) == (0, True), said


@pytest.mark.usefixtures("glances")
@pytest.mark.parametrize(
    "command", [("data", "prepare", "glances"), ("data", "verify", "glances"), ("run", *RUN, "--encoder", "gaze")]
)
def test_packages_that_disagree_are_both_named(site, installing, call, command):
    second(site, installing, lambda modality: modality["pupil"].update(filter={"low": 2}, rate_hz=16))
    code, said = call(*command)
    assert code == 4
    for part in ("modality `pupil`", "embench_optics 2.0.0", "embench_other 1", "rate_hz, filter", "glances"):
        assert part in said


@pytest.mark.parametrize("command", [("data", "prepare", "glances"), ("data", "verify", "glances"), ("run", *RUN)])
@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (
            lambda content: content.pop("modality"),
            ("no installed package defines the modality `fnirs`", "registry.yaml"),
        ),
        (lambda content: content["modality"].update(fnir=content["modality"].pop("fnirs")), ("did you mean fnir?",)),
        (lambda content: content["modality"]["fnirs"].update(fliter={}), ("is broken: unknown field `fliter`",)),
        (
            lambda content: content["modality"]["pupil"].update(unit="px"),
            ("has pupil in mm", "px, because embench_optics"),
        ),
    ],
)
def test_cards_need_definitions(glances, call, command, change, parts):
    edit(glances, change)
    code, said = call(*command, *(("--encoder", "handcrafted", "--fusion", "logreg") if command[0] == "run" else ()))
    assert code == 4
    assert all(part in said for part in (*parts, "glances, its dataset card")), said


@pytest.mark.usefixtures("optics")
@pytest.mark.parametrize("name", sample(["gaze", "strict"], "strict"))
def test_encoders_of_added_modalities_conform(name):
    check("encoder", registry.load_plugin("encoder", name))


def test_plugins_conform_while_their_modalities_are_defined(glances, tmp_path):
    check("dataset", registry.load_plugin("dataset", "glances"), tmp_path / "data" / "glances")
    edit(glances, lambda content: content.pop("modality"))
    with pytest.raises(CheckFailed, match="no installed package defines the modality `fnirs`"):
        check("dataset", registry.load_plugin("dataset", "glances"), tmp_path / "data" / "glances")
    with pytest.raises(CheckFailed, match="`accepts` is frozenset"):
        check("encoder", registry.load_plugin("encoder", "strict"))


@pytest.mark.usefixtures("optics")
def test_encoders_know_an_added_modality_by_their_own_name_for_it():
    known = registry.known_as
    assert known({"temp", "eda"}, "fnirs[hbo]+eda") == "temp+eda"
    assert known({"temp", "fnirs"}, "fnirs") == "fnirs"
    assert known({"temp"}, "pupil") is None
    assert known(registry.load_plugin("encoder", "gaze").accepts, "pupil+eda") == "pupil+eda"
    assert known(registry.load_plugin("encoder", "gaze").accepts, "video") is None


@pytest.mark.usefixtures("optics")
@pytest.mark.parametrize("rules", ["standard-v1", "wu2023"])
def test_an_added_modality_is_prepared_as_its_definition_says(rules):
    t = np.arange(0, 200, 1 / 10)
    slow, fast = np.sin(2 * np.pi * 0.1 * t), np.sin(2 * np.pi * 3 * t)
    signal = Signal((7 + slow + fast)[None].astype(np.float32), 10.0, ("hbo",), "uM")
    made = preprocess(signal, "fnirs", rate_hz=16, mains_hz=50.0, rules=rules, added=registry.find_modality("fnirs"))
    middle = made.data[0, 800:2400]
    assert made.rate == 16
    left = middle - np.sin(2 * np.pi * 0.1 * np.arange(800, 2400) / 16)
    assert np.sqrt(np.mean(left**2)) < 0.1  # of a mean of 7 and a wave of 0.7


@pytest.mark.usefixtures("glances")
def test_values_that_no_sensor_gives_are_found(call, tmp_path):
    path = tmp_path / "data" / "glances" / "p02.npz"
    content = dict(np.load(path))
    content["pupil"][3, 0, 7] = 300.0  # pixels
    np.savez(path, **content)
    code, said = call("data", "verify", "glances")
    assert "pupil has 1 values outside 1 to 10 mm, the range of human bodies; the most extreme value is 300" in said, (
        code,
        said,
    )


def test_a_changed_definition_never_meets_prepared_data(glances, tmp_path):
    reader = registry.load_plugin("dataset", "glances")(tmp_path / "data" / "glances")

    def key(**change):
        edit(glances, lambda content: content["modality"]["pupil"].update(change))
        return store_key(reader, reader.subjects(), "embench_optics/glances", "code", 128.0, True, tmp_path)

    keys = [key(), key(filter={"low": 3}), key(rate_hz=64), key(read_as="eda")]
    assert len(set(keys)) == 4
    assert key(summary="In other words.") == key()


@pytest.fixture
def ran(glances, call, tmp_path):
    """The package, and the folder of a run on one of its modalities."""
    code, said = call("run", *RUN, "--encoder", "handcrafted", "--fusion", "logreg", "--modalities", "fnirs")
    assert code == 0, said
    (folder,) = (tmp_path / "runs" / "glances").iterdir()
    return glances, folder


def test_a_run_on_added_modalities(ran, call, tmp_path):
    recorded = run_yaml(tmp_path)
    assert recorded["dataset"]["modalities"]["fnirs"]["read_as"] == "temp"
    assert recorded["dataset"]["modalities"]["pupil"]["package"] == "embench_optics"
    assert "0 severe" in call("audit", ran[1])[1]


@pytest.mark.slow
def test_what_is_said_of_a_run_on_added_modalities_while_they_are_there_and_later(ran, call, tmp_path):
    package, folder = ran
    code, said = call("report", folder)
    assert code == 0, said
    code, said = call("leaderboard", "submit", folder)
    assert (code, "synthetic" in said) == (1, True)

    assert "embench\\_optics 2.0.0 defines it" in call("export", folder, "--methods")[1].replace("\n", " ")

    edit(package, lambda content: content["modality"]["fnirs"].update(read_as="eda"))
    code, said = call("audit", folder)
    assert "modality fnirs is defined otherwise here: read_as" in said
    edit(package, lambda content: content.pop("modality"))
    code, said = call("audit", folder)
    assert code == 4
    assert "the run's modality `fnirs` is defined by embench_optics 2.0.0, which is not here" in said
    shutil.rmtree(package)
    registry.refresh()
    code, said = call("report", folder, "--out", "later.html")
    assert code == 0, said
    assert "fnirs" in (tmp_path / "later.html").read_text()


@pytest.mark.usefixtures("glances")
def test_an_encoder_without_the_modality_is_refused(call):
    code, said = call("run", *RUN, "--encoder", "tcn", "--modalities", "pupil")
    assert code == 2
    assert "encoder tcn does not read pupil" in said
    assert "encoders of pupil: gaze, mantis, strict" in said


@pytest.mark.slow
@pytest.mark.usefixtures("glances")
@pytest.mark.parametrize(
    "method",
    [
        ("--encoder", "cnn_tf", "--modalities", "fnirs+eda"),
        ("--encoder", "gaze", "--fusion", "cross_attn", "--modalities", "fnirs,pupil", "--drop", "pupil"),
    ],
)
def test_networks_on_added_modalities(call, tmp_path, method):
    code, said = call("run", *RUN, *method)
    assert code == 0, said
    if "gaze" in method:
        assert all(found == {"id": "passed"} for found in run_yaml(tmp_path)["conformance"].values())
    (folder,) = (tmp_path / "runs" / "glances").iterdir()
    assert "0 severe" in call("audit", folder)[1]
