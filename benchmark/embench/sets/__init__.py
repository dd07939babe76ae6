"""Named sets of baselines: from rules to the rows of a dataset, their forecast, and their runs."""
