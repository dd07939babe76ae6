"""Some of the published entries: to read a board of a hundred takes half a minute."""

from collections.abc import Iterable, Mapping
from pathlib import Path

PUBLISHED = Path(__file__).parents[1] / "leaderboards"


def link_entries(root: Path, chosen: Mapping[str, Iterable[str]]) -> Path:
    """Boards below `root` with the entries whose names match, as links: what they share is found where they are.

    Args:
        chosen: dataset/protocol -> patterns of names.
    """
    for board, patterns in chosen.items():
        for pattern in patterns:
            entries = sorted((PUBLISHED / board).glob(pattern))
            assert entries, f"{board}: no entry is named {pattern}"
            for entry in entries:
                place = root / board / entry.name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(entry, target_is_directory=True)
    return root
