"""The page of combinations is what plugins declare today."""

from .combinations import PAGE, written


def test_the_page_has_the_tables_of_the_bundled_plugins():
    """Plugins changed on purpose: then `python -m tests.docs.combinations` writes the tables anew."""
    text = PAGE.read_text("utf-8")
    assert written(text) == text
