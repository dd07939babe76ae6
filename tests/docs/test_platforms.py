"""The page of platforms names the lowest versions that `pyproject.toml` admits, and those of `constraints.txt`."""

import re
import tomllib

from .pages import ROOT

ROW = re.compile(r"^\| ([a-z][\w-]+) \| ([\d.]+) \| ([\d.]+)\S* \| \S+ \|$", re.MULTILINE)


def test_versions_are_those_that_are_installed():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    lowest = dict(re.match(r"([\w.-]+)>=([\d.]+)", each).groups() for each in wanted)
    pinned = dict(re.findall(r"^([\w.-]+)==([\d.]+)", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE))
    rows = ROW.findall((ROOT / "docs" / "reference" / "platforms.md").read_text("utf-8"))
    assert len(rows) >= 15
    for name, low, pin in rows:
        assert (f"{low}.".startswith(f"{lowest[name]}."), pin) == (True, pinned[name]), name
