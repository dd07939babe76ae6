"""The file formats behind the readers: tables, pickles, MATLAB files, devices, clips, and each release's own layout."""
