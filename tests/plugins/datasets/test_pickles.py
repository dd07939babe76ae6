"""Pickles that nobody vouches for: arrays of every protocol come back, and nothing that a file names is ever run."""

import builtins
import io
import os
import pickle
import struct
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from embench.errors import DataError
from embench_plugins.datasets.formats.pickles import MOST_INSTRUCTIONS, load_pickle
from embench_plugins.datasets.synthetic import writers

CONTENT = {
    "subject": "S2",
    "data": np.random.default_rng(0).standard_normal((3, 4, 5)),
    "labels": np.arange(12, dtype=np.int32).reshape(3, 4),
    "signal": {"chest": {"ECG": np.float32([[1.5], [2.5]])}, "none": {}},
    "all bytes": np.arange(256, dtype=np.uint8),
    "nothing": np.zeros((0, 3)),
    "others": [1, 300, 70_000, -4, 2.5, True, None, (), (1,), (1, 2, 3, 4), ["x"]],
}


def load(path: Path, **more) -> object:
    return load_pickle(path, expected="a dict of arrays", hint="download it again", **more)


def loads(tmp_path: Path, content: bytes) -> object:
    path = tmp_path / "s01.dat"
    path.write_bytes(content)
    return load(path)


def refused(tmp_path: Path, content: bytes) -> DataError:
    with pytest.raises(DataError) as caught:
        loads(tmp_path, content)
    assert str(tmp_path / "s01.dat") == caught.value.where
    assert caught.value.expected == "a dict of arrays"
    assert caught.value.hint
    return caught.value


def as_python_2(value: object, protocol: int) -> bytes:
    file = io.BytesIO()
    writers.dump_python2(file, value, protocol)
    return file.getvalue()


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_python_2_pickle_loads_under_latin1_and_here_but_not_under_ascii(tmp_path, protocol):
    content = as_python_2(CONTENT, protocol)
    with pytest.raises(UnicodeDecodeError):
        pickle.loads(content)
    assert pickle.loads(content, encoding="bytes")[b"subject"] == b"S2"
    for read in (pickle.loads(content, encoding="latin1"), loads(tmp_path, content)):
        np.testing.assert_equal(read, CONTENT)
        assert list(read) == list(CONTENT)
        assert read["labels"].dtype == np.int32


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_python_2_pickle_names_the_modules_of_its_time_and_no_unicode(protocol):
    content = as_python_2(CONTENT, protocol)
    assert b"numpy.core.multiarray" in content
    assert b"numpy._core" not in content
    assert b"_codecs" not in content
    assert {b"\nV", b"X\x04"}.isdisjoint([content[i : i + 2] for i in range(40)])


def test_a_large_array_is_escaped_in_chunks_that_join(tmp_path):
    data = np.random.default_rng(1).integers(0, 256, 3 * writers.CHUNK + 7, dtype=np.uint8)
    np.testing.assert_array_equal(loads(tmp_path, as_python_2(data, 0)), data)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_re_dump_by_python_3_loads(tmp_path, protocol):
    more = {
        "scalar": np.float64(3),
        "text scalar": np.str_("S2"),
        "fortran": np.asfortranarray(CONTENT["data"]),
        "transposed": CONTENT["data"].transpose(1, 0, 2),
        "strided": CONTENT["data"][::-1],
        "big endian": CONTENT["data"].astype(">f4"),
        "strings": np.array(["a", "bc"]),
        "bytes": b"\x00\xff",
        "no bytes": b"",
        "text": "mü\n",
        "big": 1 << 62,
        "dtype": np.dtype("f4"),
    }
    content = pickle.dumps(CONTENT | more, protocol)
    np.testing.assert_equal(loads(tmp_path, content), CONTENT | more)


def test_an_older_numpy_s_re_dump_loads(tmp_path):
    content = pickle.dumps(CONTENT, 2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    np.testing.assert_equal(loads(tmp_path, content), CONTENT)


def test_one_array_twice_is_one_array(tmp_path):
    array = np.arange(3.0)
    first, second = loads(tmp_path, pickle.dumps([array, array], 2))
    assert first is second


class _Does:
    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


class _WithState:
    def __reduce__(self):
        return np.ndarray, (0,), {"x": 1}


class _Appends:
    def __reduce__(self):
        return np.array, ([1],), None, iter([1, 2])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["system", "eval", "open", "load", "chain", "getattr"])
def test_a_pickle_that_would_run_code_is_refused_and_nothing_ran(tmp_path, kind, protocol):
    trace = tmp_path / "it ran"
    call = {
        "system": _Does(os.system, f"touch '{trace}'"),
        "eval": _Does(builtins.eval, f"open({str(trace)!r}, 'w')"),
        "open": _Does(builtins.open, str(trace), "w"),
        "load": _Does(np.save, str(trace), 1),
        "chain": _Does(builtins.map, builtins.eval, [f"open({str(trace)!r}, 'w')"]),
        "getattr": _Does(builtins.getattr, _Does(__import__, "os"), "system"),
    }[kind]
    error = refused(tmp_path, pickle.dumps({"data": np.zeros(3), "labels": call}, protocol))
    assert "nothing of it was run" in str(error)
    assert not list(tmp_path.glob("it ran*"))


