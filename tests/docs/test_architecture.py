"""The page on the architecture names files that are there, and all rooms."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "inside" / "architecture.md").read_text(encoding="utf-8")


def test_paths_of_the_tables_and_texts_are_there():
    places = (ROOT / "benchmark" / "embench", ROOT)
    named = {path for path in re.findall(r"`([a-z_]+(?:/[\w*]+)*(?:/|\.py|\.yaml))`", PAGE) if "<" not in path}
    assert len(named) > 40
    siblings = {"formats/", "devices/", "reader.py", "draft.py", "run.yaml"}
    missing = {path for path in named - siblings if not any([*place.glob(path)] for place in places)}
    assert missing == set()


def test_every_room_is_in_the_picture_or_the_text():
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    listed = " ".join(next(each["layers"] for each in layers if each["id"] == "layers"))
    rooms = set(re.findall(r"\w+", listed)) - {"__main__"}
    assert len(rooms) > 20
    assert {room for room in rooms if not re.search(rf"\b{room}\b", PAGE)} == set()
