"""`embench data report`: what stands on the page, and that nothing on it says whose signals they are."""

import re
import stat

import numpy as np
import pytest

from embench.data.find import write_synthetic
from embench.report.data_page import deal_pseudonyms, draw_signal, find_design_names

from ..data.test_faults import RATE, Signal, sound
from ..tiny.fixtures import cache
from ..tiny.world import TIMELESS, few_folds, make_subjects, plugin, write

__all__ = ["cache"]
TINY = plugin("Tiny")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    subjects = make_subjects(4, **TIMELESS, stimulus=lambda r: f"<i>film {r}" if r else "film of p01")
    subjects["p02"][1]["lost"] = {"ecg": 1.5}
    return write(tmp_path_factory.mktemp("secret_place"), subjects)


def test_a_page_of_every_recording_without_anything_that_tells_whose_it_is(embench, root, tmp_path):
    out = tmp_path / "data.html"
    done = embench("data", "report", TINY, "--data-root", root, "--protocol", few_folds(tmp_path), "--out", out)
    assert done.code == 0, done.err
    assert "signals of 4 subjects" in done.out
    html = out.read_text()
    assert html.count("<article>") == 16
    assert html.count('aria-label="eda of ') >= 16
    assert "What clock, stimulus and movement reach alone" in html
    assert "The smallest detectable difference of these 4 people" in html
    assert html.count(">lost</title>") == 1
    assert not re.search(r"p0\d|p0\d-v\d|secret_place|https?:|<script", html)
    assert html.count("stimulus &lt;i&gt;film") == 12  # and four of one whose name has an id in it
    assert "<i>film" not in html
    assert {f'id="S0{n}"' in html for n in range(1, 5)} == {True}


def test_only_some_people_are_drawn_and_unknown_ones_refused(embench, root, tmp_path):
    out = tmp_path / "data.html"
    line = ["data", "report", TINY, "--data-root", root, "--protocol", few_folds(tmp_path), "--out", out]
    done = embench(*line, "--subjects", "p01, p03", "--target", "valence")
    assert done.code == 0, done.err
    assert out.read_text().count("<article>") == 8
    for option, value, text in (
        ("--subjects", "p1", "subject `p1` does not exist"), ("--out", tmp_path / "no" / "a.html", "does not exist"),
        ("--target", "valenc", "valence"),
    ):  # fmt: skip
        refused = embench(*line, option, value)
        assert (refused.code, text in refused.err) == (2, True)


@pytest.mark.slow
def test_faults_and_a_wrong_unit_planted_in_files(embench, tmp_path):
    folder = tmp_path / "stress_predict"
    write_synthetic("stress_predict", folder, subjects=4, seed=0, effect=1.0, length_s=240, videos=False)
    for number in range(1, 5):
        eda, temp = (folder / "Raw_data" / f"S0{number}" / f"{kind}.csv" for kind in ("EDA", "TEMP"))
        rows = eda.read_text().splitlines()
        eda.write_text("\n".join([*rows[:2], *(f"{float(v) / 1000:.6f}" for v in rows[2:])]))
        if number == 2:
            rows = temp.read_text().splitlines()
            temp.write_text("\n".join([*rows[:200], *["12.50"] * 100, *rows[300:]]))
    done = embench("data", "report", "stress_predict", "--data-root", tmp_path, "--out", tmp_path / "data.html")
    assert done.code == 0, done.err
    html = (tmp_path / "data.html").read_text()
    assert "eda is given in uS with a usual median of 0.00" in html
    assert "its values look like mS" in html
    assert "temp is given" not in html
    [at] = re.findall(r'class="outside" d="M(\d+) 0h(\d+)[^"]*"><title>outside</title></path><path class="s0"', html)[
        -1:
    ]
    assert at
    assert len(re.findall(r'aria-label="temp of P0\d, recording 1', html)) == 4  # the people here are S01 to S04
    assert not re.search(r"S0\d|16442|2022-|Raw_data", html)
    assert "Synthetic data" in html
    assert html.count(">rest</i>") > 4


@pytest.mark.slow
def test_own_recordings_are_never_for_sharing(embench, tmp_path, chromium):
    study, out = tmp_path / "depression_ward_7", tmp_path / "data.html"
    write_synthetic("own", study, subjects=3, seed=0, effect=1.0, length_s=None, videos=False)
    done = embench("data", "report", study, "--out", out)
    assert done.code == 0, done.err
    assert "do not share it" in done.err
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    html = out.read_text()
    head, _, _ = html.partition("<nav")
    assert "contains participants' signals: not for sharing" in head.replace("&#39;", "'")
    names = {path.stem for path in study.rglob("*")} | {"depression_ward_7"}
    assert not [name for name in names if re.search(r"\d", name) and name in html]
    for width in (1200, 400):
        context = chromium.new_context(viewport={"width": width, "height": 900}, offline=True)
        page, messages = context.new_page(), []
        page.on("console", lambda message, kept=messages: kept.append(message.text))
        page.goto(out.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator("#zoom1").focus()
        page.keyboard.press("ArrowRight")
        wide = page.locator(".wide").first.evaluate(
            "e => e.getBoundingClientRect().width / e.parentElement.clientWidth"
        )
        assert wide == pytest.approx(2, abs=0.01)
        assert messages == []
        context.close()


def test_curves_keep_extremes_and_break_where_samples_are_lost():
    x = sound("resp")
    x[0, 800], x[0, 1200:1280] = 40.0, np.nan
    signal = Signal(x, RATE, ("belt",), "a.u.")
    [track], [close], counts = draw_signal("resp", signal, 100.0, (200, 50), np.array([50.0]))
    assert (track.width, track.rows, counts.tolist()) == (400, 1, [1520, 80, 0, 0, 0])
    [curve] = track.curves
    assert curve.count("M") == 2
    assert track.faults == (("lost", "M300 0h20v100h-20z"),)
    assert track.beats == "M200.5 0v8"
    assert "10 s from 0:45" in close.about
    heights = np.cumsum([int(v) for v in re.findall(r"-?\d+", curve.split("M")[1])[1::2]])
    assert heights.min() == 0  # the one extreme sample is at the edge
    assert heights.max() <= 100


def test_pseudonyms_are_dealt_and_no_others_id():
    dealt = [deal_pseudonyms([f"S{n:02}" for n in range(1, 31)]) for _ in range(2)]
    assert dealt[0] != dealt[1]
    assert sorted(dealt[0].values()) == [f"P{n:02}" for n in range(1, 31)]


def test_names_are_shown_if_they_are_of_a_design():
    names = ["calm", "2024-03-01", "walk_p02", "a/b", "only"]
    pairs = [(who, name) for who in ("p01", "p02") for name in names[:4]] + [("p01", "only")]
    assert find_design_names(pairs, ["p01", "p02"]) == {"calm"}
