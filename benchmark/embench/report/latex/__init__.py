"""What a paper needs of some runs: the table, a paragraph on the methods, and the citations."""

from embench.report.latex.bibliography import bibtex, cited, papers
from embench.report.latex.methods import methods
from embench.report.latex.table import tables

__all__ = ["bibtex", "cited", "methods", "papers", "tables"]