def test_the_tests_above_would_run_their_code_under_pickle_itself(tmp_path):
    pickle.loads(pickle.dumps(_Does(os.system, f"touch '{tmp_path / 'it ran'}'")))
    assert (tmp_path / "it ran").exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"cnumpy\nload\n(S'x'\ntR.", "numpy.load"),
        (b"cnumpy.core.multiarray\nfromstring\n.", "numpy.core.multiarray.fromstring"),
        (b"cnumpy.testing._private.utils\nrunstring\n.", "runstring"),
        (b"(S'true'\nios\nsystem\n.", "INST"),
        (b"(cnumpy\ndtype\nS'f8'\no.", "OBJ"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "NEWOBJ"),
        (b"Pnumber 1\n.", "PERSID"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"cnumpy\ndtype\n}S'x'\nI1\nsb.", "changes something"),  # sets an attribute of a class
        (b"cnumpy\nndarray\n(tR.", "calls something"),
        (b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.", "dtype `O8`"),
        (b"cnumpy\ndtype\n(S'V9'\nI0\nI1\ntR.", "dtype `V9`"),
        (b"c_codecs\nencode\n(Vx\nVrot13\ntR.", "content"),
        (pickle.dumps(np.array([None, {}])), "dtype `O8`"),
        (pickle.dumps(np.zeros(2, [("a", "f8")])), "dtype `V8`"),
        (pickle.dumps({1, 2}), "EMPTY_SET"),
        (pickle.dumps(Path("x")), "pathlib"),
        (pickle.dumps(_WithState()), "calls something"),
        (pickle.dumps(_Appends()), "numpy"),
        (pickle.dumps({(1, 2): 3}), "keys"),
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(60), "zip archive"),
        (b"\x1f\x8b\x08" + bytes(60), "gzip"),
        (b"\n<!DOCTYPE html><html><body>Login</body></html>", "web page"),
        (b"MATLAB 5.0 MAT-file" + bytes(200), "MATLAB"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer"),
        (b"\x80\x02" + b"\xfe" * 40, "not an instruction"),
        (b"a,b\n1,2\n", "not readable"),
        (bytes(100), "not an instruction"),
        (b"(lp1\nI1\naI2\n.", "inside a value"),
        (b"(I1\nI2\n.", "inside a value"),
    ],
)
def test_what_is_no_pickle_of_arrays_is_refused_by_its_name(tmp_path, content, named):
    assert named in str(refused(tmp_path, content))


def test_nothing_is_imported(tmp_path):
    assert "this" not in sys.modules
    refused(tmp_path, b"cthis\ns\n.")
    assert "this" not in sys.modules


def test_a_missing_file_and_a_folder_are_data_errors(tmp_path):
    with pytest.raises(DataError, match="missing"):
        load(tmp_path / "s99.dat")
    with pytest.raises(DataError):
        load(tmp_path)


def test_a_file_over_the_limit_is_refused_unread(tmp_path):
    path = tmp_path / "s01.dat"
    path.write_bytes(as_python_2(CONTENT, 2))
    with pytest.raises(DataError, match="more than 100"):
        load(path, most_bytes=100)


@pytest.mark.parametrize("protocol", [0, 2])
def test_a_truncated_file_is_an_error_wherever_it_ends(tmp_path, protocol):
    content = as_python_2({"data": np.arange(6.0), "labels": np.zeros((2, 2))}, protocol)
    for size in range(1, len(content)):
        refused(tmp_path, content[:size])
    assert "truncated" in str(refused(tmp_path, content[: len(content) // 2]))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_flipped_bits_give_a_value_or_a_data_error(tmp_path, protocol):
    content = as_python_2(CONTENT, protocol) if protocol < 3 else pickle.dumps(CONTENT, protocol)
    rng = np.random.default_rng(protocol)
    read = 0
    for _ in range(400):
        changed = bytearray(content)
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            changed[at] ^= 1 << rng.integers(8)
        try:
            loads(tmp_path, bytes(changed))
            read += 1
        except DataError:
            pass
    assert 0 < read < 400


BOMBS = {
    "a string's length": b"\x80\x02T" + struct.pack("<I", 2**31 - 1) + b"x.",
    "bytes of 2^60": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
    "a byte array of 2^60": b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"x.",
    "a frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N",
    "a long number": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    "a negative length": b"\x80\x02\x8b" + struct.pack("<i", -5) + b"x.",
    "a number of many digits": b"L" + b"9" * 100_000 + b"L\n.",
    "a shape": as_python_2(np.zeros((3, 4)), 0).replace(b"I3\nI4\n", b"I3000000000\nI400000000\n"),
    "a shape without content": as_python_2(np.zeros((0, 4)), 0).replace(b"I0\nI4\n", b"I3000\nI4\n"),
    "a negative shape": as_python_2(np.zeros((3, 4)), 0).replace(b"I3\nI4\n", b"I-3\nI-4\n"),
    "a string dtype": (
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'S999999999'\nI0\nI1\ntR"
        b"(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbS'x'\ntR."
    ),
    "elements of no size": b"cnumpy\ndtype\n(S'S0'\nI0\nI1\ntR.",
    "instructions": b"(" + b"N" * (MOST_INSTRUCTIONS + 1) + b"t.",
    "a memo": b"N" + b"r" + struct.pack("<I", 2**32 - 1) + b"0N" * MOST_INSTRUCTIONS,
    "containers in containers": b"(" * 1000 + b"N" + b"t" * 1000 + b".",
    "one string for many arrays": b"".join([
        b"\x80\x02cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbq\x010",
        b"T", struct.pack("<I", 1_000_000), bytes(1_000_000), b"q\x020]",
        (
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01J"
            + struct.pack("<i", 1_000_000) + b"\x85h\x01\x89h\x02tba"
        ) * 500,
        b".",
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_no_claim_of_a_file_takes_memory(tmp_path, name):
    (tmp_path / "s01.dat").write_bytes(BOMBS[name])
    tracemalloc.start()
    try:
        error = refused(tmp_path, BOMBS[name])
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert name != "one string for many arrays" or "larger than their file" in str(error)


def test_a_list_inside_itself_does_not_hang(tmp_path):
    (inside,) = loads(tmp_path, b"(lp1\ng1\na.")
    assert inside[0] is inside
