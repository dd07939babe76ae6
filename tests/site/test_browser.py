"""The site in a real Chromium from a disk, without a network: its table, its comparison, its address, its look."""

import re
from pathlib import Path

import pytest

from embench.site import build_site
from embench.statistics import comparison

from ..published import PUBLISHED, link_entries
from ..sample import proof
from .conftest import CHOSEN, FULL_BOARD

pytestmark = pytest.mark.slow
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
BOARD = "stress_predict/index.html"
SEALED_BOARD = "hku956/subject-independent-v4"
KINDS = ("index.html", "add.html", BOARD, "hku956/index.html", "transfer.html", "published.html", "methods/index.html")


@pytest.fixture(scope="module")
def site(notes, tmp_path_factory):
    """The site with as many rows on a board as are sorted, filtered and paired here."""
    root = link_entries(tmp_path_factory.mktemp("browsed"), {**CHOSEN, FULL_BOARD: [
        "handcrafted-svm-*", "unet_se-single-*", "cnn_mlp-cross_attn-*",
    ], SEALED_BOARD: ["handcrafted-forest-*"]})  # fmt: skip
    return build_site(root, tmp_path_factory.mktemp("browsed_site") / "out", notes_folder=notes).parent


@pytest.fixture
def visit(chromium, site, evil_site):
    """Opens a page of the site. What it says on the console, or asks for from elsewhere, fails the test."""
    contexts, messages, requests = [], [], []

    def opened(page, scheme="light", width=1280, bypass_csp=False):
        context = chromium.new_context(
            color_scheme=scheme, offline=True, viewport={"width": width, "height": 900}, bypass_csp=bypass_csp
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(page if page.startswith("file:") else f"{site.as_uri()}/{page}")
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert messages == []
    assert [url for url in requests if not url.startswith(("data:", site.as_uri(), evil_site.as_uri()))] == []


def entry_page(site):
    return next(site.glob("stress_predict/subject-independent-v4/handcrafted-svm-*.html")).relative_to(site).as_posix()


def rows(page):
    return page.locator("#rows tbody tr[data-row]").evaluate_all("all => all.map(row => row.dataset.row)")


def scores(page):
    texts = page.locator("#rows tbody tr").evaluate_all(
        "all => all.map(row => row.querySelector('.num b')?.textContent ?? '')"
    )
    return [float(text) for text in texts if text]


def test_columns_sort_with_mouse_and_keyboard(visit):
    page = visit(BOARD)
    usual = rows(page)
    head = page.locator("#rows th", has=page.locator("[data-sort=score]"))
    assert head.get_attribute("aria-sort") == "none"
    page.locator("[data-sort=score]").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert scores(page) == sorted(scores(page), reverse=True)
    page.keyboard.press("Enter")  # the head that was clicked still has the focus
    assert head.get_attribute("aria-sort") == "ascending"
    assert scores(page) == sorted(scores(page))
    page.keyboard.press("Enter")
    assert rows(page) == usual


def test_filters_and_search_keep_the_rows_that_fit(visit):
    page = visit(BOARD)
    every = rows(page)
    page.select_option("#f-kind", "network")
    networks = rows(page)
    assert 0 < len(networks) < len(every)
    assert all(re.match("unet_se|cnn_mlp", row) for row in networks)
    page.select_option("#f-modality", "eda")
    assert {row.partition("-")[0] for row in rows(page)} == {"cnn_mlp"}
    assert page.locator("#found").inner_text() == f"{len(rows(page))} of {len(every)} entries"
    assert len(rows(page)) < len(networks)
    page.get_by_role("button", name="Reset").click()
    assert rows(page) == every
    page.fill("#search", "SVM eda")
    assert 0 < len(rows(page)) < len(every)
    page.fill("#search", "")
    page.check("#f-clears")
    assert 0 < len(rows(page)) < len(every)
    page.select_option("#f-kind", "network")
    page.select_option("#f-modality", "eda")
    assert rows(page) == []
    assert page.locator("#rows .empty").inner_text() == "No entry matches."


def test_columns_can_be_chosen(visit):
    page = visit(BOARD)
    assert "auroc_within" not in page.locator("#rows thead").inner_text()
    page.locator("#columns summary").click()
    page.get_by_role("checkbox", name="auroc_within", exact=True).check()
    page.get_by_role("checkbox", name="audit", exact=True).uncheck()
    head = page.locator("#rows thead").inner_text()
    assert "auroc_within" in head
    assert "audit" not in head
    assert "cols=" in page.url


def test_every_column_is_explained_on_the_page(visit):
    page = visit(BOARD)
    named = page.locator("#explained dt").all_inner_texts()
    assert {"rank", "above chance", "evidence", "evaluations: test / methods / validation"} <= set(named)
    assert all(len(text) > 10 for text in page.locator("#explained dd").all_inner_texts())


def test_an_address_restores_what_was_chosen(visit):
    page = visit(BOARD)
    page.select_option("#board", label=page.locator("#board option", has_text="Wearable Stress").inner_text())
    page.fill("#search", "svm")
    page.locator("[data-sort=method]").click()
    page.locator("#columns summary").click()
    page.get_by_role("checkbox", name="seeds", exact=True).check()
    again = visit(page.url)
    assert again.locator("#board").input_value() == page.locator("#board").input_value() != ""
    assert again.locator("#rows").inner_text() == page.locator("#rows").inner_text()
    assert again.locator("th[aria-sort=ascending]").inner_text().startswith("method")
    assert "svm" in again.locator("#search").input_value()


def with_summands(page):
    """Rows that were tested on the same units, and say what groups of subjects add to their score."""
    return page.evaluate(
        """() => {
            const fits = board.pairs.filter(pair => pair).map(pair => pair.fits);
            const most = fits.sort((a, b) => fits.filter(f => f === b).length - fits.filter(f => f === a).length)[0];
            return board.rows.filter((row, k) => board.pairs[k]?.fits === most).map(row => row.id);
        }"""
    )


def test_two_rows_compare_as_in_python(visit):
    page = visit(BOARD)
    names = with_summands(page)
    assert len(names) >= 5
    folder = PUBLISHED / "stress_predict" / "subject-independent-v4"
    few = next(i for i, name in enumerate(names) if name.startswith("unet_se"))
    for one, other in ((0, few), (few, 1), (2, few)):  # a page compares in the partitions that all of its rows have
        a, b = names[one], names[other]
        found = page.evaluate(
            "([a, b]) => Statistics.compare(board, ...[a, b].map(id => board.rows.findIndex(row => row.id === id)))",
            [a, b],
        )
        expected = comparison.compare(folder / a, folder / b)
        assert found["p"] == pytest.approx(expected.p, abs=5e-4)
        for name in ("low", "high"):
            assert found[name] == pytest.approx(getattr(expected.difference, name), abs=5e-6)
        assert found["difference"] == pytest.approx(expected.difference.mean, abs=5e-6)
        assert found["smallest"] == pytest.approx(expected.smallest_detectable, abs=5e-6)


def test_means_over_subjects_are_paired_as_in_python(visit):
    """A score of which entries hold the values of subjects: a t interval over groups, which need not be single."""
    import numpy as np

    from embench.statistics.intervals import (
        mean_over_subjects,
        paired_difference,
        shared_training_test,
        sign_flips,
        smallest_detectable,
        training_overlap,
        widen,
    )

    rng = np.random.default_rng(3)
    groups = np.array([0, 0, 1, 2, 2, 3, 4, 5, 6, 7])
    values = rng.normal(0.6, 0.1, (2, 10))
    values[1] -= 0.05
    by_seed = rng.normal(0.075, 0.02, (2, 3, 8))
    trained = rng.random((3, 8, 8)) < 0.7
    one, other = (mean_over_subjects(v, groups) for v in values)
    shared = training_overlap(by_seed[0] - by_seed[1], trained)
    gap = widen(paired_difference(one, other, groups), shared)
    contributions = np.array([np.bincount(groups, v) / 10 for v in values])
    pairs = [
        {"fits": "f", "contributions": a.tolist(), "by_seed": s.tolist(), "values": v.tolist()}
        for a, s, v in zip(contributions, by_seed, values, strict=True)
    ]
    from embench.site.entry_page import _quantiles

    fit = {"trained": [["".join(map(str, map(int, row))) for row in seed] for seed in trained],
           "codes": groups.tolist(), "quantiles": _quantiles(8)}  # fmt: skip
    found = visit(BOARD).evaluate(
        "([pairs, fit]) => Statistics.compare({pairs, rows: [], fits: {f: fit}}, 0, 1)", [pairs, fit]
    )
    assert found["p"] == pytest.approx(
        shared_training_test(sign_flips(contributions[0] - contributions[1]), shared), abs=1e-9
    )
    assert [found["low"], found["high"]] == pytest.approx([gap.low, gap.high], abs=1e-8)
    assert found["smallest"] == pytest.approx(smallest_detectable(gap.error, gap.df), abs=1e-8)


def test_two_ticked_rows_are_compared_in_words_and_as_a_picture(visit):
    page = visit(BOARD)
    for name in with_summands(page)[:2]:
        page.locator(f"[data-compare='{name}']").check()
    text = page.locator("#comparison").inner_text()
    assert re.search("cannot be told apart|is better than", text)
    assert "80 % power" in text
    assert "34" in text
    assert page.locator("#comparison-chart rect").count() >= 30
    assert "a=" in page.url
    assert "b=" in page.url


def test_a_bar_leads_from_two_ticked_rows_to_their_comparison_and_a_third_is_refused(visit):
    page = visit(BOARD)
    bar, ticks = page.locator("#chosen"), page.locator("[data-compare]")
    assert not bar.is_visible()
    ticks.nth(0).check()
    assert "Tick another entry" in bar.inner_text()
    assert not bar.get_by_role("button", name="Compare A and B").is_visible()
    ticks.nth(1).check()
    ticks.nth(2).click()
    assert [ticks.nth(k).is_checked() for k in range(3)] == [True, True, False]
    assert "untick one" in bar.inner_text()
    bar.get_by_role("button", name="Compare A and B").click()
    assert page.evaluate("document.activeElement.id") == "compare-title"
    assert page.locator("#compare-title").bounding_box()["y"] < 450
    bar.get_by_role("button", name="Clear").click()
    assert not bar.is_visible()
    assert "a=" not in page.url


def test_what_all_rows_share_is_told_once_and_rows_are_low(visit):
    page = visit(BOARD, width=1440)
    assert "self-reported" in page.locator("#same").inner_text()
    assert "evidence" not in page.locator("#rows thead").inner_text()
    heights = page.locator("#rows tr[data-row]").evaluate_all("all => all.map(row => row.offsetHeight)")
    assert sorted(heights)[len(heights) // 2] <= 100  # three lines: answers stand with their numbers
    assert page.evaluate("getComputedStyle(byId('rows-box')).overflowY") == "visible"


def test_a_phone_shows_the_score_without_scrolling_sideways(visit):
    page = visit(BOARD, width=390)
    box = page.locator("#rows tr[data-row] .num").first.bounding_box()
    assert box["x"] + box["width"] <= 390


def test_rows_that_cannot_be_paired_are_compared_by_intervals_and_say_so(visit):
    page = visit("hku956/index.html")
    page.select_option("#row-a", index=1)
    page.select_option("#row-b", index=2)
    text = page.locator("#comparison").inner_text()
    assert "cannot be compared subject by subject" in text
    assert "\np\n" not in text


def test_texts_of_an_entry_run_nothing(visit, evil_site):
    page = visit(f"{evil_site.as_uri()}/{BOARD}#cols=rank,method,score,audit,recipe,run")
    [row] = rows(page)
    assert "script>" in page.locator(f"[data-row='{row}']").inner_text()  # the last part of its pretrainer's name
    page.select_option("#row-a", row)
    page.locator(f"[data-compare='{row}']").focus()
    page.locator("#cost-chart circle[tabindex]").first.focus()
    assert "script>" in page.locator("#cost-chart .tip").inner_text()
    assert page.locator("img, script:not([src]):not(#data)").count() == 0


def test_dots_of_the_chart_can_be_reached_and_say_what_they_are(visit):
    page = visit(BOARD)
    dots = page.locator("#cost-chart circle[tabindex]")
    assert dots.count() == len(rows(page))
    dots.first.focus()
    page.keyboard.press("ArrowRight")
    tip = page.locator("#cost-chart .tip")
    assert tip.is_visible()
    assert tip.inner_text() == dots.nth(1).get_attribute("aria-label")
    page.select_option("#cost-axis", "parameters")
    assert "cost=parameters" in page.url
    page.locator("summary", has_text="Data of the chart").click()
    assert page.locator("#cost-table tbody tr").count() == dots.count()


def test_a_row_leads_to_its_entry_and_the_entry_to_its_files(visit):
    page = visit(BOARD)
    page.locator("#rows tbody th a").first.click()
    page.wait_for_url("**/handcrafted-svm-*.html")
    assert "Repeat it" in page.locator("main").inner_text()
    page.locator("summary", has_text="run.yaml").click()
    assert page.locator("details pre").is_visible()
    page.get_by_role("link", name="scores.json").click()
    page.wait_for_url("**/scores.json")
    assert '"primary_metrics"' in page.locator("body").inner_text()


@pytest.mark.parametrize("kind", [*KINDS, "wearable_stress/index.html", "eegmat/index.html"])
def test_no_column_is_cut_on_a_screen_of_1440_px(visit, kind):
    page = visit(kind, width=1440)
    wide = "all => all.filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.ariaLabel)"
    assert page.locator("main .scroll").evaluate_all(wide) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440


@pytest.mark.parametrize("kind", [*KINDS, "methods/handcrafted-svm.html", "entry"])
def test_pages_fit_a_phone(visit, site, kind):
    page = visit(entry_page(site) if kind == "entry" else kind, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize(
    ("scheme", "width"),
    [("light", 1440), ("dark", 390), *(pytest.param(*look, marks=proof) for look in (("light", 390), ("dark", 1440)))],
)
@pytest.mark.parametrize("kind", [*KINDS, "methods/handcrafted-svm.html", "entry"])
def test_axe_finds_nothing_serious(visit, site, kind, scheme, width):
    page = visit(entry_page(site) if kind == "entry" else kind, scheme, width, bypass_csp=True)
    if kind == BOARD:
        for name in with_summands(page)[:2]:
            page.locator(f"[data-compare='{name}']").check()
        if not page.locator("#columns summary").is_visible():
            page.locator("#finder > summary").click()  # folded on a phone
        page.locator("#columns summary").click()
    for summary in page.locator("details:not(#columns) > summary:visible").all():
        summary.click()
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run({preload: false})")  # which would read style sheets as no page from a disk may
    bad = [
        (issue["id"], issue["help"], [node["html"][:150] for node in issue["nodes"][:3]])
        for issue in found["violations"]
        if issue["impact"] in ("serious", "critical")
    ]
    assert bad == []


def test_dark_pages_are_dark(visit):
    grounds = {}
    for scheme in ("light", "dark"):
        colour = visit("index.html", scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        grounds[scheme] = sum(map(int, re.findall(r"\d+", colour)[:3]))
    assert grounds["dark"] < 120 < 600 < grounds["light"]


def test_the_first_stop_of_the_keyboard_skips_to_the_content(visit):
    page = visit(BOARD)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
