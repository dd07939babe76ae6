"""Claims of papers: running and judging them."""
