"""Submissions: read without trusting them, and checked against the public package alone."""

from __future__ import annotations

import csv
import hashlib
import io
import stat
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import ConfigDict, StringConstraints

from embench.challenge.form import ChallengePart
from embench.challenge.package import HIDDEN, METHOD_FILE, UNITS_FILE, read_challenge
from embench.errors import DataError
from embench.files import parse_yaml, read_text, saving
from embench.interfaces.units import LabelRule, Target
from embench.records.manifest import as_model
from embench.records.predictions import NO_FOLD, Faults, SubmittedRow, parse_submission

PREDICTIONS = "predictions.csv"
SUBMISSION_FILES = (PREDICTIONS, METHOD_FILE)
MOST_SUBMITTED_BYTES = 1 << 26
"""Most bytes of a submission, packed or unpacked."""
MOST_ARCHIVE_MEMBERS = 16
_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class MethodDeclaration(ChallengePart):
    """A team's answers about its method."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    method: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
    code: _Line
    external_data: _Line
    weights: _Line
    adaptation: _Line
    manual_labelling: bool
    time_context: _Line


class Submission(NamedTuple):
    """A valid submission. `sha256`: of its files; `rows`: one for each unit of the hidden subjects."""

    sha256: str
    method: MethodDeclaration
    rows: Sequence[SubmittedRow]


class Expected(NamedTuple):
    """The predictions that a submission needs: the target, and unit -> (subject, recording) of all hidden subjects."""

    name: str
    target: Target
    units: Mapping[str, tuple[str, str]]


def read_expected(package: Path) -> Expected:
    """Read from a public package what has to be predicted. Raises DataError if a file is missing or damaged."""
    challenge = read_challenge(package)
    try:
        about = challenge["target"]
        target = Target(about["name"], about["kind"], LabelRule(), about["label"], about["classes"])
        table = csv.DictReader(io.StringIO(read_text(package / UNITS_FILE)))
        units = {row["unit"]: (row["subject"], row["recording"]) for row in table if row["part"] == HIDDEN}
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(
            f"the package cannot be read: {error}", where=str(package), expected="the package as the host published it"
        ) from error
    return Expected(str(challenge["name"]), target, units)


def check_submission(path: Path, package: Path) -> Submission:
    """Read a submission, a folder or a zip file, and check it against the public package. Nothing is scored.

    Raises:
        DataError: files are missing, hostile or damaged, or do not predict each unit of the hidden subjects once.
    """
    return parse_files(read_files(path), path, read_expected(package))


def parse_files(files: Mapping[str, bytes], path: Path, expected: Expected) -> Submission:
    """Return the checked content of a submission's files. `path`: the submission, for messages. Raises DataError."""
    found = parse_published(files, path, expected.name, expected.target)
    _check_rows(found.rows, path / PREDICTIONS, expected)
    return found


def parse_published(files: Mapping[str, bytes], path: Path, name: str, target: Target) -> Submission:
    """Return the content of a submission to the challenge `name`, whose units are not checked. Raises DataError."""
    method = _parse_method(files[METHOD_FILE], path / METHOD_FILE)
    rows, _ = parse_submission(files[PREDICTIONS], path / PREDICTIONS, (target,), name)
    joined = hashlib.sha256()
    for name in SUBMISSION_FILES:
        joined.update(hashlib.sha256(files[name]).digest())
    return Submission(joined.hexdigest(), method, rows)


def read_files(path: Path) -> dict[str, bytes]:
    """Return name -> content of a submission's two files. Nothing is unpacked to the disk, and links are not followed.

    Raises:
        DataError: the submission is neither a folder nor a zip file; or a file is missing, not regular, too large, or
            has a name with a path.
    """
    try:
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            found = {name: _read_plain(path / name) for name in SUBMISSION_FILES}
        elif stat.S_ISREG(mode):
            found = _read_zip(_read_plain(path), path)
        else:
            raise _refuse("it is a link or a device", path)
    except FileNotFoundError as error:
        raise DataError(
            "no such file or folder", where=str(path), expected=f"a zip file or a folder with {_NAMES}"
        ) from error
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise DataError(
            f"the submission cannot be read: {error}", where=str(path), expected=f"a zip file or a folder with {_NAMES}"
        ) from error
    return found


_NAMES = " and ".join(SUBMISSION_FILES)


