"""A report in a real Chromium without a network: nothing asked of anybody, no error, every picture there."""

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(params=["light", "dark"])
def opened(request, chromium, kinds):
    """The report's page, and what was said and asked while it opened."""
    context = chromium.new_context(color_scheme=request.param, offline=True, viewport={"width": 390, "height": 800})
    page, messages, requests = context.new_page(), [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda asked: requests.append(asked.url))
    page.goto(kinds.html.as_uri())
    yield page, messages, requests
    context.close()


def test_it_opens_offline_without_an_error(opened, kinds):
    _, messages, requests = opened
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [kinds.html.as_uri()]


def test_every_picture_is_drawn_and_fits_a_narrow_screen(opened):
    page, _, _ = opened
    pictures = page.locator("figure svg.drawing")
    sizes = pictures.evaluate_all("all => all.map(e => [e.getBoundingClientRect(), e.querySelectorAll('path').length])")
    assert len(sizes) > 10
    for place, paths in sizes:
        assert place["width"] > 200
        assert place["height"] > 60
        assert paths > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_words_in_pictures_stand_inside_them(opened):
    page, _, _ = opened
    outside = page.evaluate(
        """() => [...document.querySelectorAll('svg.drawing')].flatMap(svg => {
            const all = svg.getBoundingClientRect();
            return [...svg.querySelectorAll('text')].filter(text => {
                const own = text.getBoundingClientRect();
                return own.left < all.left - 1 || own.right > all.right + 1 || own.bottom > all.bottom + 1;
            }).map(text => text.textContent);
        })"""
    )
    assert outside == []


def test_words_can_be_read_on_their_ground(opened):
    """WCAG's contrast of 4.5 to 1 for text."""
    page, _, _ = opened
    worst = page.evaluate(
        """() => {
            const light = colour => {
                const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
                    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ground = element => {
                for (let e = element; e; e = e.parentElement) {
                    const colour = getComputedStyle(e).backgroundColor;
                    if (!/, 0\\)$|transparent/.test(colour)) return colour;
                }
                return 'rgb(255, 255, 255)';
            };
            const words = document.querySelectorAll('p, a, dt, dd, th, td, summary, h1, h2, figcaption, text');
            return Math.min(...[...words].map(e => {
                const own = getComputedStyle(e)[e.tagName === 'text' ? 'fill' : 'color'];
                const pair = [light(own), light(ground(e))].sort((a, b) => b - a);
                return (pair[0] + 0.05) / (pair[1] + 0.05);
            }));
        }"""
    )
    assert worst >= 4.5


def test_tables_open_with_the_keyboard(opened):
    page, _, _ = opened
    first = page.locator("figure details").first
    first.locator("summary").focus()
    page.keyboard.press("Enter")
    assert first.locator("table").is_visible()
    assert first.locator("tbody tr").count() > 1


def test_tables_are_whole_on_the_screen_and_on_paper(opened):
    page, _, _ = opened
    cut = """() => [...document.querySelectorAll('.scroll')].filter(e => !e.closest('details'))
        .filter(e => e.scrollHeight > e.clientHeight + 1).map(e => e.getAttribute('aria-label'))"""
    assert page.evaluate(cut) == []
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 with Chromium's margins
    beyond = """() => [...document.querySelectorAll('svg.drawing')].filter(e => !e.closest('details'))
        .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth).length"""
    assert page.evaluate(cut) == []
    assert page.evaluate(beyond) == 0


def test_the_subjects_picture_is_whole_on_a_narrow_screen(opened):
    page, _, _ = opened
    edges = page.locator("#subjects svg.drawing").evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
    assert edges
    assert max(edges) <= 390
