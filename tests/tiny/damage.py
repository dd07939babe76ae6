"""What happens to files on disks: eleven kinds of damage, each as a function of a file's bytes."""

from collections.abc import Callable
from pathlib import Path


def _flip(at: float) -> Callable[[bytes], bytes]:
    def damaged(content: bytes) -> bytes:
        place = round(at * (len(content) - 1))
        return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]

    return damaged


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda _: None,
    "empty": lambda _: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "last byte lost": lambda content: content[:-1],
    "first bit": _flip(0.0),
    "middle bit": _flip(0.5),
    "last bit": _flip(1.0),
    "zeros": lambda content: bytes(len(content)),
    "zeros at the end": lambda content: content[: -len(content) // 3] + bytes(-(-len(content) // 3)),
    "longer": lambda content: content + b"\n0",
    "another file": lambda _: b"PK\x03\x04 of something else",
}


def damage(path: Path, kind: str) -> None:
    """Puts the damaged content in the file's place; who has the old one mapped keeps it."""
    content = DAMAGES[kind](path.read_bytes())
    path.unlink()
    if content is not None:
        path.write_bytes(content)


def unseal(folder: Path) -> Path:
    """The folder of a record without its checksums, as if it were of before them, so that a test can edit it."""
    path = folder / "run.yaml"
    text = path.read_text()
    kept, _, _ = text.rpartition("\nfiles:\n")
    path.write_text(f"{kept}\n")
    return folder
