"""A module that can be imported."""


class Fine:
    """A class of no kind."""
