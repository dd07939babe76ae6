"""Movisens: tables of values whose names, units and rates stand in the `unisens.xml` beside them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from embench.errors import DataError
from embench_plugins.datasets.own.preambles import Preamble

_MOST_BYTES = 1 << 20


def unisens(path: Path) -> Preamble | None:
    """Read names, units and rate of a table from the `unisens.xml` beside it; None without that file or an entry in it.

    Raises:
        DataError: it cannot be read.
    """
    header = path.parent / "unisens.xml"
    if not header.is_file() or header.stat().st_size > _MOST_BYTES:
        return None
    try:
        root = ET.fromstring(header.read_bytes())  # noqa: S314 (small, and without its own entities)
    except ET.ParseError as error:
        raise DataError(f"not readable as XML: {error}", where=str(header), hint="copy it again") from error
    for entry in root:
        kind = entry.tag.rpartition("}")[2]
        if entry.get("id") != path.name or kind not in ("signalEntry", "valuesEntry", "eventEntry"):
            continue
        parts = {part.tag.rpartition("}")[2]: part for part in entry}
        form, rate = parts.get("csvFileFormat"), float(entry.get("sampleRate") or 1)
        names = [str(part.get("name")) for part in entry if part.tag.rpartition("}")[2] == "channel"]
        if kind == "eventEntry":
            names = ["type", "comment"]
        units = [entry.get("unit") or ""] * len(names)
        separator = (form.get("separator") if form is not None else None) or ";"
        separator = "\t" if separator == "\\t" else separator
        if kind == "signalEntry":
            return Preamble(0, tuple(names), tuple(units), rate, separator)
        return Preamble(0, ("time", *names), ("s", *units), None, separator, seconds=(("time", 1 / rate),))
    return None
