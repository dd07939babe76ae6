"""Parts of a paper on finished runs: table, methods section and citations."""

from embench.report.latex.bibliography import bibtex
from embench.report.latex.methods import methods_section
from embench.report.latex.table import latex_tables

__all__ = ["bibtex", "latex_tables", "methods_section"]
