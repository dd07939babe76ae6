"""`embench claims`: what papers claim, run under the fixed protocol and under their own, with a verdict on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from embench.cli import console
from embench.cli.options import DryRun, Json, completes, takes

if TYPE_CHECKING:
    from embench.claims import AnyClaim, Claim, ClaimResult, Measured, UntestedClaim

LEGS: Mapping[str, Sequence[Any]] = {"both": ("fixed", "own"), "fixed": ("fixed",), "own": ("own",)}

MEANING = (
    "A verdict is about these configurations, these subjects and this recipe. It does not judge the paper's own runs, "
    "and on a dataset other than the paper's it answers a different question."
)


@takes(
    *("recipe", "seeds", "device", "data-root", "runs", "set", "workers"),
    help_texts={
        "seeds": "Seeds, comma-separated.",
        "set": "Change a setting on both sides, encoder[video]... on those that read video; repeatable.",
    },
    before={"paper": "recipe", "claim": "recipe", "dataset": "recipe", "under": "recipe"},
)
def claims(
    paper: Annotated[
        str | None, typer.Argument(metavar="[PAPER]", help="Name of a paper, such as wu2023; default: all.")
    ] = None,
    *,
    claim: Annotated[list[str] | None, typer.Option("--claim", help="Id of a claim; repeatable.")] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            autocompletion=completes("dataset"),
            help="Dataset to use instead of those of the claims; repeatable.",
        ),
    ] = None,
    under: Annotated[
        Literal["both", "fixed", "own"],
        typer.Option("--under", help="Use the fixed protocol, the papers' own protocols, or both."),
    ] = "both",
    dry_run: DryRun = False,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Test papers' claims: run both sides of each claim, compare them, and give a verdict."""
    with console.stdout_kept(as_json):
        from embench import claims as claiming
        from embench.cli.progress import Progress

        chosen = claiming.select_claims(paper, tuple(claim or ()))
        tested = [each for each in chosen if isinstance(each, claiming.Claim)]
        pairs = claiming.claim_pairs(tested, dataset or (), LEGS[under], options)
        # Only under the papers' own protocols: what they measure is a score of no fixed protocol.
        asked = [each for each in chosen if isinstance(each, claiming.MeasuredClaim) and under != "fixed"]
        if dry_run:
            rows = claiming.preview_claims(pairs)
            values = claiming.examine_measured(asked, dataset or (), options, dry_run=True)
        else:
            with Progress() as progress:
                rows = claiming.examine_claims(pairs, progress=progress.event, workers=options["workers"])
                values = claiming.examine_measured(asked, dataset or (), options, progress.event)
    untested = [each for each in chosen if isinstance(each, claiming.UntestedClaim)]
    if as_json:
        console.document(_document([*tested, *asked], [*rows, *values], untested))
    else:
        _print(tested, rows, values, untested)
    if not dry_run:
        claiming.check_all_compared([*rows, *values])


def _line(options: Mapping[str, Any]) -> str:
    """Options as they stand on a command line."""
    parts = []
    for name, value in options.items():
        values = [value] if isinstance(value, str) else value
        parts += [f"--{name.replace('_', '-')} {item}" for item in values]
    return " ".join(parts)


def _document(
    tested: Sequence[AnyClaim], rows: Sequence[ClaimResult | Measured], untested: Sequence[UntestedClaim]
) -> dict[str, Any]:
    """What `--json` prints."""
    kept = {"id", "paper", "claim", "direction", "measure", "by", "margin", "published", "protocol"}
    kept |= {"metric", "remarks"}
    described = [
        claim.model_dump(include=kept) | {"rows": [row.json() for row in rows if row.claim is claim]}
        for claim in tested
    ]
    return {"claims": described, "not_tested": [claim.model_dump() for claim in untested]}


def _print(
    tested: Sequence[Claim],
    rows: Sequence[ClaimResult],
    values: Sequence[Measured],
    untested: Sequence[UntestedClaim],
) -> None:
    from embench.cli.show import SYNTHETIC_SCORES

    every: Sequence[ClaimResult | Measured] = [*rows, *values]
    generated = any(row.synthetic for row in every)
    if generated:
        console.wrapped(SYNTHETIC_SCORES, bold=True, colour="yellow")
    heads = ["dataset", "target", "protocol", "score", "published", "measured (a - b)", "p, Holm", "verdict", "size"]
    for claim in tested:
        own = [row for row in rows if row.claim is claim]
        compared = [row for row in own if row.status == "compared"]
        console.wrapped(f"{claim.paper} {claim.id}: {claim.claim}", bold=True)
        console.echo(f"a: {_line(claim.options('a', _first(claim, own)))}")
        console.echo(f"b: {_line(claim.options('b', _first(claim, own)))}")
        if compared:
            console.table([*heads, "cost", "recipe"], [_cells(row) for row in compared])
        for line in _not_compared([row for row in own if row.status != "compared"]):
            console.wrapped(line)
        if claim.remarks:
            console.wrapped(claim.remarks)
        console.echo()
    _print_measured(values)
    for what_to_do in dict.fromkeys(row.what_to_do for row in every if row.what_to_do):
        console.wrapped(f"what to do: {what_to_do}")
    _print_untested(untested)
    if any(row.status in ("compared", "measured") for row in every):
        console.wrapped(MEANING)
    if generated:
        console.wrapped(SYNTHETIC_SCORES, bold=True, colour="yellow")


