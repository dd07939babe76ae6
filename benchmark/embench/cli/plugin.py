"""`embench plugin`: a package of one's own, written and checked."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.options import DataRoot, Json
from embench.cli.tables import TableColumn, field, show_table
from embench.errors import CheckFailed

if TYPE_CHECKING:
    from embench.authoring import PluginCheck

plugin_app = typer.Typer(help="Create and check your own plugin packages.", no_args_is_help=True)


@plugin_app.command("new")
def new_plugin(
    kind: Annotated[
        str,
        Argument(
            metavar="KIND", help="dataset, encoder, pretrainer, fusion, estimator (a fusion), metric or observer."
        ),
    ],
    name: Annotated[str, Argument(metavar="NAME", help="Name of the plugin, as users type it.")],
    out: Annotated[Path | None, Option(help="Folder to write; default: embench-NAME.")] = None,
    author: Annotated[str | None, Option(help="Your name, for the licence; default: the git user name.")] = None,
) -> None:
    """Create a package with one working plugin and its tests, as a starting point."""
    from embench.authoring import NO_AUTHOR, write_package

    package = write_package(kind, name, out, author)
    console.echo(f"{package.folder}: written")
    for path in package.files:
        console.echo(f"  {path}")
    if NO_AUTHOR in (package.folder / "LICENSE").read_text(encoding="utf-8"):
        console.note(f"replace `{NO_AUTHOR}` by your name in LICENSE and pyproject.toml")
    place = package.folder.as_posix()
    path = shlex.quote(place if package.folder.is_absolute() else f"./{place}")
    console.echo(f"next:\n  pip install -e {path}")
    for line in (f"embench plugin check {package.package}", *package.try_it):
        console.command(line)


@plugin_app.command("check")
def check_plugins(
    target: Annotated[
        str,
        Argument(
            metavar="PACKAGE",
            help="An installed package, the name of a plugin, PACKAGE/NAME, FILE.py or FILE.py:CLASS.",
        ),
    ],
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Check plugins: registry entry, import and conformance; exit with 1 on a failure."""
    from embench.authoring import look_through

    found = list(look_through(target, data_root))
    failed = [one for one in found if one.fault]
    if as_json:
        console.document({"target": target, "passed": not failed, "checks": [asdict(one) for one in found]})
    else:
        check = TableColumn("check", lambda one: one.check, whole=True)
        show_table(found, [field("plugin"), check, TableColumn("result", _result)], title=f"checks of {target}")
    if failed:
        names = ", ".join(dict.fromkeys(one.plugin for one in failed))
        traces = "".join(f"\n{one.trace}" for one in failed if one.trace)  # which --debug prints
        raise CheckFailed(f"{len(failed)} of {len(found)} checks failed: {names}") from RuntimeError(traces)


def _result(one: PluginCheck) -> str:
    if one.skipped:
        return f"not checked: {one.skipped}"
    if not one.fault:
        return f"passed ({one.seconds:.1f} s)" if one.seconds else "passed"
    where = f" Where: {one.where}." if one.where else ""
    remedy = f" What to do: {one.remedy}." if one.remedy else ""
    return f"FAILED: {one.fault}.{where}{remedy}"
