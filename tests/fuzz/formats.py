"""Ways in which MATLAB files, pickles and zip archives get damaged from inside, as files that are still well formed."""

# ruff: noqa: ARG001 - all ways have the same arguments

from __future__ import annotations

import copy
import io
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.io import loadmat, savemat

from .contents import GENERAL, HUGE, TEXT, Change, Rng, pick

CANARY = "embench_fuzz_canary"


def _mat_cells(rng: Rng, content: bytes) -> bytes:
    """A MATLAB file whose arrays are of another shape or type."""
    variables = {k: v for k, v in loadmat(io.BytesIO(content)).items() if not k.startswith("__")}
    name = pick(rng, sorted(variables))
    choice = rng.random()
    if choice < 0.1:
        del variables[name]
    elif choice < 0.2:
        variables[f"{name}_"] = variables.pop(name)
    elif variables[name].dtype == object and choice < 0.85:
        cells = variables[name]
        at = np.unravel_index(int(rng.integers(cells.size)), cells.shape)
        cells[at] = _other_array(rng, np.asarray(cells[at]))
    else:
        variables[name] = _other_array(rng, variables[name])
    out = io.BytesIO()
    savemat(out, variables, do_compression=bool(rng.random() < 0.8))
    return out.getvalue()


def _mat_header(rng: Rng, content: bytes) -> bytes:
    """A word changed inside a compressed variable, where sizes and types stand, and packed again."""
    parts, at = [content[:128]], 128
    starts = []
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        starts.append((at, size))
        at += 8 + size
    chosen = pick(rng, starts)
    for start, size in starts:
        body = content[start + 8 : start + 8 + size]
        if (start, size) != chosen:
            parts.append(content[start : start + 8 + size])
            continue
        plain = bytearray(zlib.decompress(body) if content[start] == 15 else body)
        where = int(rng.integers(0, min(len(plain), 400) // 4)) * 4
        plain[where : where + 4] = int(pick(rng, (*HUGE, *range(20)))).to_bytes(4, "little")
        body = zlib.compress(bytes(plain)) if content[start] == 15 else bytes(plain)
        parts.append(content[start : start + 4] + len(body).to_bytes(4, "little") + body)
    return b"".join(parts)


def _mat_bomb(rng: Rng, content: bytes) -> bytes:
    """A variable that is 3 GB when it is unpacked."""
    body = _zeros(3 << 30)
    return content[:128] + (15).to_bytes(4, "little") + len(body).to_bytes(4, "little") + body + content[128:]


def _pickle_values(rng: Rng, content: bytes) -> bytes:
    """A pickle in which one value is another."""
    value = pickle.loads(content, encoding="latin1")
    value = _other_value(rng, value)
    return pickle.dumps(value, protocol=int(rng.choice([0, 2, 4, 5])))


def _pickle_code(rng: Rng, content: bytes) -> bytes:
    """A pickle that would run a command, alone or inside a dict that looks right."""
    command = f"touch {CANARY}"
    calls = (
        b"cos\nsystem\n(S'%s'\ntR." % command.encode(),
        b"cposix\nsystem\n(S'%s'\ntR." % command.encode(),
        b'c__builtin__\neval\n(S\'open("%s", "w")\'\ntR.' % CANARY.encode(),
        b"(S'%s'\nios\nsystem\n." % command.encode(),
        b'cnumpy.testing._private.utils\nrunstring\n(S\'open("%s", "w")\'\n(dtR.' % CANARY.encode(),
        b"cnumpy.f2py.diagnose\nrun_command\n(S'%s'\ntR." % command.encode(),
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c%c%s\x85R." % (len(command), command.encode()),
        b"\x80\x02cos\nsystem\nX%s%s\x85R0" % (len(command).to_bytes(4, "little"), command.encode()) + content[2:],
    )
    return pick(rng, calls)


def _pickle_deep(rng: Rng, content: bytes) -> bytes:
    return pick(rng, (b"(" * 200_000 + b".", b"]" * 100_000 + b"a" * 99_999 + b".", b"(l" * 100_000 + b"."))


def _pickle_huge(rng: Rng, content: bytes) -> bytes:
    """A length that is too big, of a string, an array or a frame."""
    head = bytearray(content)
    if rng.random() < 0.3:
        size = (1 << 33).to_bytes(8, "little")
        return b"\x80\x04\x8e" + size + b"xx."
    places = [m.start() + 1 for m in re.finditer(rb"[JTXB\x8a]", content[:3000])]
    at = pick(rng, places or [2])
    head[at : at + 4] = int(pick(rng, HUGE)).to_bytes(4, "little")
    return bytes(head)


def _zip_members(rng: Rng, content: bytes) -> bytes:
    """An archive in which one member is damaged, missing, doubled, renamed or leads out of the folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    name = pick(rng, sorted(members))
    choice = rng.random()
    if choice < 0.5:
        members[name] = pick(rng, [*GENERAL, *TEXT])(rng, members[name])
    elif choice < 0.65:
        del members[name]
    elif choice < 0.8:
        members[pick(rng, ("../../" + CANARY, "/tmp/" + CANARY, name.upper(), name + ".bak"))] = members.pop(name)
    else:
        members[name] = members[pick(rng, sorted(members))]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return out.getvalue()


def _zip_bomb(rng: Rng, content: bytes) -> bytes:
    """An archive of which one member is 3 GB when it is unpacked, and says so or not."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        members = {name: archive.read(name) for name in names}
    chosen, size = pick(rng, names), 3 << 30
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            if name != chosen:
                archive.writestr(name, data)
        with archive.open(chosen, "w", force_zip64=True) as member:
            block = b"0" * (1 << 20) if rng.random() < 0.5 else b"0,0,0\n" * (1 << 17)
            for _ in range(size // len(block) if rng.random() < 0.2 else 40):
                member.write(block)
    return out.getvalue()


def _other_array(rng: Rng, array: np.ndarray) -> Any:
    """An array of another type or shape, or with other values."""
    number = np.issubdtype(array.dtype, np.number)
    options: list[Callable[[], Any]] = [
        lambda: array.astype(pick(rng, ("f4", "f8", "i2", "u1", "i8", "c16"))) if number else array,
        lambda: np.zeros((0, 0)),
        array.T.copy,
        lambda: array[..., : max(array.shape[-1] - 1, 0)],
        lambda: array[: max(len(array) // 2, 1)],
        lambda: np.full(array.shape, pick(rng, (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300, 1e-310))),
        lambda: np.broadcast_to(np.asarray(3.0), (1, 1)).copy(),
        lambda: "text",
        lambda: np.array(["a", "bc"]),
        lambda: array[None] if array.ndim < 3 else array[0],
        array.ravel,
        lambda: np.where(rng.random(array.shape) < 0.3, np.nan, array) if number else array,
        lambda: array > 0 if number else array,
        lambda: np.empty((1, 2), object),
        lambda: {"a": 1.0, "b": array},
    ]
    return pick(rng, options)()


def _other_value(rng: Rng, value: Any) -> Any:
    """`value` with one part of it changed, however deep."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        value = copy.copy(value)
        key = pick(rng, sorted(value, key=str))
        choice = rng.random()
        if choice < 0.1:
            del value[key]
        elif choice < 0.2:
            value[pick(rng, (f"{key}_", str(key).encode(), str(key).upper(), 0, None))] = value.pop(key)
        else:
            value[key] = _other_value(rng, value[key])
        return value
    if isinstance(value, np.ndarray) and rng.random() < 0.8:
        return _other_array(rng, value)
    plain = (
        None, 0, -1, 1e300, "text", b"bytes", [], {}, (), [1, 2, 3], [[1.0], [2.0, 3.0]], np.zeros((0, 0)), True,
        np.float32(2), {"signal": 1}, np.array([None, 1], object), np.array(["x"]), np.zeros(3, [("a", "f4")]),
        np.array(["2026-11-20"], "M8[s]"),
    )  # fmt: skip
    return pick(rng, plain)


def _zeros(size: int) -> bytes:
    """`size` zeros, deflated: one block of 16 MB again and again, which takes no time to make."""
    packer = zlib.compressobj(9)
    block = packer.compress(b"\0" * (16 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b"\0" * (16 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block + again * (size // (16 << 20) - 1) + packer.flush()


MAT: list[Change] = [*[_mat_cells] * 5, *[_mat_header] * 3, _mat_bomb]
PICKLE: list[Change] = [*[_pickle_values] * 6, _pickle_code, _pickle_deep, _pickle_huge]
ZIP: list[Change] = [*[_zip_members] * 4, _zip_bomb]
