"""`python -m bench.confound_rule`: which rule answers "given the confounds?" in a small study (see plan.md).

Draws studies cell by cell and appends their counts to `--out`. Started again, it skips the draws that are in this file.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from bench.confound_rule import attacks
from bench.confound_rule.border import BORDER_HEADER, border_draws, border_table
from bench.confound_rule.cells import (
    ALL,
    BLOCK,
    DESIGNS,
    LIGHT,
    METRIC_HEADER,
    append,
    done_blocks,
    header_of,
    run_block,
)
from bench.confound_rule.decision import PROSPECTS, decision_table, to_draw, write_power
from bench.confound_rule.tables import FIRST_DRAWS, FRESH, FRESH_DRAWS, Counts, merge, page
from bench.confound_rule.worlds import World, confirmation_worlds, worlds_of

HERE = Path(__file__).parent
CELLS = ("D1:24", "D1:16", "D1:34", "D1:60", "D2:24", "D2:60")
SEED = 1
CONFIRMATIONS = {"confirmation": 2, "second": 3}
"""Files of results of confirmation worlds -> seed of their draws."""
FEWEST_SUBJECTS = 10
"""Fewest subjects of a study whose primary metric can be estimated."""
STAGES = {"more": (FIRST_DRAWS, FIRST_DRAWS), "fresh": (FRESH, FRESH_DRAWS)}
"""First draw and number of draws of cells that are drawn on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=CELLS, metavar="DESIGN:SUBJECTS")
    parser.add_argument("--draws", type=int, default=FIRST_DRAWS)
    parser.add_argument("--first", type=int, default=0, help="the first draw")
    parser.add_argument(
        "--asks", nargs="+", default=ALL, choices=(*ALL, *LIGHT), help="some candidates only, to another --out"
    )
    parser.add_argument("--worlds", nargs="+", default=[], help="some worlds only")
    parser.add_argument("--attacks", action="store_true", help="attacks in place of worlds, to another --out")
    parser.add_argument("--confirm", type=Path, metavar="FILE", help="worlds drawn from the seed in this file, once")
    parser.add_argument(
        "--second", action="store_true", help="the seed of --confirm is that of the second confirmation"
    )
    parser.add_argument("--continue", dest="stage", choices=STAGES, help="draw on the cells that do not pass yet")
    parser.add_argument(
        "--rules", nargs="+", default=PROSPECTS, choices=PROSPECTS, help="for which --continue draws on"
    )
    parser.add_argument("--border", nargs="+", type=int, metavar="UNITS", help="agreement of rules in large studies")
    parser.add_argument("--out", type=Path, default=HERE / "development.csv")
    parser.add_argument("--metrics", type=Path, default=HERE / "metrics.csv")
    parser.add_argument(
        "--tables", action="store_true", help="merge the files of results and write all pages and tables"
    )
    args = parser.parse_args()
    if args.tables:
        write_tables()
        return
    if args.border:
        for units in args.border:
            append(args.out, BORDER_HEADER, border_draws(units, args.draws))
        return
    cells = [parsed(cell) for cell in args.cells]
    worlds, seed = (None, SEED)
    if args.confirm:
        worlds, seed = (
            confirmation_worlds(secret_seed(args.confirm)),
            CONFIRMATIONS["second" if args.second else "confirmation"],
        )
    if args.stage:
        draw_on(args, worlds, seed)
        return
    for design, subjects in cells:
        draw_cell(design, subjects, worlds or worlds_of(design), seed, args, args.worlds)


def parsed(cell: str) -> tuple[str, int]:
    """Design and number of subjects of a cell like `D1:24`."""
    design, _, size = cell.partition(":")
    if design not in DESIGNS or not size.isdigit() or int(size) < FEWEST_SUBJECTS:
        designs = ", ".join(DESIGNS)
        raise SystemExit(f"--cells {cell}: give a design ({designs}) and at least {FEWEST_SUBJECTS} subjects: D1:24")
    return design, int(size)


