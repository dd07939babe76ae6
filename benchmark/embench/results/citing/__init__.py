"""What a paper needs of some runs: the table, a paragraph on the methods, and the citations."""

from embench.results.citing.bibliography import bibtex, cited, papers
from embench.results.citing.latex import tables
from embench.results.citing.paragraph import methods

__all__ = ["bibtex", "cited", "methods", "papers", "tables"]
