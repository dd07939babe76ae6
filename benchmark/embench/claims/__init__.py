"""Claims of papers, run and judged."""
