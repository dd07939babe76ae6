"""The site as files: every page is there, every link leads somewhere, nothing of an entry is read as HTML."""

import csv
import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest

from embench.cli import main
from embench.records.record import write_numbers
from embench.site import build, build_site, entry_page
from embench.statistics.result import Result
from embench.vocabulary import label

from ..published import PUBLISHED, link_entries
from .conftest import EVIL, pages


def test_every_entry_board_and_method_has_a_page(site, sections, boards):
    for section in sections:
        assert (site / section.dataset / "index.html").is_file()
        for row in section.rows:
            folder = site / section.dataset / section.protocol
            assert (folder / f"{row.id}.html").is_file()
            source = boards / section.dataset / section.protocol / row.id
            for name in ("scores.json", "run.yaml"):
                assert (folder / row.id / name).read_bytes() == (source / name).read_bytes()
    for name in (
        "index.html",
        "add.html",
        "transfer.html",
        "published.html",
        "methods/index.html",
        "methods/handcrafted-svm.html",
    ):
        assert (site / name).is_file()


def test_every_link_leads_somewhere_inside_the_site(site):
    for path, page in pages(site).items():
        for address in page.addresses:
            place, _ = urldefrag(address)
            if address.startswith(("data:", "https://example.org")):
                continue
            assert not re.match(r"[a-z]+:|/", place), f"{path}: {address}"
            assert not place or (path.parent / unquote(place)).resolve().is_file(), f"{path}: {address}"


def test_pages_have_a_language_a_title_of_their_own_and_one_heading(site):
    titles = []
    for path, page in pages(site).items():
        assert ("html", {"lang": "en"}) in page.elements, path
        assert page.count("h1") == 1, path
        titles.append(re.search("<title>(.*?)</title>", path.read_text())[1])
    assert len(set(titles)) > len(titles) / 3
    assert all(titles)


def test_no_page_asks_for_anything_but_its_own_files(site):
    for path in sorted([*site.rglob("*.html"), *site.glob("assets/*.*")]):
        text = path.read_text()
        assert "fetch(" not in text, path
        assert 'type="module"' not in text, path
        if path.suffix != ".html":
            assert not re.search(r"https?://(?!www\.w3\.org)", text), path


