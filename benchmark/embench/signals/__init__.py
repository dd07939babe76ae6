"""Pure functions on arrays of samples: filters, resampling, gaps, normalising, spectra, heart beats."""
