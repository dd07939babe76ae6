"""What papers claim, run and judged."""
