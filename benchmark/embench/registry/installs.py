"""Identity of installed code: its version, or for an editable package its source."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

from embench.errors import UsageError
from embench.registry.catalogue import installed
from embench.registry.fragments import module_file
from embench.registry.identity import bare_code, source_closure
from embench.system import process_start_s, version_of

_PLACES = {"site-packages", "dist-packages"}


def installed_code(module: str) -> str | None:
    """Identity of a module's code: its distribution with the version, or where that can be edited a digest of its
    source; None for a module that nobody installed, such as a notebook or a file beside it.

    Raises:
        UsageError: an editable package was edited after this process began, so that what it imported may be older.
    """
    top = module.partition(".")[0]
    if top in ("__main__", "__mp_main__", ""):
        return None
    if top in sys.stdlib_module_names:
        return f"python {platform.python_version()}"
    if module.startswith("embench.python."):  # which wraps objects, as a plugin's own code
        return _digest_of({module: bare_code(module)}, module)
    if top == "embench":
        return f"embench {version_of('embench-affect')}"
    place = _place(top)
    if place is None:
        return top if top in sys.modules and not hasattr(sys.modules[top], "__file__") and _built_in(top) else None
    if _PLACES & set(place.parts):
        names = _distributions().get(top, ())
        return ", ".join(f"{name} {version_of(name)}" for name in sorted(set(names))) or _bytes_of(place)
    if top in {name.partition(".")[0] for name in installed()} or any(
        root in place.parents for root in _editable_roots()
    ):
        return _source(module)
    return None


def _place(top: str) -> Path | None:
    module = sys.modules.get(top)
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    found = Path(file) if file else module_file(top)
    return None if found is None else found.resolve()


def _built_in(top: str) -> bool:
    return top in sys.builtin_module_names


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


@cache
def _editable_roots() -> frozenset[Path]:
    """The folders of projects that were installed by `pip install -e`."""
    roots = set()
    for distribution in metadata.distributions():
        about = json.loads(distribution.read_text("direct_url.json") or "{}")
        url = urlparse(str(about.get("url", "")))
        if about.get("dir_info", {}).get("editable") and url.scheme == "file":
            roots.add(Path(unquote(url.path)).resolve())
    return frozenset(roots)


def _bytes_of(place: Path) -> str:
    return hashlib.sha256(place.read_bytes()).hexdigest()[:20] if place.is_file() else str(place)


def _source(module: str) -> str:
    codes, files = source_closure(module)
    for path in files:
        if path.stat().st_mtime > process_start_s():
            raise UsageError(
                f"{module.partition('.')[0]} was edited after this Python process started, so the process may use "
                "old code",
                where=str(path),
                hint="restart Python (in a notebook: the kernel)",
            )
    return _digest_of(codes, module)


def _digest_of(codes: dict[str, str], module: str) -> str:
    text = "".join(f"{name}\n{code}\n" for name, code in sorted(codes.items()))
    return f"{module} source {hashlib.sha256(text.encode()).hexdigest()[:20]}"
