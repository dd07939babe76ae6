"""`embench clean`: it lists what lies where, and deletes what is named and nothing else."""

import json

import pytest

PLACES = ("store/a/x.npy", "derived/b/y.npy", "objects/c.pkl", "finished/d.json", "ledger/e/test_labels_opened.jsonl",
          "pseudonyms/f.json")  # fmt: skip


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    files = [tmp_path / "cache" / place for place in PLACES]
    files += [tmp_path / "runs" / place for place in ("stages/1/model", "tiny/run-1/run.yaml", "notes.txt")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 1000)
    return files


def left(files):
    return {file.name for file in files if file.exists()}


def listed(done):
    assert done.code == 0, done.err
    return {row["name"]: row for row in json.loads(done.out)}


def test_sizes_are_listed_and_nothing_is_deleted(embench, tmp_path, places):
    rows = listed(embench("clean", "--runs", tmp_path / "runs", "--json"))
    assert {name: row["bytes"] for name, row in rows.items()} == {
        "data": 2000, "objects": 1000, "checks": 1000, "stages": 1000, "runs": 1000, "log": 1000,
    }  # fmt: skip
    assert "evaluation log" in embench("clean", "--runs", tmp_path / "runs").out
    assert len(left(places)) == len(places)


@pytest.mark.parametrize(
    ("names", "gone"),
    [
        (["data"], {"x.npy", "y.npy"}),
        (["objects", "stages"], {"c.pkl", "model"}),
        (["runs"], {"run.yaml"}),
        (["data", "objects", "checks", "stages", "runs", "log"],
         {"x.npy", "y.npy", "c.pkl", "d.json", "model", "run.yaml", "test_labels_opened.jsonl"}),
    ],
)  # fmt: skip
def test_what_is_named_is_deleted_with_yes_alone(embench, tmp_path, places, names, gone):
    line = ("clean", *names, "--runs", tmp_path / "runs")
    assert "Nothing was deleted" in embench(*line).out
    assert len(left(places)) == len(places)
    assert all(row["deleted"] for row in listed(embench(*line, "--yes", "--json")).values())
    assert left(places) == {file.name for file in places} - gone
    assert embench(*line, "--yes").code == 0  # again, with nothing there


def test_a_link_is_not_followed(embench, tmp_path, places):
    precious = tmp_path / "elsewhere" / "data.csv"
    precious.parent.mkdir()
    precious.write_text("1")
    (tmp_path / "cache" / "store" / "link").symlink_to(precious.parent)
    assert embench("clean", "data", "--yes", "--runs", tmp_path / "runs").code == 0
    assert precious.exists()
    assert len(left(places)) == len(places) - 2


def test_a_wrong_name_is_refused(embench, places):
    done = embench("clean", "stage", "--yes")
    assert done.code == 2
    assert "did you mean stages" in done.err
    assert len(left(places)) == len(places)
