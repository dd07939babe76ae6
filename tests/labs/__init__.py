"""Five folders as five labs leave them, for tests of the way from a folder to a score."""
