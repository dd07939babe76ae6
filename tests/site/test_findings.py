"""What the pages say in words: what was found, what they are about, where the project is, numbers in one style."""

import re
from html import unescape

import pytest

from embench.leaderboard.tables import summarise
from embench.site.pages import in_one_style
from embench.vocabulary import label

from .conftest import pages


def first_page(site):
    """Question -> the texts of its line on the first page, in their order."""
    text = (site / "index.html").read_text()
    rows = re.findall(r'<tr role="row"><th scope="row".*?</tr>', text, re.DOTALL)
    cells = [[" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in re.split("</t[hd]>", row)] for row in rows]
    return {question: rest for question, *rest in cells}


def test_the_first_page_has_a_line_for_each_question_with_its_counts(site, sections):
    lines = first_page(site)
    [stress] = [
        line for question, line in lines.items() if "Wearable Stress" in question and "Stress tasks" in question
    ]
    section = next(s for s in sections if s.dataset == "wearable_stress" and s.associated and s.target == "stress")
    assert stress[:4] == list(summarise(section).line.values())[1:]


def test_a_question_that_cannot_be_answered_comes_last_with_the_reason(site):
    question, line = list(first_page(site).items())[-1]
    assert "everybody rested first and calculated afterwards" in question or "Too few comparisons" in question
    assert set(line[1:4]) <= {"cannot be told", "too few data"}


def test_a_leaderboard_starts_with_one_sentence_that_agrees_with_all_counts(site, sections):
    for dataset in ("eegmat", "wearable_stress"):
        text = (site / dataset / "index.html").read_text()
        section = next(s for s in sections if s.dataset == dataset and s.protocol == "subject-independent-v4")
        sentence = summarise(section).sentence
        main = text.partition('<div class="about-board"')[2]
        shown = unescape(re.search("<p[^>]*>(.*?)</p>", main)[1])
        assert shown == in_one_style(sentence)
        assert unescape(re.search('<meta name="description" content="([^"]*)">', text)[1]) == shown
        n = len(section.methods)
        assert f"{n} method" in sentence
        assert f"({n} method" in text


def test_models_without_a_signal_stand_in_a_table_of_their_own(site):
    text = (site / "stress_predict" / "index.html").read_text()
    table = re.search('<table class="models">(.*?)</table>', text, re.DOTALL)[1]
    assert table.count("always") == 1
    assert label("movement") in table


def test_pages_say_what_they_are_about(site):
    for path, page in pages(site).items():
        [about] = [
            found["content"] for tag, found in page.elements if tag == "meta" and found.get("name") == "description"
        ]
        assert len(about) > 50, path


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ([], {}),
        (["Homepage, https://example.org"], {}),
        (["Documentation, https://d.example", "Repository, ftp://r.example"], {"documentation": "https://d.example"}),
        (
            ["Repository, https://r.example/a/b.git"],
            {
                "documentation": "https://r.example/a/b/blob/main/docs",
                "repository": "https://r.example/a/b.git",
                "rows": "https://r.example/a/b/blob/main/CONTRIBUTING.md#sending-a-row",
            },
        ),
    ],
)
def test_pages_link_what_the_package_names_and_nothing_else(urls, expected, monkeypatch):
    from email.message import Message

    from embench.site import pages as site_pages
    from embench.site.pages import render

    about = Message()
    for url in urls:
        about["Project-URL"] = url
    monkeypatch.setattr(site_pages, "metadata", lambda _: about)
    site_pages.addresses.cache_clear()
    try:
        text = render("methods.html", 1, pages=[])
        assert re.findall('href="(https?:[^"]*)"', text) == [
            expected[name] for name in ("documentation", "repository") if name in expected
        ]
        assert site_pages.addresses() == expected
    finally:
        site_pages.addresses.cache_clear()


def test_numbers_have_one_style_on_all_pages(site):
    for path in sorted(site.rglob("*.html")):
        text = re.sub("<(pre|code|script|style)[ >].*?</\\1>", "", path.read_text(), flags=re.DOTALL)
        for shown in re.findall(">([^<]+)<", text):
            assert not re.search(r"(?<![\w.\-/\N{EN DASH}])(-\.?\d|\.\d)", shown), f"{path}: {shown}"


def test_a_reason_that_many_scores_share_is_told_once(site):
    [path] = site.glob("eegmat/subject-independent-v4/*.html")
    assert path.read_text().count("the release hides when units were recorded") == 1
