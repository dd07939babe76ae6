"""Pretraining corpora of papers: runs of claims and printed rows use them where they are present, and notes say so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from embench.claims.files import AnyClaim, MeasuredClaim, PrintedRow
from embench.data.find import find_source
from embench.errors import EmbenchError
from embench.interfaces.recording import parse_modality
from embench.planning.method import split_datasets


class CorpusOfRun(NamedTuple):
    """Corpora of a paper for a modality of a run. If they are not `present`, the run pretrains on its own data."""

    corpora: str
    modality: str
    present: bool


def choose_pretraining(
    stated: Mapping[str, Any], corpora: Mapping[str, str], dataset: str, data_root: Path | None
) -> tuple[tuple[str, ...], list[CorpusOfRun]]:
    """Return the pretrainers of a run, with the paper's corpora as sources of each modality that these have; and the
    data of each modality.

    Args:
        stated: option -> value, as a claim or a printed row states them.
        corpora: pretrainer -> the paper's corpora, joined by plus signs. The training part of `dataset` is added.
    """
    options, used = list[str](), list[CorpusOfRun]()
    for name in stated.get("pretrainer") or ():
        modalities = [m.strip() for m in (stated.get("modalities") or "").split(",") if name in corpora and m.strip()]
        data = [CorpusOfRun(corpora[name], m, _has_modality(corpora[name], m, data_root)) for m in modalities]
        source = f"{name}:{corpora.get(name)}+{dataset}"
        if len({each.present for each in data}) > 1:
            options += [f"{each.modality}={source if each.present else name}" for each in data]
        else:
            options.append(source if data and data[0].present else name)
        used += data
    return tuple(options), used


def _has_modality(corpora: str, modality: str, data_root: Path | None) -> bool:
    """Return True if all corpora are present and have the modality. A faulty corpus counts, and planning refuses it."""
    for name in split_datasets(corpora):
        source = find_source(name, data_root)
        if not source.folder.is_dir():
            return False
        try:
            known = source.reader.card.modalities
        except EmbenchError:
            continue
        if any(name not in known for name, _ in parse_modality(modality)):
            return False
    return True


def describe_pretraining(
    rows: Sequence[PrintedRow], claims: Sequence[AnyClaim], dataset: str, data_root: Path | None
) -> list[str]:
    """Return sentences on the data that a paper's rows and claims pretrain on, and on corpora that are not present."""
    titles = defaultdict[CorpusOfRun, list[str]](list)
    runs = [(row.row, row.run.stated, row.corpora) for row in rows]
    for claim in claims:
        if isinstance(claim, MeasuredClaim):
            sides = [run.stated for run in claim.runs.values()]
        else:
            sides = [claim.options("a", dataset), claim.options("b", dataset)]
        runs += [(f"claim {claim.id}", stated, claim.corpora) for stated in sides]
    for title, stated, corpora in runs:
        for used in choose_pretraining(stated, corpora, dataset, data_root)[1]:
            titles[used].append(title)
    notes = []
    for used, named in titles.items():
        own = f"{', '.join(dict.fromkeys(named))}: pretrained on {used.modality} of the training part of {dataset}"
        absent = f" alone, not on the paper's corpora: no `{used.corpora}` with {used.modality} is below the data root."
        notes.append(f"{own} and of `{used.corpora}`." if used.present else own + absent)
    return notes