def draw_cell(
    design: str,
    subjects: int,
    worlds: dict[str, World],
    seed: int,
    args: argparse.Namespace,
    only: Collection[str] = (),
    asks: Sequence[str] = (),
) -> None:
    """Draw the blocks that are missing."""
    named = attacks.names() if args.attacks else [name for name in worlds if not only or name in only]
    done = done_blocks(args.out)
    for first in range(args.first, args.first + args.draws, BLOCK):
        missing = [world for world in named if (design, subjects, world, first) not in done]
        if not missing:
            continue
        began = time.process_time()
        results, metrics = run_block(
            design, subjects, worlds, first, BLOCK, seed, only=missing, asks=asks or args.asks, attacked=args.attacks
        )
        if metrics:
            append(args.metrics, METRIC_HEADER, metrics)
        append(args.out, header_of(asks or args.asks), results)
        print(
            f"{design}:{subjects}",
            first + BLOCK,
            f"{(time.process_time() - began) / BLOCK:.3f} CPU s a draw",
            flush=True,
        )


def draw_on(args: argparse.Namespace, worlds: dict[str, World] | None, seed: int) -> None:
    """Draw on the cells of some rules that do not pass yet, as the plan says."""
    args.first, args.draws = STAGES[args.stage]
    confirmed = "second" if args.second else "confirmation"
    counts = Counts(*results_of("attacks" if args.attacks else confirmed if worlds else "development"))
    for (design, subjects), rules_by_world in to_draw(counts, args.rules, args.stage).items():
        rules = set().union(*rules_by_world.values())
        asks = sorted({asked_for(rule) for rule in rules})
        print(f"{design}:{subjects}", *rules_by_world, "for", *sorted(rules), flush=True)
        draw_cell(design, subjects, worlds or worlds_of(design), seed, args, rules_by_world, asks)


def asked_for(rule: str) -> str:
    """Return the name to ask for the answers of a rule."""
    matrix, _, interval = rule.partition("/")
    return "one" if interval == "1" and matrix not in LIGHT else matrix


def results_of(kind: str) -> list[Path]:
    """Files of results of the development or confirmation worlds, or of attacks."""
    patterns = {"development": ("development*.csv", "gains*.csv", "one*.csv", "memory*.csv")}.get(
        kind, (f"{kind}*.csv",)
    )
    return [path for pattern in patterns for path in sorted(HERE.glob(pattern))]


def write_tables() -> None:
    """Merge the files of results, and write the pages of tables and the table of power."""
    files = {kind: results_of(kind) for kind in ("development", "attacks", *CONFIRMATIONS)}
    for path in (path for of in files.values() for path in of):
        merge(path)
    counts = {kind: Counts(*of) for kind, of in files.items()}
    made = page("Development worlds", counts["development"], counts["attacks"], HERE / "metrics.csv")
    decided = "## Decision\n\n" + decision_table(counts["development"], counts["attacks"])
    if (HERE / "border.csv").exists():
        decided += "\n\n## Border to large studies\n\n" + border_table(HERE / "border.csv")
    (HERE / "development.md").write_text(f"{made}\n{decided}\n")
    for kind in CONFIRMATIONS:
        if files[kind]:
            made = page("Confirmation worlds" if kind == "confirmation" else "Second confirmation worlds", counts[kind])
            decided = decision_table(counts[kind], counts["attacks"])
            (HERE / f"{kind}.md").write_text(f"{made}\n## Decision\n\n{decided}\n")
    write_power(HERE / "power.yaml", counts["development"])


def secret_seed(path: Path) -> int:
    """The seed of the confirmation worlds, whose SHA-256 was published before they were drawn."""
    if not path.is_file():
        raise SystemExit(
            f"--confirm {path}: the file does not exist; give the file with the seed of the confirmation worlds"
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() not in (HERE / "plan.md").read_text():
        raise SystemExit(f"{path} is not the seed whose SHA-256 stands in plan.md")
    return int(path.read_text())


if __name__ == "__main__":
    main()
