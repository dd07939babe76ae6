"""The participants and design of a study of one's own, in sentences for a methods section."""

from __future__ import annotations

from collections import Counter

import numpy as np

from embench.data.find import open_dataset
from embench.errors import EmbenchError
from embench.records.record import is_own
from embench.records.wording import join_with_and
from embench.report.facts import RunFacts
from embench.report.text import escape


def describe_sample(run: RunFacts) -> list[str]:
    """Return sentences on the sex and age of scored participants, as their table has them, and on stimuli, orders and
    signals; none of datasets that others published."""
    if not is_own(run.manifest.dataset.name):
        return []
    return [*_participants(run), *_design(run)]


def _participants(run: RunFacts) -> list[str]:
    subjects = run.manifest.cohort.subjects
    try:
        reader = open_dataset(run.manifest.dataset.name, None)
        known = [] if isinstance(subjects, int) else [reader.subject_info(subject) for subject in subjects]
    except EmbenchError:  # the folder is not named
        known = []
    sentences = []
    if sexes := Counter(facts["sex"] for facts in known if facts.get("sex")):
        sentences.append(f"Sex as recorded: {join_with_and([f'{escape(k)} {n}' for k, n in sexes.most_common()])}.")
    ages = [
        float(age) for facts in known if (age := facts.get("age", "").replace(",", ".")).replace(".", "", 1).isdigit()
    ]
    if len(ages) > 1:
        spread = f"M = {np.mean(ages):.1f}, SD = {np.std(ages, ddof=1):.1f}, range {min(ages):g} to {max(ages):g}"
        sentences.append(
            f"Age in years: {spread}{'' if len(ages) == len(known) else f', of {len(ages)} participants'}."
        )
    return sentences


def _design(run: RunFacts) -> list[str]:
    own = run.record.predictions.own
    rows = own.take(own["seed"] == own["seed"].min()) if len(own) else own
    shown: dict[str, dict[str, float]] = {}
    for subject, stimulus, start in zip(rows["subject"], rows["stimulus"], rows["start_s"], strict=True):
        starts = shown.setdefault(str(subject), {})
        starts[str(stimulus)] = min(float(start), starts.get(str(stimulus), np.inf))
    if not shown:
        return []
    counts = [len(starts) for starts in shown.values()]
    each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    text = f"Each participant had {each} of {len({name for starts in shown.values() for name in starts})} stimuli"
    if all(np.isfinite(list(starts.values())).all() for starts in shown.values()):
        orders = {tuple(sorted(starts, key=starts.__getitem__)) for starts in shown.values()}
        text += f", in {len(orders)} different orders" if len(orders) > 1 else ", in one order"
    return [f"{text}."]
