"""Installs the packages of this folder the way pip does, without pip: a folder of modules and a dist-info beside it."""

import shutil
import tomllib
from pathlib import Path

HERE = Path(__file__).parent


def install(name: str, site: Path, *, editable: bool = False) -> Path:
    """Installs a package into the folder `site`, which the caller puts on `sys.path`; the folder of its modules."""
    source = HERE / name
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["embench"]
    return write(
        site,
        project["name"],
        project["version"],
        points,
        None if editable else source / name,
        source if editable else None,
    )


def write(
    site: Path,
    name: str,
    version: str,
    points: dict[str, str],
    package: Path | None = None,
    project: Path | None = None,
) -> Path:
    """A distribution with these entry points: its modules copied from `package`, or left in the folder `project`."""
    site.mkdir(parents=True, exist_ok=True)
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{key} = {value}" for key, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[embench]", *lines, ""]))
    if package is not None:
        shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    if project is not None:
        (site / f"_{name}.pth").write_text(f"{project}\n")
    files = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*")) if path.is_file()]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in [*files, f"{info.name}/RECORD"]))
    return site / package.name if package is not None else site
