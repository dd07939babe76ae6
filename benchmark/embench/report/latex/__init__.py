"""What a paper needs of some runs: the table, a paragraph on the methods, and the citations."""

from embench.report.latex.bibliography import bibtex, cited_papers, papers
from embench.report.latex.methods import methods_section
from embench.report.latex.table import latex_tables

__all__ = ["bibtex", "cited_papers", "latex_tables", "methods_section", "papers"]
