"""How long a user waits for the command line, next to Python's own start."""

from __future__ import annotations

from bench import ROOT
from bench.speed.measure import Row, Setting, alone, command, embench, turns

PYTHON = "python -c pass"


def rows(setting: Setting) -> list[Row]:
    boards = setting.size(ROOT / "leaderboards", setting.new("boards"))
    ways = {
        PYTHON: (command("-c", "pass"), None),
        "import embench": (command("-c", "import embench"), 0.15),
        "embench --help": (embench("--help"), 0.4),
        "embench list": (embench("list"), 0.4),
        "embench run --help": (embench("run", "--help"), 0.4),
        "embench leaderboard show": (embench("leaderboard", "show", "--leaderboards", boards), 1.2),
        "import torch": (command("-c", "import torch"), None),
    }
    times = turns({name: way for name, (way, _) in ways.items()}, setting.size(11, 2), warm=True)
    return [alone(name, times[name], most=most) for name, (_, most) in ways.items()]
