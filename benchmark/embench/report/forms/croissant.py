"""Croissant 1.0 metadata (JSON-LD) with the fields of its RAI vocabulary 1.0, of a dataset or of a board.

The formats are described at https://docs.mlcommons.org/croissant/docs/croissant-spec.html and
https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html. embench ships no data: the files of a dataset are
those at its source. The file of a board is a table of its rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from embench import registry
from embench.data.find import card_of, is_folder, place
from embench.errors import UsageError
from embench.interfaces.dataset import Card, Download
from embench.interfaces.units import Target
from embench.leaderboard.sections import BoardSection
from embench.records.wording import counted, format_value, in_words
from embench.report.latex.bibliography import citation_file
from embench.statistics.metrics import metric_facts

_TERMS = (
    "citeAs column equivalentProperty extract field fileProperty fileObject fileSet format includes isLiveDataset "
    "jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate separator source "
    "subField transform"
)
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    **{name: f"cr:{name}" for name in _TERMS.split()},
}
_CONFORMS = ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
_TYPES = {int: "sc:Integer", float: "sc:Float", bool: "sc:Boolean"}
_FIXED_ORDER = "Tasks came in one order for all subjects"


def dataset_croissant(name: str) -> str:
    """A dataset's metadata, as its card and its registry entry have them.

    Raises:
        UsageError: there is no such dataset, or it has no public source. PluginError: its package cannot be loaded.
    """
    entry = place(name, None)[0]
    card: Card = card_of(name, None) if is_folder(name) else registry.load("dataset", entry.full_name).card
    address = entry.address or (f"https://doi.org/{card.doi}" if card.doi else "")
    if not address:
        raise UsageError(
            f"{card.name} has no source that others could get it from", where="--croissant", expected="a public dataset"
        )
    signals = "; ".join(
        f"{m} ({len(own.channels)} channels, {own.rate:g} Hz, {own.unit})" for m, own in card.modalities.items()
    )
    labels = [f"{in_words(t.name)}: {_label_rule(t)}" for t in card.targets]
    limits = [
        f"{_FIXED_ORDER}, so that the time since the start may predict a label." if card.fixed_order else "",
        f"Availability: {entry.availability}." if entry.availability else "",
        "Labels may not be published." if card.labels_public != "yes" else "",
    ]
    source = _file("source", address, "text/html", description="the page on which access to the data is requested")
    return _document(
        {
            "name": card.name.replace("/", "-"),
            "description": f"{card.title}: {signals}. Metadata only; the data are at their source.",
            "url": address,
            "citeAs": card.citation,
            "license": card.licence,
            "keywords": ["affective computing", "physiological signals", *card.modalities],
            "isLiveDataset": any(d.sha256 is None for d in card.downloads) or not card.downloads,
            "rai:dataCollection": f"Signals: {signals}. How to get the data: {card.obtain}",
            "rai:dataCollectionType": "Physiological recordings of people",
            "rai:dataAnnotationProtocol": "; ".join(labels) or "no labels",
            "rai:dataLimitations": " ".join(filter(None, limits)) or "none recorded",
            "rai:dataUseCases": "Recognition of affect from physiological signals of new subjects",
            "rai:personalSensitiveInformation": "Physiological recordings of people, under the terms of the licence",
            "distribution": [_download(d) for d in card.downloads] or [source],
        }
    )


def _label_rule(target: Target) -> str:
    fields = ("aggregate", "cut", "ties", "dead_band", "lag_s", "positive", "negative", "centred")
    rule = {name: getattr(target.rule, name, None) for name in fields}
    shown = format_value({name: value for name, value in rule.items() if value not in (None, (), 0.0, False)}, "g")
    return f"{target.kind}, from `{target.label}` ({shown})"


def _download(download: Download) -> dict[str, Any]:
    packed = download.name.endswith((".zip", ".tar", ".gz", ".tgz"))
    size = {"contentSize": f"{download.size} B"} if download.size else {}
    checksum = {"sha256": download.sha256} if download.sha256 else {}
    kind = "application/zip" if packed else "application/octet-stream"
    return {**_file(download.name, download.url, kind), **size, **checksum}


def _file(name: str, address: str, kind: str, **about: str) -> dict[str, Any]:
    named = {"@type": "cr:FileObject", "@id": name, "name": name}
    return {**named, **about, "contentUrl": address, "encodingFormat": kind}


def board_croissant(board: str, sections: Sequence[BoardSection], rows: Sequence[Mapping[str, Any]], table: str) -> str:
    """The metadata of a board, whose file is a table of its rows, `<board>.csv`.

    Args:
        sections: as `leaderboard_sections` gives them.
        rows: the records that the table holds, whose values tell the types of its columns.
        table: the content of that table as CSV.
    """
    name, about = f"{board}.csv", citation_file()
    headlines = sorted({metric_facts(section.rows[0].headline).title for section in sections})
    protocols = sorted({section.protocol for section in sections})
    methods = sum(row["kind"] == "method" for row in rows)
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"rows/{column}",
            "name": column,
            "dataType": _type([row[column] for row in rows]),
            "source": {"fileObject": {"@id": name}, "extract": {"column": column}},
        }
        for column in (rows[0] if rows else ())
    ]
    return _document(
        {
            "name": f"embench-{board}",
            "description": f"Leaderboards of {board}: {counted(methods, 'result')} of methods and confound-only models "
            f"under {', '.join(protocols)}. Primary metrics: {', '.join(headlines)}.",
            "url": about["url"],
            "citeAs": about["title"],
            "license": about["license"],
            "keywords": ["benchmark", "leaderboard", "affective computing", "physiological signals"],
            "isLiveDataset": True,
            "rai:dataCollection": "Each row is a run of embench; its entry contains the configuration and the scores.",
            "rai:dataCollectionType": "Results of experiments",
            "rai:dataLimitations": "Rows of different protocols, targets and training data are not comparable. "
            "Scores are those of one dataset, and say nothing of other populations.",
            "rai:dataUseCases": "Comparison of methods within one protocol and target",
            "rai:personalSensitiveInformation": "none: rows contain scores over all subjects",
            "distribution": [{**_file(name, name, "text/csv"), "sha256": hashlib.sha256(table.encode()).hexdigest()}],
            "recordSet": [{"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": fields}],
        }
    )


def _type(values: Sequence[Any]) -> str:
    known = {type(value) for value in values if value is not None}
    if known == {int, float}:
        return "sc:Float"
    return _TYPES.get(known.pop(), "sc:Text") if len(known) == 1 else "sc:Text"


def _document(content: Mapping[str, Any]) -> str:
    whole = {"@context": _CONTEXT, "@type": "sc:Dataset", "conformsTo": _CONFORMS, **content}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
