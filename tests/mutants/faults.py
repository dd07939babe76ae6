"""Faults to plant: those written by hand in `planted.yaml`, and those in `drawn.yaml` that a seeded draw chose."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ROOMS = ("benchmark/embench", "plugins/embench_plugins")
_OTHER = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """Text that stands once in a file, and what is put in its place."""

    name: str
    file: str
    old: str
    new: str

    def line(self, root: Path = ROOT) -> int:
        """The line (from 1) on which the old text begins.

        Raises:
            ValueError: it is not there, or more than once.
        """
        text = (root / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: its text stands {text.count(self.old)} times in {self.file}, not once")
        return text[: text.index(self.old)].count("\n") + 1

    def plant(self, root: Path) -> None:
        """Puts the fault into the copy of the project in `root`."""
        self.line(root)
        path = root / self.file
        path.write_text(path.read_text(encoding="utf-8").replace(self.old, self.new), encoding="utf-8")


def load(*lists: str) -> list[Fault]:
    """The faults of `planted` and `drawn`, or of one of them."""
    files = [HERE / f"{name}.yaml" for name in lists or ("planted", "drawn")]
    return [Fault(**row) for file in files for row in yaml.safe_load(file.read_text(encoding="utf-8"))]


def draw(count: int, seed: int) -> list[Fault]:
    """So many faults, dealt out evenly to the rooms: one changed operator, condition, number or dropped statement in a
    function, each place in a room equally likely."""
    rng = random.Random(seed)
    rooms: dict[str, list[Fault]] = {}
    for base in ROOMS:
        for path in sorted((ROOT / base).rglob("*.py")):
            inside = path.relative_to(ROOT / base)
            room = f"{base}/{inside.parts[0]}"
            rooms.setdefault(room, []).extend(_of_file(path))
    drawn: list[Fault] = []
    order = sorted(rooms)
    rng.shuffle(order)
    while len(drawn) < count and any(rooms.values()):
        for room in order:
            if rooms[room] and len(drawn) < count:
                drawn.append(rooms[room].pop(rng.randrange(len(rooms[room]))))
    return sorted(drawn, key=lambda fault: fault.name)


def _of_file(path: Path) -> Iterator[Fault]:
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix()
    lines = text.splitlines(keepends=True)
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        for node, becomes in _mutations(function):
            first, last = node.lineno - 1, node.end_lineno or node.lineno
            old = "".join(lines[first:last])
            start = len(old.encode()) - len(old.encode()[node.col_offset :])
            tail = lines[last - 1].encode()[node.end_col_offset :]
            new = (old.encode()[:start] + becomes.encode() + tail).decode()
            old, new = old.rstrip("\n"), new.rstrip("\n")
            if text.count(old) == 1 and new != old and _compiles(text.replace(old, new)):
                module = path.parent.name if path.stem == "__init__" else path.stem
                yield Fault(f"{module}-{function.name}-{node.lineno}", name, old, new)


def _mutations(function: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """A node of a function's body, and the text that stands for it in the faulty one."""
    waiting = list(function.body)  # type: ignore[attr-defined]  # both kinds of functions have one
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue  # wording; functions inside are walked by themselves
        waiting += list(ast.iter_child_nodes(node))
        if isinstance(node, ast.AnnAssign):
            waiting.remove(node.annotation)
        yield from _of_node(node)


def _of_node(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OTHER:
            yield node, ast.unparse(ast.Compare(left, [_OTHER[type(op)]()], [right]))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OTHER and not _is_text(node):
            yield node, f"({ast.unparse(ast.BinOp(left, _OTHER[type(op)](), right))})"
        case ast.BoolOp(op=op, values=values):
            yield node, f"({ast.unparse(ast.BoolOp(_OTHER[type(op)](), values))})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.If(test=test) | ast.IfExp(test=test):
            yield test, f"(not ({ast.unparse(test)}))"
        case ast.Constant(value=bool(value)):
            yield node, str(not value)
        case ast.Constant(value=int(value)):
            yield node, str(value + 1)
        case ast.Constant(value=float(value)):
            yield node, repr(value * 2 or 1.0)
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield node, "pass"


def _is_text(node: ast.BinOp) -> bool:
    constants = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
    return any(isinstance(value, str) for value in constants)


def _compiles(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
