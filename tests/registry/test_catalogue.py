"""From a name to an entry, and what happens where names clash or are wrong."""

import warnings

import pytest

from embench import registry
from embench.errors import PluginError, UsageError


@pytest.fixture
def other(site, installing):
    """Installs a second outside package that offers an encoder of this name."""

    def install(name="plain"):
        package = site / "embench_other"
        package.mkdir()
        fragment = f"encoder: {{{name}: {{target: 'embench_other.m:M', revision: 1, summary: 'another one'}}}}\n"
        (package / "registry.yaml").write_text(fragment)
        installing.write(site, "embench-other", "2.0", {"plugins": "embench_other"})
        registry.refresh()

    return install


@pytest.mark.usefixtures("acme")
def test_bare_name_means_the_bundled_one_and_a_warning_shows_both():
    with pytest.warns(UserWarning, match="embench_plugins/cnn_tf.*embench_acme/cnn_tf"):
        entry = registry.find("encoder", "cnn_tf")
    assert entry.package == "embench_plugins"
    assert {"cnn_tf", "embench_acme/cnn_tf"} <= set(registry.list_plugins("encoder"))


@pytest.mark.usefixtures("acme")
def test_full_name_always_means_its_entry_and_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert registry.find("encoder", "embench_acme/cnn_tf").package == "embench_acme"
        assert registry.find("encoder", "embench_plugins/cnn_tf").package == "embench_plugins"


@pytest.mark.usefixtures("acme")
def test_clash_of_two_outside_packages_is_an_error_that_shows_both(other):
    other()
    with pytest.raises(UsageError, match=r"embench_acme/plain.*embench_other/plain"):
        registry.find("encoder", "plain")
    assert registry.find("encoder", "embench_other/plain").version == "2.0"
    assert {"embench_acme/plain", "embench_other/plain"} <= set(registry.list_plugins("encoder"))
    assert "plain" not in registry.list_plugins("encoder")


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        ("encoder", "cnn_ft", "did you mean cnn_tf"),
        ("encoder", "CNN-TF", "did you mean cnn_tf"),
        ("encoder", "late", "`late` is a fusion"),
        ("fusion", "cross_atn", "did you mean cross_attn"),
        ("fusion", "LogisticRegression", "did you mean logreg?"),
        ("fusion", "SVC", "did you mean svm?"),
        ("encoders", "cnn_tf", "did you mean encoder"),
        ("encoder", "zzz", "one of amigos_features, biot, catch22, cbramod, cnn_mlp"),
        ("encoder", "embench_plugins/cnn_ft", "did you mean"),
    ],
)
def test_wrong_names_offer_the_nearest(kind, name, text):
    with pytest.raises(UsageError) as caught:
        registry.find(kind, name)
    assert text in str(caught.value)


@pytest.mark.usefixtures("broken")
def test_wrong_name_mentions_packages_that_could_not_be_searched():
    with pytest.raises(UsageError, match="embench_broken"):
        registry.find("encoder", "zzz")


def test_broken_entry_is_an_error_of_its_package(broken):
    with pytest.raises(PluginError, match="unknown field `sumary`") as caught:
        registry.find("encoder", "unknown_field")
    assert str(broken / "registry.yaml") in str(caught.value)


@pytest.mark.usefixtures("broken")
def test_working_entry_is_preferred_to_a_broken_one_of_the_same_name(other):
    other("unknown_field")
    assert registry.find("encoder", "unknown_field").package == "embench_other"


def test_file_has_one_name_however_it_is_written(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("class Mine: ...\n")
    monkeypatch.chdir(tmp_path)
    written = [f"{path}:Mine" for path in ("mine.py", "./mine.py", tmp_path / "mine.py")]
    assert {registry.find("observer", name).full_name for name in written} == {"./mine.py:Mine"}
    monkeypatch.chdir("/")
    assert registry.find("observer", f"{tmp_path}/mine.py:Mine").source == tmp_path / "mine.py"


def test_missing_file_is_said(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        registry.find("encoder", f"{tmp_path}/none.py:Mine")
