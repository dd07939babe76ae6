"""Earlier wordings of audit findings, as published entries have them. Read only: nothing writes them any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

EARLIER: Mapping[str, tuple[str, ...]] = {
    "the scores follow the time since the start: report": ("the scores follow the clock: report",),
    "do not present this score as evidence of a physiological effect": ("claim nothing of the body by this score",),
    "proportion of the session that has passed": ("share of the session that is over",),
    "at a similar length of the session": ("at a like length of the session",),
    "position in the files": ("place in the files",),
    "differ from those that the rules of the dataset card make": ("differ from those that the card's rules make",),
    "the data on this machine, or the code that prepares them, differ from those of the run": (
        "the data here, or the code that prepares them, are not those of the run",
    ),
    "part of the score depends on which session is longer: report the balanced score too": (
        "part of the score comes from whose session is longer: present the balanced score beside it",
    ),
    "report this with the method: the statistic alone predicts nearly as well": (
        "say so where the method is presented: this statistic alone tells nearly as much",
    ),
    "{not_associated}": ("{not_added}",),
    "the score is not above these confound-only models, by the interval of the difference: {listed}": (
        "the method is not shown to be better than {listed}",
        "the method is not shown to lie above {listed}",
    ),
    "confound-only models that score higher than the method": ("controls that score higher than the method",),
    "on average, more than expected by chance": ("on the average, beyond what is luck",),
    "use scores as ranks only: decisions, F1 and accuracy depend on a threshold that does not fit": (
        "use scores as ranks only: decisions, F1 and accuracy depend on a cut that does not fit",
        "read scores as ranks; decisions, F1 and accuracy hang on a cut that does not fit",
    ),
    "the same validation subjects were used for {n} decisions": ("the same validation people decided {n} things",),
    "test scores are not affected; scores of --dev runs are too high": (
        "nothing is wrong with the test scores; scores of --dev runs are too good",
    ),
    "{tried} methods, including this one, were scored on these test subjects": (
        "{tried} methods were scored on these test people before or with this one",
    ),
    "compare methods with --dev, and evaluate on the test labels once": (
        "choose among methods with --dev, and open the test labels once",
    ),
}
"""Part of a text of today -> what stood in its place."""

NOT_ADDED = "on {target}, the method is not shown to add to {given}"
NAMES_THEN = {
    "time and movement": "clock and movement",
    "the protocol phase": "clock and movement",
    "the time since the start": "the clock",
}
"""Confounds -> what `NOT_ADDED` called them: two levels by one name, so that the entry's scores tell which is meant."""


def wordings(template: str) -> Iterator[str]:
    """A text, then its earlier wordings."""
    yield template
    for now, earlier in EARLIER.items():
        if now in template:
            yield from (template.replace(now, before) for before in earlier)
