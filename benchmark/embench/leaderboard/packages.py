"""The packages whose plugins a run uses, and whether others can install them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.metadata import Distribution

from embench import registry
from embench.records.manifest import Manifest
from embench.records.names import is_own
from embench.registry.catalogue import installed

NOBODY = "nobody else can install"
PUBLISH = (
    "give the package a version, an author and the address of its repository ([project.urls]) in its pyproject.toml, "
    "publish it there, install it, and run again"
)


def packages_of(run: Manifest) -> dict[str, str | None]:
    """Package -> version, of the plugins of a run that are not bundled; None where the record does not say it."""
    method = run.method
    names = [
        *([] if is_own(run.dataset.name) else [run.dataset.name]),
        *method.encoders.values(),
        *([method.fusion] if method.fusion else []),
        *method.pretrainers,
    ]
    packages = dict.fromkeys(name.partition("/")[0] for name in names if "/" in name)
    return {name: run.versions.get(name) for name in packages if name.isidentifier() and name != registry.BUNDLED}


def not_for_others(run: Manifest) -> Iterator[str]:
    """Each package that nobody else can install, with what it lacks."""
    for name in packages_of(run):
        package = installed().get(name)
        distribution = package.distribution if package else None
        lacks = ["an installation here"] if distribution is None else list(_lacks(distribution))
        if lacks:
            version = f" {distribution.version}" if distribution and distribution.version else ""
            yield f"{NOBODY} the package {name}{version} of its plugins, which lacks {', '.join(lacks)}"


def _lacks(distribution: Distribution) -> Iterator[str]:
    about = distribution.metadata.json
    if not distribution.version or distribution.version == "0.0.0":
        yield "a version"
    author = f"{about.get('author', '')}{about.get('author_email', '')}"
    if "TODO" in author:
        yield f"an author (it says `{author}`)"
    # Written where a package was not installed from an index.
    source = json.loads(distribution.read_text("direct_url.json") or '{"url": "https://index"}')["url"]
    project = [line.partition(", ")[2] for line in about.get("project_url", ())]
    urls = [source, str(about.get("home_page", "")), *project]
    if not any(re.match(r"(git\+)?https?://", url) for url in urls):
        yield "a public address"
