"""An encoder without its method."""

from embench.interfaces.encoder import Encoder


class Half(Encoder):
    """Has no `build`."""