def digests(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_entries_give_the_same_bytes_and_replace_an_earlier_site(notes, tmp_path):
    chosen = {"stress_predict/subject-independent-v4": ["unet_se-single-b0*"]}
    boards, one, other = link_entries(tmp_path / "boards", chosen), tmp_path / "one", tmp_path / "other"
    other.mkdir()
    (other / "embench-site.json").write_text("{}")
    (other / "old.html").write_text("of an earlier site")
    for out in (one, other):
        build_site(boards, out, notes_folder=notes)
    assert digests(one) == digests(other)
    assert not list(tmp_path.glob(".*"))


def test_pages_are_kept_and_made_again_where_what_is_kept_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBENCH_CACHE", str(tmp_path / "cache"))
    read = []
    for module, name in ((build, "load_leaderboard_entry"), (entry_page, "_read_entry")):
        load = getattr(module, name)
        monkeypatch.setattr(module, name, lambda folder, load=load: read.append(folder.name) or load(folder))
    boards = link_entries(tmp_path / "boards", {"stress_predict/subject-independent-v4": ["unet_se-single-b0*"]})
    first = digests(build_site(boards, tmp_path / "out").parent)
    assert len(read) == 2  # for its figures and its page; nobody confirms the models of a single entry
    assert digests(build_site(boards, tmp_path / "out").parent) == first
    again = len(read)
    assert again <= 4  # for its curve alone
    for kind in ("figures", "pages"):
        [kept] = (tmp_path / "cache").glob(f"boards/*/{kind}/*")
        kept.write_text(kept.read_text().replace("0.6", "0.7"))
    assert digests(build_site(boards, tmp_path / "out").parent) == first
    assert len(read) >= again + 2


def test_json_holds_what_the_leaderboard_holds(site, sections):
    found = json.loads((site / "data" / "rows.json").read_text())
    assert [(s["dataset"], s["protocol"], s["target"], len(s["rows"])) for s in found] == [
        (s.dataset, s.protocol, s.target, len(s.rows)) for s in sections
    ]
    plain = [row for section in found for row in section["rows"]]
    for kept, row in zip(plain, (row for section in sections for row in section.rows), strict=True):
        assert (kept["id"], kept["rank"], kept.get("control")) == (row.id, row.rank and list(row.rank), row.control)
        assert kept["score"] == (row.score and json.loads(json.dumps(row.score.to_dict())))
        assert kept.get("mark", []) == list(row.marks)
    one = json.loads((site / "data" / "hku956.json").read_text())
    assert one == [section for section in found if section["dataset"] == "hku956"]


def test_csv_has_a_line_for_each_row(site, sections):
    lines = list(csv.DictReader((site / "data" / "rows.csv").open()))
    rows = [(section, row) for section in sections for row in section.rows]
    assert len(lines) == len(rows)
    for line, (section, row) in zip(lines, rows, strict=True):
        assert (line["dataset"], line["target"], line["id"]) == (section.dataset, section.target, row.id)
        assert line["score"] == ("" if row.score is None else str(row.score.mean))
        assert line["best_rank"] == ("" if row.rank is None else str(row.rank[0]))
        within = row.scores.get("auroc_within")
        assert line["adjusted"] == ("" if row.adjusted is None or row.adjusted.undefined else str(row.is_associated))
        assert line["auroc_within_low"] == ("" if within is None else str(within.low))


def board_data(site, dataset):
    text = (site / dataset / "index.html").read_text()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_a_board_shows_ranks_as_the_leaderboard_does_and_says_why_rows_have_none(site, sections):
    shown = {board["key"]: board for board in board_data(site, "stress_predict")}
    here = "stress_predict", "subject-independent-v4", None
    [section] = [s for s in sections if (s.dataset, s.protocol, s.trained_on) == here]
    rows = {row.id: row for row in section.methods}
    board = shown["stress/subject-independent-v4"]
    assert any(row.rank for row in rows.values())
    assert {row["id"]: row["rank"] and tuple(row["rank"]) for row in board["rows"]} == {
        id_: row.rank for id_, row in rows.items()
    }
    [*_, leaking] = (board["rows"] for board in board_data(site, "wearable_stress"))
    assert leaking
    assert all(row["rank"] is None and "leaks" in row["why"] for row in leaking)
    assert "control" not in {row.get("kind") for row in board["rows"]}
    assert board["best_model"][0] == label("protocol_phase")


def test_a_row_is_of_features_or_of_a_network(site):
    kinds = {(row["name"].split(" ")[0], row["kind"]) for b in board_data(site, "stress_predict") for row in b["rows"]}
    assert kinds == {("handcrafted", "features"), ("U-Net", "network")}


def test_current_boards_come_first_and_others_are_marked(site):
    text = (site / "wearable_stress" / "index.html").read_text()
    places = [text.index(f'<optgroup label="{label}">') for label in ("Current", "Leaking")]
    assert places == sorted(places)
    assert [b["key"].split("/")[1] for b in board_data(site, "wearable_stress")][-1] == "segment-random-legacy"


def test_a_board_without_a_headline_shows_the_score_within_subjects_and_ranks_nothing(site):
    [board] = board_data(site, "eegmat")
    assert board["metric_name"] == "Within-subject AUROC, not the primary metric"
    assert all(row["rank"] is None and row["s"] for row in board["rows"])


def test_entries_without_labels_are_not_paired(site):
    for board in board_data(site, "hku956"):
        assert not any(board["pairs"])  # sealed entries hold nothing of subjects


def test_transfer_shows_both_trainings_of_a_method_side_by_side(site):
    text = " ".join((site / "transfer.html").read_text().split())
    method = r'<a href="methods/handcrafted-svm.html">handcrafted features; SVM, PPG, EDA, skin temperature</a>'
    row = re.search(rf'<tr><th scope="row">{method}</th>(.*?)</tr>', text)[1]
    assert re.findall(r"<b>(0\.\d+)</b>", row) == ["0.62", "0.58"]


def test_an_entry_page_says_how_to_repeat_it(site):
    [path] = site.glob("wearable_stress/subject-independent-v4/handcrafted-svm-8995*.html")
    text = path.read_text()
    place = f"leaderboards/wearable_stress/subject-independent-v4/{path.stem}"
    for command in ("embench run --dataset wearable_stress --encoder handcrafted", f"embench run --from {place}\n",
                    f"embench report {place}", f"embench audit {place}"):  # fmt: skip
        assert command in text
    for name in ("predictions.npz", "summands.json"):
        assert hashlib.sha256((PUBLISHED.parent / place / name).read_bytes()).hexdigest() in text


def test_a_row_of_two_classes_shows_its_probabilities_where_predictions_are_public(site):
    for path in site.glob("*/*/*.html"):
        text = path.read_text()
        public = path.parent.parent.name != "hku956"
        assert ("Decision curve of" in text) == ("Reliability of" in text) == ("carries over" in text) == public, path
    [path] = site.glob("stress_predict/subject-independent-v4/handcrafted-svm-d5*.html")
    found = Result.read(PUBLISHED / path.relative_to(site).with_suffix("")).assess_calibration()
    assert f"Expected calibration error {found.error:.3f}" in path.read_text()


@pytest.mark.slow
def test_scores_that_only_rank_are_not_drawn_as_probabilities(tmp_path):
    chosen = {"stress_predict/subject-independent-v4": ["handcrafted-linear_svm-931*"]}
    site = build_site(link_entries(tmp_path / "boards", chosen), tmp_path / "out").parent
    [path] = site.glob("stress_predict/*/*.html")
    assert "its scores only rank units" in path.read_text()
    assert "<figure" not in path.read_text()


def test_published_numbers_share_no_page_with_rows(site):
    assert "\N{MINUS SIGN}0.030" in (site / "published.html").read_text()  # strizhkova2024 S5, valence on DEAP
    assert not re.search(r"data-row|subject-independent", (site / "published.html").read_text())


def test_notes_keep_their_words_and_lose_links_that_lead_nowhere(site):
    text = (site / "stress_predict" / "index.html").read_text().partition('id="notes-title"')[2]
    assert '<a href="../hku956/index.html">board</a>' in text
    assert '<a href="https://example.org">out</a>' in text
    assert re.search(r"(?<!>)data, ", text)
    assert "&lt;b&gt;2&lt;/b&gt;" in text
    assert "a picture" in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    assert "A title" not in text
    assert "<h3>Below</h3>" in text


def test_texts_of_an_entry_are_never_read_as_html(evil_site):
    seen = 0
    for path, page in pages(evil_site).items():
        assert page.count("img") == 0, path
        scripts = [found for tag, found in page.elements if tag == "script"]
        assert all("src" in found or found["type"] == "application/json" for found in scripts), path
        seen += "alert(2)" in path.read_text()
    assert seen >= 3  # it is shown, as text: on the board, the method's page and the entry's
    assert EVIL in board_data(evil_site, "stress_predict")[0]["rows"][0]["details"]


def test_evidence_and_suspicion_of_rows_are_shown(few, tmp_path, monkeypatch):
    from embench.leaderboard import tables
    from embench.leaderboard.entries import Backing

    ranked = tables.rank_rows

    def checked(entries, target, load):
        rows, rankings = ranked(entries, target, load)
        evidence = Backing("reproduced", "another group", "2026-11-01")
        return [replace(r, evidence=evidence, suspicious=True) for r in rows], rankings

    monkeypatch.setattr(tables, "rank_rows", checked)
    site = build_site(few, tmp_path / "out").parent
    row = board_data(site, "hku956")[0]["rows"][0]
    assert row["evidence"]["level"] == "reproduced"
    assert row["suspicious"]
    text = next(site.glob("hku956/*/handcrafted-forest-*.html")).read_text()
    for words in ("by another group 2026-11-01", "all of it was run again", "Suspicious"):
        assert words in text


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda out: out.write_text("a file"), 2, "this is a file"),
        (lambda out: (out.mkdir(), (out / "thesis.tex").write_text("x")), 2, "contains other files than an"),
    ],
)
def test_a_place_with_other_things_is_refused_and_kept(make, code, words, boards, tmp_path, capsys):
    out = tmp_path / "out"
    make(out)
    before = digests(tmp_path)
    assert main(["leaderboard", "site", "--leaderboards", str(boards), "--out", str(out)]) == code
    assert words in capsys.readouterr().err
    assert digests(tmp_path) == before


