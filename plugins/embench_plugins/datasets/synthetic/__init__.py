"""Writers of synthetic files in the formats of the datasets, one a dataset; `generator` is their frame."""
