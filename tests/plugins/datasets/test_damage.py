"""What readers say of damaged copies: one test, and a table for each reader in `damages`."""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from embench.errors import DataError
from embench.interfaces.recording import Recording

from . import edit
from .damage import Copy, Damage, spoilt

TABLES = [
    import_module(f"{__package__}.damages.{path.stem}").DAMAGES
    for path in sorted((Path(__file__).parent / "damages").glob("*.py"))
]
MANY = 12
"""Of a copy with more damages, every third one is among the quick tests."""

CASES = [
    pytest.param(
        copy, damage, id=f"{copy.name}: {damage}", marks=pytest.mark.slow if len(damages) > MANY and k % 3 else ()
    )
    for table in TABLES
    for copy, damages in table.items()
    for k, damage in enumerate(damages)
]


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Callable[[Copy], Path]:
    """The folder of a whole copy, which is made when first asked for."""

    @cache
    def made(copy: Copy) -> Path:
        root = tmp_path_factory.mktemp("whole")
        copy.make(root)
        return root

    return made


@pytest.fixture(scope="session")
def said_of_whole(whole) -> Callable[[Copy], list[str]]:
    """What `verify` says of a whole copy."""
    return cache(lambda copy: said(copy, whole(copy)))


@pytest.fixture(scope="session")
def read_of_whole(whole) -> Callable[[Copy], list[Recording]]:
    return cache(lambda copy: list(copy.reader(whole(copy)).recordings(copy.subject)))


def said(copy: Copy, root: Path) -> list[str]:
    return [f"{f.severity}: {f.where}: {f.what}" for f in copy.reader(root).verify()]


@pytest.mark.parametrize(("copy", "damage"), CASES)
def test_a_damaged_copy_is_refused_or_told_of_or_read_all_the_same(
    copy: Copy, damage: Damage, tmp_path, whole, said_of_whole, read_of_whole
):
    root = spoilt(damage, whole(copy), tmp_path / "copy")
    if damage.seen == "nothing":
        with pytest.raises(DataError) as caught:
            copy.reader(root).subjects()
        check(caught.value, damage, root)
    elif damage.seen == "refused":
        with pytest.raises(DataError) as caught:
            list(copy.reader(root).recordings(copy.subject))
        check(caught.value, damage, root)
        assert f"error: {caught.value.where}: {caught.value.what}" in said(copy, root)
    else:
        if damage.seen == "same":
            assert copy.subject in copy.reader(root).subjects()
            check_same(list(copy.reader(root).recordings(copy.subject)), read_of_whole(copy))
            assert all(path.is_file() for path in copy.reader(root).files(copy.subject))
        if damage.words:
            kind, found = "" if damage.seen == "same" else damage.seen, said(copy, root)
            assert tell(found, kind, damage.words), found
            assert kind == "error" or not tell(found, "error", ()), found
            assert not tell(said_of_whole(copy), kind, damage.words)


def check(error: DataError, damage: Damage, root: Path) -> None:
    """The error has the damage's words, names its file, and says what was expected and what to do."""
    assert all(word in error.what for word in damage.words), error.what
    assert re.search(re.escape(str(root / (damage.at or damage.file))) + r"(?!\d)", error.where), error.where
    for part, word in ((error.expected, damage.expected), (error.hint, damage.hint)):
        assert (part is None) if word is None else (part and word in part)


def tell(findings: list[str], kind: str, words: tuple[str, ...]) -> bool:
    return any(line.startswith(kind) and all(word in line for word in words) for line in findings)


def check_same(found: list[Recording], expected: list[Recording]) -> None:
    for one, other in zip(found, expected, strict=True):
        for name in ("id", "start_s", "duration_s", "order", "group", "stimulus"):
            assert getattr(one, name) == getattr(other, name)
        assert set(one.signals) == set(other.signals)
        for modality, signal in other.signals.items():
            assert (one.signals[modality].rate, one.signals[modality].channels) == (signal.rate, signal.channels)
            np.testing.assert_array_equal(one.signals[modality].data, signal.data)
        assert set(one.labels) == set(other.labels)
        for name, label in other.labels.items():
            np.testing.assert_array_equal(one.labels[name].values, label.values)
            np.testing.assert_array_equal(one.labels[name].times, label.times)


def test_an_edit_does_not_reach_the_whole_copy(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "a.csv").write_text("1")
    damage = Damage("a.csv", edit.write("2"), "same", ())
    assert (spoilt(damage, tmp_path / "whole", tmp_path / "copy") / "a.csv").read_text() == "2"
    assert (tmp_path / "whole" / "a.csv").read_text() == "1"
    elsewhere = Damage("b.csv", lambda path: path.with_name("a.csv").write_text("22"), "same", ())
    with pytest.raises(AssertionError, match="reached the whole copy"):
        spoilt(elsewhere, tmp_path / "whole", tmp_path / "other")


def test_a_damage_of_nothing_is_no_damage(tmp_path):
    with pytest.raises(AssertionError, match="not in the whole copy"):
        spoilt(Damage("*.csv", edit.nothing, "same", ()), tmp_path, tmp_path / "copy")