def _print_measured(values: Sequence[Measured]) -> None:
    """Claims that compare no scores: what was measured, and where it lies if the claim is right."""
    heads = ["dataset", "target", "protocol", "what", "claimed", "published", "measured", "of", "p, Holm", "verdict"]
    for paper, claim in dict.fromkeys((row.claim.paper, row.claim.id) for row in values):
        own = [row for row in values if (row.claim.paper, row.claim.id) == (paper, claim)]
        about = own[0].claim
        console.wrapped(f"{paper} {claim}: {about.claim}", bold=True)
        for name, run in about.runs.items():
            console.echo(f"{name}: {_line(run.stated)}")
        if known := [_measured_cells(row) for row in own if row.status == "measured"]:
            console.table([*heads, "size"], known)
        for protocol, what in {name: text for row in own for name, text in row.leaks.items()}.items():
            console.wrapped(f"{protocol} leaks: {what}")
        for row in own:
            if row.status != "measured":
                where = " ".join(filter(None, [row.dataset, row.target]))
                console.wrapped(f"{row.status}: {where}" + (f": {row.reason}" if row.reason else ""))
        if about.remarks:
            console.wrapped(about.remarks)
        console.echo()


def _measured_cells(row: Measured) -> list[str]:
    from embench.records.wording import format_figure, format_score

    about = row.claim
    claimed = f"above {about.reference:.3g}" if about.margin is None else f"{about.reference:.3g} ± {about.margin:g}"
    verdict = str(row.verdict)
    if about.margin is not None:
        verdict += f" ({'holds' if row.holds_reference else 'does not hold'} {about.reference:.3g})"
    published = ", ".join(f"{name} {value:g}" for name, value in about.published.items())
    return [
        row.dataset,
        row.target,
        about.protocol,
        row.what,
        claimed,
        (published if row.published is not None else "") or "-",
        format_score(row),
        f"{row.count} {row.over}",
        format_figure(row.corrected, ".3g"),
        verdict,
        row.size or "-",
    ]


def _first(claim: Claim, rows: Sequence[ClaimResult]) -> str:
    """The dataset whose options are shown."""
    return rows[0].dataset if rows else next(iter(claim.datasets))


def _cells(row: ClaimResult) -> list[str]:
    from embench.records.cost import format_duration
    from embench.records.wording import format_figure, format_score

    gap = row.difference
    measured = format_score(gap.as_json(), "+.3f")
    verdict = str(row.verdict)
    if row.verdict == "undecided" and row.smallest is not None:
        verdict += f" (could show {format_figure(row.smallest)})"
    p = format_figure(row.corrected, ".3g")
    published = format_figure(row.published, "+.3f")
    cost = ", ".join(f"{side} {format_duration(seconds)}" for side, seconds in row.cost.items())
    place = row.dataset if row.dataset in row.claim.datasets else f"{row.dataset} (not the paper's)"
    return [
        place,
        row.target,
        row.protocol,
        row.metric,
        published,
        measured,
        p,
        verdict,
        row.size or "-",
        cost,
        row.recipe,
    ]


def _not_compared(rows: Sequence[ClaimResult]) -> list[str]:
    """Rows that compare nothing, as lines; protocols with one reason share a line."""
    protocols: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        key = (row.status, row.dataset, row.target, row.reason)
        protocols.setdefault(key, []).append(row.protocol)
    lines = []
    for (status, dataset, target, reason), names in protocols.items():
        lines.append(f"{status}: {' '.join(filter(None, [dataset, target]))} ({', '.join(names)})")
        lines[-1] += f": {reason}" if reason else ""
    return lines


def _print_untested(untested: Sequence[UntestedClaim]) -> None:
    if untested:
        rows = [[each.paper, each.id, each.claim, each.not_tested] for each in untested]
        console.table(["paper", "claim", "statement", "why not"], rows, title="not yet tested by embench")