def test_missing_entries_and_notes_are_said(boards, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["leaderboard", "site", "--leaderboards", str(empty), "--out", str(tmp_path / "out")]) == 3
    assert "no published entries found" in capsys.readouterr().err
    line = ["leaderboard", "site", "--leaderboards", str(boards), "--out", str(tmp_path / "out"), "--notes", "nowhere"]
    assert main(line) == 2
    assert "no such folder of notes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_predictions_that_do_not_fit_are_said(tmp_path, capsys):
    chosen = {"stress_predict/subject-independent-v4": ["unet_se-single-b0*"]}
    root = link_entries(tmp_path / "boards", chosen)
    [place] = root.glob("*/*/*")
    source = place.resolve()
    place.unlink()
    shutil.copytree(source, place)
    shutil.copytree(PUBLISHED / "stress_predict" / "shared", root / "stress_predict" / "shared")
    write_numbers(place / "predictions.npz", {"score": np.zeros(3, np.float32), "decision": np.zeros(3, np.uint8)})
    assert main(["leaderboard", "site", "--leaderboards", str(root), "--out", str(tmp_path / "out")]) == 3
    assert "do not fit the rows" in capsys.readouterr().err


def test_a_disk_that_refuses_is_the_machines_fault(few, tmp_path, capsys, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("embench.site.build.write_downloads", refuse)
    assert main(["leaderboard", "site", "--leaderboards", str(few), "--out", str(tmp_path / "out")]) == 5
    assert "No space left on device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_libraries_are_those_that_the_note_names_with_their_licences(site):
    vendor = site / "assets" / "vendor"
    named = re.findall(r"^\| `([\w.-]+)` \|", (vendor / "README.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in vendor.glob("*.js"))
    assert all((vendor / f"{Path(name).stem}.LICENSE").is_file() for name in named)
