"""Addresses of the project from the metadata of the installed package (`[project.urls]`)."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata

import embench


@cache
def addresses() -> dict[str, str]:
    """`documentation`, `repository` and `rows`, which tells how a row is sent; without those that nothing names. Where
    only the repository is named, the documentation is its folder `docs`."""
    try:
        named = metadata(embench.DISTRIBUTION).get_all("Project-URL") or []
    except PackageNotFoundError:
        return {}
    pairs = (entry.partition(",") for entry in named)
    urls = {label.strip().casefold(): url.strip() for label, _, url in pairs if url.strip().startswith("https://")}
    found = {name: urls[name] for name in ("documentation", "repository") if name in urls}
    if "repository" in found:
        place = f"{found['repository'].removesuffix('/').removesuffix('.git')}/blob/main"
        found = {"documentation": f"{place}/docs", **found, "rows": f"{place}/CONTRIBUTING.md#sending-a-row"}
    return found
