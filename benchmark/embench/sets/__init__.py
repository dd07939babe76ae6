"""Named sets of baseline methods: expansion of rules for a dataset, forecast, and runs."""
