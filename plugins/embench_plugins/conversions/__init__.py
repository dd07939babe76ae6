"""Converters of checkpoints that other code wrote; `embench weights convert` calls them."""