def _refuse(what: str, path: Path) -> DataError:
    return DataError(
        f"the submission is refused: {what}",
        where=str(path),
        expected=f"a zip file or a folder with {_NAMES}, of {MOST_SUBMITTED_BYTES >> 20} MB at most",
        hint="embench challenge check FOLDER --out FILE.zip packs the two files",
    )


def _read_plain(path: Path) -> bytes:
    """Return the content of a regular file. Raises DataError for links, devices and large files."""
    try:
        status = path.lstat()
    except FileNotFoundError as error:
        raise _refuse(f"{path.name} is missing", path.parent) from error
    if not stat.S_ISREG(status.st_mode):
        raise _refuse(f"{path.name} is not a plain file", path.parent)
    if status.st_size > MOST_SUBMITTED_BYTES:
        raise _refuse(f"{path.name} has {status.st_size >> 20} MB", path.parent)
    return path.read_bytes()


def _read_zip(content: bytes, path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if len(members) > MOST_ARCHIVE_MEMBERS:
            raise _refuse(f"it has {len(members)} members", path)
        found: dict[str, bytes] = {}
        for member in members:
            name = member.filename
            if member.is_dir() or name.startswith("__MACOSX/"):
                continue
            if stat.S_ISLNK(member.external_attr >> 16):
                raise _refuse("a member is a link", path)
            if "\\" in name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise _refuse("the name of a member points outside", path)
            if name not in SUBMISSION_FILES:
                raise _refuse(f"it has other members than {_NAMES}", path)
            if name in found:
                raise _refuse(f"{name} is in it twice", path)
            found[name] = _read_member(archive, member, path)
    if missing := [name for name in SUBMISSION_FILES if name not in found]:
        raise _refuse(f"{' and '.join(missing)} missing", path)
    return found


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    """Return the content of a member, whose announced size is not trusted."""
    if member.flag_bits & 1:
        raise _refuse("a member is encrypted", path)
    with archive.open(member) as file:
        content = file.read(MOST_SUBMITTED_BYTES + 1)
    if len(content) > MOST_SUBMITTED_BYTES:
        raise _refuse(f"{member.filename} unpacks to more than {MOST_SUBMITTED_BYTES >> 20} MB", path)
    return content


def _parse_method(content: bytes, path: Path) -> MethodDeclaration:
    try:
        found: Any = parse_yaml(content.decode("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"the file cannot be read: {error}", where=str(path), expected="YAML") from error
    if isinstance(found, dict) and (todo := [key for key, value in found.items() if "TODO" in str(value)]):
        raise DataError(
            f"{len(todo)} declarations are missing: {', '.join(map(str, todo))}",
            where=str(path),
            expected="an answer in place of each TODO",
        )
    method = as_model(MethodDeclaration, found, "the declaration", str(path), "the keys of the package's method.yaml")
    if method.manual_labelling:
        raise DataError(
            "hidden units were labelled by hand", where=f"{path}, manual_labelling", expected="no, as the rules require"
        )
    return method


def _check_rows(rows: Sequence[SubmittedRow], path: Path, expected: Expected) -> None:
    """Check that the rows predict each hidden unit once, in one seed. Raises DataError with line numbers."""
    faults = Faults(path)
    for row in rows:
        known = expected.units.get(row.unit)
        if known is None:
            faults.add("rows name units that are not of hidden subjects", row.line, row.unit)
        elif known != (row.subject, row.recording):
            faults.add("rows name units of another subject or recording", row.line, row.unit, f"{known[0]}, {known[1]}")
        if row.seed or row.fold not in (NO_FOLD, 0) or row.given:
            faults.add(
                "rows have a seed, a fold or calibration data", row.line, expected="one prediction for each unit"
            )
    faults.check(hint=f"predict the units of {UNITS_FILE} with part `{HIDDEN}`")
    missing = expected.units.keys() - {row.unit for row in rows}
    if missing:
        raise DataError(
            f"{len(missing)} of {len(expected.units)} units of hidden subjects have no prediction, such as "
            f"{min(missing)}",
            where=str(path),
            expected="one prediction for each unit",
            hint="for units without a signal: predict what you would without any, such as the mean of the labels",
        )


def write_zip(files: Mapping[str, bytes], out: Path) -> None:
    """Write a submission as a zip file. Raises MachineError if that fails."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in SUBMISSION_FILES:
            archive.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)
    with saving("the submission", out):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(packed.getvalue())
