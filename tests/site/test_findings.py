"""What the pages say in words: what was found, what they are about, where the project is, numbers in one style."""

import re

import pytest

from .conftest import pages


def first_page(site):
    """Question -> the texts of its line on the first page, in their order."""
    text = (site / "index.html").read_text()
    rows = re.findall(r'<tr role="row"><th scope="row".*?</tr>', text, re.DOTALL)
    cells = [[" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in re.split("</t[hd]>", row)] for row in rows]
    return {question: rest for question, *rest in cells}


def test_the_first_page_has_a_line_for_each_question_with_row_control_and_what_adds(site, sections):
    lines = first_page(site)
    [stress] = [line for question, line in lines.items() if "wearable_stress, stress" in question]
    section = next(s for s in sections if s.dataset == "wearable_stress" and s.adding and s.target == "stress")
    assert not any(row.rank for row in section.methods)  # they have no attestation here
    best = max(section.methods, key=lambda row: row.score.mean)
    control = section.controls[0]  # they are in the order of their scores
    labels, people, row, strongest, adds, *_ = stress
    assert (labels, people) == ("task", str(best.subjects))
    assert "not ranked" in row
    assert row.startswith(f"{best.score.mean:.3f} [{best.score.low:.3f}, {best.score.high:.3f}]")
    assert strongest.startswith(f"{control.score.mean:.3f} [")
    assert adds.startswith(f"{section.adding.adding} of {section.adding.asked}")


def test_boards_without_a_headline_come_last_and_name_what_beats_them(site):
    question, line = list(first_page(site).items())[-1]
    assert question.startswith("Mental arithmetic or rest, from EEG and ECG?")
    assert "the headline can't be estimated" in line[2].replace("&#39;", "'")
    assert "a clock (elapsed_time): no row is higher" in line[3]
    assert line[4] in ("can't be asked", "can&#39;t be asked")


def test_a_boards_first_sentence_is_its_finding_with_the_strongest_control(site):
    for dataset, words in (("eegmat", "and a clock (elapsed_time) alone reaches more, 1.000"),
                           ("wearable_stress", "and the strongest control, movement, ")):  # fmt: skip
        text = (site / dataset / "index.html").read_text()
        main = text.partition('<div class="about-board"')[2]
        assert words in re.search("<p[^>]*>(.*?)</p>", main)[1].partition(". ")[0]
        assert words in re.search('<meta name="description" content="([^"]*)">', text)[1]


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

    from embench.site import addresses
    from embench.site.pages import render

    about = Message()
    for url in urls:
        about["Project-URL"] = url
    monkeypatch.setattr(addresses, "metadata", lambda _: about)
    addresses.addresses.cache_clear()
    try:
        text = render("methods.html", 1, pages=[])
        assert re.findall('href="(https?:[^"]*)"', text) == [
            expected[name] for name in ("documentation", "repository") if name in expected
        ]
        assert addresses.addresses() == expected
    finally:
        addresses.addresses.cache_clear()


def test_numbers_have_one_style_on_all_pages(site):
    for path in sorted(site.rglob("*.html")):
        text = re.sub("<(pre|code|script|style)[ >].*?</\\1>", "", path.read_text(), flags=re.DOTALL)
        for shown in re.findall(">([^<]+)<", text):
            assert not re.search(r"(?<![\w.\-/\N{EN DASH}])(-\.?\d|\.\d)", shown), f"{path}: {shown}"


def test_a_reason_that_many_scores_share_is_told_once(site):
    [path] = site.glob("eegmat/subject-independent-v3/*.html")
    assert path.read_text().count("the release hides when units were recorded") == 1
