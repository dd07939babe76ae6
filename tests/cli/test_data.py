"""`embench data` on generated AMIGOS files."""

import json

import pytest


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    from embench.cli import main

    folder = tmp_path_factory.mktemp("data")
    assert main(["data", "synthesize", "amigos", "--out", str(folder / "amigos"), "--subjects", "2"]) == 0
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("EMBENCH_DATA", raising=False)


def test_synthesize_refuses_a_folder_in_use(embench, root):
    done = embench("data", "synthesize", "amigos", "--out", root / "amigos")
    assert done.code == 2
    assert "is not empty" in done.err


def test_synthesize_refuses_an_effect_that_there_is_not(embench, tmp_path):
    assert embench("data", "synthesize", "amigos", "--out", tmp_path / "a", "--effect", "1.5").code == 2


def test_status_of_all(embench, root):
    done = embench("data", "status", "--data-root", root, "--json")
    state = {fact["dataset"]: (fact["found"], fact["generated"]) for fact in json.loads(done.out)}
    assert state == {"amigos": (True, True), "stress_predict": (False, False)}


def test_a_dataset_that_cannot_be_loaded_is_a_row(embench, root, monkeypatch):
    from embench import registry
    from embench.errors import PluginError

    whole = registry.load

    def load(kind, name):
        if name == "embench_plugins/stress_predict":
            raise PluginError("dataset `stress_predict` can't be used: ModuleNotFoundError")
        return whole(kind, name)

    monkeypatch.setattr(registry, "load", load)
    done = embench("data", "status", "--data-root", root)
    assert done.code == 0, done.err
    [row] = [line for line in done.out.splitlines() if "stress_predict" in line]
    assert "broken" in row
    assert "generated" in done.out
    assert "ModuleNotFoundError" in done.err
    assert embench("data", "status", "stress_predict", "--data-root", root).code == PluginError.exit_code


def test_status_reads_the_environment(embench, root, monkeypatch):
    monkeypatch.setenv("EMBENCH_DATA", str(root))
    done = embench("data", "status", "amigos")
    assert "generated" in done.out
    assert "2 people" in done.out


@pytest.mark.parametrize("command", ["status", "verify", "prepare", "labels"])
def test_missing_data_say_where_and_how_to_get_them(embench, tmp_path, command):
    done = embench("data", command, "stress_predict", "--data-root", tmp_path)
    assert done.code == 3
    assert str(tmp_path / "stress_predict") in done.err
    assert "what to do: " in done.err


def test_folder_of_another_dataset_is_refused(embench, root, tmp_path):
    (tmp_path / "stress_predict").symlink_to(root / "amigos")
    assert embench("data", "verify", "stress_predict", "--data-root", tmp_path).code in (1, 3)


def test_verify_tells_its_findings(embench, root):
    done = embench("data", "verify", "amigos", "--data-root", root, "--json")
    assert done.code == 0, done.err
    assert {"severity", "where", "what"} == set(json.loads(done.out)[0])


def test_prepare_once(embench, root):
    first = embench("data", "prepare", "amigos", "--data-root", root, "--json")
    assert first.code == 0, first.err
    facts = json.loads(first.out)
    assert facts["synthetic"] is True
    assert facts["people"] == 2
    again = embench("data", "prepare", "amigos", "--data-root", root)
    assert facts["folder"] in again.out
    assert "prepared" not in again.err


def test_labels_counts_units_by_the_cards_rule(embench, root):
    done = embench("data", "labels", "amigos", "--data-root", root, "--json")
    assert done.code == 0, done.err
    counts = {row["target"]: row for row in json.loads(done.out)}
    assert {"arousal", "valence"} <= set(counts)
    assert counts["arousal"]["people"] == 2
    assert "0: " in counts["arousal"]["labels"]


def test_unknown_protocol(embench, root):
    assert embench("data", "prepare", "amigos", "--data-root", root, "--protocol", "subject").code == 2
