"""Pure functions on arrays of samples: filters, resampling, gaps, normalisation, spectra, heartbeats."""
