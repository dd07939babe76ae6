"""Writers of synthetic files in the formats of the datasets, one a dataset; `body` and `marks` are what they share."""
