"""What stops each kind of forgery, as `docs/why/forgeries.md` lists it: made of the attacks that the tests try."""

from __future__ import annotations

from bench.markdown import table

from ..docs.pages import ROOT
from . import test_copies, test_declared_words, test_levels

PAGE = ROOT / "docs" / "why" / "forgeries.md"
ABOUT = {
    "confound_only": "weaker ones, those of others, fewer, or said not to apply",
    "predictions": "of another seed, method or control, smoothed, or made with the labels",
    "predictions changed later": "after somebody attested the entry, or once it was on the board",
    "predictions moved very little": "no score by more than .005, as by other versions of libraries",
    "a method of one's own": "by a plugin whose package nobody has",
    "folds and groups": "people who change their folds, or of whom two are one",
    "labels and people": "somebody else's labels, or people or units left out",
    "labels of files said to be others": "so that they are not compared",
    "units without a signal": "errors that are counted as such",
    "times and stimuli": "when units begin and how long sessions are, which decides who is compared",
    "summands": "by which rows are ranked",
    "the answers given time and movement": "",
    "what else the entry shows": "a score left out or by a metric of one's own, "
    "labels that are sealed though public, their rule, settings, "
    "the kind of method, the share that was predicted, the answers, people in no fold",
    "what else the data show": "who was left out, and why",
    "an audit of something else": "the neighbour's, under this entry's name",
    "what happened on the board": "an entry revived, or changed, or that brings its attestation",
    "an entry twice": "somebody else's, under another id",
    "words of a person": "an audit or attestation by hand, looks, time",
}
"""Kind of `test_levels.FORGERIES` -> what is forged."""
OTHERS = (
    ("what an entry says of its files and code", "so that nothing is compared", "`verify --data-root`", "no",
     "silent_checks"),
    ("words of run.yaml", ", ".join(test_declared_words.WORDS), "`verify`", "yes", "declared_words"),
    ("words that no other entry shares", "so that models without a signal are compared with nobody",
     "no rank, and it sets no model", "listed", "declared_words"),
    ("copies", ", ".join(test_copies.CHANGES), "`verify --previous`", "yes", "copies"),
    ("nonces", "ground by the checker, older than the entry, or brought by a pull request", "`build`", "yes", "nonces"),
    ("withheld labels", "tables of labels tried until a digest fits", "the secret of own data", "-", "withheld"),
    ("withheld labels that can be enumerated", "one label of each of a few subjects", "`submit`", "-", "withheld"),
)  # fmt: skip
"""Kind, what is forged, what stops it, whether CI does, and the file of the attacks, of those of other files."""


def forgeries() -> str:
    rows = []
    for kind, of in test_levels.FORGERIES.items():
        stops = {(each.level, "yes" if each.ci or each.level == test_levels.VERIFY else "no") for each in of.values()}
        rows += [[f"{kind}: {ABOUT[kind]}", str(len(of)), level, ci, "`test_levels`"] for level, ci in sorted(stops)]
    rows += [[f"{kind}: {what}", "", level, ci, f"`test_{file}`"] for kind, what, level, ci, file in OTHERS]
    return table(["what is forged", "forgeries", "stopped by", "in CI", "attacks"], rows)
