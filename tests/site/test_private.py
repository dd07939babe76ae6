"""The private site: finished runs of any seeds and data, with what keeps them from being published on every page."""

import json
import shutil
from urllib.parse import unquote

import pytest

from embench.cli import main
from embench.site import build_private_site
from embench.store.fingerprint import SYNTHETIC

from ..tiny.running import Bench
from ..tiny.world import few_folds, make_subjects, write
from .conftest import Page


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of one seed by an encoder that is not published, on real and on synthetic data; and one that scored
    validation subjects."""
    place = tmp_path_factory.mktemp("private")
    data, made, rules = write(place / "data", make_subjects(6)), place / "made", few_folds(place)
    shutil.copytree(data, made)
    (made / "Tiny" / SYNTHETIC).write_text(json.dumps({"seed": 0}))
    patch = pytest.MonkeyPatch()
    patch.setenv("EMBENCH_CACHE", str(place / "cache"))
    bench = Bench(data, place / "runs", protocol=rules)
    bench.run(seeds="7", modalities="ecg")
    bench.run(seeds="7", modalities="ecg", dev=True)
    Bench(made, place / "runs", protocol=rules).run(seeds="0", modalities="ecg")
    patch.undo()
    return place / "runs"


@pytest.mark.slow
def test_every_page_says_that_nobody_has_verified_the_runs(runs, tmp_path):
    first = build_private_site(runs, tmp_path / "site")
    pages = {path.relative_to(tmp_path / "site").as_posix(): Page(path) for path in (tmp_path / "site").rglob("*.html")}
    texts = {name: " ".join(" ".join(page.texts).split()) for name, page in pages.items()}
    assert first == tmp_path / "site" / "index.html"
    notice = "Two unpublished runs. Nobody but their author has run or checked anything here."
    assert [name for name, text in texts.items() if notice not in text] == []
    assert not {"add.html", "published.html"} & set(pages)
    for name, page in pages.items():
        here = tmp_path / "site" / name
        gone = [a for a in page.addresses if ":" not in a and not (here.parent / unquote(a.partition("#")[0])).exists()]
        assert gone == [], name


@pytest.mark.slow
def test_runs_on_synthetic_data_are_marked_and_stand_apart(runs, tmp_path):
    build_private_site(runs, tmp_path / "site")
    sections = json.loads((tmp_path / "site/data/rows.json").read_text())
    boards = {section["dataset"]: [row for row in section["rows"] if row["kind"] == "method"] for section in sections}
    assert len(boards) == 2
    [synthetic] = [name for name in boards if name.endswith(" (synthetic)")]
    for name, rows in boards.items():
        for row in rows:
            assert row["rank"] is None
            assert row["mark"][0] == "nobody else has run or checked it"
            assert ("its data are synthetic" in row["mark"]) is (name == synthetic)
            page = next((tmp_path / "site" / name).glob(f"*/{row['id']}.html")).read_text()
            assert ("<strong>Synthetic data.</strong>" in page) is (name == synthetic)


def test_a_folder_without_runs_is_said(tmp_path, capsys):
    assert main(["leaderboard", "site", "--runs", str(tmp_path), "--out", str(tmp_path / "site")]) == 3
    assert "no finished runs found" in capsys.readouterr().err
