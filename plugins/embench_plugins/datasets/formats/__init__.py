"""File formats that several readers share: recordings with their channels and notes, MATLAB files, pickles, tables."""
