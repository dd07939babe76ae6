"""Several requests as one study: planned, run together and compared."""
