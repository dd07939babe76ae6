"""`embench challenge`: host a challenge whose labels stay hidden, or take part in one. Files only, no server."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from embench.cli import console
from embench.cli.console import show_table
from embench.cli.options import DataRoot, Json, ProtocolName, complete
from embench.errors import UsageError
from embench.planning.request import Request
from embench.screen import Steps

if TYPE_CHECKING:
    from embench.challenge.hosting import Layout
    from embench.challenge.results import Results

challenge_app = typer.Typer(help="Host a challenge with hidden labels, or take part in one: files only, no server.")

_Folder = Annotated[Path, Option("--challenge", metavar="DIR", help="Folder that `challenge new` wrote.")]
_Inbox = Annotated[Path, Argument(metavar="INBOX", help="Folder with a subfolder of submissions for each team.")]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _find(folder: Path) -> Layout:
    """Return the challenge in a folder. Raises UsageError if there is none."""
    from embench.challenge.hosting import Layout
    from embench.challenge.package import CHALLENGE_FILE

    place = Layout(folder)
    if not (place.public / CHALLENGE_FILE).is_file() or not place.holder.is_dir():
        raise UsageError(
            "this folder contains no challenge with a package", where=f"--challenge {folder}",
            expected="the folder of `embench challenge new`, after its last step",
        )  # fmt: skip
    return place


@challenge_app.command("new")
def new_challenge(
    out: Annotated[Path, Option(metavar="DIR", help="Folder of the challenge.")],
    study: Annotated[
        str | None,
        Argument(
            metavar="[STUDY]", autocompletion=complete("dataset"), help="Folder or name of the dataset, at first."
        ),
    ] = None,
    target: Annotated[str | None, Option(help="Target to predict; default: the only one of the dataset.")] = None,
    modalities: Annotated[str | None, Option(help="Published modalities, comma-separated; default: all.")] = None,
    protocol: ProtocolName = Request.protocol,
    public_value: Annotated[
        str | None, Option(help="Value named in the form, once it is known, in hexadecimal digits: splits subjects.")
    ] = None,
    demonstration: Annotated[
        bool, Option("--demonstration", help="Accept labels that others have or that confounds predict; mark results.")
    ] = False,
    data_root: DataRoot = None,
) -> None:
    """Begin a challenge: write the form, then the commitment, then the public package. Repeat for each step."""
    from embench.challenge.hosting import begin
    from embench.challenge.study import StudyRef
    from embench.data.find import is_folder

    ref = None
    if study is not None:
        root = None if data_root is None else str(data_root.absolute())  # later commands may run elsewhere
        place = str(Path(study).expanduser().absolute()) if is_folder(study) else study
        chosen = tuple(name.strip() for name in (modalities or "").split(",") if name.strip())
        ref = StudyRef(dataset=place, data_root=root, target=target or "", protocol=protocol, modalities=chosen)
    with Steps() as steps:
        done = begin(
            out, ref, demonstration=demonstration, public_value=public_value, now=_now(),
            progress=steps.part("subjects", "prepared"), fitting=steps.part("folds", "confound-only models fitted"),
        )  # fmt: skip
    for line in done.lines:
        console.wrapped(line)


@challenge_app.command("check")
def check_before_sending(
    submission: Annotated[
        Path, Argument(metavar="SUBMISSION", help="Folder or zip with predictions.csv, method.yaml.")
    ],
    package: Annotated[Path, Option(metavar="DIR", help="The public package.")] = Path(),
    out: Annotated[Path | None, Option(metavar="FILE.zip", help="Pack the submission for the host.")] = None,
) -> None:
    """Check a submission against the public package: files, format, coverage, declarations. Nothing is scored."""
    from embench.challenge.submissions import check_submission, read_files, write_zip

    found = check_submission(submission, package)
    if out is not None:
        write_zip(read_files(submission), out)
    subjects = len({row.subject for row in found.rows})
    packed = f"; written to {out}" if out else ""
    console.wrapped(
        f"valid: {len(found.rows)} units of {subjects} hidden subjects, method {found.method.method}{packed}"
    )


@challenge_app.command("score")
def score_inbox(inbox: _Inbox, challenge: _Folder = Path(), as_json: Json = False) -> None:
    """Read new submissions, accept or refuse each, and write the answers. After the end, score them without a rank."""
    from embench.challenge.after import score_after
    from embench.challenge.inbox import Inbox
    from embench.challenge.results import RESULTS_FILE
    from embench.records.wording import counted

    place = _find(challenge)
    if (place.results / RESULTS_FILE).exists():
        rows = score_after(place, inbox, _now())
        console.answer(as_json, {"after": rows}, lambda: show_table(rows))
        console.note(f"scored after the end, without ranks: {place.results / 'after.csv'}")
        return
    box = Inbox(place, inbox)
    read = box.read_new(_now())
    shown = [{"team": e.team, "submission": e.file, "state": e.state, "reason": e.reason} for e in read]
    console.answer(as_json, {"submissions": shown}, lambda: show_table(shown) if shown else None)
    console.note(
        f"{counted(len(read), 'new submission')}; for everyone: {place.feedback}; for each team alone: {place.answers}"
    )
    if ignored := box.list_ignored():
        console.note(f"ignored: {', '.join(ignored)}; submissions belong into {inbox}/TEAM/")


@challenge_app.command("close")
def close_inbox(
    inbox: Annotated[Path | None, Argument(metavar="[INBOX]", help="The inbox; not needed with --rerun.")] = None,
    challenge: _Folder = Path(),
    rerun: Annotated[
        str | None, Option(metavar="TEAM=FILE", help="Predictions of a team's method that you ran again from its code.")
    ] = None,
    early: Annotated[bool, Option("--early", help="Close a demonstration before its deadline.")] = False,
    as_json: Json = False,
) -> None:
    """Score the final group, once; rank the teams; open the commitment; write the results."""
    from embench.challenge.after import confirm_rerun
    from embench.challenge.closing import close_challenge

    place = _find(challenge)
    if rerun is not None:
        team, _, file = rerun.partition("=")
        if not file:
            raise UsageError("no file of predictions is named", where="--rerun", expected="TEAM=predictions.csv")
        found = confirm_rerun(place, team, Path(file))
    elif inbox is None:
        raise UsageError("no inbox is named", where="embench challenge close", expected="INBOX, or --rerun TEAM=FILE")
    else:
        found = close_challenge(
            place, inbox, early=early, now=_now(), on_team=lambda name: console.note(f"scoring {name}")
        )
    console.answer(as_json, found.model_dump(mode="json"), lambda: _print_results(found, challenge))
    console.note(f"publish {place.results}")


@challenge_app.command("verify")
def verify_challenge(
    results: Annotated[Path, Argument(metavar="RESULTS", help="Folder of results that a host published.")],
) -> None:
    """Check published results: commitment, split, labels; compute scores, comparisons and ranks again."""
    from embench.challenge.verification import verify_results

    for line in verify_results(results):
        console.wrapped(line if line.startswith(("compare", "not checked")) else f"checked: {line}")


@challenge_app.command()
def bundle(
    challenge: _Folder = Path(),
    out: Annotated[Path, Option(metavar="FILE.zip", help="The bundle.")] = Path("codabench.zip"),
    image: Annotated[str, Option(help="Docker image with embench, built from the Dockerfile in the bundle.")] = "",
) -> None:
    """Write a bundle for Codabench, whose scoring program is the light installation."""
    from embench.challenge.codabench import write_bundle

    write_bundle(_find(challenge), out, image)
    console.wrapped(f"{out}: contains the hidden labels; upload it to Codabench, and show it to nobody else")


def _print_results(found: Results, folder: Path) -> None:
    """Print the leaderboard and what it can say."""
    from embench.challenge.results import list_board

    show_table(list_board(found))
    for line in found.sentences:
        console.wrapped(line)
    if not found.is_final:
        todo = ", ".join(row.team for row in found.rows if row.rerun == "to do")
        console.wrapped(
            f"provisional until these were run again from their code: {todo}; for each: embench challenge close "
            f"--challenge {folder} --rerun TEAM=FILE"
        )
