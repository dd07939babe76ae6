"""A dataset on disk: where its files lie, fetching and checking them, its labels, and the subjects of a run."""
