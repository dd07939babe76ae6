"""HTML: sections, tables, pictures with the table behind them: all in one file, without a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from embench.report.drawing import STYLE, Figure


@dataclass(frozen=True)
class Section:
    """A part of the page; `short` is what links to it say, `body` HTML."""

    short: str
    title: str
    body: str

    @property
    def id(self) -> str:
        return self.short.lower().replace(" ", "-")


def text(said: str) -> str:
    return f"<p>{escape(said)}</p>"


def missing(reason: str) -> str:
    """In place of what can't be shown."""
    return f'<p class="missing"><strong>Not shown:</strong> {escape(reason)}.</p>'


def number(value: Any) -> str:
    """A cell: three decimals, thousands apart, a dash where there is nothing."""
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str) -> str:
    """The first column names the row. Wide tables scroll by themselves, with the keyboard too."""
    first = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(_cell(cell, k == 0) for k, cell in enumerate(row)) + "</tr>\n" for row in rows)
    caption = escape(caption)
    return (
        f'<div class="scroll" role="region" aria-label="{caption}" tabindex="0"><table><caption>{caption}</caption>'
        f"<thead><tr>{first}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


LONG = 30
"""Letters of a cell that is given room on a narrow screen."""


def _cell(cell: Any, heads: bool) -> str:
    if heads:
        return f'<th scope="row">{escape(number(cell) if isinstance(cell, float) else str(cell))}</th>'
    counted = isinstance(cell, int | float) and not isinstance(cell, bool)
    kind = ' class="n"' if counted else ' class="long"' if len(str(cell)) > LONG else ""
    return f"<td{kind}>{escape(number(cell))}</td>"


def picture(
    figure: Figure, head: Sequence[str], rows: Sequence[Sequence[Any]], note: str, *, wide: bool = False
) -> str:
    """A drawing, what is to be said of it, and its numbers for those who want or need them."""
    drawn = figure.svg(alone=False)
    if wide:  # on a narrow screen it keeps a readable size, and scrolls
        drawn = f'<div class="scroll" role="region" aria-label="{escape(figure.title)}" tabindex="0">{drawn}</div>'
    return (
        f"<figure{' class=wide' if wide else ''}>{drawn}<figcaption>{escape(note)}</figcaption>"
        f"<details><summary>Data behind the picture<span class=hidden>: {escape(figure.title)}</span></summary>"
        f"{table(head, rows, figure.title)}</details></figure>\n"
    )


def pictures(made: Sequence[str]) -> str:
    return f'<div class="pictures">{"".join(made)}</div>'


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>\n" for k, v in pairs) + "</dl>"


def page(title: str, header: str, sections: Sequence[Section], footer: str) -> str:
    links = "".join(f'<li><a href="#{s.id}">{escape(s.short)}</a></li>' for s in sections)
    body = "\n".join(
        f'<section id="{s.id}" aria-labelledby="{s.id}-title"><h2 id="{s.id}-title">{escape(s.title)}</h2>\n'
        f"{s.body}</section>"
        for s in sections
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{STYLE}
{CSS}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header>{header}</header>
<nav aria-label="Parts of this report"><ul>{links}</ul></nav>
<main id="main">
{body}
</main>
<footer>{footer}</footer>
</body>
</html>
"""


CSS = """
:root{--page:#f5f6f8;--bad:#a3341f;--bad-paper:#fcefec;--look:#7a5600;--look-paper:#fdf5e0;--link:#005a8e}
@media(prefers-color-scheme:dark){:root{--page:#0e1217;--bad:#ffab97;--bad-paper:#34190f;--look:#f0cf7c;
--look-paper:#2e2610;--link:#7cc4f2}}
*{box-sizing:border-box}
html{scroll-padding-top:3.5rem}
body{margin:0;background:var(--page);color:var(--d-ink);
font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}
header,main,footer{max-width:1080px;margin:0 auto;padding:0 1.25rem}
header{padding-top:2rem}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .35rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:0 0 .75rem}
h3{font-size:1rem;margin:1.5rem 0 .5rem}
p{margin:.4rem 0 .8rem;max-width:46rem;overflow-wrap:anywhere}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:3px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;background:var(--d-paper);padding:.4rem .8rem;z-index:2}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.about{color:var(--d-muted);margin:0 0 1rem;max-width:none}
.marks{list-style:none;padding:0;margin:0 0 1rem;display:grid;gap:.5rem}
.marks li{padding:.5rem .8rem;border-left:4px solid var(--look);background:var(--look-paper);border-radius:3px}
.marks li.bad{border-color:var(--bad);background:var(--bad-paper)}
.marks strong{color:var(--look)}
.marks .bad strong{color:var(--bad)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:1rem;margin-bottom:1.5rem}
.card,section{background:var(--d-paper);border:1px solid var(--d-grid);border-radius:8px;padding:1.1rem 1.25rem}
.card p{margin:0}
.card .big{font-size:2.3rem;font-weight:650;line-height:1.15;font-variant-numeric:tabular-nums}
.card .big small{font-size:1rem;font-weight:400;color:var(--d-muted)}
nav{position:sticky;top:0;background:var(--page);border-bottom:1px solid var(--d-grid);z-index:1}
nav ul{max-width:1080px;margin:0 auto;padding:.5rem 1.25rem;list-style:none;display:flex;gap:.3rem 1.1rem;
overflow-x:auto;white-space:nowrap;font-size:.9rem}
nav a{text-decoration:none}
nav a:hover{text-decoration:underline}
section{margin:1.25rem 0}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1.25rem;align-items:start}
figure{margin:0;min-width:0}
figure.wide{grid-column:1/-1}
figure svg{display:block;max-width:100%;height:auto}
figure.wide svg{min-width:38rem}
figure.wide>.scroll{max-height:none;margin:0}
figcaption{font-size:.875rem;color:var(--d-muted);margin:.3rem 0 .4rem;max-width:46rem}
summary{cursor:pointer;font-size:.875rem;color:var(--link);width:max-content;max-width:100%}
.scroll{overflow-x:auto;max-height:26rem;margin:.5rem 0}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding-bottom:.3rem}
th,td{padding:.25rem .8rem .25rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--d-grid)}
th{font-weight:600}
tbody th{font-weight:500;white-space:nowrap}
td.n{text-align:right}
td.long{min-width:16rem}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.3rem 1.25rem;margin:0}
dt{color:var(--d-muted)}
dd{margin:0;overflow-wrap:anywhere}
.missing{color:var(--d-muted)}
footer{color:var(--d-muted);font-size:.875rem;padding-bottom:2rem}
@media(max-width:34rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}h1{font-size:1.4rem}
section,.card{padding:.9rem}header,main,footer{padding-left:.75rem;padding-right:.75rem}}
@media print{nav,.skip{display:none}section,figure{break-inside:avoid}body{background:none}}
"""
