"""Objects of finished runs, read from the user's own cache by a later process."""

from __future__ import annotations

from collections.abc import Iterable

from embench.errors import MachineError, UsageError
from embench.files import cache_root
from embench.registry.contents import PYTHON, changed_code
from embench.registry.objects import has_object, is_object, keep_object, object_facts, shown_name, stored_class


def recall_objects(names: Iterable[str]) -> None:
    """Lets this process use classes that an earlier one was given, and that a record names. They are the user's own,
    whoever made the record: nobody else can write to this cache.

    Raises:
        UsageError: one is not stored here, or installed code that it uses has changed. MachineError: its file is
            damaged, or somebody else's.
    """
    for name in names:
        if is_object(name) and not has_object(name):
            _recall(name)


def _recall(name: str) -> None:
    try:
        facts = object_facts(name)
    except (MachineError, IndexError):
        why = "is not in this cache"
    else:
        changed = changed_code(facts.get("installed", {}))
        if facts.get("python") == PYTHON and not changed:
            keep_object(name, stored_class(name))
            return
        why = f"uses code that has changed since: {', '.join(changed) or 'Python'}"
    raise UsageError(
        f"{shown_name(name)} was given from Python and {why}",
        where=str(cache_root()),
        expected="the code, libraries and cache that the run had",
        hint="define the object again, repeat the same call of embench.run, and use its result, as in "
        "result.predict(..)",
    )
