"""The bundled plugins: readers of datasets, encoders, fusions, pretrainers, metrics and observers."""
