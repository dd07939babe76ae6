"""Ways in which a folder of files gets damaged, drawn from a seeded generator."""

# ruff: noqa: ARG001 - all ways have the same arguments

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from .contents import GENERAL, TEXT, Change, Rng, flip, pick
from .formats import MAT, PICKLE, ZIP


def mutate(folder: Path, rng: Rng, used: Sequence[str], strangers: Sequence[Path]) -> str:
    """Damages one or two files below `folder`, and says how.

    Args:
        used: names, relative to `folder`, of the files that are read; most of the time it is one of these.
        strangers: files of other datasets.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("EMBENCH_"))
    kinds: dict[str, list[Path]] = {}
    for file in [folder / name for name in used] if used and rng.random() < 0.9 else files:
        # A kind of file with few members, such as a table of labels, is as likely as one with many.
        kinds.setdefault(re.sub(r"\d+", "#", file.name), []).append(file)
    path = pick(rng, kinds[pick(rng, sorted(kinds))])
    name = path.relative_to(folder).as_posix()
    if rng.random() < 0.25:
        how = pick(rng, PLACES)
        return f"{_name(how)} {name}" + how(rng, path, files, strangers)
    content = path.read_bytes()
    changes = _changes(path, content)
    how = pick(rng, changes)
    try:
        new = how(rng, content)
    except (ValueError, TypeError, IndexError, KeyError, NotImplementedError, MemoryError) as error:
        new, name = flip(rng, content), f"{name} (instead of {_name(how)}: {type(error).__name__})"
    _write(path, new)
    return f"{_name(how)} {name}"


def _changes(path: Path, content: bytes) -> list[Change]:
    """What can be done to a file's content. Formats that are understood are damaged from inside half of the time."""
    ending = path.suffix.lower()
    if ending in (".pkl", ".dat") and content[-1:] == b".":
        return [*GENERAL, *PICKLE]
    if b"\0" not in content[:4096]:
        return [*GENERAL, *TEXT]
    if content[:6] == b"MATLAB":
        return [*GENERAL, *MAT]
    if content[:2] == b"PK":
        return [*GENERAL, *ZIP]
    return GENERAL


def _swap(rng: Rng, path: Path, files: Sequence[Path], strangers: Sequence[Path]) -> str:
    other = pick(rng, [file for file in files if file.suffix == path.suffix] or files)
    mine, its = path.read_bytes(), other.read_bytes()
    _write(path, its)
    _write(other, mine)
    return f" with {other.name}"


def _copy_over(rng: Rng, path: Path, files: Sequence[Path], strangers: Sequence[Path]) -> str:
    other = pick(rng, list(files))
    _write(path, other.read_bytes())
    return f" by {other.name}"


def _rename(rng: Rng, path: Path, files: Sequence[Path], strangers: Sequence[Path]) -> str:
    name = path.name
    digits = re.sub(r"\d+", lambda m: str(int(m[0]) + int(rng.integers(1, 90))), name, count=1)
    names = (f"{name}.bak", f"copy of {name}", name.upper(), name.lower(), path.stem, digits, f"x{name}", "\u00e9.csv")
    new = path.with_name(pick(rng, names))
    if not new.exists():
        path.rename(new)
    return f" to {new.name}"


def _move(rng: Rng, path: Path, files: Sequence[Path], strangers: Sequence[Path]) -> str:
    folder = pick(rng, (path.parent.parent, path.parent / "deeper", files[0].parent, files[-1].parent))
    folder.mkdir(exist_ok=True)
    if not (folder / path.name).exists():
        path.rename(folder / path.name)
    return f" to {folder.name}"


def _remove(rng: Rng, path: Path, files: Sequence[Path], strangers: Sequence[Path]) -> str:
    path.unlink()
    return ""


def _folder(rng: Rng, path: Path, files: Sequence[Path], strangers: Sequence[Path]) -> str:
    path.unlink()
    path.mkdir()
    return " instead"


def _stranger(rng: Rng, path: Path, files: Sequence[Path], strangers: Sequence[Path]) -> str:
    if not strangers:
        return _remove(rng, path, files, strangers)
    alike = [file for file in strangers if file.suffix == path.suffix]
    other = pick(rng, alike if alike and rng.random() < 0.7 else list(strangers))
    _write(path, other.read_bytes())
    return f" by another dataset's {other.name}"


def _duplicate(rng: Rng, path: Path, files: Sequence[Path], strangers: Sequence[Path]) -> str:
    digits = re.sub(r"\d+", lambda m: str(int(m[0]) + int(rng.integers(1, 90))), path.name, count=1)
    _write(path.with_name(digits), path.read_bytes())
    return f" as {digits}"


PLACES = (_swap, _swap, _copy_over, _rename, _rename, _move, _remove, _folder, _stranger, _stranger, _duplicate)


def _write(path: Path, content: bytes) -> None:
    """A new file in place of the old one, whose other links keep what they had."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def _name(how: Callable[..., object]) -> str:
    return how.__name__.lstrip("_")
