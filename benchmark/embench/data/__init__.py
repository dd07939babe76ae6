"""What happens to a dataset's files before they are prepared: fetched, unpacked, checked, described."""
