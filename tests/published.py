"""Some of the published entries: to read a board of a hundred takes half a minute."""

from collections.abc import Iterable
from pathlib import Path

BOARDS = Path(__file__).parents[1] / "leaderboards"


def linked(boards: Path, entries: Iterable[Path]) -> Path:
    """Boards that hold these entries, with what their datasets' entries share, as links: what is published stays so."""
    entries = list(entries)
    for folder in (*entries, *{entry.parents[1] / "shared" for entry in entries}):
        link = boards / folder.relative_to(BOARDS)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder, target_is_directory=True)
    return boards
