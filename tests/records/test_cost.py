"""What tables say of a cost."""

from __future__ import annotations

from typing import Any

import pytest

from embench.records.wording import COST_COLUMNS, NOT_MEASURED, format_cost

MEASURED = {
    "wall_seconds": 5000.0, "parameters": 15_521, "flops": 4_488_256, "device": "cuda", "peak_memory_mb": 2150.4,
    "energy_j": 90_000.0,
}  # fmt: skip


def test_a_measured_cost() -> None:
    assert format_cost(MEASURED) == {
        "time": "83 min, cuda", "parameters": "15.5 k", "FLOPs": "4.49 M", "memory": "2.1 GB", "energy": "25 Wh",
    }  # fmt: skip


def test_the_time_of_processors_is_said_where_it_was_measured() -> None:
    cells = format_cost({**MEASURED, "cpu_seconds": 9000.0, "gpu_seconds": 0.0, "processor": "AMD EPYC 7R13"})
    assert cells == format_cost(MEASURED) | {"CPU time": "2.5 h", "processor": "AMD EPYC 7R13"}
    assert format_cost({**MEASURED, "gpu_seconds": 120.0})["GPU time"] == "2 min"


@pytest.mark.parametrize(
    ("field", "column"),
    [("wall_seconds", "time"), ("parameters", "parameters"), ("flops", "FLOPs"), ("peak_memory_mb", "memory"),
     ("energy_j", "energy")],
)  # fmt: skip
def test_what_was_not_measured_is_said(field: str, column: str) -> None:
    cells = format_cost({**MEASURED, field: None})
    assert [name for name in COST_COLUMNS if cells[name] == NOT_MEASURED] == [column]


@pytest.mark.parametrize(
    ("cost", "column", "text"),
    [
        ({"parameters": 0}, "parameters", NOT_MEASURED),
        ({"parameters": 996}, "parameters", "996"),
        ({"flops": 2.5e12}, "FLOPs", "2.5 T"),
        ({"flops": 5e15}, "FLOPs", "5e+03 T"),
        ({"peak_memory_mb": 764.4}, "memory", "764 MB"),
        ({"wall_seconds": 12.0}, "time", "12 s"),
        ({"energy_j": 0.0}, "energy", "0 Wh"),
    ],
)
def test_scales(cost: dict[str, Any], column: str, text: str) -> None:
    assert format_cost(cost)[column] == text
