"""The rows of the boards: the rules of `rows.yaml`, which are those of a baseline set, resolved on their datasets."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from embench.files import snapshot
from embench.sets.files import BaselineSet
from embench.sets.rows import BaselineRow, baseline_rows

FIXED, STRICT, LEGACY = "subject-independent-v4", "subject-independent-strict-v4", "segment-random-legacy"
FAST = ("svm", "forest", "boosting")


@cache
@snapshot()
def groups(*, more: bool = True, **places: Any) -> dict[str, list[BaselineRow]]:
    """The rows of each group, of those that take hours only with `more`; recipe and device are the same on every
    machine.

    Args:
        places: the requests' `data_root`, `runs` and `workers`.
    """
    found: dict[str, list[BaselineRow]] = {}
    for name, parts in yaml.safe_load(Path(__file__).with_name("rows.yaml").read_text("utf-8")).items():
        for part in parts if isinstance(parts, list) else [parts]:
            options = {"recipe": "small", "device": "cpu", **part, **places}
            takes_hours, named = options.pop("more", False), options.pop("datasets", [name.partition(",")[0]])
            rules = BaselineSet(name="boards", summary=name, core=options.pop("rows"))
            if more or not takes_hours:
                every = [row for dataset in named for row in baseline_rows(rules, "core", dataset, options)]
                found.setdefault(name, []).extend(row for row in every if not row.reason)
    return found
